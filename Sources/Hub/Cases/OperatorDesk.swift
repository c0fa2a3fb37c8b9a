// What an operator sees: open cases with their candidates, and the journal of decisions. Deciding is in `Decisions`.

import Foundation
import GRDB
import Shared

package struct CandidateView: Codable, Sendable {
    package var candidate: Int
    /// Column → value as shown; for a case of a row's life: "life" → "alive" or "dead".
    package var values: [String: String]
    package var author: String
    package var time: Int64
    package var site: String
    /// Label of the child, "this hub" or "parent".
    package var from: String
}

package struct CaseView: Codable, Sendable {
    package var number: Int64
    package var kind: String
    package var school: String
    package var form: String
    package var row: String
    /// The row's natural key, as shown now.
    package var key: String
    package var group: [String]
    package var version: Int
    package var openedAt: Int64
    package var closedAt: Int64?
    package var otherSchool: String?
    package var otherRow: String?
    package var candidates: [CandidateView]

    enum CodingKeys: String, CodingKey {
        case number = "case", kind, school, form, row, key, group, version, candidates
        case openedAt = "opened_at", closedAt = "closed_at", otherSchool = "other_school", otherRow = "other_row"
    }
}

package struct JournalEntry: Codable, Sendable {
    package var decision: Int64
    package var number: Int64
    package var who: String
    package var at: Int64
    package var reason: String
    package var kind: String
    package var taken: String
    package var value: String
    /// A decision by the system: "catalogue", or file and line of the policy that decided.
    package var policy: String?
    /// Decisions of one bulk share the number of the first; nil for a single one.
    package var batch: Int64?
    package var undoneBy: Int64?

    enum CodingKeys: String, CodingKey {
        case decision, number = "case", who, at, reason, kind, taken, value, policy, batch, undoneBy = "undone_by"
    }

    init(_ row: Row) {
        decision = row["decision"]
        number = row["number"]
        who = row["who"]
        at = row["at"]
        reason = row["reason"]
        kind = row["kind"]
        taken = row["taken"]
        value = row["value"]
        policy = row["policy"]
        batch = row["batch"]
        undoneBy = row["undone_by"]
    }
}

package struct OperatorDesk {
    package let home: HubHome
    package init(_ home: HubHome) { self.home = home }

    // MARK: looking

    package func cases(form: String? = nil, school: String? = nil, kind: String? = nil) throws(Failure) -> [CaseView] {
        try read { db in
            let rows = try Row.fetchAll(db, sql: "SELECT * FROM zz_case WHERE closed_at IS NULL ORDER BY number")
            return try rows.map { try view(db, $0) }.filter {
                (form == nil || $0.form == form) && (school == nil || $0.school == school) && (kind == nil || $0.kind == kind)
            }
        }
    }

    package func show(_ number: Int64) throws(Failure) -> CaseView {
        try read { db in try view(db, try entry(db, number)) }
    }

    package func journal() throws(Failure) -> [JournalEntry] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM zz_decision ORDER BY decision").map(JournalEntry.init)
        }
    }

    // MARK: in a transaction

    func entry(_ db: Database, _ number: Int64) throws -> Row {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM zz_case WHERE number = ?", arguments: [number]) else {
            throw Failure(.usage, "There is no case \(number).", next: "`zzsync hub conflicts list` shows the open ones.")
        }
        return row
    }

    func open(_ db: Database, _ number: Int64, version: Int?) throws -> Row {
        let row = try entry(db, number)
        if let closed = row["closed_at"] as Int64? {
            let decision = try Row.fetchOne(
                db, sql: "SELECT who, reason FROM zz_decision WHERE decision = ?", arguments: [row["decision"] as Int64?])
            let who = decision.map { "\($0["who"] as String) (\($0["reason"] as String))" } ?? "a later write"
            let time = Date(timeIntervalSince1970: TimeInterval(closed)).formatted(.iso8601)
            throw Failure(
                .refused, "Case \(number) was closed by \(who) at \(time).", next: "Nothing was changed; the journal has it.")
        }
        if let version, version != row["version"] as Int {
            throw Failure(
                .refused, "Case \(number) has changed: it is at version \(row["version"] as Int), you saw \(version).",
                next: "Look at it again with `zzsync hub conflicts show \(number)`.")
        }
        return row
    }

    private func view(_ db: Database, _ row: Row) throws -> CaseView {
        if CloneCase.isOne(row) { return try CloneCase.view(db, row) }
        var stamps = Stamps(db)
        let scope = ScopeID(key: row["scope"])
        let form = home.catalogue[number: row["form"]]
        let group = form?.groups.first { $0.number == row["field_group"] as Int }
        let isLife = !["cell", "owner"].contains(row["kind"] as String)
        let fields = isLife ? [] : (group?.fields.map { form!.fields[$0].id } ?? [])
        let candidates = try CaseStore.candidates(db, number: row["number"], stamps: &stamps)
        return CaseView(
            number: row["number"], kind: row["kind"], school: try HubHome.school(db, scope)?.code ?? scope.description,
            form: form?.id ?? "form \(row["form"] as Int)", row: String(row["id"] as Int64),
            key: try form.map { try key(db, $0, scope, row["id"]) } ?? "", group: fields, version: row["version"],
            openedAt: row["opened_at"], closedAt: row["closed_at"],
            otherSchool: try (row["other_scope"] as Int64?).flatMap { try HubHome.school(db, ScopeID(key: $0))?.code },
            otherRow: (row["other_id"] as Int64?).map(String.init),
            candidates: try candidates.enumerated().map { index, candidate in
                CandidateView(
                    candidate: index + 1,
                    values: isLife
                        ? ["life": "\(candidate.life)"]
                        : Dictionary(uniqueKeysWithValues: zip(fields, candidate.values.map(\.shown))),
                    author: candidate.by.stamp.author, time: candidate.by.stamp.time,
                    site: candidate.by.stamp.origin.description, from: try label(db, candidate.by.writer))
            })
    }

    private func key(_ db: Database, _ form: Form, _ scope: ScopeID, _ id: Int64) throws -> String {
        guard !form.key.isEmpty else { return "" }
        let columns = form.key.map { "coalesce(\(form.fields[$0].id), '')" }.joined(separator: " || ' ' || ")
        return try String.fetchOne(
            db, sql: "SELECT \(columns) FROM \(form.table) WHERE scope = ? AND id = ?", arguments: [scope.key, id]) ?? ""
    }

    private func label(_ db: Database, _ writer: Provenance.Writer) throws -> String {
        switch writer {
        case .hub: "this hub"
        case .parent: "parent"
        case .child(let site):
            try String.fetchOne(db, sql: "SELECT label FROM zz_site WHERE site = ?", arguments: [site.key]) ?? site.description
        }
    }

    func read<T>(_ body: (Database) throws -> T) throws(Failure) -> T {
        do { return try home.database.read(body) } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }
}
