// A scope in which neither side has anything for the other: most syncs of a year find nothing else.
//
// Two designs: walk through push and pull, each of which finds that there is nothing (no code more, but a dozen turns at the database, which
// were most of such a sync's time, and for a province that forwards 600 schools the whole of it), or ask once, after the hello, whether
// all of them would find nothing. The second: one short transaction for a whole hello, which also notes the time of this sync.

import GRDB

extension SyncSession {
    /// Notes this sync at the scopes where nothing is to be done.
    ///
    /// - Returns: the scopes that want more.
    func passIdle(
        _ scopes: [ScopeID], _ standings: [ScopeID: ScopeStanding], report: inout SyncReport
    ) async throws(Failure) -> [ScopeID] {
        let (replica, now) = (replica, now())
        let idle = try await note { db in
            try scopes.compactMap { scope -> (link: ScopeLink, quarantined: Int)? in
                guard let standing = standings[scope], var link = try ScopeLink.load(db, scope), try Self.isIdle(db, replica, link, standing)
                else { return nil }
                link.lastSync = now
                try link.save(db)
                return (link, try Pending.quarantined(db, scope, upTo: link.merged))
            }
        }
        for (link, quarantined) in idle {
            report.sealedSeq += link.sealed.rawValue
            report.mergedSeq += link.merged.rawValue
            report.quarantined += quarantined
        }
        let passed = Set(idle.map(\.link.scope))
        return scopes.filter { !passed.contains($0) }
    }

    /// Whether entering an epoch, seal, push and pull would all find nothing.
    private static func isIdle(_ db: Database, _ replica: any ChildReplica, _ link: ScopeLink, _ standing: ScopeStanding) throws -> Bool {
        guard standing.refused == nil, standing.unknown != true, standing.epoch == link.epoch, link.cursor.rawValue >= standing.logEnd,
            link.received == link.sealed, standing.received == link.received.rawValue
        else { return false }
        return try !replica.hasUnsealed(db, scope: link.scope) && !KeptPage.areToReturn(db, link.scope)
    }
}
