// A replica that was put back from a copy, or is a copy, goes on as a new site: it must not number what another has numbered.
//
// How it is known (DESIGN "restore and clone guard"): the keys and the database name different sites (only one of them was put
// back); the anchor names more than the database has sealed (the database was put back); the parent holds more than was
// sealed here, or another chain (everything was put back, or the home was copied and the other copy has spoken).
//
// Two designs for what was sealed here and the parent does not hold: take it back into marks and seal it anew (short, but it
// would go up with today's cursor, as if its authors had seen what was fetched since), or sign the same segments again, with
// the cursor that they were sealed with. The second: rule 2 judges by that cursor.

import Crypto
import Foundation
import GRDB

/// The site that a database's changes belong to, and its keys beside it.
package enum Incarnation {
    private static let siteKey = "site"

    package static func next(_ path: String) -> String { path + ".next" }

    /// The keys that a child speaks to its parent with. Finishes what was interrupted between the database and the file.
    ///
    /// - Parameters:
    ///   - path: where new incarnations' keys go.
    ///   - first: where the first incarnation's are, if elsewhere.
    package static func keys(
        _ database: DatabasePool, home: String, path: String, first: String? = nil
    ) throws(Failure) -> SiteKeys {
        if FileManager.default.fileExists(atPath: next(path)), let waiting = try? SiteKeys.load(from: next(path)),
            try site(database) == waiting.site
        {
            try promote(waiting, over: present(path, first), home: home, path: path)
        }
        return try present(path, first)
    }

    private static func present(_ path: String, _ first: String?) throws(Failure) -> SiteKeys {
        try SiteKeys.load(from: FileManager.default.fileExists(atPath: path) ? path : first ?? path)
    }

    static func site(_ database: DatabasePool) throws(Failure) -> SiteID? {
        do { return try database.read { try site($0) } } catch { throw storeFailure(error, path: database.path) }
    }

    static func site(_ db: Database) throws -> SiteID? { try Meta.integer(db, siteKey).map { SiteID(key: $0) } }

    /// A hub that learns from its children that it was put back goes on as a new site above.
    private static let putBackKey = "put_back"
    package static func notePutBack(_ db: Database) throws { try Meta.set(db, putBackKey, 1) }
    package static func isPutBack(_ db: Database) throws -> Bool { try Meta.integer(db, putBackKey) == 1 }

    package static func set(_ db: Database, _ site: SiteID) throws { try Meta.set(db, siteKey, site.key) }

    /// The keys of the incarnation to come: made once, so that a broken line does not make one more.
    static func prepare(_ path: String) throws(Failure) -> SiteKeys {
        if let waiting = try? SiteKeys.load(from: next(path)) { return waiting }
        let keys = SiteKeys()
        try keys.save(to: next(path))
        return keys
    }

    /// The old keys stay: a parent that was put back from a time before may know no others.
    static func promote(_ keys: SiteKeys, over old: SiteKeys, home: String, path: String) throws(Failure) {
        Anchor.clear(home)
        if old.site != keys.site { try old.save(to: "\(path).old-\(old.site)") }
        try keys.save(to: path)
        unlink(next(path))
    }

    static func older(_ path: String) -> [SiteKeys] {
        let url = URL(filePath: path)
        let folder = url.deletingLastPathComponent().path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().filter { $0.hasPrefix(url.lastPathComponent + ".old-") }
            .compactMap { try? SiteKeys.load(from: "\(folder)/\($0)") }
    }

    /// From here on what is sealed in the database belongs to `keys.site`. What the parent does not share is signed again.
    static func adopt(_ db: Database, _ keys: SiteKeys, shared: [ScopeID: (seq: Seq, chain: ContentHash)]) throws {
        for (scope, point) in shared { try signAgain(db, keys, scope, after: point.seq, chain: point.chain) }
        try set(db, keys.site)
        try Meta.set(db, putBackKey, 0)
    }

    private static func signAgain(_ db: Database, _ keys: SiteKeys, _ scope: ScopeID, after seq: Seq, chain: ContentHash) throws {
        guard var link = try ScopeLink.load(db, scope) else { return }
        link.received = seq
        link.chain = chain
        let segments = try Row.fetchAll(
            db, sql: "SELECT first, bytes FROM zz_outbox WHERE scope = ? AND first > ? ORDER BY first", arguments: [scope.key, seq.rawValue])
        for segment in segments {
            let again = try SegmentCodec.signAgain(
                Array(segment["bytes"] as Data), site: keys.site, previousHash: link.chain, signingKey: keys.signing)
            try db.execute(
                sql: "UPDATE zz_outbox SET bytes = ? WHERE scope = ? AND first = ?",
                arguments: [Data(again.bytes), scope.key, segment["first"] as Int64])
            link.chain = again.hash
        }
        try link.save(db)
    }

    /// What an earlier incarnation signed is to be sent once more: a parent that was put back shares less than it did, and the answer in which
    /// it said so, to the introduction of this one, was lost.
    ///
    /// - Parameter said: the chain at `received`, as the parent's hello names it; nil where nothing was sealed beyond.
    static func signAgain(_ db: Database, _ keys: SiteKeys, _ scope: ScopeID, after received: Seq, saying said: String?) throws {
        guard let chain = said.flatMap({ Data(base64Encoded: $0) }).flatMap({ ContentHash(bytes: $0) }) else { return }
        let next = try Data.fetchOne(
            db.cachedStatement(sql: "SELECT bytes FROM zz_outbox WHERE scope = ? AND first = ?"),
            arguments: [scope.key, received.advanced(by: 1).rawValue])
        guard let next, try SegmentCodec.inspect(Array(next)).site != keys.site else { return }
        try signAgain(db, keys, scope, after: received, chain: chain)
    }
}

