// A hub as a child of its parent: seals what is undisputed, valid and whole; applies the parent's pages, opening cases where
// a held value meets another one from above.

import Crypto
import Foundation
import GRDB
import Shared

package final class HubReplica: ChildReplica {
    package let home: HubHome
    /// As the parent knows this hub; its children know it by `home.keys`, whatever happens above.
    package let keys: SiteKeys
    package init(home: HubHome, keys: SiteKeys) {
        self.home = home
        self.keys = keys
    }

    package var database: DatabasePool { home.database }
    package var catalogue: Catalogue { home.catalogue }
    package var versions: CatalogueVersions { home.versions }
    package var directory: String { home.directory }
    package var keysPath: String { home.uplinkKeysPath }
    package func succeeded(by keys: SiteKeys) -> any ChildReplica { HubReplica(home: home, keys: keys) }
    package func wasPutBack() throws(Failure) {
        do { try home.notePutBackAbove() } catch { throw storeFailure(error, path: HubHome.databasePath(home.directory)) }
    }
    package let killPoints = UplinkKillPoints(sealed: "forward.commit", sent: "forward.sent", page: "forward.page")

    package func school(_ scope: ScopeID) throws -> SchoolInfo? {
        try home.look { try HubHome.school($0, scope) }
    }

    // MARK: seal

    package func hasUnsealed(_ db: Database, scope: ScopeID) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT log_end > sealed OR EXISTS (SELECT 1 FROM zz_held WHERE zz_held.scope = zz_scope.scope) FROM zz_scope WHERE scope = ?
                    """), arguments: [scope.key]) ?? true
    }

    package func seal(_ db: Database, scope: ScopeID, now: Int64) throws -> SealSummary {
        try ScopeLink.create(db, scope)
        var store = try SQLiteScopeStore(db, scope: scope)
        let sealed = Position(try Int64.fetchOne(db, sql: "SELECT sealed FROM zz_scope WHERE scope = ?", arguments: [scope.key])!)
        var waiting = try Held.load(db, scope: scope)
        guard store.logEnd > sealed || !waiting.isEmpty else { return SealSummary() }
        let extents = try Data.fetchAll(
            db, sql: "SELECT rows FROM zz_extent WHERE scope = ? AND last > ?", arguments: [scope.key, sealed.rawValue])
        for extent in extents {
            for (form, row) in try ExtentRows.unpack(Array(extent)) where waiting[form]?[row] == nil {
                waiting[form, default: [:]][row] = HeldCells()
            }
        }
        var sealer = try Sealer(
            db, scope: scope, site: keys.site, key: keys.signing, catalogue: catalogue, now: now)
        for form in try home.versions.wide(db).storedForms {
            guard let rows = waiting[form.number] else { continue }
            try seal(db, form, rows, after: sealed, store: &store, sealer: &sealer)
        }
        try sealer.finish()
        try db.execute(
            sql: "UPDATE zz_scope SET sealed = ? WHERE scope = ?", arguments: [store.logEnd.rawValue, scope.key])
        if sealer.segments > 0 { KillPoint.reach("forward.write", in: home.directory) }
        return SealSummary(rows: sealer.rows, segments: sealer.segments)
    }

    private func seal(
        _ db: Database, _ form: Form, _ waiting: [RowID: HeldCells], after sealed: Position,
        store: inout SQLiteScopeStore, sealer: inout Sealer
    ) throws {
        let scope = store.scope
        let ids = waiting.keys.sorted()
        let invalid = try Held.invalid(db, scope: scope, form: form)
        let deleting = try Held.endingLife(db, scope: scope, form: form)
        // In pieces, so that memory stays flat in the number of rows.
        for start in stride(from: 0, to: ids.count, by: 1_000) {
            let piece = Array(ids[start..<min(start + 1_000, ids.count)])
            let rows = try store.load(form, piece)
            for id in piece {
                guard let row = rows[id] else { continue }
                let dirty = row.dirtyCells(held: waiting[id]!, after: sealed)
                guard !dirty.isEmpty else {
                    try Held.store(db, scope: scope, form: form, row: id, HeldCells(), since: sealed)
                    continue
                }
                let (changes, held) = row.forward(
                    dirty, invalid: invalid.contains(id), deleteUnjudged: deleting.contains(id))
                for change in changes {
                    try sealer.add(form: form, row: id, life: change.life, mask: change.mask, stamp: change.stamp) {
                        $1.append(row.values[$0])
                    }
                }
                try Held.store(db, scope: scope, form: form, row: id, held, since: sealed)
            }
        }
    }

    package func lowerBases(_ db: Database, scope: ScopeID, to cursor: Position) throws {
        var store = try SQLiteScopeStore(db, scope: scope)
        for form in try home.versions.wide(db).storedForms {
            // A row without exceptions has no base.
            let ids = try Int64.fetchAll(db, sql: "SELECT id FROM \(form.table) WHERE scope = ? AND _x IS NOT NULL", arguments: [scope.key])
            for start in stride(from: 0, to: ids.count, by: 1_000) {
                let rows = try store.load(form, ids[start..<min(start + 1_000, ids.count)].map { RowID($0) })
                try store.save(rows.values.compactMap { row in
                    var row = row
                    return row.lowerBases(to: cursor) ? row : nil
                })
            }
        }
    }

    // MARK: pull

    package func apply(
        _ db: Database, scope: ScopeID, body: SegmentBody, page: LogPageInfo, merged: MergedSeqs, now: Int64
    ) throws -> PullSummary {
        var applier = try HubPageApplier(db, hub: home, site: keys.site, scope: scope, page: page, merged: merged, now: now)
        let summary = try applier.apply(body)
        return summary
    }
}
