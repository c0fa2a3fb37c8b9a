// Two living rows of one key become one. Nothing new: ordinary writes to the survivor, which cover both, and an ordinary
// delete of the other row. References go by natural key, so nothing else has to change.

import Foundation
import GRDB
import Shared

enum TwinMerger {
    struct Pair {
        /// The smaller id, at every tier.
        let survivor: MergeRow
        let other: MergeRow

        init(_ a: MergeRow, _ b: MergeRow) { (survivor, other) = a.id < b.id ? (a, b) : (b, a) }

        /// Both live, and nobody is asked about either of them.
        var canMerge: Bool {
            survivor.life == .alive && other.life == .alive && survivor.cases.isEmpty && other.cases.isEmpty
                && survivor.rowCase == nil && other.rowCase == nil
        }
        var isEqual: Bool { survivor.values == other.values }

        /// The survivor with its empty groups filled from the other, its key group written even if equal; the other dead.
        /// What an owner (一数一源) has said of one of them he has said of the survivor, where it says the same.
        func merged(
            by: Provenance, positions: (Position, Position), _ policies: ScopePolicies
        ) -> (survivor: MergeRow, other: MergeRow) {
            var (kept, gone) = (survivor, other)
            kept.position = positions.0
            let key = Set(kept.form.key)
            for index in kept.form.groups.indices {
                let mine = kept.groupValues(index), theirs = gone.groupValues(index)
                let chosen = isFilled(index) ? theirs : mine
                let owners = mine == theirs ? policies.ownersWord(kept.form, index, among: [kept.cells[index], gone.cells[index]]) : nil
                let isKey = !key.isDisjoint(with: kept.form.groups[index].fields)
                if let owners, owners.writer != .parent, isKey || owners != kept.cells[index].by {
                    kept.forceWrite(index, mine, by: Provenance(writer: .hub, stamp: owners.stamp, clamped: owners.clamped))
                } else if chosen != mine || isKey || mine != theirs {
                    kept.forceWrite(index, chosen, by: by)
                }
            }
            gone.decideLife(.dead, by: by, at: positions.1)
            return (kept, gone)
        }
    }

    /// One of the merges of a call.
    private struct Merge {
        let number: Int64
        /// As the two were.
        let pair: Pair
        let survivor: MergeRow
        let other: MergeRow
        let record: RowID
        /// Of the record.
        let position: Position
    }

