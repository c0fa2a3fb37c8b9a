// A hub goes on with another version of the catalogue: its tables, the metadata and cases of rows whose groups are cut differently,
// and what follows from them. What was written down under the old groups keeps their fields beside it (`cut`).

import Foundation
import GRDB
import Shared

enum HubSwitch {
    /// Is 1 while what lies in quarantine has not been tried again with the version that the home has now.
    static let untried = "untried"

    /// - Parameter mutants: the tests' mistakes.
    /// - Returns: whether there was anything to do.
    static func run(_ db: Database, _ versions: CatalogueVersions, mutants: MergeMutant = []) throws -> Bool {
        guard let change = try CatalogueSwitch(db, versions) else { return false }
        var remade: [Form] = []
        for (old, new) in change.forms {
            let extra = ["scope", "id", "_life", "_at", "_by", "_x"]
            if try CatalogueSwitch.remake(db, old, new, table: HubSchema.table, extra: extra) { remade.append(new) }
        }
        for form in remade { try HubSchema.index(db, form) }
        try change.finish(db, versions.own)
        try Meta.set(db, untried, 1)
        for (old, new) in change.forms {
            if let old { try renumber(db, old, new) }
            guard let old, !new.isGrouped(like: old) else { continue }
            try cut(db, old, old.groups.filter { group in !new.groups.contains { $0.mask == group.mask } })
            try regroup(db, old, new, mutants)
        }
        try db.execute(sql: "ANALYZE sqlite_schema")
        // Keys and rules may be others.
        try db.execute(sql: "DELETE FROM zz_claim")
        try db.execute(sql: "DELETE FROM zz_claim_row")
        try db.execute(sql: "UPDATE zz_scope SET claimed = 0")
        try refreshFindings(db, RuleEngine(catalogue: versions.own))
        return true
    }

    private static let piece = 1_000

    private static func scopes(_ db: Database) throws -> [ScopeID] {
        try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope ORDER BY scope").map { ScopeID(key: $0) }
    }

    private static func regroup(_ db: Database, _ old: Form, _ new: Form, _ mutants: MergeMutant) throws {
        let was = new.grouped(like: old)
        for scope in try scopes(db) {
            var store = try SQLiteScopeStore(db, scope: scope)
            try regroupRequests(db, was, new, &store)
            let ids = try Int64.fetchAll(db, sql: "SELECT id FROM \(new.table) WHERE scope = ? ORDER BY id", arguments: [scope.key])
            for start in stride(from: 0, to: ids.count, by: piece) {
                let rows = try store.load(was, ids[start..<min(start + piece, ids.count)].map { RowID($0) })
                try store.save(rows.values.sorted { $0.id < $1.id }.map { $0.regrouped(into: new, mutants: mutants) })
            }
        }
    }

    /// The sides of a broken rule, and what a merge of two rows put aside, are whole rows by index of the field.
    private static func renumber(_ db: Database, _ old: Form, _ new: Form) throws {
        let places = new.fields.map { field in old.fields.firstIndex { $0.number == field.number } }
        if places == Array(old.fields.indices) { return }
        let sides = try Row.fetchAll(
            db, sql: "SELECT * FROM zz_candidate WHERE number IN (SELECT number FROM zz_case WHERE form = ? AND kind = 'rule')", arguments: [old.number])
        for side in sides {
            let values = ValuesJSON.decode(side["value"])
            try db.execute(
                sql: "UPDATE zz_candidate SET value = ? WHERE number = ? AND ordinal = ?",
                arguments: [
                    ValuesJSON.encode(places.map { place in place.flatMap { $0 < values.count ? values[$0] : nil } ?? .null }),
                    side["number"] as Int64, side["ordinal"] as Int64,
                ])
        }
        try db.execute(
            sql: "UPDATE zz_case SET cut = '[]' WHERE form = ? AND kind IN ('twins', 'rule') AND closed_at IS NOT NULL", arguments: [old.number])
    }

    /// Open change requests stand beside their rows: each asks for the new group that its fields are in, or for several.
    private static func regroupRequests(_ db: Database, _ was: Form, _ new: Form, _ store: inout SQLiteScopeStore) throws {
        let open = try Row.fetchAll(
            db, sql: "SELECT number, id, field_group FROM zz_case WHERE scope = ? AND form = ? AND kind = 'owner' AND closed_at IS NULL",
            arguments: [store.scope.key, was.number])
        for entry in open {
            let number: Int64 = entry["number"]
            guard let group = was.groups.firstIndex(where: { $0.number == entry["field_group"] as Int }),
                !new.groups.contains(where: { $0.mask == was.groups[group].mask }),
                var row = try store.load(was, [RowID(entry["id"])])[RowID(entry["id"])]
            else { continue }
            var stamps = store.stamps
            row.cases = [group: OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))]
            for (index, open) in row.regrouped(into: new).cases.sorted(by: { $0.key < $1.key }) {
                if open.number == nil {
                    try db.execute(
                        sql: """
                            INSERT INTO zz_case (kind, scope, form, id, field_group, opened_at)
                            SELECT kind, scope, form, id, ?, opened_at FROM zz_case WHERE number = ?
                            """, arguments: [new.groups[index].number, number])
                } else {
                    try db.execute(
                        sql: "UPDATE zz_case SET field_group = ?, version = version + 1 WHERE number = ?",
                        arguments: [new.groups[index].number, number])
                }
                try CaseStore.write(db, open.number ?? db.lastInsertedRowID, open.candidates, stamps: &stamps)
            }
            store.stamps = stamps
        }
    }

    /// Old values and closed cases stay as they were said; a case that is open is another one for whoever had it before him.
    private static func cut(_ db: Database, _ old: Form, _ groups: [Group]) throws {
        if groups.isEmpty { return }
        for group in groups {
            let fields = "[" + group.fields.map { String(old.fields[$0].number) }.joined(separator: ",") + "]"
            let arguments: StatementArguments = [fields, old.number, group.number]
            try db.execute(
                sql: "UPDATE zz_history SET cut = ? WHERE form = ? AND field_group = ? AND cut IS NULL", arguments: arguments)
            try db.execute(
                sql: """
                    UPDATE zz_case SET cut = ? WHERE form = ? AND field_group = ? AND cut IS NULL
                      AND kind IN ('cell', 'owner') AND closed_at IS NOT NULL
                    """, arguments: arguments)
            try db.execute(
                sql: "UPDATE zz_case SET version = version + 1 WHERE form = ? AND field_group = ? AND kind = 'cell' AND closed_at IS NULL",
                arguments: [old.number, group.number])
        }
        // What covers a part of a group does not cover the group: what comes again is judged.
        for table in ["zz_taken", "zz_cover"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE form = ? AND field_group <> 0", arguments: [old.number])
        }
    }

    private static func refreshFindings(_ db: Database, _ rules: RuleEngine) throws {
        for scope in try scopes(db) {
            var store = try SQLiteScopeStore(db, scope: scope)
            var all: [FormNumber: [RowID]] = [:]
            for form in rules.catalogue.forms {
                let rows = try Int64.fetchAll(db, sql: "SELECT id FROM \(form.table) WHERE scope = ?", arguments: [scope.key]).map { RowID($0) }
                let findings = try rules.findings(db, form: form, rows: rows, scope: .hub(scope)) { $0.kind != .uniqueKey }
                try store.replaceFindings(form, rows: rows, with: findings)
                all[form.number] = rows
            }
            try RuleCase.follow(db, rules.catalogue, scope: scope, rows: all)
        }
    }
}
