// A hub that was put back from a backup: how it learns of it, and what it does first.
//
// It learns of it (1) from its inbox, where the database alone was put back: the inbox notes, durably and before anyone is told,
// up to where the log has been merged or shown, and holds what sites have sent that the database does not know; (2) from its
// children, where everything was put back: a child names its epoch, the page that was made last for it and what was acknowledged
// to it; (3) from its parent, which holds more of it than it has.
//
// Two designs for (2): compare positions (short, but a hub that was put back numbers on, and soon passes every child), or give
// each merge transaction a random mark that pages carry. The second: numbers come again, marks do not, so that a page is
// known to be of a lost log however late its child comes.
//
// Then it starts an epoch above every one that it has heard of, and is a new site towards its parent. Segments of the inbox that
// the database has lost wait until their child has told with which cursor they are to be judged.

import Crypto
import Foundation
import GRDB
import Shared

extension HubHome {
    /// - Parameter known: the highest epoch that someone else has heard of.
    package func startEpoch(above known: Int = 0) throws {
        let (merged, released, used) = try look { db in
            (
                try inbox.chains().map { ($0.scope, $0.site, try Incarnations.lastMerge(db, scope: $0.scope, of: $0.site).seq) },
                try inbox.mergedFromQuarantine().filter { try MergeWorker.mergedFromQuarantine(db, $0) == nil },
                max(Int(try Meta.integer(db, "epoch") ?? 1), Position(try Int64.fetchOne(db, sql: "SELECT max(log_end) FROM zz_scope") ?? 0).epoch)
            )
        }
        // The same copy may be put back twice: the inbox knows of the first time.
        let next = max(known, used, try inbox.epoch()) + 1
        // First, repeatable, and before anyone is told: what the database lost is not merged, and what is of an older epoch is not taken any more.
        try inbox.begin(next, after: merged)
        try inbox.releaseAgain(released)
        let incarnations = try inbox.incarnations()
        try database.write { db in
            // Two children may have told at once.
            guard try Meta.integer(db, "epoch") ?? 1 < next else { return }
            try Meta.set(db, "epoch", next)
            try Incarnation.notePutBack(db)
            try Incarnations.enrolAgain(db, known: incarnations)
            // Every log goes on in the new epoch, whoever writes next.
            for scope in try Int64.fetchAll(db, sql: "SELECT scope FROM zz_scope") {
                var store = try SQLiteScopeStore(db, scope: ScopeID(key: scope))
                try store.append(Extent(), upTo: Position(epoch: next, counter: 1))
            }
        }
        KillPoint.reach("epoch.commit", in: directory)
        set(epoch: next)
    }

    /// The parent, or what lies in this home, tells that it was put back: the children must learn of it.
    func notePutBackAbove() throws {
        let isKnown = try look { try Incarnation.isPutBack($0) }
        if !isKnown { try startEpoch() }
    }

    /// Whether the database knows less than what was merged or shown from it, or not even who has sent what lies in the inbox.
    ///
    /// The inbox is read first: it notes what the database has already, so that a server that merges between the two reads has only
    /// more in the database. The other way round every look at a busy hub took it for one that was put back.
    func isBehindInbox() throws -> Bool {
        let (served, chains, begun) = (try inbox.served(), try inbox.chains(), try inbox.epoch())
        KillPoint.reach("open.look", in: directory)
        let (ends, sites, epoch) = try look { db in
            (
                Dictionary(
                    uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT scope, log_end FROM zz_scope").map {
                        (ScopeID(key: $0["scope"]), Position($0["log_end"] as Int64))
                    }),
                Set(try Int64.fetchAll(db, sql: "SELECT site FROM zz_site").map { SiteID(key: $0) }),
                Int(try Meta.integer(db, "epoch") ?? 1)
            )
        }
        if begun > epoch { return true }
        // A school or a site that came after the copy is unknown altogether, until it comes again; an epoch that was begun since knows that.
        // Whoever sends is enrolled first: a site that is not, was, even where nothing of it has been merged or shown yet.
        func isForgotten(_ scope: ScopeID, _ site: SiteID) -> Bool { ends[scope] == nil || !sites.contains(site) }
        if try chains.contains(where: { try isForgotten($0.scope, $0.site) && inbox.hasUnasked($0.scope, $0.site) }) { return true }
        return served.contains { scope, position in ends[scope].map { position > $0 } ?? (position.epoch >= epoch) }
    }
}

/// The mark of the transaction at which a log ended: what a page carries in place of a chain.
enum LogMark {
    static func at(_ db: Database, _ scope: ScopeID, _ end: Position) throws -> ContentHash? {
        try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT mark FROM zz_extent WHERE scope = ? AND last = ?"), arguments: [scope.key, end.rawValue]
        ).map { mark in
            var writer = ByteWriter()
            writer.fixed(UInt64(bitPattern: mark))
            writer.fixed(UInt64(bitPattern: end.rawValue))
            return ContentHash(of: writer.bytes)
        }
    }

    static func survives(_ db: Database, _ scope: ScopeID, _ page: PageMark) throws -> Bool {
        try at(db, scope, Position(page.position))?.base64 == page.mark
    }
}

extension HubService {
    /// A child that knows of more than there is here shows that this hub was put back. One of an older epoch tells nothing new.
    ///
    /// - Returns: whether it did.
    func notePutBack(_ hello: ScopeHello, _ known: Acquaintance, held: Seq, _ scope: ScopeID, _ site: KnownSite) throws -> Bool {
        guard let epoch = hello.epoch, epoch > 0, epoch >= home.epoch else { return false }
        let received = Seq(hello.received ?? 0)
        let isLost = try epoch > home.epoch || !known.survives || received > held
            || hasForgotten(scope, [(site.site, received)] + known.older.map { ($0, Seq(.max)) })
        if isLost { try home.startEpoch(above: epoch) }
        return isLost
    }

