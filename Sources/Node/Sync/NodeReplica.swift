// A node as a child: seals its marks, applies its parent's log pages by rule 5. It opens no case and holds nothing: drafts
// and invalid rows go up too.

import Crypto
import Foundation
import GRDB
import Shared

package final class NodeReplica: ChildReplica {
    package let home: NodeHome
    package let keys: SiteKeys

    package init(home: NodeHome, keys: SiteKeys) {
        self.home = home
        self.keys = keys
    }

    package var database: DatabasePool { home.database }
    package var catalogue: Catalogue { home.catalogue }
    package var versions: CatalogueVersions { home.versions }
    package var directory: String { home.directory }
    package var keysPath: String { ParentLink.keysPath(home.directory) }
    package func succeeded(by keys: SiteKeys) -> any ChildReplica { NodeReplica(home: home, keys: keys) }
    /// Nobody stands below a node.
    package func wasPutBack() {}
    package let killPoints = UplinkKillPoints(sealed: "seal.commit", sent: "push.sent", page: "pull.page")

    package func school(_ scope: ScopeID) throws -> SchoolInfo? { try home.school() }

    // MARK: seal

    package func hasUnsealed(_ db: Database, scope: ScopeID) throws -> Bool {
        try Mark.any(db)
    }

    /// Turns every mark into a change of the outbox, whole groups, and clears the marks. Call in a write transaction.
    package func seal(_ db: Database, scope: ScopeID, now: Int64) throws -> SealSummary {
        guard try hasUnsealed(db, scope: scope) else { return SealSummary() }
        var sealer = try Sealer(
            db, scope: scope, site: keys.site, key: keys.signing, catalogue: catalogue, now: now)
        do {
            for form in catalogue.storedForms { try seal(db, form, into: &sealer) }
            try sealer.finish()
            if sealer.heaviestTextBytes > Limits.rowTextBytesMax, let failure = try Unsealable.find(db, catalogue) { throw failure }
        } catch let error as CodecError {
            throw try Unsealable.find(db, catalogue) ?? error
        }
        // Marks of forms that this catalogue does not have stay until one has them.
        let known = catalogue.storedForms.map { String($0.number) }.joined(separator: ", ")
        try db.execute(sql: "DELETE FROM zz_mark WHERE form IN (\(known))")
        KillPoint.reach("seal.write", in: home.directory)
        return SealSummary(rows: sealer.rows, segments: sealer.segments)
    }

    private func seal(_ db: Database, _ form: Form, into sealer: inout Sealer) throws {
        let columns = form.fields.map { "t.\($0.id)" }.joined(separator: ", ")
        let statement = try HotStatement(
            db,
            """
            SELECT m.id, m.fields_low, m.fields_high, m.life, m.author, m.time, t.id IS NOT NULL, \(columns)
            FROM zz_mark AS m LEFT JOIN \(form.table) AS t ON t.id = m.id
            WHERE m.form = \(form.number) ORDER BY m.id
            """)
        defer { statement.reset() }
        while try statement.step() {
            let mask = statement.isNull(1) ? form.allFields : FieldMask(low: statement.integer(1), high: statement.integer(2))
            let life = Life(rawValue: UInt8(statement.integer(3))) ?? .unchanged
            let present = statement.integer(6) != 0
            guard let change = NodeRowSeal.change(form, life: life, mask: mask, present: present) else { continue }
            let stamp = Stamp(origin: keys.site, author: statement.text(4) ?? NodeSchema.outsideProgram, time: statement.integer(5))
            try sealer.add(
                form: form, row: RowID(statement.integer(0)), life: change.life, mask: change.mask, stamp: stamp
            ) { field, cells in statement.append(field + 7, to: &cells) }
        }
    }

    // MARK: pull

    /// A node holds nothing back, and keeps no bases.
    package func lowerBases(_ db: Database, scope: ScopeID, to cursor: Position) {}

    package func apply(
        _ db: Database, scope: ScopeID, body: SegmentBody, page: LogPageInfo, merged: MergedSeqs, now: Int64
    ) throws -> PullSummary {
        var summary = PullSummary()
        try body.checkFits(home.catalogue)
        try ReplicaDatabase.withoutTriggers(db) {
            let catalogue = try home.versions.wide(db, for: body, make: NodeSchema.makeForeign)
            for changes in body.forms {
                guard let form = catalogue[number: changes.form] else { preconditionFailure("room was made for it") }
                var applier = try NodePageApplier(db, form: form, scope: scope, merged: merged, changes: changes)
                try applier.run()
                summary.applied += applier.applied
                summary.passedOver += applier.passedOver
                summary.disputed += changes.placements.count { $0.disputed }
            }
        }
        return summary
    }
}
