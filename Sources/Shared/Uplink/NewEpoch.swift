// A parent that was put back from a backup, seen from its child (DESIGN section 3, "A restored hub").
//
// The parent's epoch is higher than the one in which both last agreed. Before anything is sent or fetched the child seals under
// the old cursor, hands back the pages that the parent made from a log that it has lost, and cuts its cursor, and that of all
// it sealed before, to the end of its last page made from the log that survived. What the lost time had called merged is owed
// again. Broken off anywhere, all of it is repeated; handing a page back twice is harmless.
//
// What has come down again need not be what was handed back: of a case the pages show one candidate, and the others lie at the parent
// alone. So a page that was handed back is kept, and goes back once more should the parent lose the log in which it had taken it.
//
// Two designs for what is handed back: the newest entry of each cell, signed by the child, or the parent's own pages as they
// came. The second: the parent finds its own signature on them and need not believe anybody, and a page says what the log had
// merged when it was made.

import Foundation
import GRDB

/// Pages as they came. They stay: no parent says yet that its backup holds them.
enum KeptPage {
    static func keep(
        _ db: Database, _ scope: ScopeID, _ bytes: [UInt8], _ page: LogPageInfo, mark: ContentHash, epoch: Int
    ) throws {
        try db.cachedStatement(sql: "INSERT INTO zz_page (scope, up_to, made, mark, bytes) VALUES (?, ?, ?, ?, ?)")
            .execute(arguments: [scope.key, page.upTo.rawValue, page.logEnd.rawValue, Data(mark.bytes), Data(bytes)])
        guard page.upTo == page.logEnd else { return }
        // All that was handed back has come down again by now, in pages of the present epoch.
        let number = db.lastInsertedRowID
        try db.cachedStatement(sql: "UPDATE zz_returned SET down = ? WHERE scope = ? AND down IS NULL").execute(arguments: [number, scope.key])
    }

    static func newest(_ db: Database, _ scope: ScopeID) throws -> PageMark? { try marks(db, scope, limit: 1).first }

    /// Newest first.
    static func marks(_ db: Database, _ scope: ScopeID, limit: Int) throws -> [PageMark] {
        try Row.fetchAll(
            db.cachedStatement(sql: "SELECT made, mark FROM zz_page WHERE scope = ? ORDER BY number DESC LIMIT ?"),
            arguments: [scope.key, limit]
        ).map { PageMark(position: $0["made"], mark: ($0["mark"] as Data).base64EncodedString()) }
    }

    /// Whether pages are set aside, to be handed back.
    static func areToReturn(_ db: Database, _ scope: ScopeID) throws -> Bool {
        try Bool.fetchOne(db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM zz_returned WHERE scope = ? AND down IS NULL)"), arguments: [scope.key])!
    }

    /// Sets the newest pages aside, to be handed back until they have come down again; so are those that had come down with them.
    static func setAside(_ db: Database, _ scope: ScopeID, newest count: Int) throws {
        try db.execute(
            sql: """
                UPDATE zz_returned SET down = NULL
                WHERE scope = ?1 AND down IN (SELECT number FROM zz_page WHERE scope = ?1 ORDER BY number DESC LIMIT ?2)
                """, arguments: [scope.key, count])
        try db.execute(
            sql: """
                INSERT INTO zz_returned (scope, bytes) SELECT scope, bytes FROM
                  (SELECT number, scope, bytes FROM zz_page WHERE scope = ? ORDER BY number DESC LIMIT ?) ORDER BY number
                """, arguments: [scope.key, count])
        try db.execute(
            sql: "DELETE FROM zz_page WHERE number IN (SELECT number FROM zz_page WHERE scope = ? ORDER BY number DESC LIMIT ?)",
            arguments: [scope.key, count])
    }
}

extension SyncSession {
    private static let marksMax = 20_000

