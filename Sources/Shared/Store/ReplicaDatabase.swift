// Opens the SQLite file of a replica: WAL, FULL synchronous, our functions on every connection, and only if it is ours.

import CSQLiteConfig
import Foundation
import GRDB
import GRDBSQLite

package enum ReplicaDatabase {
    /// Seconds since 1970.
    package typealias Clock = @Sendable () -> Int64

    /// "zzsy" in the file's header, at the place that SQLite reserves for it.
    private static let applicationID = 0x7A7A_7379

    /// Opens an existing replica.
    ///
    /// - Parameter schema: of the `zz_` tables that this program knows.
    /// - Throws: `Failure(.damaged)` for a file that is no SQLite database or is not a replica of this kind; `.usage` for one that is
    ///   missing; `.refused` for one whose tables are of another version. Nothing in the file is changed then.
    package static func open(
        path: String, kind: String, schema: Int, catalogue: Catalogue, now: Clock? = nil
    ) throws(Failure) -> DatabasePool {
        guard FileManager.default.fileExists(atPath: path) else {
            throw Failure(
                .usage, "There is no zzsync \(kind) at \(path).",
                next: kind == "node" ? "Name its folder with --home, or make one with `zzsync init`."
                    : "Name its folder with --home, or make one with `zzsync hub init`.")
        }
        do {
            let (application, found) = try look(path) {
                (try Int.fetchOne($0, sql: "PRAGMA application_id"), try Int.fetchOne($0, sql: "PRAGMA user_version"))
            }
            guard application == applicationID else {
                throw Failure(
                    .damaged, "\(path) is an SQLite database, but not a zzsync \(kind).",
                    next: "Move it away, or name another folder with --home; nothing in it was changed.")
            }
            guard let found, found == schema else {
                throw Failure(
                    .refused, "\(path) has tables of version \(found ?? 0), and this zzsync works with version \(schema).",
                    next: "Use the zzsync that made it: `zzsync --version` names this one. Nothing in it was changed.")
            }
            return try DatabasePool(path: path, configuration: configuration(catalogue, kind, now))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw storeFailure(error, path: path)
        }
    }

    /// An SQLite file without any table.
    private static func isBlank(_ path: String) -> Bool {
        (try? look(path) { try Int.fetchOne($0, sql: "SELECT count(*) FROM sqlite_schema") == 0 }) ?? false
    }

    /// Looks before the pool opens the file: a pool turns any database to WAL.
    private static func look<T>(_ path: String, _ body: (Database) throws -> T) throws -> T {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        return try DatabaseQueue(path: path, configuration: configuration).read(body)
    }

    /// Creates the file and its schema in one transaction; refuses a file that is there.
    package static func create(
        path: String, kind: String, schema: Int, catalogue: Catalogue, now: Clock? = nil, make: (Database) throws -> Void
    ) throws(Failure) -> DatabasePool {
        // What a kill or a full disk left of an earlier try is no replica yet.
        guard !FileManager.default.fileExists(atPath: path) || isBlank(path) else {
            throw Failure(
                .refused, "\(path) exists already.", next: "Choose an empty folder with --home, or use the \(kind) that is there.")
        }
        do {
            let pool = try DatabasePool(path: path, configuration: configuration(catalogue, kind, now))
            try pool.write { db in
                try make(db)
                try db.execute(sql: "PRAGMA application_id = \(applicationID)")
                try db.execute(sql: "PRAGMA user_version = \(schema)")
            }
            return pool
        } catch {
            throw storeFailure(error, path: path)
        }
    }

    /// Kilobytes of page cache for the connection that writes: a merge looks rows of a whole province up, a node's school is small.
    private static func writerCache(_ kind: String) -> Int { kind == "hub" ? 16_000 : 2_000 }
    private static func readerCache(_ kind: String) -> Int { kind == "hub" ? 2_000 : 500 }

    private static func configuration(_ catalogue: Catalogue, _ kind: String, _ now: Clock?) -> Configuration {
        var configuration = Configuration()
        // Strangers' SQLite programs write beside us: wait for them.
        configuration.busyMode = .timeout(10)
        configuration.foreignKeysEnabled = false
        configuration.maximumReaderCount = 3
        let codeSets = catalogue.codeSets
        configuration.prepareDatabase { db in
            SQLFunctions.register(on: db.sqliteConnection!, codeSets: codeSets)
            // Triggers and statements ask SQLite for the time; in a simulation the connection answers by its clock.
            if let now { db.add(function: DatabaseFunction("unixepoch", argumentCount: 0) { _ in now() }) }
            if !db.configuration.readonly { try db.execute(sql: "PRAGMA synchronous = FULL") }
            try db.execute(sql: "PRAGMA cache_size = -\(db.configuration.readonly ? readerCache(kind) : writerCache(kind))")
        }
        return configuration
    }

    /// Seconds since 1970, by the clock that this connection's triggers use.
    package static func now(_ db: Database) throws -> Int64 { try Int64.fetchOne(db.cachedStatement(sql: "SELECT unixepoch()"))! }

    /// Runs `body` with the triggers of this connection off: for applying what came from outside.
    package static func withoutTriggers<T>(_ db: Database, _ body: () throws -> T) throws -> T {
        zz_sqlite_enable_triggers(db.sqliteConnection!, 0)
        defer { zz_sqlite_enable_triggers(db.sqliteConnection!, 1) }
        return try body()
    }
}

