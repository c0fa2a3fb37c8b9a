// A hub as a child of its parent: seals what is undisputed, valid and whole; applies the parent's pages, opening cases where
// a held value meets another one from above.

import Crypto
import Foundation
import GRDB
import Shared

package final class HubReplica: ChildReplica {
    package let home: HubHome
    package init(home: HubHome) { self.home = home }

    package var database: DatabasePool { home.database }
    package var catalogue: Catalogue { home.catalogue }
    package var keys: SiteKeys { home.keys }
    package let killPoints = UplinkKillPoints(sealed: "forward.commit", sent: "forward.sent", page: "forward.page")

    package func school(_ scope: ScopeID) throws -> SchoolInfo? {
        try database.read { try HubHome.school($0, scope) }
    }

    // MARK: seal

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
            db, scope: scope, site: keys.site, key: keys.signing, catalogueHash: catalogue.hash, now: now)
        for form in catalogue.forms {
            guard let rows = waiting[form.number] else { continue }
            try seal(db, form, rows, after: sealed, store: &store, sealer: &sealer)
        }
        try sealer.finish()
        try db.execute(
            sql: "UPDATE zz_scope SET sealed = ? WHERE scope = ?", arguments: [store.logEnd.rawValue, scope.key])
        if sealer.segments > 0 { KillPoint.reach("forward.write") }
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
                    try Held.store(db, scope: scope, form: form, row: id, HeldCells())
                    continue
                }
                let isNew = dirty.life && row.life == .alive
                let stuck =
                    row.rowCase != nil || (row.life == .alive && deleting.contains(id))
                    || (row.life == .alive && invalid.contains(id))
                    || (isNew && !row.cases.isEmpty)
                let (sent, held) = stuck ? (HeldCells(), dirty) : row.releasable(dirty)
                if !sent.isEmpty { try add(row, sent, to: &sealer) }
                try Held.store(db, scope: scope, form: form, row: id, held)
            }
        }
    }

    /// Cells of one stamp go up as one change, the life with the first of them: origin, author and time are preserved.
    private func add(_ row: MergeRow, _ cells: HeldCells, to sealer: inout Sealer) throws {
        var order: [Stamp] = []
        var masks: [Stamp: FieldMask] = [:]
        for (index, group) in row.form.groups.enumerated() where !(group.mask & cells.fields).isEmpty {
            let stamp = row.cells[index].by.stamp
            if masks[stamp] == nil { order.append(stamp) }
            masks[stamp] = (masks[stamp] ?? FieldMask()) | group.mask
        }
        if cells.life, order.isEmpty || row.life == .dead {
            return try sealer.add(
                form: row.form, row: row.id, life: row.life, mask: FieldMask(), stamp: row.lifeCell.by.stamp
            ) { _, _ in }
        }
        // The life goes with the last change, so that the groups of a living row are judged before it.
        for (index, stamp) in order.enumerated() {
            let life = cells.life && index == order.count - 1 ? row.life : .unchanged
            try sealer.add(form: row.form, row: row.id, life: life, mask: masks[stamp]!, stamp: stamp) { field, column in
                column.append(row.values[field])
            }
        }
    }

    // MARK: pull

    package func apply(
        _ db: Database, scope: ScopeID, body: SegmentBody, page: LogPageInfo, merged: Seq, now: Int64
    ) throws -> PullSummary {
        var applier = try HubPageApplier(db, hub: home, scope: scope, merged: merged, now: now)
        let summary = try applier.apply(body)
        return summary
    }
}

extension MergeRow {
    /// What still has to go up: held before, or written here since the last seal by anyone but the parent.
    func dirtyCells(held: HeldCells, after sealed: Position) -> HeldCells {
        var dirty = HeldCells()
        for (index, group) in form.groups.enumerated() {
            let isHeld = !(group.mask & held.fields).isEmpty
            if cells[index].isWritten, cells[index].by.writer != .parent, isHeld || cells[index].written > sealed {
                dirty.fields = dirty.fields | group.mask
            }
        }
        dirty.life = lifeCell.isWritten && lifeCell.by.writer != .parent && (held.life || lifeCell.written > sealed)
        // A dead row has nothing to say but that it is dead.
        if life == .dead { dirty.fields = FieldMask() }
        return dirty
    }

    /// Splits into what may go and what is held: a disputed cell stays, the rest flows.
    func releasable(_ dirty: HeldCells) -> (sent: HeldCells, held: HeldCells) {
        var sent = dirty
        var held = HeldCells()
        for (index, group) in form.groups.enumerated() where cases[index] != nil && !(group.mask & dirty.fields).isEmpty {
            sent.fields = FieldMask(sent.fields.bits & ~group.mask.bits)
            held.fields = held.fields | group.mask
        }
        return (sent, held)
    }
}