    /// Agrees with a parent in a new epoch on what both still have.
    ///
    /// - Returns: where the child stands then.
    func enter(_ scope: ScopeID, _ standing: ScopeStanding) async throws(Failure) -> ScopeStanding {
        guard let epoch = standing.epoch else { return standing }
        let link = try await read { try ScopeLink.load($0, scope)! }
        if link.epoch == epoch {
            try await handBack(scope)
            return standing
        }
        // A hub of the first epoch has lost nothing. A later one may wait for a word on what this child's older incarnations sent.
        guard link.epoch > 0 || epoch > 1 else {
            try await write { db in
                var link = try ScopeLink.load(db, scope)!
                link.epoch = epoch
                try link.save(db)
            }
            return standing
        }
        let replica = replica
        let now = now()
        // Under the old epoch and cursor.
        let marks = try await write { db in
            _ = try replica.seal(db, scope: scope, now: now)
            return try KeptPage.marks(db, scope, limit: Self.marksMax)
        }
        let lost = try await client.survivors(SurvivorsRequest(scope: scope.description, pages: marks)).newest ?? marks.count
        try await write { try KeptPage.setAside($0, scope, newest: lost) }
        KillPoint.reach("return.aside", in: replica.directory)
        return try await agree(scope, epoch, base: try await handBack(scope), standing)
    }

    /// What is set aside goes back at every hello until all of it has come down again: a parent that was put back twice may use an
    /// epoch's number twice, and only its first life has what was handed back then. Once more is harmless, and rare.
    ///
    /// - Returns: up to where this child holds the log that survived.
    @discardableResult
    private func handBack(_ scope: ScopeID) async throws(Failure) -> Position {
        let (base, pages) = try await read { db in
            let newest = try Row.fetchOne(
                db, sql: "SELECT up_to, made FROM zz_page WHERE scope = ? ORDER BY number DESC LIMIT 1", arguments: [scope.key])
            let pages = try Data.fetchAll(db, sql: "SELECT bytes FROM zz_returned WHERE scope = ? AND down IS NULL ORDER BY number", arguments: [scope.key])
            return ((cursor: Position(newest?["up_to"] ?? 0), survived: Position(newest?["made"] ?? 0)), pages)
        }
        for page in pages { try await client.giveBack(scope, page: Array(page), survived: base.survived) }
        return base.cursor
    }

    private func agree(
        _ scope: ScopeID, _ epoch: Int, base: Position, _ standing: ScopeStanding
    ) async throws(Failure) -> ScopeStanding {
        let sealed = try await read { try ScopeLink.load($0, scope)!.sealed }
        let reply = try await client.agree(
            AgreedRequest(scope: scope.description, epoch: epoch, base: base.rawValue, sealed: sealed.rawValue))
        let replica = replica
        try await write { db in
            var link = try ScopeLink.load(db, scope)!
            link.epoch = epoch
            link.cursor = min(link.cursor, base)
            link.received = Seq(reply.received)
            link.merged = min(link.merged, Seq(reply.merged))
            try link.save(db)
            let merged = MergedSeqs(upTo: link.merged, quarantined: reply.quarantinedRanges)
            for range in merged.quarantined + [link.merged.advanced(by: 1)...Seq(.max)] {
                try db.execute(
                    sql: "UPDATE zz_outbox SET cut = min(coalesce(cut, ?1), ?1) WHERE scope = ?2 AND last BETWEEN ?3 AND ?4",
                    arguments: [base.rawValue, scope.key, range.lowerBound.rawValue, range.upperBound.rawValue])
            }
            try replica.lowerBases(db, scope: scope, to: link.cursor)
            try Self.owe(db, replica, scope, after: merged.floor)
            try Pending.settle(db, scope: scope, merged: merged, reachesEnd: false)
        }
        KillPoint.reach("agree.commit", in: replica.directory)
        var agreed = standing
        (agreed.received, agreed.merged, agreed.partLast) = (reply.received, reply.merged, nil)
        return agreed
    }

    /// What was called merged and is lost, or lies in quarantine again, waits again.
    private static func owe(_ db: Database, _ replica: any ChildReplica, _ scope: ScopeID, after merged: Seq) throws {
        let segments = try Data.fetchAll(
            db, sql: "SELECT bytes FROM zz_outbox WHERE scope = ? AND last > ? ORDER BY first", arguments: [scope.key, merged.rawValue])
        for bytes in segments {
            // Sealed here by this incarnation or one before it: the key is not asked.
            let predictors = try replica.versions.predictors(db, for: SegmentCodec.inspect(Array(bytes)))
            let (header, body) = try SegmentCodec.decodeOwn(Array(bytes), predictors: predictors)
            try Pending.record(db, scope: scope, body, first: header.firstSeq)
        }
    }
}
