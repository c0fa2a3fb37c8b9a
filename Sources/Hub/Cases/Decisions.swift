// What an operator decides: take a candidate, set another value, merge two rows of one key, mark them as two, undo.
//
// A decision is an ordinary write at a new position that covers all candidates; it goes down to the schools and up to the
// parent like any other. It names the version of the case that the operator saw: a case that changed meanwhile is refused.
// The journal keeps what an undo puts back; an undo is a decision itself, and opens the case again.

import Foundation
import GRDB
import Shared

/// Who decides, why, and on which version of the case.
package struct Verdict: Sendable {
    package var who: String
    package var reason: String
    /// What the operator saw; nil decides on the case as it is now.
    package var version: Int?
    /// Said where the result breaks a rule: without it such a decision is refused.
    package var explanation: String?
    package var batch: Int64?
    package init(who: String, reason: String, version: Int? = nil, explanation: String? = nil, batch: Int64? = nil) {
        self.who = who
        self.reason = reason
        self.version = version
        self.explanation = explanation
        self.batch = batch
    }
}

extension OperatorDesk {
    /// Takes one candidate whole.
    ///
    /// - Throws: `Failure(.refused)` when the case is closed (with who and when), has changed, or the result breaks a rule.
    package func take(_ number: Int64, candidate ordinal: Int, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try decide(number, verdict) { ruling in
            let open = try ruling.openCase()
            guard open.candidates.indices.contains(ordinal - 1) else {
                throw Failure(
                    .usage, "Case \(number) has no candidate \(ordinal).",
                    next: "`zzsync hub conflicts show \(number)` lists them.")
            }
            let chosen = open.candidates[ordinal - 1]
            try ruling.answer(values: chosen.values, life: chosen.life)
            return ("take", "candidate \(ordinal)")
        }
    }

    /// Sets another value than any candidate; fields of the group that are not named keep what the case shows.
    package func set(_ number: Int64, _ values: [Int: Value], _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try decide(number, verdict) { ruling in
            guard let group = ruling.group else {
                throw Failure(.refused, "Case \(number) is not about a value.", next: "Take one of its candidates.")
            }
            let fields = ruling.row.form.groups[group].fields
            guard values.keys.allSatisfy(fields.contains) else {
                let names = fields.map { ruling.row.form.fields[$0].id }.joined(separator: ", ")
                throw Failure(.usage, "Case \(number) is about \(names) alone.", next: "Set these fields, or write others at the school.")
            }
            try ruling.answer(values: fields.map { values[$0] ?? ruling.row.values[$0] }, life: .unchanged)
            return ("set", "another value")
        }
    }

    /// Merges two rows of one key into one: the smaller id survives, its empty groups are filled from the other.
    package func merge(_ number: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try decide(number, verdict) { ruling in
            let pair = try ruling.twins()
            let before = pair.survivor.values
            ruling.before = ValuesJSON.encode(before)
            try ruling.merge(pair)
            return ("merge", "rows \(pair.survivor.id) and \(pair.other.id) merged into \(pair.survivor.id)")
        }
    }

    /// Marks the two rows of the case, or the two sites of a clone, as two for good.
    package func distinct(_ number: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        if try show(number).kind == CloneCase.kind { return try settleClone(number, verdict) }
        return try decide(number, verdict) { ruling in
            try ruling.markDistinct()
            return ("distinct", "two rows for good")
        }
    }

    /// Takes a decision back: what it wrote is written back, and its case is open again.
    ///
    /// - Throws: `Failure(.refused)` when the decision was undone already, or what it wrote was written again since.
    package func undo(_ decision: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try checkReason(verdict)
        let home = home
        do {
            return try home.database.write { db in
                guard let row = try Row.fetchOne(db, sql: "SELECT * FROM zz_decision WHERE decision = ?", arguments: [decision]) else {
                    throw Failure(.usage, "There is no decision \(decision).", next: "`zzsync hub conflicts journal` lists them.")
                }
                if let by = row["undone_by"] as Int64? {
                    let who = try String.fetchOne(db, sql: "SELECT who FROM zz_decision WHERE decision = ?", arguments: [by]) ?? ""
                    throw Failure(.refused, "Decision \(decision) was undone already, by \(who).", next: "Nothing was changed.")
                }
                guard row["kind"] as String != "undo" else {
                    throw Failure(.usage, "Decision \(decision) is an undo itself.", next: "Decide on its case again instead.")
                }
                let entry = try entry(db, row["number"])
                let undo: JournalEntry
                if CloneCase.isOne(entry) {
                    undo = try CloneCase.reopen(db, home, entry, verdict, undoes: row["record"])
                } else {
                    var ruling = try Ruling(db, home, case: entry, verdict)
                    try ruling.undo(row)
                    undo = try ruling.finish(kind: "undo", taken: "decision \(decision) undone", undoes: row["record"])
                }
                try db.execute(
                    sql: "UPDATE zz_decision SET undone_by = ? WHERE decision = ?", arguments: [undo.decision, decision])
                return undo
            }
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    private func decide(
        _ number: Int64, _ verdict: Verdict, _ body: (inout Ruling) throws -> (kind: String, taken: String)
    ) throws(Failure) -> JournalEntry {
        try checkReason(verdict)
        let home = home
        do {
            let decision = try home.database.write { db in
                let entry = try open(db, number, version: verdict.version)
                guard !CloneCase.isOne(entry) else { throw CloneCase.isNoQuestionOfValues(number) }
                var ruling = try Ruling(db, home, case: entry, verdict)
                let (kind, taken) = try body(&ruling)
                let decision = try ruling.finish(kind: kind, taken: taken)
                KillPoint.reach("decide.write", in: home.directory)
                return decision
            }
            KillPoint.reach("decide.commit", in: home.directory)
            return decision
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    func checkReason(_ verdict: Verdict) throws(Failure) {
        guard !verdict.reason.isEmpty else {
            throw Failure(.usage, "A decision needs a reason.", next: "Add --reason \"...\"; the school will read it.")
        }
    }
}
