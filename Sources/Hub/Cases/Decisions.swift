// What an operator decides: take a candidate, set another value, merge two rows of one key, mark them as two,
// give the case back to the school with a question, undo.
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
    /// What the operator saw; nil, for programs that look and decide in one breath, decides on the case as it is now.
    package var version: Int?
    /// Said where the result breaks a rule: without it such a decision is refused.
    package var explanation: String?
    /// The bulk that it belongs to.
    var batch: Batch?
    package init(who: String, reason: String, version: Int? = nil, explanation: String? = nil) {
        self.who = who
        self.reason = reason
        self.version = version
        self.explanation = explanation
    }

    struct Batch: Sendable {
        /// Its entry in the journal.
        let decision: Int64
        let record: RowID
    }
}

/// What an operator answers to a case.
package enum Choice: Hashable, Sendable {
    /// One candidate whole, by its number.
    case candidate(Int)
    /// Some fields of a candidate; the others that the case is about keep what it shows.
    case fields([Int], of: Int)
    /// Another value than any candidate; fields of the group that are not named keep what the case shows.
    case values([Int: Value])
    /// Two rows of one key are one: the smaller id survives, its empty groups are filled from the other.
    case merge
    /// Two rows, or the two sites of a clone, are two for good.
    case distinct
    /// A question to the school: the case stays open, and what the school writes having read it is marked as its answer.
    case handBack
}

extension OperatorDesk {
    /// Decides a case.
    ///
    /// - Throws: `Failure(.refused)` when the case is closed (with who and when), has changed, or the result breaks a rule.
    package func decide(_ number: Int64, _ choice: Choice, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try checkReason(verdict)
        return try write { try decide($0, number, choice, verdict) }
    }

    private func write(_ body: (Database) throws -> JournalEntry) throws(Failure) -> JournalEntry {
        do {
            let decision = try home.database.write { db in
                let decision = try body(db)
                KillPoint.reach("decide.write", in: home.directory)
                return decision
            }
            KillPoint.reach("decide.commit", in: home.directory)
            return decision
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    /// The same in the caller's transaction.
    func decide(_ db: Database, _ number: Int64, _ choice: Choice, _ verdict: Verdict) throws -> JournalEntry {
        let entry = try open(db, number, version: verdict.version)
        if CloneCase.isOne(entry) {
            guard choice == .distinct else { throw CloneCase.isNoQuestionOfValues(number) }
            return try CloneCase.close(db, home, entry, verdict)
        }
        var ruling = try Ruling(db, home, case: entry, verdict)
        let (kind, taken) = try ruling.apply(choice)
        return try ruling.finish(kind: kind, taken: taken)
    }

    package func take(_ number: Int64, candidate ordinal: Int, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try decide(number, .candidate(ordinal), verdict)
    }

    /// - Parameter fields: of these alone, by name or title; none = the candidate whole.
    package func take(_ number: Int64, candidate ordinal: Int, fields: [String], _ verdict: Verdict) throws(Failure) -> JournalEntry {
        guard !fields.isEmpty else { return try take(number, candidate: ordinal, verdict) }
        let form = try form(of: number)
        let named = try fields.map { (name) throws(Failure) in try form.field(named: name) }
        let indices = named.enumerated().filter { !named[..<$0.offset].contains($0.element) }.map(\.element)
        return try decide(number, .fields(indices, of: ordinal), verdict)
    }

    package func set(_ number: Int64, _ values: [Int: Value], _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try decide(number, .values(values), verdict)
    }

    package func merge(_ number: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry { try decide(number, .merge, verdict) }

    package func distinct(_ number: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry { try decide(number, .distinct, verdict) }

    package func handBack(_ number: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry { try decide(number, .handBack, verdict) }

    // MARK: undo

    /// Takes a decision back: what it wrote is written back, and its case is open again.
    ///
    /// - Throws: `Failure(.refused)` when the decision was undone already, or what it wrote was written again since.
    package func undo(_ decision: Int64, _ verdict: Verdict) throws(Failure) -> JournalEntry {
        try checkReason(verdict)
        return try write { try undo($0, decision, verdict) }
    }

    func undo(_ db: Database, _ decision: Int64, _ verdict: Verdict) throws -> JournalEntry {
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
        if Self.isBatch(row) { return try undoBatch(db, row, verdict) }
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

    func checkReason(_ verdict: Verdict) throws(Failure) {
        guard !verdict.reason.allSatisfy(\.isWhitespace) else {
            throw Failure(.usage, "A decision needs a reason.", next: "Add --reason \"...\"; the school will read it.")
        }
    }
}
