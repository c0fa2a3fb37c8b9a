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
        func merged(by: Provenance, positions: (Position, Position)) -> (survivor: MergeRow, other: MergeRow) {
            var (kept, gone) = (survivor, other)
            kept.position = positions.0
            let key = Set(kept.form.key)
            for index in kept.form.groups.indices {
                let mine = kept.groupValues(index), theirs = gone.groupValues(index)
                let chosen = mine.allSatisfy(\.isNull) ? theirs : mine
                if chosen != mine || !key.isDisjoint(with: kept.form.groups[index].fields) || mine != theirs {
                    kept.forceWrite(index, chosen, by: by)
                }
            }
            gone.decideLife(.dead, by: by, at: positions.1)
            return (kept, gone)
        }
    }

    /// Merges the open twins of one school that are equal in every group: the same workbook imported on two nodes.
    ///
    /// - Returns: the rows that moved.
    static func mergeEqual(
        _ db: Database, _ home: HubHome, _ form: Form, store: inout SQLiteScopeStore, ids: String
    ) throws -> [RowID] {
        let cases = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, id, other_id FROM zz_case WHERE kind = 'twins' AND closed_at IS NULL AND form = ?1
                      AND scope = ?2 AND other_scope = ?2
                      AND (id IN (SELECT value FROM json_each(?3)) OR other_id IN (SELECT value FROM json_each(?3)))
                    ORDER BY number
                    """), arguments: [form.number, store.scope.key, ids])
        guard !cases.isEmpty else { return [] }
        let now = Int64(Date().timeIntervalSince1970)
        let by = Provenance(
            writer: .hub, stamp: Stamp(origin: home.keys.site, author: "zzsync: equal rows of one key merged", time: now))
        var rows = try store.load(
            form, Set(cases.flatMap { [RowID($0["id"]), RowID($0["other_id"])] }).sorted())
        var next = store.logEnd.next(inEpoch: home.epoch)
        var moved: [RowID] = []
        for entry in cases {
            guard let a = rows[RowID(entry["id"])], let b = rows[RowID(entry["other_id"])] else { continue }
            let pair = Pair(a, b)
            guard pair.canMerge, pair.isEqual else { continue }
            let (survivor, other) = pair.merged(by: by, positions: (next, next.advanced(by: 1)))
            next = next.advanced(by: 2)
            (rows[survivor.id], rows[other.id]) = (survivor, other)
            moved += [survivor.id, other.id]
            try db.cachedStatement(
                sql: """
                    INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position)
                    VALUES (?, 'merge', 'zzsync', ?, '两行内容完全相同', ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                entry["number"] as Int64, now, "rows \(survivor.id) and \(other.id) merged into \(survivor.id)",
                "\"\(survivor.id)\"", ValuesJSON.encode(pair.survivor.values), next.rawValue - 1,
            ])
            try db.cachedStatement(sql: "UPDATE zz_case SET closed_at = ?, decision = ? WHERE number = ?")
                .execute(arguments: [now, db.lastInsertedRowID, entry["number"] as Int64])
        }
        guard !moved.isEmpty else { return [] }
        try store.save(Set(moved).sorted().map { rows[$0]! })
        try store.append(Extent(merged: nil, rows: moved.map { (form.number, $0) }), upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: moved.map { (form.number, $0) })
        return Set(moved).sorted()
    }
}