extension DatabaseWriter {
    /// A transaction that a power cut may take away (a killed process may not), and with it nothing that anybody relies on: it
    /// does not wait for the disk.
    package func note<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        try await writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
            defer { try? db.execute(sql: "PRAGMA synchronous = FULL") }
            return try noted(db, body)
        }
    }
}

private func noted<T>(_ db: Database, _ body: (Database) throws -> T) throws -> T {
    try db.beginTransaction(.immediate)
    do {
        let result = try body(db)
        try db.commit()
        return result
    } catch {
        if db.isInsideTransaction { try db.rollback() }
        throw error
    }
}

/// What a person reads when SQLite refuses: disk full, locked, damaged, no permission.
package func storeFailure(_ error: any Error, path: String) -> Failure {
    if let failure = error as? Failure { return failure }
    guard let error = error as? DatabaseError else {
        return Failure(.damaged, "\(path): \(error)", next: "Run `zzsync doctor`.")
    }
    switch error.resultCode {
    case .SQLITE_FULL:
        return Failure(
            .damaged, "The disk that holds \(path) is full; the last change was not written, everything before it is safe.",
            next: "Free some space and repeat the command.")
    case .SQLITE_IOERR:
        // Some full disks and quotas say no more than this: the shared-memory file meets them before the log does.
        return Failure(
            .damaged, "The disk that holds \(path) is full, over its quota or failing (\(error.message ?? "I/O error")).",
            next: "Free some space or check the disk, then repeat the command; everything written before is safe.")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
        return Failure(
            .busy, "Another program has been writing to \(path) for more than 10 seconds.",
            next: "Close it or wait, then repeat the command; nothing was written.")
    case .SQLITE_NOTADB, .SQLITE_CORRUPT:
        return Failure(
            .damaged, "\(path) is no intact SQLite database (\(error.message ?? "damaged")).",
            next: "Keep the file, and restore the last backup; what was synced can be pulled again.")
    case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
        return Failure(
            .damaged, "\(path) cannot be written (\(error.message ?? "no permission")).",
            next: "Check the owner and permissions of the folder.")
    case .SQLITE_CONSTRAINT:
        return Failure(.refused, error.message ?? "a constraint refused the change", next: "Mend the value and repeat.")
    case .SQLITE_ERROR where (error.message ?? "").hasPrefix("no such"):
        return Failure(
            .damaged, "\(path): \(error.message ?? "something is missing").",
            next: "Someone changed the database's structure: keep the file, and restore the last backup.")
    default:
        return Failure(.damaged, "\(path): \(error.message ?? "SQLite error \(error.resultCode)").", next: "Repeat the command.")
    }
}
