// What an operator asks of a hub: schools, status, findings, digests, join, forward.

import Foundation
import GRDB
import Shared

package struct SchoolStatus: Codable, Sendable {
    package var code: String
    package var name: String
    package var type: String
    package var scope: String
    package var rows: Int
    /// Seconds since 1970 of the last hello of any of its sites.
    package var lastSeen: Int64?
    package var openCases: Int
    package var findings: Int

    enum CodingKeys: String, CodingKey {
        case code, name, type, scope, rows, findings, lastSeen = "last_seen", openCases = "open_cases"
    }
}

package struct HubFinding: Codable, Sendable {
    package var school: String
    package var form: String
    package var row: String
    package var rule: String
    package var level: String
    package var message: String
    package var fix: String
}

package struct HubStatus: Codable, Sendable {
    package var hub: HubIdentity
    package var epoch: Int
    package var parent: String?
    package var schools: Int
    package var sites: Int
    /// Of these, enrolled again by their own statements.
    package var returnedSites: Int
    /// Segments received and not merged yet.
    package var waiting: Int
    package var quarantined: Int
    package var openCases: Int
    package var findings: Int
    /// Cells that all children sent, and how they ended: sent = merged + equal + disputed + overtaken.
    package var cells: [String: Int]

    enum CodingKeys: String, CodingKey {
        case hub, epoch, parent, schools, sites, waiting, quarantined, findings, cells
        case returnedSites = "returned_sites", openCases = "open_cases"
    }
}

extension HubHome {
    package func schools() throws(Failure) -> [SchoolStatus] {
        try reading { db in
            try Row.fetchAll(db, sql: "SELECT scope, school FROM zz_scope ORDER BY json_extract(school, '$.code')").map { row in
                let key: Int64 = row["scope"]
                let info = WireJSON.decode(SchoolInfo.self, from: Array((row["school"] as String).utf8))
                var rows = 0
                for form in catalogue.forms {
                    rows += try Int.fetchOne(
                        db, sql: "SELECT count(*) FROM \(form.table) WHERE scope = ? AND _life = 1", arguments: [key])!
                }
                func count(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: sql, arguments: [key])! }
                return SchoolStatus(
                    code: info?.code ?? "", name: info?.name ?? "", type: info?.type ?? "",
                    scope: ScopeID(key: key).description, rows: rows,
                    lastSeen: try Int64.fetchOne(db, sql: "SELECT max(last_seen) FROM zz_site WHERE scope = ?", arguments: [key]),
                    openCases: try count("SELECT count(*) FROM zz_case WHERE scope = ? AND closed_at IS NULL"),
                    findings: try count("SELECT count(*) FROM zz_finding WHERE scope = ?"))
            }
        }
    }

    package func findings(school code: String? = nil) throws(Failure) -> [HubFinding] {
        let scope: ScopeID? = if let code { try self.scope(school: code) } else { nil }
        return try reading { db in
            let filter = scope == nil ? "" : "WHERE scope = ?"
            let rows = try Row.fetchAll(
                db, sql: "SELECT * FROM zz_finding \(filter) ORDER BY scope, form, id, rule",
                arguments: scope.map { [$0.key] } ?? [])
            return try rows.map { row in
                HubFinding(
                    school: try Self.school(db, ScopeID(key: row["scope"]))?.code ?? "",
                    form: catalogue[number: row["form"]]?.id ?? "form \(row["form"] as Int)", row: String(row["id"] as Int64),
                    rule: row["rule"], level: row["level"], message: row["message"], fix: row["fix"])
            }
        }
    }

    package func status() throws(Failure) -> HubStatus {
        let parent = ParentLink.exists(directory) ? try ParentLink.load(directory) : nil
        return try reading { db in
            func count(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: sql) ?? 0 }
            var cells: [String: Int] = [:]
            for name in ["sent", "merged_cells", "equal", "disputed", "overtaken"] {
                cells[name == "merged_cells" ? "merged" : name] = try count("SELECT coalesce(sum(\(name)), 0) FROM zz_child")
            }
            return HubStatus(
                hub: identity, epoch: epoch, parent: parent.map { "\($0.hubName) \($0.url)" },
                schools: try count("SELECT count(*) FROM zz_scope"), sites: try count("SELECT count(*) FROM zz_site"),
                returnedSites: try count("SELECT count(*) FROM zz_site WHERE returned_at IS NOT NULL"),
                waiting: try inbox.waitingCount(), quarantined: try inbox.quarantined().count,
                openCases: try count("SELECT count(*) FROM zz_case WHERE closed_at IS NULL"),
                findings: try count("SELECT count(*) FROM zz_finding"), cells: cells)
        }
    }

    /// Digest and number of rows of every form of one school.
    package func digests(school code: String) throws(Failure) -> [String: (digest: String, rows: Int)] {
        let scope = try scope(school: code)
        return try reading { db in
            try Dictionary(uniqueKeysWithValues: versions.wide(db).dataForms.map {
                ($0.id, try FormDigest.compute(db, form: $0, scope: scope))
            })
        }
    }

    /// Uses an invite of the parent hub.
    package func join(_ invite: Invite) async throws(Failure) -> ParentLink {
        guard case .hub(let child) = invite.guest else {
            throw Failure(.usage, "This invite is for a school.", next: "Use `zzsync join --invite FILE` at the school's node.")
        }
        guard child.code == identity.code else {
            throw Failure(
                .refused, "This hub is \(identity.code) \(identity.name), the invite is for \(child.code) \(child.name).",
                next: "Ask the parent's operator for the right invite.")
        }
        guard (try? ParentLink.load(directory)) == nil else {
            throw Failure(.refused, "This hub has joined a parent already.", next: "Nothing to do: `zzsync hub forward` exchanges the data.")
        }
        let (link, _, _) = try await ParentLink.enrol(directory, invite: invite, label: "\(identity.code) \(identity.name)")
        try link.save(directory)
        return link
    }

    /// A session with the parent; every school known here takes part.
    package func session() throws(Failure) -> SyncSession {
        let link = try ParentLink.load(directory, verb: "zzsync hub join")
        let keys = try uplinkKeys()
        let (client, hub) = try link.client(keys: keys)
        try linkAllScopes()
        return SyncSession(replica: HubReplica(home: self, keys: keys), client: client, hub: hub)
    }

    /// Later incarnations towards the parent have keys of their own: the children go on knowing this hub by its first ones.
    package var uplinkKeysPath: String { directory + "/uplink.json" }

    package func uplinkKeys() throws(Failure) -> SiteKeys {
        try Incarnation.keys(database, home: directory, path: uplinkKeysPath, first: ParentLink.keysPath(directory))
    }

    /// Every school known here takes part in the exchange with the parent.
    package func linkAllScopes() throws(Failure) {
        do {
            try database.write { db in
                for scope in try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope") { try ScopeLink.create(db, ScopeID(key: scope)) }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// The values of a living row of any school; nil when there is none.
    package func values(_ form: Form, _ row: RowID) throws(Failure) -> [Value]? {
        try reading { db in
            let names = form.fields.map(\.id).joined(separator: ", ")
            let select = try HotStatement(db, "SELECT \(names) FROM \(form.table) WHERE id = ? AND _life = 1")
            defer { select.reset() }
            select.bind(1, row.rawValue)
            return try select.step() ? form.fields.indices.map { select.value($0) } : nil
        }
    }

    private func reading<T>(_ body: (Database) throws -> T) throws(Failure) -> T {
        do { return try database.read(body) } catch { throw storeFailure(error, path: Self.databasePath(directory)) }
    }
}
