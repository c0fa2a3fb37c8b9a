// What an operator sees: open cases with their candidates, and the journal of decisions. Deciding is in `Decisions`.

import Foundation
import GRDB
import Shared

package struct CandidateView: Codable, Sendable {
    package var candidate: Int
    /// Column → value as shown; for a case of a row's life: "life" → "alive" or "dead".
    package var values: [String: String]
    package var author: String
    package var time: Int64
    package var site: String
    /// Label of the child, "this hub" or "parent".
    package var from: String
    /// The id of that child, whose label another site may share; nil for this hub and its parent.
    package var child: String?
    /// The claimed time lay ahead of this hub's clock when it came: the time that counts.
    package var clamped: Int64?
    /// It was written having read the hub's question.
    package var answers: Bool
}

/// One of two rows of one key.
package struct TwinView: Codable, Sendable {
    package var school: String
    package var row: String
    /// Column → value, of the columns in which the two differ.
    package var values: [String: String]
    package var author: String
    package var time: Int64
    package var site: String
}

package struct CaseView: Codable, Sendable {
    package var number: Int64
    package var kind: String
    package var school: String
    package var form: String
    package var row: String
    /// The row's natural key, as shown now.
    package var key: String
    package var group: [String]
    package var version: Int
    package var openedAt: Int64
    package var closedAt: Int64?
    package var otherSchool: String?
    package var otherRow: String?
    /// It went back to the school with a question; it may have answered since.
    package var isReturned = false
    /// The questions, the newest last; none of them taken back.
    package var questions: [JournalEntry] = []
    /// Column → what the row shows meanwhile; of a row's life: what whoever deleted it had not seen.
    package var shown: [String: String] = [:]
    /// Column → what stood there before anybody disagreed; nil where it is not known.
    package var base: [String: String]?
    package var candidates: [CandidateView]
    /// A late edit of a row that was merged away: what `merge` would apply to its survivor.
    package var survivor: SurvivorView?
    /// Twins: both rows, as far as they differ.
    package var rows: [TwinView]?
    /// Twins of one school: what `merge` would make of them.
    package var merged: MergeOutcome?
    /// Rules that both sides kept and the row as merged breaks.
    package var breaks: [String]?
    /// What the school has confirmed since it was asked, writing nothing.
    package var confirmed: [AnswerRecord] = []
    package var isAnswered: Bool { !confirmed.isEmpty || candidates.contains(where: \.answers) }

    enum CodingKeys: String, CodingKey {
        case number = "case", kind, school, form, row, key, group, version, shown, base, candidates, survivor, rows, merged, breaks, questions, confirmed
        case isReturned = "returned"
        case openedAt = "opened_at", closedAt = "closed_at", otherSchool = "other_school", otherRow = "other_row"
    }
}

package struct JournalEntry: Codable, Sendable {
    package var decision: Int64
    package var number: Int64
    package var who: String
    package var at: Int64
    package var reason: String
    package var kind: String
    package var taken: String
    package var value: String
    /// A decision by the system: "catalogue", or file and line of the policy that decided.
    package var policy: String?
    /// The bulk that it belongs to.
    package var batch: Int64?
    /// The row of `system_decision` that says the same to school and parent.
    package var record: String
    package var undoneBy: Int64?

    enum CodingKeys: String, CodingKey {
        case decision, number = "case", who, at, reason, kind, taken, value, policy, batch, record, undoneBy = "undone_by"
    }

    init(_ row: Row) {
        decision = row["decision"]
        number = row["number"]
        who = row["who"]
        at = row["at"]
        reason = row["reason"]
        kind = row["kind"]
        taken = row["taken"]
        value = row["value"]
        policy = row["policy"]
        batch = row["batch"]
        record = String(row["record"] as Int64)
        undoneBy = row["undone_by"]
    }
}

package struct OperatorDesk {
    package let home: HubHome
    package init(_ home: HubHome) { self.home = home }

    // MARK: looking

    package func cases(form: String? = nil, school: String? = nil, kind: String? = nil) throws(Failure) -> [CaseView] {
        try cases(CaseFilter(form: form, school: school, kind: kind))
    }

    package func cases(_ filter: CaseFilter) throws(Failure) -> [CaseView] {
        try read { db in
            let filter = try filter.resolved(self, db)
            return try Row.fetchAll(db, sql: "SELECT * FROM zz_case WHERE closed_at IS NULL ORDER BY number")
                .map { try view(db, $0) }.filter(filter.matches)
        }
    }

    package func show(_ number: Int64) throws(Failure) -> CaseView {
        try read { db in try view(db, try entry(db, number)) }
    }

    /// Every decision about the schools of this hub, its own and those of other tiers, in order of time.
    package func decisions(form: Form? = nil, school: String? = nil) throws(Failure) -> [DecisionRecord] {
        let only: ScopeID? = if let school { try home.scope(school: school) } else { nil }
        return try read { db in
            let scopes = try only.map { [$0] } ?? Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope").map { ScopeID(key: $0) }
            return try scopes.flatMap { scope in
                let school = try HubHome.school(db, scope)?.code
                return try DecisionRecord.list(db, scope: scope, form: form).map { record in
                    var record = record
                    record.school = school
                    return record
                }
            }.sorted { ($0.at, $0.id) < ($1.at, $1.id) }
        }
    }

    // MARK: in a transaction

    func entry(_ db: Database, _ number: Int64) throws -> Row {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM zz_case WHERE number = ?", arguments: [number]) else {
            throw Failure(.usage, "There is no case \(number).", next: "`zzsync hub conflicts list` shows the open ones.")
        }
        return row
    }

    func open(_ db: Database, _ number: Int64, version: Int?) throws -> Row {
        let row = try entry(db, number)
        if let closed = row["closed_at"] as Int64? {
            let table = SystemForms.decision.table
            let decision = try Row.fetchOne(
                db, sql: "SELECT author, hub, reason FROM \(table) WHERE scope = ? AND id = ?",
                arguments: [row["scope"] as Int64, row["record"] as Int64?])
            let who = decision.map { "\($0["author"] as String), \($0["hub"] as String) (\($0["reason"] as String))" }
            let writer = who == nil ? try newestWrite(db, row).map { "a later write of \($0.who)" } : nil
            throw Failure(
                .refused, "Case \(number) was closed by \(who ?? writer ?? "a later write") at \(shownTime(closed)).",
                next: "Nothing was changed; \(who == nil ? "`zzsync hub conflicts show \(number)` has its sides" : "the journal has it").")
        }
        if let version, version != row["version"] as Int {
            let word = try lastWord(db, row).map { "; the last word is \($0.who)'s, of \(shownTime($0.at))" } ?? ""
            throw Failure(
                .refused, "Case \(number) has changed: it is at version \(row["version"] as Int), you saw \(version)\(word).",
                next: "Look at it again with `zzsync hub conflicts show \(number)`.")
        }
        return row
    }

    /// The form that a case is about.
    ///
    /// - Throws: `Failure(.refused)` for two machines of one copy, which are about no form.
    package func form(of number: Int64) throws(Failure) -> Form {
        let item = try show(number)
        guard item.kind != CloneCase.kind else { throw CloneCase.isNoQuestionOfValues(number) }
        return try home.catalogue.form(named: item.form)
    }

    func read<T>(_ body: (Database) throws -> T) throws(Failure) -> T {
        do { return try home.database.read(body) } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }
}
