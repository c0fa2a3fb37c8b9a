// Two homes that were one: an older incarnation is heard of after a newer one took its place. Both go on as two sites; nothing
// of either is refused. The case tells the operator, who finds out which machine should be switched off, or that both are wanted.

import Foundation
import GRDB
import Shared

enum CloneCase {
    static let kind = "clone"

    /// Opens the case of two incarnations, once.
    ///
    /// - Returns: whether it is new.
    @discardableResult static func open(_ db: Database, scope: ScopeID, older: SiteID, newer: SiteID, now: Int64) throws -> Bool {
        let isKnown = try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM zz_case WHERE kind = ? AND id = ? AND other_id = ?)",
            arguments: [kind, older.key, newer.key])!
        guard !isKnown else { return false }
        try db.execute(
            sql: "INSERT INTO zz_case (kind, scope, form, id, field_group, other_id, opened_at) VALUES (?, ?, 0, ?, 0, ?, ?)",
            arguments: [kind, scope.key, older.key, newer.key, now])
        return true
    }

    static func isOne(_ entry: Row) -> Bool { entry["kind"] as String == kind }

    /// Both go on as two sites: said by an operator, with the reason.
    static func close(_ db: Database, _ home: HubHome, _ entry: Row, _ verdict: Verdict) throws -> JournalEntry {
        let journal = try note(db, home, entry, kind: "distinct", taken: "two sites for good", verdict, undoes: nil)
        try db.execute(
            sql: "UPDATE zz_case SET closed_at = ?, record = ? WHERE number = ?",
            arguments: [journal.at, Int64(journal.record), journal.number])
        return journal
    }

    static func reopen(_ db: Database, _ home: HubHome, _ entry: Row, _ verdict: Verdict, undoes: Int64) throws -> JournalEntry {
        try db.execute(
            sql: "UPDATE zz_case SET closed_at = NULL, record = NULL, version = version + 1 WHERE number = ?",
            arguments: [entry["number"] as Int64])
        return try note(db, home, entry, kind: "undo", taken: "the case of two sites is open again", verdict, undoes: undoes)
    }

    static func isNoQuestionOfValues(_ number: Int64) -> Failure {
        Failure(
            .refused, "Case \(number) is about two machines, not about a row.",
            next: "Switch one of them off, or say with `distinct` that both go on.")
    }

    private static func note(
        _ db: Database, _ home: HubHome, _ entry: Row, kind: String, taken: String, _ verdict: Verdict, undoes: Int64?
    ) throws -> JournalEntry {
        let number: Int64 = entry["number"]
        let now = try ReplicaDatabase.now(db)
        let scope = ScopeID(key: entry["scope"])
        var ids = RecordIDs(home, at: try SQLiteScopeStore(db, scope: scope).logEnd.next(inEpoch: home.epoch), of: scope)
        let id = ids.mint()
        var record = DecisionRecord(
            id: id, hub: home.recordName, caseNumber: number, kind: kind, form: "", row: RowID(entry["id"]),
            key: try view(db, entry).key, author: verdict.who, at: now, reason: verdict.reason)
        (record.taken, record.undoes, record.batch) = (taken, undoes.map(String.init), verdict.batch?.record.description)
        try home.write(db, record, id, to: scope)
        try db.execute(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, batch, record)
                VALUES (?, ?, ?, ?, ?, ?, '""', '""', 0, ?, ?)
                """, arguments: [number, kind, verdict.who, now, verdict.reason, taken, verdict.batch?.decision, id.rawValue])
        return JournalEntry(try Row.fetchOne(db, sql: "SELECT * FROM zz_decision WHERE decision = ?", arguments: [db.lastInsertedRowID])!)
    }

    static func view(_ db: Database, _ entry: Row) throws -> CaseView {
        func describe(_ key: Int64) throws -> String {
            let site = SiteID(key: key)
            let row = try Row.fetchOne(db, sql: "SELECT label, last_seen FROM zz_site WHERE site = ?", arguments: [key])
            let seen = (row?["last_seen"] as Int64?).map(shownTime)
            return "\(site) (\(row?["label"] as String? ?? "?"), last seen \(seen ?? "never"))"
        }
        let scope = ScopeID(key: entry["scope"])
        let (older, newer) = (try describe(entry["id"]), try describe(entry["other_id"]))
        return CaseView(
            number: entry["number"], kind: kind, school: try HubHome.school(db, scope)?.code ?? scope.description, form: "",
            row: SiteID(key: entry["id"]).description,
            key: "two machines of one copy: \(older) and \(newer); both go on, switch one off or mark them `distinct`",
            group: [], version: entry["version"], openedAt: entry["opened_at"], closedAt: entry["closed_at"], otherSchool: nil,
            otherRow: SiteID(key: entry["other_id"]).description, candidates: [])
    }
}

extension HubService {
    /// A site speaks as if nothing had happened, though a newer incarnation of it was born: there are two of it.
    func noteClone(_ site: KnownSite, _ newer: SiteID, in scope: ScopeID) async throws {
        let now = now()
        try await home.database.write { _ = try CloneCase.open($0, scope: scope, older: site.site, newer: newer, now: now) }
    }
}
