// Natural keys over all schools: who claims an ID number, a class number, a registration number. Added in sorted batches at the end of
// the transaction that moved the rows, for scattered index writes between those cost three times as much on a province.
//
// A second living claim opens a case of kind "twins" between the two rows, in one school or two; nothing is refused.
//
// Of many rows of one key (a placeholder that somebody typed four thousand times) not every pair is asked about, which would be eight
// million cases: each row is, with the first that share its key and are not marked as two with it. Whoever is asked about is always asked
// about with somebody, and when one of them goes, with the next.

import Foundation
import GRDB
import Shared

struct ClaimKeeper {
    let home: HubHome
    /// Others of its key with which a row is asked about at once.
    private static let othersMax = 2

    /// Brings the claims of every scope up to its log's end: after a switch all of them are made again.
    func updateAll() async throws {
        let keeper = self
        let behind = try await home.database.read { db in
            try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope WHERE log_end > claimed")
        }
        for scope in behind { try await home.database.write { _ = try keeper.update($0, scope: ScopeID(key: scope)) } }
    }

    /// Brings the claims of a scope up to its log's end. Call in the transaction that moved it.
    ///
    /// - Parameter batch: the bulk that moved it: equal rows that the system merges for that go with it when it is taken back.
    /// - Returns: the log's end; later than before where equal rows of one key were merged.
    @discardableResult func update(_ db: Database, scope: ScopeID, batch: Verdict.Batch? = nil) throws -> Position {
        let claimed = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT claimed FROM zz_scope WHERE scope = ?"), arguments: [scope.key]) ?? 0
        var store = try SQLiteScopeStore(db, scope: scope)
        guard store.logEnd.rawValue > claimed else { return store.logEnd }
        var touched: [FormNumber: Set<RowID>] = [:]
        let extents = try Row.fetchCursor(
            db.cachedStatement(sql: "SELECT rows FROM zz_extent WHERE scope = ? AND last > ?"), arguments: [scope.key, claimed])
        while let extent = try extents.next() {
            for (form, row) in try ExtentRows.unpack(Array(extent["rows"] as Data)) { touched[form, default: []].insert(row) }
        }
        for (form, row) in try followRecords(db, touched.removeValue(forKey: SystemForms.decision.number) ?? [], scope: scope) {
            touched[form, default: []].insert(row)
        }
        for (number, rows) in touched.sorted(by: { $0.key < $1.key }) {
            guard let form = home.catalogue[number: number], !form.key.isEmpty else { continue }
            var rows = rows.sorted()
            // Merging equal twins moves rows; what they claim now may be twins again.
            while !rows.isEmpty {
                try update(db, form, rows, store: &store)
                let ids = "[" + rows.map(\.description).joined(separator: ",") + "]"
                rows = try TwinMerger.mergeEqual(db, home, form, store: &store, among: ids, batch: batch)
            }
        }
        try db.cachedStatement(sql: "UPDATE zz_scope SET claimed = ? WHERE scope = ?").execute(arguments: [store.logEnd.rawValue, scope.key])
        return store.logEnd
    }

