// What the inbox keeps for the day on which the database beside it, or the whole home, was put back from a backup.

import Foundation
import GRDB
import Shared

extension Inbox {
    // MARK: up to where the log was shown

    static func noteServed(_ db: Database, _ scope: ScopeID, _ logEnd: Position) throws {
        try db.execute(
            sql: "INSERT INTO served VALUES (?, ?) ON CONFLICT (scope) DO UPDATE SET position = max(position, excluded.position)",
            arguments: [scope.key, logEnd.rawValue])
    }

    /// Durable when it returns, and only then may a page be told that reaches there. (What a merge noted a moment before, a
    /// power cut may take; the children still tell.)
    func noteServed(_ scope: ScopeID, _ logEnd: Position) throws {
        let known = try database.read {
            try Int64.fetchOne($0, sql: "SELECT position FROM served WHERE scope = ?", arguments: [scope.key])
        }
        guard Position(known ?? 0) < logEnd else { return }
        try database.write { try Self.noteServed($0, scope, logEnd) }
    }

    func served() throws -> [ScopeID: Position] {
        try database.read { db in
            Dictionary(
                uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT scope, position FROM served").map {
                    (ScopeID(key: $0["scope"]), Position($0["position"] as Int64))
                })
        }
    }

    /// The newest epoch that was begun here.
    func epoch() throws -> Int { try database.read { try Self.epoch($0) } }

    static func epoch(_ db: Database) throws -> Int { try Int.fetchOne(db, sql: "SELECT max(epoch) FROM begun") ?? 1 }

    // MARK: who went on as whom

    /// One that is introduced again is noted once.
    func note(_ incarnation: KnownIncarnation) throws {
        try database.write {
            try $0.execute(
                sql: "INSERT OR IGNORE INTO incarnation (site, parent, asked, signing_key, agreement_key) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    incarnation.keys.site.key, incarnation.parent.key, incarnation.asked.key, Data(incarnation.keys.signing),
                    Data(incarnation.keys.agreement),
                ])
        }
    }

    /// In order of birth, each with the points from which its chains go on.
    func incarnations() throws -> [KnownIncarnation] {
        try database.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM incarnation ORDER BY number").compactMap { row in
                let site: Int64 = row["site"]
                guard let keys = PublicKeys(signing: Array(row["signing_key"] as Data), agreement: Array(row["agreement_key"] as Data)) else { return nil }
                let points = try Row.fetchAll(
                    db, sql: "SELECT scope, last, chain FROM received WHERE site = ? AND state = 'inherited'", arguments: [site])
                return KnownIncarnation(
                    keys: keys, parent: SiteID(key: row["parent"]), asked: SiteID(key: row["asked"]),
                    points: points.map {
                        (ScopeID(key: $0["scope"]), ChainHead(last: Seq($0["last"]), chain: ContentHash(bytes: $0["chain"] as Data) ?? .none))
                    })
            }
        }
    }

    // MARK: what the database lost

    /// Whether a segment of the site lies here for which no child has to come.
    func hasUnasked(_ scope: ScopeID, _ site: SiteID) throws -> Bool {
        try database.read {
            try Bool.fetchOne(
                $0, sql: "SELECT EXISTS (SELECT 1 FROM received WHERE scope = ? AND site = ? AND state NOT IN ('returning', 'inherited'))",
                arguments: [scope.key, site.key])!
        }
    }

    func chains() throws -> [(scope: ScopeID, site: SiteID)] {
        try database.read { db in
            try Row.fetchAll(db, sql: "SELECT DISTINCT scope, site FROM received").map {
                (ScopeID(key: $0["scope"]), SiteID(key: $0["site"]))
            }
        }
    }

    /// Begins an epoch: from here on no segment is taken whose child has not agreed in it. Those that the database does not have wait until
    /// their child has told with which cursor they are to be judged; those in quarantine too, for one that is released counts all
    /// before it as merged.
    func begin(_ epoch: Int, after merged: [(scope: ScopeID, site: SiteID, seq: Seq)]) throws {
        try database.write { db in
            try db.execute(sql: "INSERT OR IGNORE INTO begun VALUES (?)", arguments: [epoch])
            for chain in merged {
                try db.execute(
                    sql: """
                        UPDATE received SET state = 'returning'
                        WHERE scope = ? AND site = ? AND last > ? AND state IN ('merged', 'waiting', 'quarantined', 'released')
                        """,
                    arguments: [chain.scope.key, chain.site.key, chain.seq.rawValue])
            }
        }
    }

    /// Stays in a segment's `reason` when it is merged: its seqs lie below what its site has merged, and tell nothing.
    static let releasedNote = "was in quarantine"

    func mergedFromQuarantine() throws -> [Int64] {
        try database.read {
            try Int64.fetchAll($0, sql: "SELECT number FROM received WHERE state = 'merged' AND reason = ?", arguments: [Self.releasedNote])
        }
    }

    /// Merges of such segments that the database has lost are made again.
    func releaseAgain(_ numbers: [Int64]) throws {
        try database.write { db in
            for number in numbers { try db.execute(sql: "UPDATE received SET state = 'released' WHERE number = ? AND state = 'merged'", arguments: [number]) }
        }
    }

    /// Whether something of a site's waits for its child's word, up to a seq.
    func isReturning(_ scope: ScopeID, _ site: SiteID, upTo last: Seq = Seq(.max)) throws -> Bool {
        try database.read {
            try Bool.fetchOne(
                $0, sql: "SELECT EXISTS (SELECT 1 FROM received WHERE scope = ? AND site = ? AND last <= ? AND state = 'returning')",
                arguments: [scope.key, site.key, last.rawValue])!
        }
    }

    /// What the authors of a segment had seen: its own cursor, or less where this hub was put back since.
    ///
    /// - Returns: nil when it does not wait for the merge any more, but for its child.
    func waitingCursor(_ number: Int64) throws -> Position? {
        try database.read { db in
            try Int64.fetchOne(
                db, sql: "SELECT cursor FROM received WHERE number = ? AND state IN ('waiting', 'released')", arguments: [number]
            ).map { Position($0) }
        }
    }

    /// What a child sealed before seq `first` had seen no more than `base`.
    func agree(_ scope: ScopeID, _ site: SiteID, before first: Seq, base: Position) throws {
        try database.write { db in
            try db.execute(
                sql: """
                    UPDATE received SET cursor = min(cursor, ?), state = iif(state = 'returning', 'waiting', state)
                    WHERE scope = ? AND site = ? AND first < ? AND state IN ('returning', 'waiting', 'quarantined')
                    """,
                arguments: [base.rawValue, scope.key, site.key, first.rawValue])
        }
    }
}

/// A site that a child went on as.
struct KnownIncarnation: Sendable {
    let keys: PublicKeys
    let parent: SiteID
    let asked: SiteID
    var points: [(scope: ScopeID, head: ChainHead)] = []
}
