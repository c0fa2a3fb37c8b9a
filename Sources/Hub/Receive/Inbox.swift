// What a hub has received and not merged yet: uploads grow as files, whole segments are checked and stored in a database of
// their own, fsynced, before anyone is told "received".
//
// Two designs: segments in the hub's own database (one file less, but an upload waits for every merge transaction), or an
// inbox of its own. The second: merging never holds an upload, and a merge that dies is repeated from here.

import Crypto
import Foundation
import GRDB
import Glibc
import Shared

/// The newest segment held of a site in a scope.
package struct ChainHead: Sendable {
    package var last: Seq
    package var chain: ContentHash
}

/// A segment as it lies in the inbox.
package struct ReceivedSegment: Sendable {
    /// Order of arrival.
    package var number: Int64
    package var scope: ScopeID
    package var site: SiteID
    package var first: Seq
    package var last: Seq
    package var bytes: [UInt8]
    /// It was in quarantine: later segments of its site may be merged already.
    package var isReleased = false
}

package struct QuarantinedSegment: Codable, Sendable {
    package var number: Int64
    package var scope: String
    package var site: String
    package var first: Int64
    package var last: Int64
    package var bytes: Int
    package var receivedAt: Int64
    package var reason: String
}

package final class Inbox: Sendable {
    let database: DatabaseQueue
    private let spool: String
    /// The largest upload that is taken: no honest segment is larger.
    package static let uploadBytesMax = SegmentHeader.byteCount + Limits.segmentBodyBytesMax

    init(_ directory: String) throws {
        spool = directory + "/spool"
        try FileManager.default.createDirectory(atPath: spool, withIntermediateDirectories: true)
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA journal_mode = WAL")
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
        database = try DatabaseQueue(path: directory + "/inbox.db", configuration: configuration)
        try database.write { db in
            try db.execute(
                sql: """
                    CREATE TABLE IF NOT EXISTS received (
                      number INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of arrival
                      scope INT NOT NULL,
                      site INT NOT NULL,
                      first INT NOT NULL,
                      last INT NOT NULL,
                      chain BLOB NOT NULL,                          -- hash of the segment's header
                      received_at INT NOT NULL,
                      state TEXT NOT NULL,                          -- waiting | merged | quarantined | released | inherited | returning
                      reason TEXT,                                  -- it lies in quarantine, or did; NULL again once merged in its turn
                      cursor INT NOT NULL,
                      bytes BLOB NOT NULL,
                      UNIQUE (scope, site, first)
                    ) STRICT;
                    -- Up to where the log was merged or shown: the database never knows less, unless it was put back.
                    CREATE TABLE IF NOT EXISTS served (scope INT PRIMARY KEY NOT NULL, position INT NOT NULL) STRICT, WITHOUT ROWID;
                    -- The epochs that this hub began, each noted before anyone was told.
                    CREATE TABLE IF NOT EXISTS begun (epoch INTEGER PRIMARY KEY NOT NULL) STRICT;
                    -- Who went on as whom: without that the database, put back, would not know whose segments lie here.
                    CREATE TABLE IF NOT EXISTS incarnation (
                      number INTEGER PRIMARY KEY AUTOINCREMENT,
                      site INT NOT NULL UNIQUE,
                      parent INT NOT NULL,
                      asked INT NOT NULL,                           -- the site that introduced it
                      signing_key BLOB NOT NULL,
                      agreement_key BLOB NOT NULL
                    ) STRICT;
                    -- What logs that are lost had merged of a site, and whether it says that it has that (HeardLives.swift).
                    CREATE TABLE IF NOT EXISTS heard (
                      scope INT NOT NULL,
                      site INT NOT NULL,
                      seq INT NOT NULL,
                      chain INT NOT NULL,
                      vouched INT NOT NULL,
                      PRIMARY KEY (scope, site, seq, chain)
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX IF NOT EXISTS received_waiting ON received (number) WHERE state IN ('waiting', 'released');
                    CREATE INDEX IF NOT EXISTS received_unread ON received (scope, site, first) WHERE reason IS NOT NULL;
                    """)
        }
    }

    package func close() throws { try database.close() }

    // MARK: uploads

    package func partPath(_ scope: ScopeID, _ site: SiteID, _ first: Seq, _ last: Seq, _ mark: String) -> String {
        "\(spool)/\(scope)-\(site)-\(first)-\(last)-\(mark).part"
    }

    /// Bytes of an upload that are here; 0 when it is unknown.
    package func partSize(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// The upload after `received` that broke off, if there is one: its last seq and how many bytes are here. Of several (a copy of
    /// the home speaks too) it is any: who continues another's is told where his own stands.
    package func part(_ scope: ScopeID, _ site: SiteID, after received: Seq) -> (last: Seq, offset: Int)? {
        let prefix = "\(scope)-\(site)-\(received.advanced(by: 1))-"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: spool)) ?? []
        for name in names.sorted() where name.hasPrefix(prefix) && name.hasSuffix(".part") {
            guard let last = Int64(name.dropFirst(prefix.count).prefix { $0 != "-" }) else { continue }
            return (Seq(last), partSize(spool + "/" + name))
        }
        return nil
    }

    /// Removes the spool files of segments that are held whole.
    func sweep() throws {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: spool)) ?? [] where name.hasSuffix(".part") {
            let parts = name.dropLast(".part".count).split(separator: "-")
            guard parts.count == 5, let scope = ScopeID(String(parts[0])), let site = SiteID(String(parts[1])),
                let last = Int64(parts[3]), try head(scope, site).last >= Seq(last)
            else { continue }
            try? FileManager.default.removeItem(atPath: spool + "/" + name)
        }
    }

    /// Bytes of a segment that is held whole; nil when it is not: another of these seqs is another segment.
    package func size(_ scope: ScopeID, _ site: SiteID, _ first: Seq, _ last: Seq, _ mark: String) throws -> Int? {
        try database.read { db in
            try Row.fetchOne(
                db, sql: "SELECT length(bytes) AS size, chain FROM received WHERE scope = ? AND site = ? AND first = ? AND last = ?",
                arguments: [scope.key, site.key, first.rawValue, last.rawValue]
            ).flatMap { row in
                ContentHash(bytes: row["chain"] as Data).flatMap { SegmentCodec.mark($0) == mark ? row["size"] as Int : nil }
            }
        }
    }

    /// Two copies of one home have numbered different changes alike: the one that comes second has to go on as a new site.
    static func isAnother(_ first: Seq, _ last: Seq) -> WireError {
        WireError(.outOfChain, "the hub holds other changes \(first)-\(last) of this site: a copy of it has spoken meanwhile; say hello again")
    }

    /// This hub was put back between the child's hello and its upload: nobody has told what the authors had seen of this log, and what is
    /// lost of the child's here must be merged first.
    static func isOfAnotherEpoch(_ epoch: Int, _ begun: Int) -> WireError {
        WireError(.outOfChain, "the segment comes from epoch \(epoch), this hub is in epoch \(begun) since; say hello again")
    }

    package func head(_ scope: ScopeID, _ site: SiteID) throws -> ChainHead {
        try database.read { try Self.head($0, scope, site) }
    }

    static func head(_ db: Database, _ scope: ScopeID, _ site: SiteID) throws -> ChainHead {
        let row = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT last, chain FROM received WHERE scope = ? AND site = ? ORDER BY first DESC LIMIT 1"),
            arguments: [scope.key, site.key])
        guard let row else { return ChainHead(last: .none, chain: .none) }
        return ChainHead(last: Seq(row["last"]), chain: ContentHash(bytes: row["chain"] as Data) ?? .none)
    }

    /// The newest of these points that is the end of a segment held here; nothing held = the chain's beginning.
    func shared(_ scope: ScopeID, _ site: SiteID, _ heads: [(seq: Seq, chain: ContentHash)]) throws -> ChainHead {
        try database.read { db in
            for head in heads.sorted(by: { $0.seq > $1.seq }) {
                let isHeld = try Bool.fetchOne(
                    db, sql: "SELECT EXISTS (SELECT 1 FROM received WHERE scope = ? AND site = ? AND last = ? AND chain = ?)",
                    arguments: [scope.key, site.key, head.seq.rawValue, Data(head.chain.bytes)])!
                if isHeld { return ChainHead(last: head.seq, chain: head.chain) }
            }
            return ChainHead(last: .none, chain: .none)
        }
    }

    /// A new incarnation's chain begins where its parent's ended: an entry without bytes stands there.
    func inherit(_ scope: ScopeID, _ site: SiteID, _ head: ChainHead, now: Int64) throws {
        guard head.last > .none else { return }
        try database.write {
            try $0.execute(
                sql: """
                    INSERT OR IGNORE INTO received (scope, site, first, last, chain, received_at, state, cursor, bytes)
                    VALUES (?, ?, ?3, ?3, ?, ?, 'inherited', 0, x'')
                    """,
                arguments: [scope.key, site.key, head.last.rawValue, Data(head.chain.bytes), now])
        }
    }

    /// Checks a whole upload and stores it durably.
    ///
    /// - Parameters:
    ///   - cut: up to where its authors had seen the log that survives here, if that is less than the segment says.
    ///   - epoch: in which the child and this hub agreed on that.
    /// - Throws: `WireError`: `badSegment` for bytes that fail their checks, `outOfChain` for a segment that does not follow
    ///   the last one held, or whose child has not agreed in this epoch. A segment that is held already is no error.
    package func store(
        _ bytes: [UInt8], scope: ScopeID, site: SiteID, first: Seq, last: Seq, key: [UInt8], cut: Position? = nil, epoch: Int = 1, now: Int64
    ) throws {
        let verified: VerifiedSegment
        do {
            verified = try SegmentCodec.verify(bytes, key: Curve25519.Signing.PublicKey(rawRepresentation: key))
        } catch {
            throw WireError(.badSegment, "segment \(first)-\(last) failed its checks: \(error)")
        }
        let header = verified.header
        guard header.kind == .changes, header.scope == scope, header.site == site, header.firstSeq == first,
            header.lastSeq == last
        else { throw WireError(.badSegment, "segment \(first)-\(last) says in its header that it is another one") }
        try database.write { db in
            let head = try Self.head(db, scope, site)
            if last <= head.last {
                let isHeld = try Bool.fetchOne(
                    db, sql: "SELECT EXISTS (SELECT 1 FROM received WHERE scope = ? AND site = ? AND last = ? AND chain = ?)",
                    arguments: [scope.key, site.key, last.rawValue, Data(verified.hash.bytes)])!
                guard isHeld else { throw Self.isAnother(first, last) }
                return
            }
            guard first == head.last.advanced(by: 1), header.previousHash == head.chain else {
                throw WireError(.outOfChain, "segment \(first)-\(last) does not follow \(head.last), the last one held")
            }
            // In the transaction, for an epoch may begin at any moment.
            let begun = try Self.epoch(db)
            guard epoch >= begun else { throw Self.isOfAnotherEpoch(epoch, begun) }
            guard try !Self.isUnasked(db, scope, site, after: head.last) else {
                throw WireError(.outOfChain, "this hub has heard of changes of this site beyond \(head.last); say hello again")
            }
            try db.execute(
                sql: """
                    INSERT INTO received (scope, site, first, last, chain, received_at, state, cursor, bytes)
                    VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?)
                    """,
                arguments: [
                    scope.key, site.key, first.rawValue, last.rawValue, Data(verified.hash.bytes), now,
                    min(header.cursor, cut ?? header.cursor).rawValue, Data(bytes),
                ])
        }
    }

    // MARK: merging

    /// The oldest segment that waits, of those after `number`, of all scopes or of one; nil when there is none.
    package func nextWaiting(after number: Int64 = 0, of scope: ScopeID? = nil) throws -> Int64? {
        try database.read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT number FROM received WHERE state IN ('waiting', 'released') AND number > ?1 AND (?2 IS NULL OR scope = ?2)
                    ORDER BY number LIMIT 1
                    """, arguments: [number, scope?.key])
        }
    }

    func segment(_ number: Int64) throws -> ReceivedSegment {
        try database.read { db in
            let row = try Row.fetchOne(db, sql: "SELECT * FROM received WHERE number = ?", arguments: [number])!
            return ReceivedSegment(
                number: number, scope: ScopeID(key: row["scope"]), site: SiteID(key: row["site"]), first: Seq(row["first"]),
                last: Seq(row["last"]), bytes: Array(row["bytes"] as Data), isReleased: row["state"] as String == "released")
        }
    }

    /// Not fsynced: a mark that a power cut takes away has the segment merged again, to nothing.
    func markMerged(_ number: Int64, _ scope: ScopeID, logEnd: Position) throws {
        try database.inDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
            defer { try? db.execute(sql: "PRAGMA synchronous = FULL") }
            try db.execute(sql: "UPDATE received SET reason = iif(state = 'released', reason, NULL), state = 'merged' WHERE number = ?", arguments: [number])
            try Self.noteServed(db, scope, logEnd)
        }
    }

    package func quarantine(_ number: Int64, reason: String) throws {
        try database.write {
            try $0.execute(
                sql: "UPDATE received SET state = 'quarantined', reason = ? WHERE number = ?", arguments: [reason, number])
        }
    }

    /// While a segment of a site is unreadable, its later segments are judged with the older cursor.
    func oldestQuarantinedCursor(_ scope: ScopeID, _ site: SiteID, before first: Seq) throws -> Position? {
        try database.read { db in
            try Int64.fetchOne(
                db,
                sql: "SELECT min(cursor) FROM received WHERE scope = ? AND site = ? AND first < ? AND state = 'quarantined'",
                arguments: [scope.key, site.key, first.rawValue]
            ).map { Position($0) }
        }
    }

    /// Puts a quarantined segment back in the queue, for a program that can read it now.
    package func release(_ number: Int64) throws -> Bool {
        try database.write { db in
            try db.execute(
                sql: "UPDATE received SET state = 'released', reason = ? WHERE number = ? AND state = 'quarantined'",
                arguments: [Self.releasedNote, number])
            return db.changesCount > 0
        }
    }

    package func quarantined() throws -> [QuarantinedSegment] {
        try database.read { db in
            try Row.fetchAll(
                db, sql: "SELECT *, length(bytes) AS size FROM received WHERE state = 'quarantined' ORDER BY number"
            ).map {
                QuarantinedSegment(
                    number: $0["number"], scope: ScopeID(key: $0["scope"]).description,
                    site: SiteID(key: $0["site"]).description, first: $0["first"], last: $0["last"], bytes: $0["size"],
                    receivedAt: $0["received_at"], reason: $0["reason"] ?? "")
            }
        }
    }

    /// Every segment of the scope that lies in quarantine, or has been released from it.
    func everQuarantined(_ scope: ScopeID) throws -> [(site: SiteID, seqs: ClosedRange<Seq>)] {
        try database.read { db in
            try Row.fetchAll(
                db.cachedStatement(sql: "SELECT site, first, last FROM received WHERE scope = ? AND reason IS NOT NULL ORDER BY site, first"),
                arguments: [scope.key]
            ).map { (SiteID(key: $0["site"]), Seq($0["first"])...Seq($0["last"])) }
        }
    }

    /// Where a segment begins.
    package struct Segment: Hashable, Sendable {
        package let scope: ScopeID
        package let first: Seq
        package init(scope: ScopeID, first: Seq) { (self.scope, self.first) = (scope, first) }
    }

    package func end(of number: Int64) throws -> (scope: ScopeID, site: SiteID, last: Seq) {
        let segment = try segment(number)
        return (segment.scope, segment.site, segment.last)
    }

    /// Every segment of a site, and what became of it.
    package func states(of site: SiteID) throws -> [Segment: (number: Int64, state: String)] {
        try database.read { db in
            Dictionary(
                uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT number, scope, first, state FROM received WHERE site = ?", arguments: [site.key])
                    .map { (Segment(scope: ScopeID(key: $0["scope"]), first: Seq($0["first"])), ($0["number"] as Int64, $0["state"] as String)) })
        }
    }

    package func waitingCount() throws -> Int {
        try database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM received WHERE state IN ('waiting', 'released', 'returning')")! }
    }
}

/// A refusal on its way to the other side.
package struct WireError: Error, Hashable, Sendable {
    package let code: WireCode
    package let message: String
    package init(_ code: WireCode, _ message: String) {
        self.code = code
        self.message = message
    }
}