    /// Keeps zz_distinct in step with records that came, from here, from below or from above: two rows are two for good as long
    /// as a record says so that no other takes back.
    ///
    /// - Returns: rows of this scope whose cases are to be looked at again.
    private func followRecords(_ db: Database, _ records: Set<RowID>, scope: ScopeID) throws -> [(FormNumber, RowID)] {
        guard !records.isEmpty else { return [] }
        let table = SystemForms.decision.table
        let ids = "[" + records.sorted().map(\.description).joined(separator: ",") + "]"
        func isUndone(_ record: String) -> String {
            "EXISTS (SELECT 1 FROM \(table) AS undo WHERE undo.scope = ?1 AND undo._life = 1 AND undo.undoes = \(record).id)"
        }
        let said = try Row.fetchAll(
            db,
            sql: """
                SELECT this.form, this.row_id, this.other_scope, this.other_row,
                  \(isUndone("this")) AND NOT EXISTS (SELECT 1 FROM \(table) AS that
                    WHERE that.scope = ?1 AND that._life = 1 AND that.kind = 'distinct' AND that.form = this.form
                      AND this.other_row IN (that.row_id, that.other_row) AND this.row_id IN (that.row_id, that.other_row)
                      AND NOT \(isUndone("that"))) AS undone
                FROM \(table) AS this WHERE this.scope = ?1 AND this._life = 1 AND this.kind = 'distinct' AND (
                  this.id IN (SELECT value FROM json_each(?2))
                  OR this.id IN (SELECT undoes FROM \(table) WHERE scope = ?1 AND id IN (SELECT value FROM json_each(?2))))
                ORDER BY undone DESC
                """, arguments: [scope.key, ids])
        return try said.flatMap { row -> [(FormNumber, RowID)] in
            guard let form = (row["form"] as String?).flatMap({ home.catalogue[$0] }), let other = (row["other_scope"] as String?).flatMap({ ScopeID($0) }),
                let id = row["row_id"] as Int64?, let otherID = row["other_row"] as Int64?
            else { return [] }
            try db.execute(
                sql: row["undone"]
                    ? """
                    DELETE FROM zz_distinct WHERE form = ?1 AND ((scope = ?2 AND id = ?3 AND other_scope = ?4 AND other_id = ?5)
                      OR (scope = ?4 AND id = ?5 AND other_scope = ?2 AND other_id = ?3))
                    """ : "INSERT OR IGNORE INTO zz_distinct VALUES (?1, ?2, ?3, ?4, ?5)",
                arguments: [form.number, scope.key, id, other.key, otherID])
            return [(form.number, RowID(id))] + (other == scope ? [(form.number, RowID(otherID))] : [])
        }
    }

