// One sync of a child with its parent: hello, seal, push, pull. The same code serves a node and a hub that forwards.
//
// Hello comes before seal: what the parent holds is compared with what left this machine before anything is numbered; a
// replica that was put back from a copy, or is one, goes on as a new site (`Incarnation`). Each
// page is applied in one transaction that first seals what was written meanwhile (rule 1). Stopped anywhere, the next sync
// goes on from the hub's answer; every repeat is harmless.

import Crypto
import Foundation
import GRDB

package struct SyncReport: Codable, Sendable {
    package var pushedSegments = 0
    package var pushedRows = 0
    /// Uncompressed bytes of the segments pushed, and bytes of HTTP in both directions.
    package var rawBytes = 0
    package var sentBytes = 0
    package var receivedBytes = 0
    package var pulledRows = 0
    package var passedOver = 0
    package var pages = 0
    /// HTTP requests; nothing to do = one.
    package var requests = 0
    /// Changes pulled whose cells are disputed at the parent.
    package var disputed = 0
    package var sealedSeq: Int64 = 0
    package var mergedSeq: Int64 = 0
    /// Of the changes up to there, those that lie in quarantine at the parent, which cannot read them yet.
    package var quarantined = 0
    package var seconds = 0.0
    /// Scopes that the parent would not take, with its reason.
    package var refused: [String] = []
    /// Scopes of which a page cannot be applied here, with the reason.
    package var unapplied: [String] = []
    /// The site that a restored or copied replica goes on as; nil when nothing of the kind was found.
    package var incarnation: String?

    enum CodingKeys: String, CodingKey {
        case pushedSegments = "pushed_segments", pushedRows = "pushed_rows", rawBytes = "raw_bytes"
        case sentBytes = "sent_bytes", receivedBytes = "received_bytes", pulledRows = "pulled_rows"
        case passedOver = "passed_over", pages, requests, disputed, sealedSeq = "sealed_seq", mergedSeq = "merged_seq", seconds
        case refused, unapplied, incarnation, quarantined
    }
}

