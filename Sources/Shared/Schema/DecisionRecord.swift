// A decision as it travels: a row of the system form `decision` in the log of the school that it is about, down to the school,
// which lists it with its reason, and up to the ministry.

import Foundation
import GRDB

package struct DecisionRecord: Codable, Hashable, Sendable {
    /// One side of what was decided, as shown.
    package struct Side: Codable, Hashable, Sendable {
        /// Column → value; for a case of a row's life: "life" → "alive" or "dead".
        package var values: [String: String]
        package var author: String
        /// Seconds since 1970, as its author's site claimed.
        package var time: Int64
        package var site: String
        package init(values: [String: String], author: String, time: Int64, site: String) {
            self.values = values
            self.author = author
            self.time = time
            self.site = site
        }
    }

    /// The record's row id.
    package var id: String
    /// Code of the school, at a hub.
    package var school: String?
    /// Code and name of the hub that decided.
    package var hub: String
    /// The case's number there.
    package var caseNumber: Int64
    /// take, set, merge, distinct, return or undo.
    package var kind: String
    package var form: String
    package var row: String
    /// The row's natural key when it was decided.
    package var key: String
    /// The columns that it is about; none for a whole row.
    package var fields: [String]
    package var otherSchool: String?
    package var otherScope: String?
    package var otherRow: String?
    /// What stood there before anybody disagreed; nothing where it is not known.
    package var base: [String: String]
    package var candidates: [Side]
    package var result: [String: String]
    /// The result in words.
    package var taken: String
    package var reason: String
    package var explanation: String?
    package var author: String
    /// The author's role, where the home has users.
    package var role: String?
    package var at: Int64
    /// Decisions of one bulk name the first record of it.
    package var batch: String?
    /// An undo: the record that it takes back.
    package var undoes: String?
    /// Taken back since.
    package var isUndone = false

    package init(
        id: RowID, hub: String, caseNumber: Int64, kind: String, form: String, row: RowID, key: String, author: String, at: Int64,
        reason: String
    ) {
        self.id = id.description
        self.hub = hub
        self.caseNumber = caseNumber
        self.kind = kind
        self.form = form
        self.row = row.description
        self.key = key
        self.author = author
        self.at = at
        self.reason = reason
        (fields, base, candidates, result, taken) = ([], [:], [], [:], "")
    }

    enum CodingKeys: String, CodingKey {
        case id, school, hub, kind, form, row, key, fields, base, candidates, result, taken, reason, explanation, author, role, at, batch, undoes
        case caseNumber = "case", otherSchool = "other_school", otherScope = "other_scope", otherRow = "other_row", isUndone = "undone"
    }

    /// One a field of the form, in its order.
    package var values: [Value] {
        func text(_ text: String?) -> Value { text.map { .text($0) } ?? .null }
        func number(_ text: String?) -> Value { text.flatMap { Int64($0) }.map { .integer($0) } ?? .null }
        func json(_ value: some Encodable) -> Value { .text(String(decoding: WireJSON.encode(value), as: UTF8.self)) }
        return [
            text(hub), .integer(caseNumber), text(kind), text(form), number(row), text(key), text(fields.joined(separator: " ")),
            text(otherSchool), text(otherScope), number(otherRow), json(base), json(candidates), json(result), text(taken),
            text(reason), text(explanation), text(author), text(role), .integer(at), number(batch), number(undoes),
        ]
    }

    private init(_ row: Row) {
        func json<T: Decodable>(_ type: T.Type, _ column: String) -> T? {
            (row[column] as String?).flatMap { WireJSON.decode(type, from: Array($0.utf8)) }
        }
        func number(_ column: String) -> String? { (row[column] as Int64?).map(String.init) }
        id = number("id") ?? ""
        hub = row["hub"] ?? ""
        caseNumber = row["case_number"] ?? 0
        kind = row["kind"] ?? ""
        form = row["form"] ?? ""
        self.row = number("row_id") ?? ""
        key = row["row_key"] ?? ""
        fields = (row["fields"] as String? ?? "").split(separator: " ").map(String.init)
        otherSchool = row["other_school"]
        otherScope = row["other_scope"]
        otherRow = number("other_row")
        base = json([String: String].self, "base") ?? [:]
        candidates = json([Side].self, "candidates") ?? []
        result = json([String: String].self, "result") ?? [:]
        taken = row["taken"] ?? ""
        reason = row["reason"] ?? ""
        explanation = row["explanation"]
        author = row["author"] ?? ""
        role = row["role"]
        at = row["decided_at"] ?? 0
        batch = number("batch")
        undoes = number("undoes")
        isUndone = row["is_undone"]
    }

    /// Records in the order in which they were decided.
    ///
    /// - Parameters:
    ///   - scope: at a hub, whose tables are keyed by it; nil at a node.
    ///   - form: only of this form's rows.
    ///   - row: only about this row, on either side.
    package static func list(_ db: Database, scope: ScopeID?, form: Form? = nil, row: RowID? = nil) throws -> [DecisionRecord] {
        let table = SystemForms.decision.table
        let undone = "SELECT undoes FROM \(table) WHERE undoes IS NOT NULL" + (scope.map { " AND scope = \($0.key) AND _life = 1" } ?? "")
        var conditions: [String] = []
        var arguments: StatementArguments = []
        if let scope {
            conditions.append("this.scope = ? AND this._life = 1")
            arguments += [scope.key]
        }
        if let form {
            conditions.append("this.form = ?")
            arguments += [form.id]
        }
        if let row {
            conditions.append("? IN (this.row_id, this.other_row)")
            arguments += [row.rawValue]
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        return try Row.fetchAll(
            db,
            sql: """
                SELECT this.*, this.id IN (\(undone)) AS is_undone
                FROM \(table) AS this \(filter) ORDER BY this.decided_at, this.id
                """, arguments: arguments
        ).map(DecisionRecord.init)
    }
}

extension DecisionRecord {
    /// One line for people: what was decided of which sides, why, by whom, when.
    package func told(_ form: Form?) -> String {
        func title(_ column: String) -> String { form?.fields.first { $0.id == column }?.title ?? column }
        func shown(_ values: [String: String]) -> String {
            values.sorted { $0.key < $1.key }.map { "\(title($0.key))=\($0.value)" }.joined(separator: " ")
        }
        let sides = candidates.map { "\(shown($0.values)) (\($0.author))" }.joined(separator: " / ")
        let chosen = result.isEmpty ? taken : shown(result)
        return "\(kind): \(chosen)\(sides.isEmpty ? "" : " of \(sides)"); \(reason)\(explanation.map { "（说明：\($0)）" } ?? "")"
            + "; by \(author), \(hub), at \(shownTime(at))\(isUndone ? "; taken back since" : "")"
    }
}