    /// Epochs that a hub which was put back may have lost: it began one each time before. A child that names a later one does not know what it
    /// says, and to believe it would use up the epochs there are, for every school.
    static let epochsAheadMax = 1_000

    /// A child of this hub's own epoch has agreed in it on what it and its older incarnations had sent. If that waits for its word still, the
    /// copy that was put back is of the time between. No page may tell it: the child need not have had one since.
    private func hasForgotten(_ scope: ScopeID, _ agreed: [(site: SiteID, upTo: Seq)]) throws -> Bool {
        guard home.epoch > 1 else { return false }
        return try agreed.contains { try home.inbox.isReturning(scope, $0.site, upTo: $0.upTo) }
    }

    package func survivors(_ request: SurvivorsRequest, from site: KnownSite) async throws -> SurvivorsReply {
        let scope = try await own(request.scope, site)
        return try await home.database.read { db in
            SurvivorsReply(newest: try request.pages.firstIndex { try LogMark.survives(db, scope, $0) })
        }
    }

    /// A child hands back one of this hub's own pages: what it holds of a log that is lost here.
    package func takeBack(_ bytes: [UInt8], _ scope: ScopeID, survived: Position, from giver: SiteID) async throws {
        let body: SegmentBody
        let header: SegmentHeader
        do {
            let verified = try SegmentCodec.verify(bytes, key: home.keys.signing.publicKey)
            header = verified.header
            let predictors = try await self.home.database.read { [versions = self.home.versions] in try versions.predictors($0, for: verified.header) }
            body = try SegmentCodec.decode(verified, predictors: predictors)
        } catch {
            throw WireError(.badSegment, "this is no page that this hub has made: \(error)")
        }
        guard header.kind == .logPage, header.scope == scope, header.site == home.keys.site, var page = body.page else {
            throw WireError(.badSegment, "this is no page of scope \(scope) that this hub has made")
        }
        let lives = try await lives(page, scope, from: giver)
        // What lay in quarantine as of its end is not in the page: it must not be covered, nor what its site sealed later, for the later
        // word stands: taken as merged it would be passed over when it comes again, and the earlier one, which is not, would be the last.
        for site in page.quarantined.keys where page.merged[site] != nil {
            let before = page.merged(of: site).floor
            guard before < page.merged[site]!.seq else { continue }
            page.merged[site] = ChainMark(seq: before, chain: try home.inbox.chain(scope, [(site, Seq(.max))], at: before))
        }
        let (home, now, told) = (home, now(), page)
        try await home.database.write { db in
            let context = JudgeContext(hub: home.keys.site, now: now, policies: try home.policies(db, scope: scope, now: now))
            let catalogue = try home.versions.wide(db, for: body, make: HubSchema.makeForeign)
            var taker = TakeBack(
                try SQLiteScopeStore(db, scope: scope), catalogue, told, epoch: header.epoch, survived: survived, present: home.epoch,
                lives: lives, context: context)
            let asked = try WholeRowCases(db, scope)
            try taker.take(body)
            guard !taker.moved.isEmpty else { return }
            var store = taker.store
            _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: taker.moved)
            try asked.note(moved: taker.moved)
            try RuleCase.open(db, home.rules, taker.apart, store: &store)
            try PolicyJournal.write(db, home, taker.rulings, store: &store)
            try ClaimKeeper(home: home).update(db, scope: scope)
        }
        KillPoint.reach("return.commit", in: home.directory)
    }

    package func agree(_ request: AgreedRequest, from site: KnownSite) async throws -> AgreedReply {
        let scope = try await own(request.scope, site)
        try await home.refreshEpoch()
        guard (0..<Int64.max).contains(request.sealed), request.base >= 0 else {
            throw WireError(.malformed, "no child has sealed \(request.sealed) changes, having seen a log up to \(request.base)")
        }
        guard request.epoch == home.epoch else {
            throw WireError(.busy, "this hub has begun epoch \(home.epoch) meanwhile; say hello again")
        }
        let (line, older) = try await home.database.read { db in
            (
                try Incarnations.line(db, scope: scope, of: site.site, before: Seq(request.sealed).advanced(by: 1)),
                try Incarnations.older(db, than: site.site)
            )
        }
        for (member, before) in line { try home.inbox.agree(scope, member, before: before, base: Position(request.base)) }
        // What an older incarnation sent beyond the copy: nobody will come and tell what its authors had seen.
        for site in older { try home.inbox.agree(scope, site, before: Seq(.max), base: .none) }
        await worker.wake()
        let (home, received) = (home, try home.inbox.head(scope, site.site).last)
        return try await home.database.read { db in
            let store = try SQLiteScopeStore(db, scope: scope)
            return AgreedReply(
                received: received.rawValue, merged: try Incarnations.merged(db, store, of: site.site).rawValue,
                quarantined: try QuarantinedSeqs(db, home.inbox, scope: scope, upTo: Position(request.base)).ranges(of: site.site))
        }
    }

    private func own(_ text: String, _ site: KnownSite) async throws -> ScopeID {
        guard let scope = ScopeID(text) else { throw WireError(.malformed, "'\(text)' is no scope") }
        try await checkAccess(scope, site)
        return scope
    }
}
