// A hub on disk: one folder with its store, its inbox, its keys and what it knows of its parent.

import Foundation
import GRDB
import Shared
import Synchronization

/// What a hub is.
package struct HubIdentity: Codable, Hashable, Sendable {
    /// province, city, county or ministry.
    package var level: String
    package var code: String
    package var name: String
    package init(level: String, code: String, name: String) {
        self.level = level
        self.code = code
        self.name = name
    }
    package static let levels = ["ministry", "province", "city", "county"]
}

package final class HubHome: Sendable {
    package let directory: String
    package let catalogue: Catalogue
    /// The catalogue as wide as what others have sent; sync works with this one.
    package let versions: CatalogueVersions
    package let database: DatabasePool
    package let inbox: Inbox
    package let keys: SiteKeys
    package let identity: HubIdentity
    package let rules: RuleEngine
    /// What overrides the catalogue's policies here.
    package let policyBook: PolicyBook
    /// Raised when the hub was put back from a backup.
    package var epoch: Int { epochNow.withLock { $0 } }
    private let epochNow: Mutex<Int>
    /// Of the records that this program writes.
    let idSeed: UInt64

    /// The files are read at start; a wrong one stops it.
    package static func policyFolder(_ directory: String) -> String { directory + "/policies" }
    package static func databasePath(_ directory: String) -> String { directory + "/hub.db" }

    private init(_ directory: String, _ catalogue: Catalogue, _ database: DatabasePool, _ policyBook: PolicyBook, _ idSeed: UInt64?) throws {
        self.directory = directory
        self.idSeed = idSeed ?? .random(in: 0...UInt64.max)
        self.catalogue = catalogue
        versions = CatalogueVersions(catalogue)
        self.database = database
        self.policyBook = policyBook
        rules = RuleEngine(catalogue: catalogue)
        keys = try SiteKeys.load(from: ParentLink.keysPath(directory))
        do { inbox = try Inbox(directory) } catch { throw storeFailure(error, path: directory + "/inbox.db") }
        let (identity, epoch) = try database.read { db in
            (try Meta.text(db, "identity"), try Meta.integer(db, "epoch"))
        }
        guard let identity, let epoch, let decoded = WireJSON.decode(HubIdentity.self, from: Array(identity.utf8)) else {
            throw Failure(.damaged, "\(directory)/hub.db does not say which hub it is.", next: "Restore the last backup.")
        }
        self.identity = decoded
        epochNow = Mutex(Int(epoch))
        if try isBehindInbox() { try startEpoch() }
    }

    func set(epoch: Int) { epochNow.withLock { $0 = max($0, epoch) } }

    /// Another process of this home may have started one.
    func refreshEpoch() async throws {
        if let epoch = try await database.read({ try Meta.integer($0, "epoch") }) { set(epoch: Int(epoch)) }
    }

    /// Looks by the writer's connection, in its turn. For what runs inside a server and is not asynchronous: whoever waits there
    /// for a reader holds a thread that the readers of others need to give theirs back, and twenty schools at once stopped a hub.
    func look<T>(_ body: (Database) throws -> T) throws -> T { try database.writeWithoutTransaction(body) }

    /// - Parameters:
    ///   - idSeed: of the ids of the records that this program writes; nil draws one.
    ///   - mutants: the tests' mistakes.
    package static func open(
        _ directory: String, catalogue: Catalogue, now: ReplicaDatabase.Clock? = nil, idSeed: UInt64? = nil, mutants: MergeMutant = []
    ) throws(Failure) -> HubHome {
        let path = databasePath(directory)
        let database = try ReplicaDatabase.open(path: path, kind: "hub", schema: HubSchema.version, catalogue: catalogue, now: now)
        let policies = try PolicyFile.load(folder: policyFolder(directory), catalogue: catalogue)
        do {
            let versions = CatalogueVersions(catalogue)
            let locks = try CatalogueSwitch.lock(directory, database, versions, ["serve", "forward"])
            defer { withExtendedLifetime(locks) {} }
            if locks != nil {
                try database.write { db in
                    guard try HubSwitch.run(db, versions, mutants: mutants) else { return }
                    KillPoint.reach("switch.write", in: directory)
                }
                KillPoint.reach("switch.commit", in: directory)
            }
            let home = try HubHome(directory, catalogue, database, policies, idSeed)
            try home.tryQuarantineAgain()
            return home
        } catch {
            throw storeFailure(error, path: path)
        }
    }

    /// This version may read what the last one could not. The inbox is another file: a process that ended after its switch leaves it to the
    /// next one.
    private func tryQuarantineAgain() throws {
        guard try database.read({ try Meta.integer($0, HubSwitch.untried) }) == 1 else { return }
        for segment in try inbox.quarantined() { _ = try inbox.release(segment.number) }
        try database.write { try Meta.set($0, HubSwitch.untried, 0) }
    }

    /// - Parameter policies: nil reads the home's policy files, as `open` does.
    package static func create(
        _ directory: String, catalogue: Catalogue, identity: HubIdentity, policies: PolicyBook? = nil,
        now: ReplicaDatabase.Clock? = nil, idSeed: UInt64? = nil
    ) throws(Failure) -> HubHome {
        let book: PolicyBook
        if let policies { book = policies } else { book = try PolicyFile.load(folder: policyFolder(directory), catalogue: catalogue) }
        guard HubIdentity.levels.contains(identity.level) else {
            throw Failure(
                .usage, "'\(identity.level)' is no level of a hub.",
                next: "Use one of \(HubIdentity.levels.joined(separator: ", ")).")
        }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .damaged, "The folder \(directory) cannot be made (\(error.localizedDescription)).",
                next: "Check the path and its permissions.")
        }
        let text = String(decoding: WireJSON.encode(identity), as: UTF8.self)
        if !FileManager.default.fileExists(atPath: ParentLink.keysPath(directory)) {
            try SiteKeys().save(to: ParentLink.keysPath(directory))
        }
        let database = try ReplicaDatabase.create(
            path: databasePath(directory), kind: "hub", schema: HubSchema.version, catalogue: catalogue, now: now
        ) { db in
            try HubSchema.create(db, catalogue)
            try Meta.set(db, "identity", text)
            try Meta.set(db, "epoch", 1)
        }
        do {
            return try HubHome(directory, catalogue, database, book, idSeed)
        } catch {
            throw storeFailure(error, path: databasePath(directory))
        }
    }

    // MARK: policies

    /// What the judge must know of policies and owners in one scope now.
    func policies(_ db: Database, scope: ScopeID, now: Int64) throws -> ScopePolicies {
        var policies = ScopePolicies()
        policies.hub = keys.site
        policies.level = Tier(rawValue: identity.level) ?? .province
        let children = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT site, scope FROM zz_site WHERE scope IS NULL OR scope = ?"), arguments: [scope.key])
        for child in children {
            if child["scope"] as Int64? == nil { policies.hubsBelow.insert(SiteID(key: child["site"])) } else { policies.nodes.insert(SiteID(key: child["site"])) }
        }
        if !policyBook.rules.isEmpty {
            policies.overrides = policyBook.overrides(catalogue, school: try Self.school(db, scope)?.code, now: now)
        }
        return policies
    }

    // MARK: schools

    static func school(_ db: Database, _ scope: ScopeID) throws -> SchoolInfo? {
        try String.fetchOne(db, sql: "SELECT school FROM zz_scope WHERE scope = ?", arguments: [scope.key])
            .flatMap { WireJSON.decode(SchoolInfo.self, from: Array($0.utf8)) }
    }

    /// The scope of a school by its code, or as it is written itself; nil when this hub has none of that code.
    ///
    /// - Throws: `Failure(.refused)` when several schools in use have the code.
    static func scope(_ db: Database, school code: String) throws -> ScopeID? {
        if let scope = ScopeID(code), try school(db, scope) != nil { return scope }
        let known = try scopes(db, school: code)
        guard known.count > 1 else { return known.first }
        let used = try known.filter { try isInUse(db, $0) }
        guard used.count > 1 else { return used.first ?? known.first }
        throw Failure(
            .refused, "\(used.count) schools here have the code \(code): scopes \(used.map(\.description).joined(separator: ", ")).",
            next: "Name the one that is meant by its scope in place of the code; `zzsync hub sites` shows who is in which.")
    }

    /// Several where a school was invited anew while this hub, put back from a backup, knew nothing of its scope.
    static func scopes(_ db: Database, school code: String) throws -> [ScopeID] {
        try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope WHERE json_extract(school, '$.code') = ? ORDER BY scope", arguments: [code])
            .map { ScopeID(key: $0) }
    }

    /// Whether anybody has joined a scope, or written in it.
    static func isInUse(_ db: Database, _ scope: ScopeID) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM zz_site WHERE scope = ?1) OR EXISTS (SELECT 1 FROM zz_extent WHERE scope = ?1 AND length(rows) > 0)
                """, arguments: [scope.key])!
    }

    /// The scope of a school by its code.
    ///
    /// - Throws: `Failure(.usage)` when this hub has none of that code.
    package func scope(school code: String) throws(Failure) -> ScopeID {
        let found: ScopeID?
        do { found = try database.read { try Self.scope($0, school: code) } } catch { throw storeFailure(error, path: directory) }
        guard let found else {
            throw Failure(.usage, "This hub knows no school with code \(code).", next: "`zzsync hub schools` lists them.")
        }
        return found
    }
}
