// After rows moved: the rules on each of them, and on the rows that refer to them. A reference that was missing clears itself
// when the row arrives; one that loses its row, or meets another name there, is found. A change request that a row has come to
// agree with closes itself.

import Foundation
import GRDB
import Shared

struct FindingsRefresher {
    let rules: RuleEngine

    /// - Parameter formerKeys: natural keys that rows of a form had before they moved: rows may still refer to them.
    /// - Returns: rows with findings now, counted.
    func refresh(
        _ db: Database, store: inout some ScopeStore, touched: [(form: FormNumber, row: RowID)],
        formerKeys: [FormNumber: Set<String>] = [:]
    ) throws -> Int {
        var rows: [FormNumber: Set<RowID>] = [:]
        for (form, row) in touched { rows[form, default: []].insert(row) }
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = rules.catalogue[number: number] else { continue }
            for (other, referring) in try referring(
                db, to: form, ids.sorted(), former: formerKeys[number] ?? [], scope: store.scope)
            {
                rows[other, default: []].formUnion(referring)
            }
        }
        try PolicyJournal.closeAgreed(db, rules.catalogue, store: &store, moved: touched)
        var broken = 0
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = rules.catalogue[number: number] else { continue }
            let sorted = ids.sorted()
            // Uniqueness is a case between two rows, not a finding.
            let findings = try rules.findings(db, form: form, rows: sorted, scope: .hub(store.scope)) { $0.kind != .uniqueKey }
            try store.replaceFindings(form, rows: sorted, with: findings)
            broken += Set(findings.map(\.row)).count
        }
        try RuleCase.closeMended(db, scope: store.scope, rows: rows)
        return broken
    }

    /// Living rows of other forms that refer to these rows by the key that they have, or had.
    private func referring(
        _ db: Database, to form: Form, _ ids: [RowID], former: Set<String>, scope: ScopeID
    ) throws -> [(FormNumber, [RowID])] {
        let list = "[" + ids.map(\.description).joined(separator: ",") + "]"
        let old = String(decoding: WireJSON.encode(former.sorted()), as: UTF8.self)
        var found: [(FormNumber, [RowID])] = []
        for other in rules.catalogue.forms where other.number != form.number {
            for field in other.fields {
                guard let target = field.references, target.form == form.id else { continue }
                let rows = try Int64.fetchAll(
                    db.cachedStatement(
                        sql: """
                            SELECT id FROM \(other.table) WHERE scope = ?1 AND _life = 1 AND (
                              \(field.id) IN (SELECT \(target.field) FROM \(form.table)
                                WHERE scope = ?1 AND id IN (SELECT value FROM json_each(?2)))
                              OR \(field.id) IN (SELECT value FROM json_each(?3)))
                            """), arguments: [scope.key, list, old])
                if !rows.isEmpty { found.append((other.number, rows.map { RowID($0) })) }
            }
        }
        return found
    }
}

extension MergeRow {
    /// The natural key's values that were overwritten since the row was loaded.
    var formerKeys: [String] {
        guard let first = form.key.first, let group = form.groups.firstIndex(where: { $0.fields.contains(first) }) else { return [] }
        let place = form.groups[group].fields.firstIndex(of: first)!
        return overwritten.filter { $0.group == form.groups[group].number && $0.values.count > place }
            .map { $0.values[place].shown }.filter { !$0.isEmpty && $0 != values[first].shown }
    }
}