    /// Merges the open twins of one school that are equal in every group: the same workbook imported on two nodes. The journal has one entry
    /// for all of them, as it has for an operator's bulk, and one undo takes them back.
    ///
    /// - Returns: the rows that moved.
    static func mergeEqual(
        _ db: Database, _ home: HubHome, _ form: Form, store: inout SQLiteScopeStore, among: String, batch given: Verdict.Batch?
    ) throws -> [RowID] {
        let cases = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, id, other_id FROM zz_case WHERE kind = 'twins' AND closed_at IS NULL AND form = ?1
                      AND scope = ?2 AND other_scope = ?2
                      AND (id IN (SELECT value FROM json_each(?3)) OR other_id IN (SELECT value FROM json_each(?3)))
                    ORDER BY number
                    """), arguments: [form.number, store.scope.key, among])
        guard !cases.isEmpty else { return [] }
        let asked = try askedAbout(db, form, store.scope, among: cases.map { max($0["id"] as Int64, $0["other_id"]) })
        let now = try ReplicaDatabase.now(db)
        let by = Provenance(
            writer: .hub, stamp: Stamp(origin: home.keys.site, author: "zzsync: equal rows of one key merged", time: now))
        let policies = try home.policies(db, scope: store.scope, now: now)
        var rows = try store.load(
            form, Set(cases.flatMap { [RowID($0["id"]), RowID($0["other_id"])] }).sorted())
        var next = store.logEnd.next(inEpoch: home.epoch)
        var moved: [RowID] = []
        var merges: [Merge] = []
        var ids = RecordIDs(home, at: next, of: store.scope)
        for entry in cases {
            guard let a = rows[RowID(entry["id"])], let b = rows[RowID(entry["other_id"])] else { continue }
            let pair = Pair(a, b)
            guard pair.canMerge, pair.isEqual, !asked.contains(pair.other.id) else { continue }
            let (survivor, other) = pair.merged(by: by, positions: (next, next.advanced(by: 1)), policies)
            next = next.advanced(by: 2)
            (rows[survivor.id], rows[other.id]) = (survivor, other)
            moved += [survivor.id, other.id]
            merges.append(Merge(number: entry["number"], pair: pair, survivor: survivor, other: other, record: ids.mint(), position: next))
            next = next.advanced(by: 1)
        }
        guard !moved.isEmpty else { return [] }
        let batch = try given ?? (merges.count > 1 ? head(db, merges, now) : nil)
        let records = try merges.map { merge in
            var record = record(merge, home, now)
            record.batch = batch?.record.description
            try journal(db, merge, batch: batch?.decision, now)
            return MergeRow.record(SystemForms.decision, merge.record, record.values, by: by, at: merge.position)
        }
        try store.save(Set(moved).sorted().map { rows[$0]! } + records)
        let all = moved.map { (form.number, $0) } + records.map { (SystemForms.decision.number, $0.id) }
        try store.append(Extent(merged: nil, rows: all), upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: moved.map { (form.number, $0) })
        return Set(moved).sorted()
    }

    /// Rows that the system does not merge away: somebody asks their owner for another value, which would go with the row, or a merge
    /// of them was taken back, here or at another tier: merged again at once, nobody could ever have them apart.
    private static func askedAbout(_ db: Database, _ form: Form, _ scope: ScopeID, among rows: [Int64]) throws -> Set<RowID> {
        let table = SystemForms.decision.table
        let ids = try Int64.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT id FROM zz_case
                    WHERE scope = ?1 AND form = ?2 AND id IN (SELECT value FROM json_each(?4)) AND kind = 'owner' AND closed_at IS NULL
                    UNION SELECT max(row_id, other_row) FROM \(table) AS merge
                    WHERE scope = ?1 AND kind = 'merge' AND form = ?3 AND max(row_id, other_row) IN (SELECT value FROM json_each(?4))
                      AND EXISTS (SELECT 1 FROM \(table) AS undo WHERE undo.scope = ?1 AND undo._life = 1 AND undo.undoes = merge.id)
                    """), arguments: [scope.key, form.number, form.id, "[" + rows.map(String.init).joined(separator: ",") + "]"])
        return Set(ids.map { RowID($0) })
    }

    /// The open change request that would go with the other row.
    static func request(_ db: Database, _ pair: Pair, _ scope: ScopeID) throws -> Int64? {
        try Int64.fetchOne(
            db, sql: "SELECT number FROM zz_case WHERE scope = ? AND form = ? AND id = ? AND kind = 'owner' AND closed_at IS NULL",
            arguments: [scope.key, pair.other.form.number, pair.other.id.rawValue])
    }

    private static let reason = "两行内容完全相同"

    private static func taken(_ pair: (MergeRow, MergeRow)) -> String { "rows \(pair.0.id) and \(pair.1.id) merged into \(pair.0.id)" }

    private static func record(_ merge: Merge, _ home: HubHome, _ now: Int64) -> DecisionRecord {
        let (survivor, other) = (merge.survivor, merge.other)
        let form = survivor.form
        var record = DecisionRecord(
            id: merge.record, hub: home.recordName, caseNumber: merge.number, kind: "merge", form: form.id, row: survivor.id,
            key: form.key.map { survivor.values[$0].shown }.joined(separator: " "), author: "zzsync", at: now, reason: reason)
        record.otherRow = other.id.description
        record.result = ["row": survivor.id.description]
        record.taken = taken((survivor, other))
        return record
    }

    /// The entry that stands for all of them: about no case, as a bulk's.
    private static func head(_ db: Database, _ merges: [Merge], _ now: Int64) throws -> Verdict.Batch {
        try db.execute(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, record)
                VALUES (0, 'merge', 'zzsync', ?, ?, ?, '', '', 0, ?)
                """, arguments: [now, reason, "\(merges.count) pairs of equal rows merged", merges[0].record.rawValue])
        return Verdict.Batch(decision: db.lastInsertedRowID, record: merges[0].record)
    }

    private static func journal(_ db: Database, _ merge: Merge, batch: Int64?, _ now: Int64) throws {
        let pair = merge.pair
        try db.cachedStatement(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, batch, record)
                VALUES (?, 'merge', 'zzsync', ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            merge.number, now, reason, taken((pair.survivor, pair.other)), "\"\(pair.survivor.id)\"", ValuesJSON.encode(pair.survivor.values),
            merge.position.advanced(by: -1).rawValue, batch, merge.record.rawValue,
        ])
        try db.cachedStatement(sql: "UPDATE zz_case SET closed_at = ?, record = ? WHERE number = ?")
            .execute(arguments: [now, merge.record.rawValue, merge.number])
    }
}
