// A node on disk: one folder with its database, its keys and what it knows of its parent.

import Foundation
import GRDB
import Shared

package final class NodeHome: Sendable {
    package let directory: String
    package let catalogue: Catalogue
    package let database: DatabasePool
    package let rules: RuleEngine

    package static func databasePath(_ directory: String) -> String { directory + "/node.db" }

    private init(directory: String, catalogue: Catalogue, database: DatabasePool) {
        self.directory = directory
        self.catalogue = catalogue
        self.database = database
        rules = RuleEngine(catalogue: catalogue)
    }

    /// Opens the node in `directory`; puts dropped triggers back.
    ///
    /// - Returns: the node and one sentence for each repair, to be shown.
    package static func open(_ directory: String, catalogue: Catalogue) throws(Failure) -> (NodeHome, [String]) {
        let path = databasePath(directory)
        let database = try ReplicaDatabase.open(path: path, kind: "node", catalogue: catalogue)
        do {
            let faults = try database.read { try NodeSchema.faults($0, catalogue) }
            let missing = faults.filter { $0.hasPrefix("Table") }
            guard missing.isEmpty else {
                throw Failure(
                    .damaged, "\(path): \(missing[0])",
                    next: "Someone dropped it: restore the last backup, or join again into an empty folder.")
            }
            let repairs = faults.isEmpty ? [] : try database.write { try NodeSchema.repairTriggers($0, catalogue) }
            return (NodeHome(directory: directory, catalogue: catalogue, database: database), repairs)
        } catch {
            throw storeFailure(error, path: path)
        }
    }

    /// Makes a node that works at once, before any hub knows it.
    package static func create(_ directory: String, catalogue: Catalogue, school: SchoolInfo) throws(Failure) -> NodeHome {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .damaged, "The folder \(directory) cannot be made (\(error.localizedDescription)).",
                next: "Check the path and its permissions.")
        }
        let json = String(decoding: WireJSON.encode(school), as: UTF8.self)
        let database = try ReplicaDatabase.create(
            path: databasePath(directory), kind: "node", catalogue: catalogue
        ) { db in
            try NodeSchema.create(db, catalogue)
            try Meta.set(db, "school", json)
            // Ids are (random prefix, counter): minted without asking anyone, and nearly free on the wire.
            try Meta.set(db, "id_prefix", Int64.random(in: 1...Int64(Int32.max)))
            try Meta.set(db, "id_counter", 0)
        }
        return NodeHome(directory: directory, catalogue: catalogue, database: database)
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

    /// The next `count` row ids of this node.
    static func mintIDs(_ db: Database, count: Int) throws -> [RowID] {
        guard let prefix = try Meta.integer(db, "id_prefix"), let counter = try Meta.integer(db, "id_counter") else {
            throw Failure(.damaged, "zz_meta has no id prefix.", next: "Restore the last backup.")
        }
        try Meta.set(db, "id_counter", counter + Int64(count))
        return (1...Int64(max(count, 1))).map { RowID(prefix << 32 | (counter + $0)) }
    }
}
