// A school's answer to a question that changes nothing: the value that is shown is right, and why. A row of the system form `answer` in the
// school's own log: sealed, sent, repeated and restored like every row, up to whichever hub has asked.
//
// Two designs. One: the answer is a write of the equal value to the disputed cell (the judge would know it by its cursor without another
// word; but it counts as somebody's entry, its author stands for a value that another typed, and the reason has no place). The other: a record
// that names the question by the hub's own record of it, and no write to any cell; the hub finds it by that name when it shows the case, so
// that it may come before, after, or twice. The second.

import Foundation
import GRDB

package struct AnswerRecord: Codable, Hashable, Sendable {
    /// The record's row id.
    package var id: String
    /// The record of the hub's question: a decision of kind `return`.
    package var decision: String
    package var form: String
    package var row: String
    package var key: String
    /// Column → value that is right; "life" → "alive" where a row's life was asked about.
    package var confirmed: [String: String]
    package var reason: String
    package var author: String
    /// Seconds since 1970, as its site's clock said.
    package var at: Int64

    package init(_ question: DecisionRecord, confirmed: [String: String], reason: String, author: String, at: Int64) {
        (id, decision, form, row, key) = ("", question.id, question.form, question.row, question.key)
        (self.confirmed, self.reason, self.author, self.at) = (confirmed, reason, author, at)
    }

    /// One a field of the form, in its order.
    package var values: [Value] {
        func number(_ text: String) -> Value { Int64(text).map { .integer($0) } ?? .null }
        return [
            number(decision), .text(form), number(row), .text(key), .text(String(decoding: WireJSON.encode(confirmed), as: UTF8.self)),
            .text(reason), .text(author), .integer(at),
        ]
    }

    private init(_ row: Row) {
        func number(_ column: String) -> String { (row[column] as Int64?).map(String.init) ?? "" }
        (id, decision, form, self.row) = (number("id"), number("decision"), row["form"] ?? "", number("row_id"))
        key = row["row_key"] ?? ""
        confirmed = (row["confirmed"] as String?).flatMap { WireJSON.decode([String: String].self, from: Array($0.utf8)) } ?? [:]
        (reason, author, at) = (row["reason"] ?? "", row["author"] ?? "", row["answered_at"] ?? 0)
    }

    /// Answers to a question, in order of time.
    ///
    /// - Parameter scope: at a hub, whose tables are keyed by it; nil at a node.
    package static func list(_ db: Database, scope: ScopeID?, to decision: Int64) throws -> [AnswerRecord] {
        let filter = scope.map { " AND scope = \($0.key) AND _life = 1" } ?? ""
        return try Row.fetchAll(
            db, sql: "SELECT * FROM \(SystemForms.answer.table) WHERE decision = ?\(filter) ORDER BY answered_at, id", arguments: [decision]
        ).map(AnswerRecord.init)
    }
}