    private func update(_ db: Database, _ form: Form, _ rows: [RowID], store: inout SQLiteScopeStore) throws {
        let key = form.key.map { "\(form.fields[$0].id)" }.joined(separator: " || char(31) || ")
        let ids = "[" + rows.map(\.description).joined(separator: ",") + "]"
        // Most edits leave the key alone, and an index of the whole province should not be written for them.
        let claims = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    WITH claim AS MATERIALIZED (
                      SELECT value AS id, (SELECT key FROM zz_claim_row WHERE form = ?1 AND scope = ?2 AND id = value) AS old,
                        (SELECT \(key) FROM \(form.table) WHERE scope = ?2 AND id = value AND _life = 1) AS new FROM json_each(?3))
                    SELECT json_group_array(id) AS moved, json_group_array(DISTINCT old) FILTER (WHERE old IS NOT NULL) AS left
                    FROM claim WHERE old IS NOT new
                    """), arguments: [form.number, store.scope.key, ids])!
        let moved: String = claims["moved"], left: String = claims["left"]
        if moved != "[]" { try claim(db, form, key: key, moved, scope: store.scope) }
        try openAndClose(db, form, ids, scope: store.scope)
        if left != "[]" { try askTheRest(db, form, keys: left, scope: store.scope) }
    }

    /// Rows went from these keys: those that stay may have been asked about with them alone.
    private func askTheRest(_ db: Database, _ form: Form, keys: String, scope: ScopeID) throws {
        let inSchool = form.keyScope == .school
        let rest = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT scope, json_group_array(id) AS ids FROM zz_claim
                    WHERE form = ?1 AND key IN (SELECT value FROM json_each(?2))\(inSchool ? " AND scope = ?3" : "") GROUP BY scope
                    """), arguments: [form.number, keys] + (inSchool ? [scope.key] : []))
        for school in rest { try openAndClose(db, form, school["ids"], scope: ScopeID(key: school["scope"])) }
    }

    /// Takes back what these rows claimed, and claims what they have now, in order of key.
    private func claim(_ db: Database, _ form: Form, key: String, _ ids: String, scope: ScopeID) throws {
        let steps = [
            // +id: a key is claimed by few rows of a school, so the index is searched by key, not by each key with each row.
            """
            DELETE FROM zz_claim WHERE form = ?1 AND scope = ?2 AND +id IN (SELECT value FROM json_each(?3)) AND key IN (
              SELECT key FROM zz_claim_row WHERE form = ?1 AND scope = ?2 AND id IN (SELECT value FROM json_each(?3)))
            """,
            "DELETE FROM zz_claim_row WHERE form = ?1 AND scope = ?2 AND id IN (SELECT value FROM json_each(?3))",
            """
            INSERT INTO zz_claim_row (form, scope, id, key)
            SELECT ?1, scope, id, \(key) FROM \(form.table)
            WHERE scope = ?2 AND id IN (SELECT value FROM json_each(?3)) AND _life = 1 AND \(key) IS NOT NULL
            """,
            """
            INSERT OR IGNORE INTO zz_claim (form, key, scope, id)
            SELECT form, key, scope, id FROM zz_claim_row WHERE form = ?1 AND scope = ?2 AND id IN (SELECT value FROM json_each(?3)) ORDER BY key
            """,
        ]
        for sql in steps { try db.cachedStatement(sql: sql).execute(arguments: [form.number, scope.key, ids]) }
    }

    /// Opens cases for rows that share a key with others, and closes those whose rows no longer do.
    private func openAndClose(_ db: Database, _ form: Form, _ ids: String, scope: ScopeID) throws {
        for (mine, other) in try pairs(db, form, ids, scope: scope) {
            let arguments: StatementArguments = [form.number, scope.key, mine, other.scope, other.id]
            // One that had closed by itself is the same question, with what was asked and answered about it.
            try db.cachedStatement(
                sql: """
                    UPDATE zz_case SET closed_at = NULL, version = version + 1
                    WHERE number = (SELECT max(number) FROM zz_case INDEXED BY zz_case_parted
                      WHERE kind = 'twins' AND record IS NULL AND closed_at IS NOT NULL AND form = ?1 AND (
                        (scope = ?2 AND id = ?3 AND other_scope = ?4 AND other_id = ?5) OR (scope = ?4 AND id = ?5 AND other_scope = ?2 AND other_id = ?3)))
                      AND NOT \(Self.asked("?1", "?2", "?3", "?4", "?5")) AND NOT \(Self.asked("?1", "?4", "?5", "?2", "?3"))
                    """
            ).execute(arguments: arguments)
            try db.cachedStatement(
                sql: """
                    INSERT INTO zz_case (kind, scope, form, id, field_group, other_scope, other_id, opened_at)
                    SELECT 'twins', ?2, ?1, ?3, 0, ?4, ?5, unixepoch()
                    WHERE NOT \(Self.asked("?1", "?2", "?3", "?4", "?5")) AND NOT \(Self.asked("?1", "?4", "?5", "?2", "?3"))
                    """
            ).execute(arguments: arguments)
        }
        try db.cachedStatement(
            sql: """
                UPDATE zz_case SET closed_at = unixepoch(), record = (SELECT max(id) FROM \(SystemForms.decision.table) AS d
                    WHERE \(Self.distinct("zz_case.form", "zz_case.scope", "zz_case.id", "zz_case.other_scope", "zz_case.other_id"))
                      AND d.scope = ?2 AND d._life = 1 AND d.kind = 'distinct' AND d.form = ?4
                      AND ((d.row_id = zz_case.id AND d.other_row = zz_case.other_id) OR (d.row_id = zz_case.other_id AND d.other_row = zz_case.id)))
                WHERE kind = 'twins' AND closed_at IS NULL AND form = ?1
                  AND ((scope = ?2 AND id IN (SELECT value FROM json_each(?3)))
                    OR (other_scope = ?2 AND other_id IN (SELECT value FROM json_each(?3))))
                  AND (\(Self.distinct("zz_case.form", "zz_case.scope", "zz_case.id", "zz_case.other_scope", "zz_case.other_id"))
                    OR NOT EXISTS (SELECT 1 FROM zz_claim_row AS a JOIN zz_claim_row AS b ON a.form = b.form AND a.key = b.key
                      WHERE a.form = zz_case.form AND a.scope = zz_case.scope AND a.id = zz_case.id
                        AND b.scope = zz_case.other_scope AND b.id = zz_case.other_id))
                """
        ).execute(arguments: [form.number, scope.key, ids, form.id])
    }

    private struct Claimant: Hashable {
        let scope: Int64
        let id: Int64
    }

    /// Each row that shares its key, with the first others; of two that are both looked at the later one's case names the earlier.
    private func pairs(_ db: Database, _ form: Form, _ ids: String, scope: ScopeID) throws -> [(mine: Int64, other: Claimant)] {
        let inSchool = form.keyScope == .school ? " AND other.scope = ?2" : ""
        let shared = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT mine.id, mine.key FROM zz_claim_row AS mine
                    WHERE mine.form = ?1 AND mine.scope = ?2 AND mine.id IN (SELECT value FROM json_each(?3))
                      AND EXISTS (SELECT 1 FROM zz_claim AS other WHERE other.form = ?1 AND other.key = mine.key
                        AND NOT (other.scope = ?2 AND other.id = mine.id)\(inSchool))
                    """), arguments: [form.number, scope.key, ids])
        guard !shared.isEmpty else { return [] }
        let looked = Set(shared.map { $0["id"] as Int64 })
        var pairs: [Int64: Set<Claimant>] = [:]
        for row in shared {
            let mine: Int64 = row["id"]
            let first = try Row.fetchAll(
                db.cachedStatement(
                    sql: """
                        SELECT other.scope, other.id FROM zz_claim AS other
                        WHERE other.form = ?1 AND other.key = ?3 AND NOT (other.scope = ?2 AND other.id = ?4)\(inSchool)
                          AND NOT \(Self.distinct("?1", "?2", "?4", "other.scope", "other.id"))
                        ORDER BY other.scope, other.id LIMIT \(Self.othersMax)
                        """), arguments: [form.number, scope.key, row["key"] as String, mine])
            for one in first {
                let other = Claimant(scope: one["scope"], id: one["id"])
                if other.scope == scope.key, other.id > mine, looked.contains(other.id) {
                    pairs[other.id, default: []].insert(Claimant(scope: scope.key, id: mine))
                } else {
                    pairs[mine, default: []].insert(other)
                }
            }
        }
        return pairs.sorted { $0.key < $1.key }.flatMap { mine, others in
            others.sorted { ($0.scope, $0.id) < ($1.scope, $1.id) }.map { (mine, $0) }
        }
    }

    /// There is an open case between the two rows, this way round: with both ways in one condition every open case would be read.
    private static func asked(_ form: String, _ scope: String, _ id: String, _ otherScope: String, _ otherID: String) -> String {
        """
        EXISTS (SELECT 1 FROM zz_case AS c WHERE c.kind = 'twins' AND c.closed_at IS NULL AND c.form = \(form)
          AND c.scope = \(scope) AND c.id = \(id) AND c.other_scope = \(otherScope) AND c.other_id = \(otherID))
        """
    }

    /// The two rows are marked as two for good, whichever way round.
    private static func distinct(_ form: String, _ scope: String, _ id: String, _ otherScope: String, _ otherID: String) -> String {
        """
        EXISTS (SELECT 1 FROM zz_distinct AS d WHERE d.form = \(form)
          AND ((d.scope = \(scope) AND d.id = \(id) AND d.other_scope = \(otherScope) AND d.other_id = \(otherID))
            OR (d.scope = \(otherScope) AND d.id = \(otherID) AND d.other_scope = \(scope) AND d.other_id = \(id))))
        """
    }
}
