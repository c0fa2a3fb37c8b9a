// A node on disk: one folder with its database, its keys and what it knows of its parent.

import Foundation
import GRDB
import Shared
import Synchronization

package final class NodeHome: Sendable {
    package let directory: String
    package let catalogue: Catalogue
    /// The catalogue as wide as what others have sent; sync works with this one.
    package let versions: CatalogueVersions
    package let database: DatabasePool
    package let rules: RuleEngine
    private let minter: Mutex<IDMinter>

    package static func databasePath(_ directory: String) -> String { directory + "/node.db" }

    private init(directory: String, catalogue: Catalogue, database: DatabasePool, idPrefix: Int64?) {
        minter = Mutex(IDMinter(prefix: idPrefix))
        self.directory = directory
        self.catalogue = catalogue
        versions = CatalogueVersions(catalogue)
        self.database = database
        rules = RuleEngine(catalogue: catalogue)
    }

    /// Opens the node in `directory`; puts dropped triggers back.
    ///
    /// - Parameters:
    ///   - idPrefix: of the row ids that this process mints; nil draws one.
    ///   - mutants: the tests' mistakes.
    /// - Returns: the node and one sentence for each repair, to be shown.
    package static func open(
        _ directory: String, catalogue: Catalogue, now: ReplicaDatabase.Clock? = nil, idPrefix: Int64? = nil, mutants: MergeMutant = []
    ) throws(Failure) -> (NodeHome, [String]) {
        let path = databasePath(directory)
        let database = try ReplicaDatabase.open(path: path, kind: "node", schema: NodeSchema.version, catalogue: catalogue, now: now)
        do {
            let switched = try goOn(directory, catalogue, database, mutants)
            let faults = try database.read { try NodeSchema.faults($0, catalogue) }
            let missing = faults.filter { $0.hasPrefix("Table") }
            guard missing.isEmpty else {
                throw Failure(
                    .damaged, "\(path): \(missing[0])",
                    next: "Someone dropped it: restore the last backup, or join again into an empty folder.")
            }
            let repairs = faults.isEmpty ? [] : try database.write { try NodeSchema.repairTriggers($0, catalogue) }
            return (NodeHome(directory: directory, catalogue: catalogue, database: database, idPrefix: idPrefix), switched + repairs)
        } catch {
            throw storeFailure(error, path: path)
        }
    }

    /// Takes the tables over into this version of the catalogue, where they are of another.
    private static func goOn(_ directory: String, _ catalogue: Catalogue, _ database: DatabasePool, _ mutants: MergeMutant) throws -> [String] {
        let versions = CatalogueVersions(catalogue)
        guard let locks = try CatalogueSwitch.lock(directory, database, versions, ["serve", "sync"]) else { return [] }
        defer { withExtendedLifetime(locks) {} }
        let path = ParentLink.keysPath(directory)
        let keys = FileManager.default.fileExists(atPath: path) ? try Incarnation.keys(database, home: directory, path: path) : nil
        let said = try database.write { db in
            let said = try NodeSwitch.run(db, versions) { was in
                guard let keys, let scope = try scope(db) else { return try NodeSwitch.refuseUnsendable(db, was, catalogue) }
                guard !mutants.contains(.switchUnsealed) else { return }
                let home = NodeHome(directory: directory, catalogue: was, database: database, idPrefix: nil)
                // What the parent said of predictions it said of another version, maybe.
                try ParentPredictors.note(db, areOurs: false)
                _ = try NodeReplica(home: home, keys: keys).seal(db, scope: scope, now: ReplicaDatabase.now(db))
            }
            KillPoint.reach("switch.write", in: directory)
            return said
        }
        KillPoint.reach("switch.commit", in: directory)
        return said.map { [$0] } ?? []
    }

    /// Makes a node that works at once, before any hub knows it.
    package static func create(
        _ directory: String, catalogue: Catalogue, school: SchoolInfo, now: ReplicaDatabase.Clock? = nil, idPrefix: Int64? = nil
    ) throws(Failure) -> NodeHome {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .damaged, "The folder \(directory) cannot be made (\(error.localizedDescription)).",
                next: "Check the path and its permissions.")
        }
        let json = String(decoding: WireJSON.encode(school), as: UTF8.self)
        let database = try ReplicaDatabase.create(
            path: databasePath(directory), kind: "node", schema: NodeSchema.version, catalogue: catalogue, now: now
        ) { db in
            try NodeSchema.create(db, catalogue)
            try Meta.set(db, "school", json)
        }
        return NodeHome(directory: directory, catalogue: catalogue, database: database, idPrefix: idPrefix)
    }

    /// The school that this node serves, as told at `init` or by the invite.
    package func school() throws -> SchoolInfo? {
        try database.read { db in
            try Meta.text(db, "school").flatMap { try? JSONDecoder().decode(SchoolInfo.self, from: Data($0.utf8)) }
        }
    }

    /// The scope given by the invite; nil before the first join.
    package func scope() throws -> ScopeID? {
        try database.read { try Self.scope($0) }
    }

    static func scope(_ db: Database) throws -> ScopeID? {
        try Meta.integer(db, "scope").map { ScopeID(key: $0) }
    }

    /// A row id that nobody else mints.
    func mintID() -> RowID { minter.withLock { $0.next() } }
}

/// Ids are (random prefix, counter): minted without asking anyone, and nearly free on the wire.
///
/// The prefix is drawn each time that a home is opened and stands nowhere: a home that was put back from a copy, and a copy of
/// a home, would else give the ids of rows that they have forgotten to others.
private struct IDMinter {
    private static let counterBits = 20
    private var prefix: Int64
    private var counter: Int64 = 0
    private var isGiven: Bool

    init(prefix: Int64?) {
        self.prefix = prefix ?? 0
        isGiven = prefix != nil
    }

    mutating func next() -> RowID {
        if counter == 0, !isGiven { prefix = Int64.random(in: 1..<(1 << (63 - Self.counterBits))) }
        isGiven = false
        counter = (counter + 1) & (1 << Self.counterBits - 1)
        return RowID(prefix << Self.counterBits | counter)
    }
}
