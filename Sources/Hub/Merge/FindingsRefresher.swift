// After rows moved: the rules on each of them, and on the rows that refer to them. A reference that was missing clears itself
// when the row arrives; one that loses its row, or meets another name there, is found. A change request that a row has come to
// agree with closes itself.

import Foundation
import GRDB
import Shared

struct FindingsRefresher {
    let rules: RuleEngine

    /// - Parameters:
    ///   - formerKeys: natural keys that rows of a form had before they moved: rows may still refer to them.
    ///   - deciding: the case that is being decided, where one is.
    /// - Returns: rows with findings now, counted.
    func refresh(
        _ db: Database, store: inout some ScopeStore, touched: [(form: FormNumber, row: RowID)],
        formerKeys: [FormNumber: Set<String>] = [:], deciding: Int64? = nil
    ) throws -> Int {
        var rows: [FormNumber: [RowID]] = [:]
        for (form, row) in touched { rows[form, default: []].append(row) }
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = rules.catalogue[number: number] else { continue }
            for (other, referring) in try referring(db, to: form, ids, former: formerKeys[number] ?? [], scope: store.scope) {
                rows[other, default: []] += referring
            }
        }
        rows = rows.mapValues(Self.onceEach)
        try PolicyJournal.follow(db, rules.catalogue, store: &store, moved: touched, deciding: deciding)
        var broken = 0
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = rules.catalogue[number: number] else { continue }
            // Uniqueness is a case between two rows, not a finding.
            let findings = try rules.findings(db, form: form, rows: ids, scope: .hub(store.scope)) { $0.kind != .uniqueKey }
            try store.replaceFindings(form, rows: ids, with: findings)
            broken += Set(findings.map(\.row)).count
        }
        try RuleCase.follow(db, rules.catalogue, scope: store.scope, rows: rows)
        return broken
    }

    /// Ascending. Rows come mostly in order, which is sorted in no time; a set of them would have lost it.
    private static func onceEach(_ rows: [RowID]) -> [RowID] {
        let sorted = rows.sorted()
        return sorted.indices.filter { $0 == 0 || sorted[$0 - 1] != sorted[$0] }.map { sorted[$0] }
    }

    /// Living rows of other forms that refer to these rows by the key that they have, or had.
    private func referring(
        _ db: Database, to form: Form, _ ids: [RowID], former: Set<String>, scope: ScopeID
    ) throws -> [(FormNumber, [RowID])] {
        let others = rules.catalogue.forms.filter { other in
            other.number != form.number && other.fields.contains { $0.references?.form == form.id }
        }
        if others.isEmpty { return [] }
        let list = "[" + ids.map(\.description).joined(separator: ",") + "]"
        let old = String(decoding: WireJSON.encode(former.sorted()), as: UTF8.self)
        var found: [(FormNumber, [RowID])] = []
        for other in others {
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
