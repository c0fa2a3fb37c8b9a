// Open cases between the store's tables and `MergeRow`.

import GRDB
import Shared

enum CaseStore {
    /// Indices of the groups that a case is about; none for a row's life, twins, clones, and for a group that the form no longer has.
    static func groups(of entry: Row, _ form: Form) -> [Int] {
        switch entry["kind"] as String {
        case "cell", "owner": form.groups.indices.filter { form.groups[$0].number == entry["field_group"] as Int }
        case RuleCase.kind: RuleCase.groups(form, RuleCase.ruleIDs(entry))
        default: []
        }
    }

    /// Loads the open cases of a row whose metadata say that it has some.
    static func load(_ db: Database, scope: ScopeID, into row: inout MergeRow, stamps: inout Stamps) throws {
        let cases = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, field_group, kind FROM zz_case
                    WHERE scope = ? AND form = ? AND id = ? AND closed_at IS NULL AND kind IN ('cell', 'life')
                    """),
            arguments: [scope.key, row.form.number, row.id.rawValue])
        row.hadCases = !cases.isEmpty
        for entry in cases {
            let open = OpenCase(
                number: entry["number"], candidates: try candidates(db, number: entry["number"], stamps: &stamps))
            if entry["kind"] as String == "life" {
                row.rowCase = open
            } else if let index = row.form.groups.firstIndex(where: { $0.number == entry["field_group"] as Int }) {
                row.cases[index] = open
            }
        }
    }

    static func candidates(_ db: Database, number: Int64, stamps: inout Stamps) throws -> [Candidate] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT * FROM zz_candidate WHERE number = ? ORDER BY ordinal"), arguments: [number])
        return try rows.map { row in
            Candidate(
                by: try stamps.provenance(row["stamp"]), values: ValuesJSON.decode(row["value"]),
                life: Life(rawValue: row["life"]) ?? .unchanged, cursor: Position(row["cursor"]))
        }
    }

    /// Writes the row's open cases and closes those that it no longer has.
    static func save(_ db: Database, scope: ScopeID, _ row: MergeRow, stamps: inout Stamps) throws {
        var kept: Set<Int64> = []
        for (index, open) in row.cases.sorted(by: { $0.key < $1.key }) {
            kept.insert(
                try write(db, scope, row, kind: "cell", group: row.form.groups[index].number, open, stamps: &stamps))
        }
        if let open = row.rowCase { kept.insert(try write(db, scope, row, kind: "life", group: 0, open, stamps: &stamps)) }
        guard row.moved, row.hadCases else { return }
        let list = kept.map(String.init).joined(separator: ", ")
        try db.execute(
            sql: """
                UPDATE zz_case SET closed_at = unixepoch()
                WHERE scope = ? AND form = ? AND id = ? AND closed_at IS NULL AND kind IN ('cell', 'life') AND number NOT IN (\(list))
                """, arguments: [scope.key, row.form.number, row.id.rawValue])
    }

    private static func write(
        _ db: Database, _ scope: ScopeID, _ row: MergeRow, kind: String, group: Int, _ open: OpenCase, stamps: inout Stamps
    ) throws -> Int64 {
        let number: Int64
        if let known = open.number {
            number = known
            // Where groups were cut anew the case may be about another one: it would be nobody's under its old number, and be lost.
            try db.cachedStatement(sql: "UPDATE zz_case SET field_group = ?1 WHERE number = ?2 AND field_group <> ?1").execute(arguments: [group, number])
            let known = try candidates(db, number: number, stamps: &stamps)
            if known == open.candidates { return number }
            // Said again, a candidate moves to the end: what was the first is another one then.
            if !known.elementsEqual(open.candidates, by: { $0.by.writer == $1.by.writer && $0.says($1) }) {
                try db.execute(sql: "UPDATE zz_case SET version = version + 1 WHERE number = ?", arguments: [number])
            }
        } else {
            try db.execute(
                sql: "INSERT INTO zz_case (kind, scope, form, id, field_group, opened_at) VALUES (?, ?, ?, ?, ?, unixepoch())",
                arguments: [kind, scope.key, row.form.number, row.id.rawValue, group])
            number = db.lastInsertedRowID
        }
        try write(db, number, open.candidates, stamps: &stamps)
        return number
    }

    static func write(_ db: Database, _ number: Int64, _ candidates: [Candidate], stamps: inout Stamps) throws {
        try db.execute(sql: "DELETE FROM zz_candidate WHERE number = ?", arguments: [number])
        for (ordinal, candidate) in candidates.enumerated() {
            try db.cachedStatement(sql: "INSERT INTO zz_candidate VALUES (?, ?, ?, ?, ?, ?)")
                .execute(arguments: [
                    number, ordinal + 1, try stamps.number(candidate.by), Int(candidate.life.rawValue),
                    candidate.cursor.rawValue, ValuesJSON.encode(candidate.values),
                ])
        }
    }
}
