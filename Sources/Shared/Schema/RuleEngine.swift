// Rules run in the database, in sets: one statement per form evaluates all its rules on the rows asked for and returns a
// bit per broken rule.
//
// Two designs: one statement per rule (simple; 30 scans of the same rows for a student form), or one statement per form
// whose columns are bit masks (one scan). The second, for the hub runs every rule on every merged row.

import GRDB

/// A rule that a row breaks.
package struct Finding: Hashable, Sendable {
    package let row: RowID
    package let form: String
    package let rule: String
    package let level: RuleLevel
    package let fields: [String]
    package let message: String
    package let fix: String
    /// A missing reference: the number of the form that is waited for; nil for every other rule.
    package let waitsFor: FormNumber?
}

/// Which rows of which school a rule sees.
package enum RuleScope: Sendable {
    /// A node: the whole database is one school.
    case node
    /// A hub: tables are keyed by scope, tombstones stand among the rows.
    case hub(ScopeID)
}

package struct RuleEngine: Sendable {
    package let catalogue: Catalogue
    /// Rules per bit mask column: SQLite integers have 64 bits, the sign bit is left out.
    private static let bitsPerMask = 62

    package init(catalogue: Catalogue) { self.catalogue = catalogue }

    /// The rules that rows break, in order of row and rule.
    ///
    /// - Parameter rows: nil means every row of the form.
    /// - Parameter kinds: which rules to run.
    package func findings(
        _ db: Database, form: Form, rows: [RowID]?, scope: RuleScope, where include: (Rule) -> Bool = { _ in true }
    ) throws -> [Finding] {
        let rules = form.rules.filter(include)
        guard !rules.isEmpty, rows?.isEmpty != true else { return [] }
        let masks = stride(from: 0, to: rules.count, by: Self.bitsPerMask).map { start in
            rules[start..<min(start + Self.bitsPerMask, rules.count)].enumerated().map { bit, rule in
                // Parentheses around each shift: in SQLite << and | have one precedence.
                "((coalesce((\(rule.condition)), 0) <> 0) << \(bit))"
            }.joined(separator: "\n | ")
        }
        let columns = masks.enumerated().map { "(\($1)) AS broken_\($0)" }.joined(separator: ",\n")
        // Most rows break nothing. To ask whether any rule is broken is half of what the masks cost, and masks are made only of rows that break one.
        let anyBroken = rules.map { "(\($0.condition))" }.joined(separator: "\n OR ")
        let isAsked = rows == nil ? "" : "this.id IN (SELECT value FROM json_each(:rows)) AND"
        let sql = """
            \(shadows(form: form, scope: scope))
            SELECT this.id AS row_id, \(columns) FROM \(form.table) AS this WHERE \(isAsked) (\(anyBroken))
            """
        var arguments: [String: (any DatabaseValueConvertible)?] = [:]
        if let rows { arguments["rows"] = "[" + rows.map(\.description).joined(separator: ",") + "]" }
        if case .hub(let scope) = scope { arguments["scope"] = Int64(bitPattern: scope.rawValue) }
        var findings: [Finding] = []
        let cursor = try Row.fetchCursor(db.cachedStatement(sql: sql), arguments: StatementArguments(arguments))
        while let row = try cursor.next() {
            let id = RowID(row["row_id"])
            for (mask, _) in masks.enumerated() {
                var bits: Int64 = row[mask + 1]
                while bits != 0 {
                    let rule = rules[mask * Self.bitsPerMask + bits.trailingZeroBitCount]
                    bits &= bits - 1
                    findings.append(
                        Finding(
                            row: id, form: form.id, rule: rule.id, level: rule.level, fields: rule.fields,
                            message: rule.message, fix: rule.fix, waitsFor: waitsFor(rule)))
                }
            }
        }
        return findings.sorted { $0.row == $1.row ? $0.rule < $1.rule : $0.row < $1.row }
    }

    private func waitsFor(_ rule: Rule) -> FormNumber? {
        guard case .reference(let form) = rule.kind else { return nil }
        return catalogue[form]?.number
    }

    /// At a hub every form's name is shadowed by the living rows of one school, so that the same SQL serves both.
    private func shadows(form: Form, scope: RuleScope) -> String {
        guard case .hub = scope else { return "" }
        let text = form.rules.map(\.condition).joined(separator: " ")
        let used = catalogue.forms.filter { $0.number == form.number || text.contains($0.table) }
        return "WITH "
            + used.map {
                "\($0.table) AS NOT MATERIALIZED (SELECT * FROM main.\($0.table) WHERE scope = :scope AND _life = 1)"
            }.joined(separator: ", ")
    }
}