extension SyncSession {
    /// Scopes in one request, and the newest ends of segments that are named of each.
    private static let scopesPerRequest = 100
    private static let headsMax = 16

    /// The scopes of this replica; nil when keys, database and anchors tell already, without the parent, that something was put back.
    func ownScopes() async throws(Failure) -> [ScopeID]? {
        let (own, home) = (replica.keys.site, replica.directory)
        let (scopes, isNew, isPutBack) = try await read { db in
            let (scopes, known) = (try ScopeLink.all(db), try Incarnation.site(db))
            if try Incarnation.isPutBack(db) { return (scopes, false, true) }
            guard let known else { return (scopes, true, false) }
            let isPutBack = try known != own || scopes.contains { scope in
                guard let anchor = Anchor.load(home, scope) else { return false }
                return try anchor.site != own.description || Seq(anchor.seq) > ScopeLink.load(db, scope)!.sealed
            }
            return (scopes, false, isPutBack)
        }
        if isNew { try await write { try Incarnation.set($0, own) } }
        return isPutBack ? nil : scopes
    }

    /// Whether the parent holds more of this site than was sealed here, or something else.
    func isOvertaken(_ scope: ScopeID, _ standing: ScopeStanding) async throws(Failure) -> Bool {
        let received = Seq(standing.received)
        guard received > .none, let said = standing.chain else { return false }
        return try await read { try Self.chain($0, scope, at: received) }?.base64 != said
    }

    /// Whether all of this was sealed here. What a lost log of the parent had merged of this site and is not here was written in a
    /// life of it that is forgotten: the parent cannot tell its changes from those that would get the same seqs now.
    func isOwn(_ points: [ChainPoint], _ scope: ScopeID) async throws(Failure) -> Bool {
        try await read { db in try points.allSatisfy { try Self.chain(db, scope, at: Seq($0.seq)).map(SegmentCodec.mark) == $0.chain } }
    }

    /// The chain where a segment sealed here ended; nil where none did.
    private static func chain(_ db: Database, _ scope: ScopeID, at seq: Seq) throws -> ContentHash? {
        let link = try ScopeLink.load(db, scope)!
        if seq >= link.sealed { return seq == link.sealed ? link.chain : nil }
        return try Data.fetchOne(
            db, sql: "SELECT bytes FROM zz_outbox WHERE scope = ? AND first = ?", arguments: [scope.key, seq.advanced(by: 1).rawValue]
        ).map { try SegmentCodec.inspect(Array($0)).previousHash }
    }

