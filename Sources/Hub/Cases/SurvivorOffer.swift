// A late edit of a row that had been merged into another: the row is kept, as after every edit of a deleted row, and the case
// offers first to apply the edit to the survivor and to let the row go.

import Foundation
import GRDB
import Shared

struct SurvivorOffer {
    let survivor: MergeRow
    /// Groups written in the kept row since it was merged away, in which the survivor says otherwise.
    let groups: [Int]

    /// - Returns: nil when the row was never merged away, or its survivor is not there to take the edit.
    static func find(_ db: Database, _ row: MergeRow, store: inout SQLiteScopeStore) throws -> SurvivorOffer? {
        // Of a cell that is disputed itself nobody knows yet which edit to apply.
        guard row.life == .alive, row.rowCase != nil, row.cases.isEmpty else { return nil }
        let table = SystemForms.decision.table
        let merged = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT min(row_id, other_row) AS survivor, _at FROM \(table) AS merge
                    WHERE scope = ?1 AND _life = 1 AND kind = 'merge' AND form = ?2
                      AND max(row_id, other_row) = ?3 AND min(row_id, other_row) <> ?3
                      AND NOT EXISTS (SELECT 1 FROM \(table) AS undo WHERE undo.scope = ?1 AND undo._life = 1 AND undo.undoes = merge.id)
                    ORDER BY decided_at DESC LIMIT 1
                    """), arguments: [store.scope.key, row.form.id, row.id.rawValue])
        guard let merged, let survivor = try store.load(row.form, [RowID(merged["survivor"])]).values.first, survivor.life == .alive,
            survivor.rowCase == nil
        else { return nil }
        // The record stands in the log right behind what the merge wrote.
        let gone = Position(merged["_at"])
        let groups = row.form.groups.indices.filter { group in
            row.cells[group].written > gone && row.groupValues(group) != survivor.groupValues(group)
        }
        guard groups.allSatisfy({ survivor.cases[$0] == nil }) else { return nil }
        return SurvivorOffer(survivor: survivor, groups: groups)
    }

    func view(of row: MergeRow) -> SurvivorView {
        let fields = groups.flatMap { survivor.form.groups[$0].fields }
        func shown(_ row: MergeRow) -> [String: String] {
            Dictionary(uniqueKeysWithValues: fields.map { (row.form.fields[$0].id, row.values[$0].shown) })
        }
        return SurvivorView(row: survivor.id.description, present: shown(survivor), edit: shown(row))
    }
}

/// What a late edit of a merged-away row would change in its survivor.
package struct SurvivorView: Codable, Sendable {
    package var row: String
    /// Column → what the survivor has now, and what the edit would make of it.
    package var present: [String: String]
    package var edit: [String: String]
}

extension Ruling {
    /// Writes the late edit to the survivor and lets the row go.
    mutating func applyToSurvivor() throws -> (kind: String, taken: String) {
        if let open = row.cases.values.compactMap(\.number).min() {
            throw Failure(.refused, "The row of case \(number) has another open case: \(open).", next: "Decide that case first.")
        }
        guard let offer = try SurvivorOffer.find(db, row, store: &store) else {
            throw Failure(
                .refused, "The row of case \(number) was not merged into another that could take the edit.", next: "Take one of its candidates.")
        }
        var survivor = offer.survivor
        let edit = offer.groups.map { (group: $0, values: row.groupValues($0)) }
        try watch(survivor.id)
        survivor.position = takePosition()
        let replaced = edit.flatMap { zip(row.form.groups[$0.group].fields, $0.values) }.filter { survivor.values[$0] != $1 }.map { field, value in
            "\(row.form.fields[field].title)=\(value.shown) instead of \(survivor.values[field].isNull ? "nothing" : survivor.values[field].shown)"
        }
        for (group, values) in edit { survivor.forceWrite(group, values, by: by) }
        letGo(into: survivor.id, edit.flatMap { zip(row.form.groups[$0.group].fields, $0.values) })
        try save(survivor)
        try save(row)
        return ("apply", "the edit of row \(row.id) applied to row \(survivor.id)" + (replaced.isEmpty ? "" : ": \(replaced.joined(separator: "; "))"))
    }

    /// The survivor gets back what it had, the row lives again with its open case.
    mutating func undoApply(_ decision: Row) throws {
        let position: Int64 = decision["position"]
        guard let id = Int64((decision["value"] as String).trimmingCharacters(in: ["\""])).map({ RowID($0) }),
            var survivor = try store.load(row.form, [id])[id]
        else { throw Failure(.damaged, "The survivor of case \(number) is gone.", next: "Run `zzsync hub status`.") }
        let old = try Row.fetchAll(
            db, sql: "SELECT field_group, old FROM zz_history WHERE scope = ? AND form = ? AND id = ? AND replaced = ? AND field_group <> 0",
            arguments: [store.scope.key, row.form.number, id.rawValue, position - 1])
        survivor.position = takePosition()
        for entry in old {
            guard let group = row.form.groups.firstIndex(where: { $0.number == entry["field_group"] as Int }) else { continue }
            guard survivor.cells[group].written.rawValue == position - 1 else {
                throw Failure(.refused, "The survivor was written again since.", next: "Nothing was changed; correct it with an ordinary write.")
            }
            if let later = survivor.cases[group] { throw isDisputed(decision, later) }
            try checkSame(decision, survivor, group)
            survivor.forceWrite(group, ValuesJSON.decode(entry["old"]), by: by)
        }
        try save(survivor)
        try reopen(decision)
    }
}