package struct SyncSession: Sendable {
    package let replica: any ChildReplica
    package let client: HubClient
    package let hub: PublicKeys
    /// Seconds since 1970; a parameter, for tests and the simulator have clocks of their own.
    package let now: @Sendable () -> Int64
    /// Uncompressed bytes asked for in one log page.
    package static let pageBytesMax = 1 << 20
    /// Scopes in one hello of a hub.
    private static let scopesPerHello = 200

    package init(
        replica: any ChildReplica, client: HubClient, hub: PublicKeys,
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) {
        self.replica = replica
        self.client = client
        self.hub = hub
        self.now = now
    }

    /// - Parameter wait: after a push, how long to wait for the parent's merge, in seconds; 0 = leave it to the next sync.
    package func run(push: Bool = true, pull: Bool = true, wait: Double = 0) async throws(Failure) -> SyncReport {
        let started = ContinuousClock.now
        var report = SyncReport()
        var session = self
        while try await !session.exchange(push: push, pull: pull, wait: wait, report: &report) {
            guard report.incarnation == nil else {
                throw Failure(
                    .busy, "While this home went on as a new site, a copy of it spoke to the hub again.",
                    next: "Nothing is lost: stop the other copy, then sync again.")
            }
            session = try await session.reincarnated()
            report.incarnation = session.replica.keys.site.description
        }
        report.sentBytes = session.client.traffic.bytesSent
        report.receivedBytes = session.client.traffic.bytesReceived
        report.requests = session.client.requests
        let elapsed = ContinuousClock.now - started
        report.seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        return report
    }

    /// - Returns: whether it is done; false when this replica turned out to be put back or a copy.
    private func exchange(
        push: Bool, pull: Bool, wait: Double, report: inout SyncReport
    ) async throws(Failure) -> Bool {
        guard let scopes = try await ownScopes() else { return false }
        for start in stride(from: 0, to: scopes.count, by: Self.scopesPerHello) {
            let batch = Array(scopes[start..<min(start + Self.scopesPerHello, scopes.count)])
            guard try await sync(batch, push: push, pull: pull, wait: wait, report: &report) else { return false }
        }
        return true
    }

    private func sync(
        _ scopes: [ScopeID], push: Bool, pull: Bool, wait: Double, report: inout SyncReport
    ) async throws(Failure) -> Bool {
        var standings = try await hello(scopes)
        for scope in scopes {
            if let standing = standings[scope], standing.refused == nil, try await isOvertaken(scope, standing) { return false }
        }
        let heard = standings.compactMapValues(\.heard)
        // In the order of the scopes, here as everywhere: a sync said again by the simulator says the same in the same order.
        let asked = scopes.filter { heard[$0] != nil }
        for scope in asked { guard try await isOwn(heard[scope]!, scope) else { return false } }
        if !asked.isEmpty { standings.merge(try await hello(asked, vouching: heard)) { _, new in new } }
        let scopes = try await passIdle(scopes, standings, report: &report)
        for scope in scopes {
            guard let standing = standings[scope], standing.refused == nil else { continue }
            standings[scope] = try await enter(scope, standing)
        }
        var pushed: [ScopeID] = []
        for scope in scopes {
            guard let standing = standings[scope] else { continue }
            if let reason = standing.refused {
                report.refused.append("\(scope): \(reason)")
                standings[scope] = nil
                continue
            }
            guard push else { continue }
            if try await self.push(scope, standing, report: &report) { pushed.append(scope) }
        }
        if !pushed.isEmpty {
            for (scope, standing) in try await merges(pushed, wait: wait) { standings[scope] = standing }
        }
        for scope in scopes where standings[scope] != nil {
            if pull {
                do {
                    try await self.pull(scope, logEnd: Position(standings[scope]!.logEnd), report: &report)
                } catch where error.kind == .refused && scopes.count > 1 {
                    // What one school's page has must not keep the others from theirs.
                    report.unapplied.append("\(scope): \(error)")
                    continue
                }
            }
            let now = now()
            let (link, quarantined) = try await note { db in
                var link = try ScopeLink.load(db, scope)!
                link.lastSync = now
                try link.save(db)
                return (link, try Pending.quarantined(db, scope, upTo: link.merged))
            }
            report.quarantined += quarantined
            report.sealedSeq += link.sealed.rawValue
            report.mergedSeq += link.merged.rawValue
        }
        return true
    }

    // MARK: hello

    /// - Parameter isShown: the parent has enrolled this replica again already.
    private func hello(_ scopes: [ScopeID], isShown: Bool = false) async throws(Failure) -> [ScopeID: ScopeStanding] {
        var standings: [ScopeID: ScopeStanding]
        do throws(Failure) {
            standings = try await hello(scopes, describing: false)
        } catch {
            guard isUnknown else { throw error }
            if try await !introduce(knownBefore: replica.keys) {
                guard !isShown else { throw error }
                try await enrolAgain()
                return try await hello(scopes, isShown: true)
            }
            standings = try await hello(scopes, describing: false)
        }
        let unknown = scopes.filter { standings[$0]?.unknown == true }
        if !unknown.isEmpty {
            standings.merge(try await hello(unknown, describing: true)) { _, new in new }
        }
        return standings
    }

    private func hello(
        _ scopes: [ScopeID], describing: Bool = false, vouching points: [ScopeID: [ChainPoint]] = [:]
    ) async throws(Failure) -> [ScopeID: ScopeStanding] {
        let replica = replica
        let (hellos, didPredictAlike) = try await read { db in
            let hellos = try scopes.map { scope in
                let link = try ScopeLink.load(db, scope)!
                let backlog = try Int.fetchOne(
                    db, sql: "SELECT coalesce(sum(length(bytes)), 0) FROM zz_outbox WHERE scope = ? AND last > ?",
                    arguments: [scope.key, link.received.rawValue])!
                var hello = ScopeHello(
                    scope: scope.description, lastSeq: link.sealed.rawValue, chain: link.chain.base64,
                    cursor: link.cursor.rawValue, backlog: backlog, school: nil)
                hello.vouched = points[scope]
                hello.epoch = link.epoch
                hello.received = link.received.rawValue
                hello.made = try KeptPage.newest(db, scope)
                return hello
            }
            return (hellos, try ParentPredictors.areOurs(db))
        }
        var described = hellos
        if describing {
            for (index, scope) in scopes.enumerated() {
                do { described[index].school = try replica.school(scope) } catch { throw storeFailure(error, path: "database") }
            }
        }
        let reply = try await client.hello(
            HelloRequest(scopes: described, clock: now() * 1000, catalogue: replica.catalogue.hash.base64))
        let predictsAlike = ParentPredictors.areOurs(reply, replica.catalogue)
        if predictsAlike != didPredictAlike { try await write { try ParentPredictors.note($0, areOurs: predictsAlike) } }
        var standings: [ScopeID: ScopeStanding] = [:]
        for standing in reply.scopes {
            guard let scope = ScopeID(standing.scope), scopes.contains(scope) else { continue }
            standings[scope] = standing
            standings[scope]!.epoch = reply.epoch
        }
        return standings
    }

    // MARK: push

    /// - Returns: whether anything was sent.
    private func push(_ scope: ScopeID, _ standing: ScopeStanding, report: inout SyncReport) async throws(Failure) -> Bool {
        let received = Seq(standing.received)
        let now = now()
        let replica = replica
        let sealed = try await write { db in
            guard var link = try ScopeLink.load(db, scope) else { return SealSummary() }
            if link.received != received {
                link.received = received
                try link.save(db)
            }
            try Incarnation.signAgain(db, replica.keys, scope, after: received, saying: standing.chain)
            return try replica.seal(db, scope: scope, now: now)
        }
        if sealed.segments > 0 { KillPoint.reach(replica.killPoints.sealed, in: replica.directory) }
        let link = try await read { try ScopeLink.load($0, scope)! }
        if link.sealed > received {
            // Seal durable, then the anchor, then send.
            try Anchor(site: replica.keys.site.description, seq: link.sealed.rawValue, chain: link.chain.base64)
                .save(replica.directory, scope)
        }
        var sent = false
        var after = received
        while let segment = try await nextSegment(scope, after: after) {
            // Only the first one can have broken off before; its place comes with the hello.
            let isBroken = after == received && standing.partLast == segment.last.rawValue
            let reply = try await client.putSegment(
                scope, replica.keys.site, segment.first, segment.last, bytes: segment.bytes,
                from: isBroken ? standing.partOffset ?? 0 : 0, cut: segment.cut, epoch: link.epoch)
            guard reply.received else {
                throw Failure(
                    .noConnection, "The hub holds only part of segment \(segment.first)-\(segment.last).",
                    next: "Nothing is lost; sync again.")
            }
            KillPoint.reach(replica.killPoints.sent, in: replica.directory)
            let last = segment.last
            try await write { db in
                var link = try ScopeLink.load(db, scope)!
                link.received = max(link.received, last)
                try link.save(db)
            }
            after = last
            sent = true
            report.pushedSegments += 1
            report.pushedRows += Int(segment.last.rawValue - segment.first.rawValue + 1)
            report.rawBytes += segment.rawBytes
        }
        return sent
    }

    private struct Outgoing: Sendable {
        let first: Seq
        let last: Seq
        let bytes: [UInt8]
        let rawBytes: Int
        let cut: Position?
    }

    private func nextSegment(_ scope: ScopeID, after: Seq) async throws(Failure) -> Outgoing? {
        try await read { db in
            try Row.fetchOne(
                db,
                sql: "SELECT first, last, bytes, raw_bytes, cut FROM zz_outbox WHERE scope = ? AND first > ? ORDER BY first LIMIT 1",
                arguments: [scope.key, after.rawValue]
            ).map {
                Outgoing(
                    first: Seq($0["first"]), last: Seq($0["last"]), bytes: Array($0["bytes"] as Data), rawBytes: $0["raw_bytes"],
                    cut: ($0["cut"] as Int64?).map { Position($0) })
            }
        }
    }

    /// Asks until everything pushed is merged or the time is over; the hub merges while it takes further uploads.
    private func merges(_ scopes: [ScopeID], wait: Double) async throws(Failure) -> [ScopeID: ScopeStanding] {
        let deadline = ContinuousClock.now + .seconds(wait)
        var pause = 0.02
        while true {
            let standings = try await hello(scopes, describing: false)
            let sealed = try await read { db in
                try Dictionary(uniqueKeysWithValues: scopes.map { ($0, try ScopeLink.load(db, $0)!.received.rawValue) })
            }
            let done = standings.allSatisfy { $0.value.merged >= sealed[$0.key] ?? 0 }
            if done || ContinuousClock.now >= deadline { return standings }
            try? await Task.sleep(for: .seconds(pause))
            pause = min(pause * 1.6, 0.5)
        }
    }

    // MARK: pull

    private func pull(_ scope: ScopeID, logEnd: Position, report: inout SyncReport) async throws(Failure) {
        let isPlain = try await read { try !ParentPredictors.areOurs($0) }
        var cursor = try await read { try ScopeLink.load($0, scope)!.cursor }
        while cursor < logEnd {
            guard let bytes = try await client.logPage(scope, after: cursor, bytesMax: Self.pageBytesMax, isPlain: isPlain) else { return }
            let (body, page, mark) = try openPage(bytes, scope: scope, after: cursor)
            let replica = replica
            let now = now()
            let summary = try await write { db in
                _ = try replica.seal(db, scope: scope, now: now)
                var link = try ScopeLink.load(db, scope)!
                guard page.logEnd.epoch == link.epoch else {
                    throw Failure(.busy, "The hub has begun a new epoch since it said hello.", next: "Nothing is lost; sync again.")
                }
                let merged = page.merged(of: replica.keys.site, known: link.merged)
                let summary = try replica.apply(db, scope: scope, body: body, page: page, merged: merged, now: now)
                link.cursor = page.upTo
                link.merged = merged.upTo
                try KeptPage.keep(db, scope, bytes, page, mark: mark, epoch: link.epoch)
                try Pending.settle(db, scope: scope, merged: merged, reachesEnd: page.upTo == page.logEnd)
                try link.save(db)
                KillPoint.reach(replica.killPoints.page, in: replica.directory)
                return summary
            }
            report.pages += 1
            report.pulledRows += summary.applied
            report.passedOver += summary.passedOver
            report.disputed += summary.disputed
            cursor = page.upTo
        }
    }

    private func openPage(
        _ bytes: [UInt8], scope: ScopeID, after: Position
    ) throws(Failure) -> (SegmentBody, LogPageInfo, mark: ContentHash) {
        do {
            let key = try Curve25519.Signing.PublicKey(rawRepresentation: hub.signing)
            let verified = try SegmentCodec.verify(bytes, key: key)
            let body = try SegmentCodec.decode(verified, predictors: replica.catalogue.predictors)
            guard verified.header.scope == scope, let page = body.page, page.after == after, page.upTo > after else {
                throw Failure(
                    .refusedByPeer, "The hub sent a log page that does not continue at \(after).",
                    next: "Sync again; tell the hub's operator if it stays.")
            }
            return (body, page, verified.header.previousHash)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .refusedByPeer, "The hub sent a log page that cannot be used: \(error)",
                next: "Nothing was applied; sync again, and tell the hub's operator if it stays.")
        }
    }

    // MARK: database

    func read<T: Sendable>(_ body: @Sendable @escaping (Database) throws -> T) async throws(Failure) -> T {
        do { return try await replica.database.read(body) } catch { throw storeFailure(error, path: replica.database.path) }
    }

    func note<T: Sendable>(_ body: @Sendable @escaping (Database) throws -> T) async throws(Failure) -> T {
        do { return try await replica.database.note(body) } catch { throw storeFailure(error, path: replica.database.path) }
    }

    func write<T: Sendable>(_ body: @Sendable @escaping (Database) throws -> T) async throws(Failure) -> T {
        do { return try await replica.database.write(body) } catch { throw storeFailure(error, path: replica.database.path) }
    }
}