    /// Goes on as a new site: asks the parent with the old keys, then takes the new ones. May be broken off anywhere and repeated.
    func reincarnated() async throws(Failure) -> SyncSession {
        try replica.wasPutBack()
        let keys = try Incarnation.prepare(replica.keysPath)
        let own = replica.keys.site
        let predecessor = try await read { try Incarnation.site($0) ?? own }
        try await introduce(keys, after: predecessor)
        KillPoint.reach("incarnation.commit", in: replica.directory)
        try Incarnation.promote(keys, over: replica.keys, home: replica.directory, path: replica.keysPath)
        return SyncSession(replica: replica.succeeded(by: keys), client: client.signing(with: keys), hub: hub, now: now)
    }

    /// By the present keys, or those of an incarnation that the parent knows.
    ///
    /// - Parameter isShown: the parent has enrolled this replica again already.
    private func introduce(_ keys: SiteKeys, after predecessor: SiteID, isShown: Bool = false) async throws(Failure) {
        do throws(Failure) {
            try await introduce(keys, after: predecessor, by: client)
        } catch {
            guard isUnknown else { throw error }
            if try await introduce(knownBefore: keys) { return }
            guard !isShown else { throw error }
            try await enrolAgain()
            try await introduce(keys, after: predecessor, isShown: true)
        }
    }

    /// A parent that was put back may not know this incarnation, but one before it: that one's keys introduce `keys`.
    ///
    /// - Returns: whether one was known there.
    func introduce(knownBefore keys: SiteKeys) async throws(Failure) -> Bool {
        for old in Incarnation.older(replica.keysPath) where old.site != keys.site {
            let line = client.signing(with: old)
            do throws(Failure) {
                try await introduce(keys, after: old.site, by: line)
                return true
            } catch {
                guard line.lastRefusal?.code == .notEnrolled else { throw error }
            }
        }
        return false
    }

    private func introduce(_ keys: SiteKeys, after predecessor: SiteID, by client: HubClient) async throws(Failure) {
        let scopes = try await read { try ScopeLink.all($0) }
        var shared: [ScopeID: (seq: Seq, chain: ContentHash)] = [:]
        for start in stride(from: 0, to: max(scopes.count, 1), by: Self.scopesPerRequest) {
            let batch = Array(scopes[min(start, scopes.count)..<min(start + Self.scopesPerRequest, scopes.count)])
            let heads = try await read { db in try batch.map { try Self.heads(db, $0) } }
            let reply = try await client.incarnate(IncarnationRequest(predecessor: predecessor, keys: keys, scopes: heads))
            for head in reply.scopes {
                guard let scope = ScopeID(head.scope), let chain = Data(base64Encoded: head.chain).flatMap({ ContentHash(bytes: $0) })
                else { continue }
                shared[scope] = (Seq(head.seq), chain)
            }
        }
        let points = shared
        try await write { try Incarnation.adopt($0, keys, shared: points) }
    }

    /// Where the newest segments sealed here end, newest first.
    static func heads(_ db: Database, _ scope: ScopeID) throws -> IncarnationRequest.Scope {
        let link = try ScopeLink.load(db, scope)!
        let rows = try Row.fetchAll(
            db, sql: "SELECT last, bytes FROM zz_outbox WHERE scope = ? ORDER BY first DESC LIMIT ?", arguments: [scope.key, headsMax])
        var heads = [ChainPoint(seq: link.sealed.rawValue, chain: link.chain.base64)]
        for row in rows where Seq(row["last"]) < link.sealed {
            heads.append(ChainPoint(seq: row["last"], chain: SegmentCodec.hash(Array(row["bytes"] as Data)).base64))
        }
        return IncarnationRequest.Scope(scope: scope.description, heads: heads)
    }
}
