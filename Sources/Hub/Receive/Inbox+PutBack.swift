// What the inbox keeps for the day on which the database beside it, or the whole home, was put back from a backup.

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

    // MARK: what the database lost

    func chains() throws -> [(scope: ScopeID, site: SiteID)] {
        try database.read { db in
            try Row.fetchAll(db, sql: "SELECT DISTINCT scope, site FROM received").map {
                (ScopeID(key: $0["scope"]), SiteID(key: $0["site"]))
            }
        }
    }

    /// Segments that the database does not have wait until their child has told with which cursor they are to be judged.
    func awaitAgreement(after merged: [(scope: ScopeID, site: SiteID, seq: Seq)]) throws {
        try database.write { db in
            for chain in merged {
                try db.execute(
                    sql: """
                        UPDATE received SET state = 'returning'
                        WHERE scope = ? AND site = ? AND last > ? AND state IN ('merged', 'waiting')
                        """,
                    arguments: [chain.scope.key, chain.site.key, chain.seq.rawValue])
            }
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
