// Whose word was the last in a case: who decides on a version that is no more is told who moved it, and when.

import Foundation
import GRDB
import Shared

/// Who, and when: by his own clock, or where that lay ahead of this hub's, when it came.
struct Word {
    let who: String
    let at: Int64

    init(who: String, at: Int64) { (self.who, self.at) = (who, at) }
    init(_ by: Provenance) { self.init(who: by.stamp.author, at: by.clamped ?? by.stamp.time) }
}

extension OperatorDesk {
    /// The newest candidate, a newer write to one of the rows, or an operator's question, whichever is the latest.
    func lastWord(_ db: Database, _ entry: Row) throws -> Word? {
        var stamps = Stamps(db)
        let asked = try Row.fetchOne(
            db, sql: "SELECT who, at FROM zz_decision WHERE number = ? ORDER BY decision DESC LIMIT 1", arguments: [entry["number"] as Int64])
        // Of one second the operator's: he asked about what was there.
        let words = [
            asked.map { Word(who: $0["who"], at: $0["at"]) },
            // They stand in the order in which they came.
            try CaseStore.candidates(db, number: entry["number"], stamps: &stamps).last.map { Word($0.by) },
            try newestWrite(db, entry),
        ]
        return words.compactMap { $0 }.max { $0.at < $1.at }
    }

    /// What was written last in the row, in both of two, or in the survivor that may take an edit, as far as the case is about it; nil for
    /// a clone's.
    func newestWrite(_ db: Database, _ entry: Row) throws -> Word? {
        guard !CloneCase.isOne(entry), let form = try home.versions.wide(db)[number: entry["form"]] else { return nil }
        let groups = CaseStore.groups(of: entry, form)
        let sides = [(entry["scope"] as Int64, entry["id"] as Int64)]
            + ((entry["other_id"] as Int64?).map { [(entry["other_scope"] as Int64, $0)] } ?? [])
            + (try WholeRowCases.survivors(db, entry).map { (entry["scope"] as Int64, $0.rawValue) })
        let words = try Dictionary(grouping: sides, by: \.0).compactMap { scope, rows -> Word? in
            var store = try SQLiteScopeStore(db, scope: ScopeID(key: scope))
            let cells = try store.load(form, rows.map { RowID($0.1) }).values.flatMap { row in
                groups.isEmpty ? [row.lifeCell] + row.cells : groups.map { row.cells[$0] }
            }
            return cells.max { $0.written < $1.written }.map { Word($0.by) }
        }
        // Positions of two schools are not to be compared, the times at which they were written are.
        return words.max { $0.at < $1.at }
    }
}
