// Natural keys over all schools: who claims an ID number, a class number, a registration number. Kept apart from the merge
// and added in sorted batches, for scattered index writes inside it cost three times as much on a province.
//
// A second living claim opens a case of kind "twins" between the two rows, in one school or two; nothing is refused.

import Foundation
import GRDB
import Shared

struct ClaimKeeper {
    let home: HubHome

    /// Brings the claims of every scope up to its log's end.
    func updateAll() async throws {
        let behind = try await home.database.read { db in
            try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope WHERE log_end > claimed")
        }
        for scope in behind { try await update(scope: ScopeID(key: scope)) }
    }

    /// Brings the claims of a scope up to its log's end.
    func update(scope: ScopeID) async throws {
        let keeper = self
        try await home.database.write { try keeper.update($0, scope: scope) }
    }

    /// The same in the caller's transaction.
    func update(_ db: Database, scope: ScopeID) throws {
        let claimed = try Int64.fetchOne(db, sql: "SELECT claimed FROM zz_scope WHERE scope = ?", arguments: [scope.key]) ?? 0
        var store = try SQLiteScopeStore(db, scope: scope)
        guard store.logEnd.rawValue > claimed else { return }
        var touched: [FormNumber: Set<RowID>] = [:]
        let extents = try Row.fetchCursor(
            db, sql: "SELECT rows FROM zz_extent WHERE scope = ? AND last > ?", arguments: [scope.key, claimed])
        while let extent = try extents.next() {
            for (form, row) in try ExtentRows.unpack(Array(extent["rows"] as Data)) { touched[form, default: []].insert(row) }
        }
        for (number, rows) in touched.sorted(by: { $0.key < $1.key }) {
            guard let form = home.catalogue[number: number], !form.key.isEmpty else { continue }
            var rows = rows.sorted()
            // Merging equal twins moves rows; what they claim now may be twins again.
            while !rows.isEmpty {
                try update(db, form, rows, store: &store)
                let ids = "[" + rows.map(\.description).joined(separator: ",") + "]"
                rows = try TwinMerger.mergeEqual(db, home, form, store: &store, ids: ids)
            }
        }
        try db.execute(
            sql: "UPDATE zz_scope SET claimed = ? WHERE scope = ?", arguments: [store.logEnd.rawValue, scope.key])
    }

    private func update(_ db: Database, _ form: Form, _ rows: [RowID], store: inout SQLiteScopeStore) throws {
        let key = form.key.map { "\(form.fields[$0].id)" }.joined(separator: " || char(31) || ")
        let ids = "[" + rows.map(\.description).joined(separator: ",") + "]"
        // Claims that these rows no longer make, then those they make now, in order of key.
        try db.execute(
            sql: """
                DELETE FROM zz_claim WHERE (form, key, scope, id) IN (
                  SELECT c.form, c.key, c.scope, c.id FROM zz_claim_row AS r JOIN zz_claim AS c
                    ON c.form = r.form AND c.key = r.key AND c.scope = r.scope AND c.id = r.id
                  WHERE r.form = ? AND r.scope = ? AND r.id IN (SELECT value FROM json_each(?)))
                """, arguments: [form.number, store.scope.key, ids])
        try db.execute(
            sql: "DELETE FROM zz_claim_row WHERE form = ? AND scope = ? AND id IN (SELECT value FROM json_each(?))",
            arguments: [form.number, store.scope.key, ids])
        try db.execute(
            sql: """
                INSERT OR REPLACE INTO zz_claim_row (form, scope, id, key)
                SELECT ?1, scope, id, \(key) FROM \(form.table)
                WHERE scope = ?2 AND id IN (SELECT value FROM json_each(?3)) AND _life = 1 AND \(key) IS NOT NULL
                """, arguments: [form.number, store.scope.key, ids])
        try db.execute(
            sql: """
                INSERT OR IGNORE INTO zz_claim (form, key, scope, id)
                SELECT ?1, \(key), scope, id FROM \(form.table)
                WHERE scope = ?2 AND id IN (SELECT value FROM json_each(?3)) AND _life = 1 AND \(key) IS NOT NULL
                ORDER BY 2
                """, arguments: [form.number, store.scope.key, ids])
        try openAndClose(db, form, ids, scope: store.scope)
    }

    /// Opens a case for each pair that has none, and closes the cases whose rows no longer share a key.
    private func openAndClose(_ db: Database, _ form: Form, _ ids: String, scope: ScopeID) throws {
        let twins = """
            FROM zz_claim_row AS mine JOIN zz_claim AS other ON other.form = mine.form AND other.key = mine.key
              AND NOT (other.scope = mine.scope AND other.id = mine.id)
              AND NOT EXISTS (SELECT 1 FROM zz_distinct AS d WHERE d.form = mine.form
                AND ((d.scope = mine.scope AND d.id = mine.id AND d.other_scope = other.scope AND d.other_id = other.id)
                  OR (d.scope = other.scope AND d.id = other.id AND d.other_scope = mine.scope AND d.other_id = mine.id)))\(form.keyScope == .school ? " AND other.scope = mine.scope" : "")
            WHERE mine.form = ?1 AND mine.scope = ?2 AND mine.id IN (SELECT value FROM json_each(?3))
            """
        try db.execute(
            sql: """
                INSERT INTO zz_case (kind, scope, form, id, field_group, other_scope, other_id, opened_at)
                SELECT 'twins', mine.scope, mine.form, mine.id, 0, other.scope, other.id, unixepoch() \(twins)
                  AND NOT EXISTS (SELECT 1 FROM zz_case AS c WHERE c.kind = 'twins' AND c.closed_at IS NULL AND c.form = mine.form
                    AND ((c.scope = mine.scope AND c.id = mine.id AND c.other_scope = other.scope AND c.other_id = other.id)
                      OR (c.scope = other.scope AND c.id = other.id AND c.other_scope = mine.scope AND c.other_id = mine.id)))
                  AND ((mine.scope, mine.id) > (other.scope, other.id) OR other.scope <> mine.scope
                    OR other.id NOT IN (SELECT value FROM json_each(?3)))
                """, arguments: [form.number, scope.key, ids])
        try db.execute(
            sql: """
                UPDATE zz_case SET closed_at = unixepoch() WHERE kind = 'twins' AND closed_at IS NULL AND form = ?1
                  AND ((scope = ?2 AND id IN (SELECT value FROM json_each(?3)))
                    OR (other_scope = ?2 AND other_id IN (SELECT value FROM json_each(?3))))
                  AND NOT EXISTS (SELECT 1 FROM zz_claim_row AS a JOIN zz_claim_row AS b ON a.form = b.form AND a.key = b.key
                    WHERE a.form = zz_case.form AND a.scope = zz_case.scope AND a.id = zz_case.id
                      AND b.scope = zz_case.other_scope AND b.id = zz_case.other_id)
                """, arguments: [form.number, scope.key, ids])
    }
}
