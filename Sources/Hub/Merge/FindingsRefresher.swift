// After a merge: the rules on every row that moved, and again on rows that waited for one of the forms that moved.

import GRDB
import Shared

struct FindingsRefresher {
    let rules: RuleEngine

    /// - Returns: rows with findings now, counted.
    func refresh(
        _ db: Database, store: inout some ScopeStore, touched: [(form: FormNumber, row: RowID)]
    ) throws -> Int {
        var rows: [FormNumber: Set<RowID>] = [:]
        for (form, row) in touched { rows[form, default: []].insert(row) }
        for form in rows.keys.sorted() {
            for waiting in try waiting(db, scope: store.scope, for: form) {
                rows[waiting.form, default: []].insert(waiting.row)
            }
        }
        var broken = 0
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = rules.catalogue[number: number] else { continue }
            let sorted = ids.sorted()
            // Uniqueness is a case between two rows, not a finding.
            let findings = try rules.findings(db, form: form, rows: sorted, scope: .hub(store.scope)) { $0.kind != .uniqueKey }
            try store.replaceFindings(form, rows: sorted, with: findings)
            broken += Set(findings.map(\.row)).count
        }
        return broken
    }

    private func waiting(_ db: Database, scope: ScopeID, for form: FormNumber) throws -> [(form: FormNumber, row: RowID)] {
        try Row.fetchAll(
            db.cachedStatement(sql: "SELECT DISTINCT form, id FROM zz_finding WHERE scope = ? AND target = ?"),
            arguments: [scope.key, form]
        ).map { ($0["form"], RowID($0["id"])) }
    }
}
