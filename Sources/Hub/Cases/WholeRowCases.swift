// Open cases about whole rows: a row's life, two rows of one key, a broken rule. Whoever decides one of them decides about all that stands in
// the row, so a write to the row changes what is asked, though it is no candidate: who has seen the case before has not seen that.
//
// Two designs: a decision names the positions at which its operator saw the row (exact; and every list, workbook and script had to carry
// them), or the write makes the case another version of itself. The second: `--version` and the workbook's column say what they always did.
// A decision on another case of the row is such a write: the operator beside has not seen it.
//
// A late edit of a row that was merged away offers to go to the survivor: that one's writes change the case too.

import GRDB
import Shared

struct WholeRowCases {
    static let kinds = ["life", "twins", "rule"]
    private static let kindList = kinds.map { "'\($0)'" }.joined(separator: ", ")
    private let db: Database
    private var numbers: [TouchedRow: [Int64]] = [:]

    private struct TouchedRow: Hashable {
        let form: FormNumber
        let row: RowID
    }

    /// Those about rows of a scope that are open before anything is merged: a case that the merge opens is seen as it is then. Of twins in
    /// two schools the case stands at one of them, and is about both.
    init(_ db: Database, _ scope: ScopeID) throws {
        self.db = db
        let open = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, form, id, other_id FROM zz_case WHERE scope = ?1 AND closed_at IS NULL AND kind IN (\(Self.kindList))
                    UNION ALL SELECT number, form, other_id, NULL FROM zz_case WHERE other_scope = ?1 AND scope <> ?1 AND closed_at IS NULL
                    """),
            arguments: [scope.key])
        for entry in open {
            for id in [entry["id"] as Int64, entry["other_id"] as Int64?].compactMap({ $0 }) {
                numbers[TouchedRow(form: entry["form"], row: RowID(id)), default: []].append(entry["number"])
            }
        }
        for (number, form, survivor) in try Self.offers(db, scope) {
            numbers[TouchedRow(form: form, row: survivor), default: []].append(number)
        }
    }

    /// Schools have answered questions about these cases, of any kind: who has seen a case before has not seen the answer.
    private func noteAnswers(_ ids: String) throws {
        try db.execute(
            sql: """
                UPDATE zz_case SET version = version + 1 WHERE closed_at IS NULL AND number IN (
                  SELECT question.number FROM zz_decision AS question JOIN \(SystemForms.answer.table) AS answer ON answer.decision = question.record
                  WHERE answer.id IN (SELECT value FROM json_each(?)))
                """, arguments: [ids])
    }

    /// Open cases about the life of rows that were merged away, with the rows into which they were.
    private static func offers(_ db: Database, _ scope: ScopeID, about number: Int64? = nil) throws -> [(number: Int64, form: FormNumber, survivor: RowID)] {
        let lives = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, form, id FROM zz_case WHERE scope = ?1 AND closed_at IS NULL AND kind = 'life' AND number = ifnull(?2, number)
                    """), arguments: [scope.key, number])
        guard !lives.isEmpty else { return [] }
        let merges = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT max(row_id, other_row) AS gone, min(row_id, other_row) AS survivor FROM \(SystemForms.decision.table)
                    WHERE scope = ?1 AND _life = 1 AND kind = 'merge' AND row_id <> other_row
                      AND max(row_id, other_row) IN (SELECT value FROM json_each(?2))
                    """), arguments: [scope.key, "[" + lives.map { "\($0["id"] as Int64)" }.joined(separator: ",") + "]"])
        return lives.flatMap { life in
            merges.filter { $0["gone"] as Int64 == life["id"] }.map { (life["number"], life["form"], RowID($0["survivor"])) }
        }
    }

    /// Whether a row's life is asked about that was merged into others: these.
    static func survivors(_ db: Database, _ entry: Row) throws -> [RowID] {
        try offers(db, ScopeID(key: entry["scope"]), about: entry["number"]).map(\.survivor)
    }

    /// An operator's decision has moved rows: what else is asked about them is not what another operator saw.
    ///
    /// - Parameter deciding: the case that was decided.
    static func note(_ db: Database, _ scope: ScopeID, moved rows: [(form: FormNumber, row: RowID)], deciding: Int64) throws {
        for (form, row) in rows {
            for place in ["scope = ?1 AND form = ?2 AND id = ?3", "other_scope = ?1 AND other_id = ?3 AND form = ?2"] {
                try db.cachedStatement(
                    sql: "UPDATE zz_case SET version = version + 1 WHERE \(place) AND closed_at IS NULL AND kind IN (\(kindList)) AND number <> ?4"
                ).execute(arguments: [scope.key, form, row.rawValue, deciding])
            }
        }
        for offer in try offers(db, scope) where offer.number != deciding && rows.contains(where: { $0 == (offer.form, offer.survivor) }) {
            try change(db, offer.number)
        }
    }

    private static func change(_ db: Database, _ number: Int64) throws {
        try db.cachedStatement(sql: "UPDATE zz_case SET version = version + 1 WHERE number = ? AND closed_at IS NULL").execute(arguments: [number])
    }

    /// Whether a case about a whole row has the version of a view.
    static func isAsSeen(_ db: Database, _ view: CaseView) throws -> Bool {
        guard kinds.contains(view.kind) else { return false }
        return try Int.fetchOne(db.cachedStatement(sql: "SELECT version FROM zz_case WHERE number = ?"), arguments: [view.number]) == view.version
    }

    /// Rows have moved, by another hand than that of an operator of this hub who decides.
    func note(moved rows: [(form: FormNumber, row: RowID)]) throws {
        let answers = rows.filter { $0.form == SystemForms.answer.number }.map(\.row.description)
        if !answers.isEmpty { try noteAnswers("[" + answers.joined(separator: ",") + "]") }
        guard !numbers.isEmpty else { return }
        for number in Set(rows.flatMap { numbers[TouchedRow(form: $0.form, row: $0.row)] ?? [] }).sorted() {
            try Self.change(db, number)
        }
    }
}
