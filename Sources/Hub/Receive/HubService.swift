// What a hub answers, without HTTP: enrol, hello, uploads, log pages, receipts. The server carries bytes to and from here.

import Crypto
import Foundation
import GRDB
import Shared

/// A known direct child.
package struct KnownSite: Sendable {
    package var site: SiteID
    package var signingKey: [UInt8]
    /// The one scope of a node; nil for a hub.
    package var scope: ScopeID?
    package var isRevoked: Bool
    /// Seconds since 1970 of a hello from it, to the minute; nil before the first.
    package var lastSeen: Int64? = nil
}

package struct HubService: Sendable {
    package let home: HubHome
    package let worker: MergeWorker
    package let now: @Sendable () -> Int64

    package init(
        _ home: HubHome, worker: MergeWorker, now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) {
        self.home = home
        self.worker = worker
        self.now = now
    }

    package func site(_ id: SiteID) async throws -> KnownSite? {
        try await home.database.read { db in
            try Row.fetchOne(db.cachedStatement(sql: "SELECT * FROM zz_site WHERE site = ?"), arguments: [id.key]).map { row in
                KnownSite(
                    site: id, signingKey: Array(row["signing_key"] as Data),
                    scope: (row["scope"] as Int64?).map { ScopeID(key: $0) }, isRevoked: row["revoked_at"] as Int64? != nil,
                    lastSeen: row["last_seen"])
            }
        }
    }

    // MARK: enrol

    /// Uses an invite. The same site may repeat it: the answer is the same.
    package func enrol(_ request: EnrolRequest) async throws -> EnrolReply {
        guard let keys = PublicKeys(signingBase64: request.signingKey, agreementBase64: request.agreementKey) else {
            throw WireError(.malformed, "the enrolment holds no usable keys")
        }
        let hash = Data(SHA256.hash(data: Data(request.token.utf8)))
        let now = now()
        let (scope, school) = try await home.database.write { db -> (ScopeID?, SchoolInfo?) in
            guard let invite = try Row.fetchOne(db, sql: "SELECT * FROM zz_invite WHERE token_hash = ?", arguments: [hash]) else {
                throw WireError(.invite, "this invite is unknown here")
            }
            let usedBy = invite["used_by"] as Int64?
            guard usedBy == nil || usedBy == keys.site.key else {
                throw WireError(.invite, "this invite was used already; it works once")
            }
            guard usedBy != nil || invite["expires"] as Int64 > now else {
                throw WireError(.invite, "this invite has expired")
            }
            try db.execute(
                sql: "UPDATE zz_invite SET used_at = coalesce(used_at, ?), used_by = ? WHERE token_hash = ?",
                arguments: [now, keys.site.key, hash])
            try db.execute(
                sql: """
                    INSERT INTO zz_site (site, scope, label, signing_key, agreement_key, enrolled_at) VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT (site) DO NOTHING
                    """,
                arguments: [
                    keys.site.key, invite["scope"] as Int64?, String(request.label.prefix(200)), Data(keys.signing),
                    Data(keys.agreement), now,
                ])
            let scope = (invite["scope"] as Int64?).map { ScopeID(key: $0) }
            return (scope, try scope.flatMap { try HubHome.school(db, $0) })
        }
        try await home.refreshEpoch()
        let own = home.keys.publicKeys
        let enrolment = Enrolment(
            hub: own.site, epoch: home.epoch, keys: keys, label: String(request.label.prefix(200)), scope: scope, school: school, invite: hash,
            enrolledAt: now)
        return EnrolReply(
            hubSite: own.site.description, hubSigningKey: own.signingBase64, hubAgreementKey: own.agreementBase64,
            hubName: home.identity.name, epoch: home.epoch, scope: scope?.description, enrolment: enrolment.signed(by: home.keys))
    }

    // MARK: hello

    package func hello(_ request: HelloRequest, from site: KnownSite) async throws -> HelloReply {
        var standings: [ScopeStanding] = []
        for hello in request.scopes.prefix(1_000) {
            guard let scope = ScopeID(hello.scope) else { throw WireError(.malformed, "'\(hello.scope)' is no scope") }
            standings.append(try await standing(hello, scope, site))
        }
        let now = now()
        try await noteSeen(site, now)
        let catalogue = home.catalogue
        let isSame = request.catalogue == catalogue.hash.base64
        return HelloReply(
            scopes: standings, clock: now * 1000, epoch: home.epoch, catalogue: isSame ? nil : catalogue.hash.base64,
            decoding: isSame ? nil : catalogue.predictors.digest.base64)
    }

    /// A minute's precision is enough: a hello shall not wait for its turn behind a merge just to say when it came.
    private func noteSeen(_ site: KnownSite, _ now: Int64) async throws {
        guard abs(now - (site.lastSeen ?? 0)) >= 60 else { return }
        try await home.database.note {
            try $0.execute(sql: "UPDATE zz_site SET last_seen = ? WHERE site = ?", arguments: [now, site.site.key])
        }
    }

    private func standing(_ hello: ScopeHello, _ scope: ScopeID, _ site: KnownSite) async throws -> ScopeStanding {
        func refused(_ reason: String) -> ScopeStanding {
            ScopeStanding(scope: hello.scope, received: 0, merged: 0, logEnd: 0, refused: reason)
        }
        // The inbox first: what it holds may be merged already when the store is asked, never the other way.
        let (head, heard) = try home.inbox.standing(scope, site.site)
        var known = try await home.database.read { try Acquaintance($0, hello, scope, site) }
        if let reason = try await introduce(scope, hello.school, site, known.refusal) {
            return reason == "unknown"
                ? ScopeStanding(scope: hello.scope, received: 0, merged: 0, logEnd: 0, unknown: true)
                : refused(reason)
        }
        home.set(epoch: known.epoch)
        if let epoch = hello.epoch, epoch > home.epoch + Self.epochsAheadMax {
            return refused(
                "this site claims to know epoch \(epoch) of this hub, which is in epoch \(home.epoch): what its home says of this hub is damaged; put it back from its last copy, or start a new one")
        }
        if let vouched = hello.vouched { try home.inbox.vouch(scope, site.site, vouched.compactMap { ChainMark($0) }) }
        if try notePutBack(hello, known, held: head.last, scope, site) {
            known = try await home.database.read { try Acquaintance($0, hello, scope, site) }
        }
        if let newer = known.newer, Seq(hello.lastSeq) >= head.last { try await noteClone(site, newer, in: scope) }
        let part = home.inbox.part(scope, site.site, after: head.last)
        let isAsNamed = head.last.rawValue == hello.lastSeq && head.chain.base64 == hello.chain
        var standing = ScopeStanding(
            scope: hello.scope, received: head.last.rawValue, chain: isAsNamed ? nil : head.chain.base64,
            merged: known.merged.rawValue, logEnd: known.logEnd.rawValue)
        standing.partLast = part?.last.rawValue
        standing.partOffset = part?.offset
        standing.heard = heard.isEmpty ? nil : heard.map(\.point)
        return standing
    }

    /// What the store says of a child and its hello, in one look: most hellos find nothing new and shall cost no more.
    struct Acquaintance: Sendable {
        /// As `mayName` says it.
        let refusal: String?
        let epoch: Int
        /// The page that was made last for this child is of the log that is here.
        let survives: Bool
        /// An incarnation that was born after this one.
        let newer: SiteID?
        /// Those born before it, where a hub that was put back may still wait for a word on what they sent.
        let older: [SiteID]
        /// Of a scope that is not known here yet: nothing.
        let merged: Seq
        let logEnd: Position

        init(_ db: Database, _ hello: ScopeHello, _ scope: ScopeID, _ site: KnownSite) throws {
            refusal = try HubService.mayName(scope, site, db)
            epoch = Int(try Meta.integer(db, "epoch") ?? 1)
            survives = try hello.made.map { try LogMark.survives(db, scope, $0) } ?? true
            newer = try Incarnations.newer(db, than: site.site)
            older = epoch > 1 ? try Incarnations.older(db, than: site.site) : []
            let store = refusal == nil ? try SQLiteScopeStore(db, scope: scope) : nil
            merged = try store.map { try Incarnations.merged(db, $0, of: site.site) } ?? .none
            logEnd = store?.logEnd ?? .none
        }
    }

    /// Whether the child may speak for the scope; a child hub introduces its schools.
    ///
    /// - Parameter answer: what `mayName` said, by a reader: nearly every school is known, and the writer may be in the middle of a merge.
    /// - Returns: nil when it may, "unknown" when the school must be described first, else the reason why not.
    private func introduce(_ scope: ScopeID, _ school: SchoolInfo?, _ site: KnownSite, _ answer: String?) async throws -> String? {
        guard answer == "unknown", let school else { return answer }
        return try await home.database.write { db in
            let answer = try Self.mayName(scope, site, db)
            guard answer == "unknown" else { return answer }
            try db.execute(
                sql: "INSERT INTO zz_scope (scope, school, via) VALUES (?, ?, ?)",
                arguments: [scope.key, String(decoding: WireJSON.encode(school), as: UTF8.self), site.site.key])
            return nil
        }
    }

    private static func mayName(_ scope: ScopeID, _ site: KnownSite, _ db: Database) throws -> String? {
        let row = try Row.fetchOne(db.cachedStatement(sql: "SELECT via FROM zz_scope WHERE scope = ?"), arguments: [scope.key])
        if let own = site.scope {
            return own == scope && row != nil ? nil : "this site may speak for scope \(own) alone"
        }
        guard let row else { return "unknown" }
        return try comes(db, row["via"], through: site) ? nil : "this school comes through another hub"
    }

    /// - Throws: `WireError(.forbidden)` when the child may not speak for the scope.
    package func checkAccess(_ scope: ScopeID, _ site: KnownSite) async throws {
        if let own = site.scope {
            guard own == scope else { throw WireError(.forbidden, "this site may touch scope \(own) alone") }
        } else {
            let comes = try await home.database.read { db in
                try Self.comes(
                    db, Int64.fetchOne(db, sql: "SELECT via FROM zz_scope WHERE scope = ?", arguments: [scope.key]), through: site)
            }
            guard comes else { throw WireError(.forbidden, "scope \(scope) does not come through this hub") }
        }
    }

    /// Any incarnation of the hub that introduced a school speaks for it.
    private static func comes(_ db: Database, _ via: Int64?, through site: KnownSite) throws -> Bool {
        guard let via else { return false }
        return try via == site.site.key || Incarnations.family(db, SiteID(key: via)) == Incarnations.family(db, site.site)
    }

    // MARK: segments, log, receipt

    /// A whole upload lies in the spool: check it, store it durably, wake the worker.
    package func complete(
        _ part: String, scope: ScopeID, site: KnownSite, first: Seq, last: Seq, cut: Position?, epoch: Int
    ) async throws {
        guard let data = FileManager.default.contents(atPath: part) else {
            throw WireError(.internalError, "the upload is gone from the spool")
        }
        defer { try? FileManager.default.removeItem(atPath: part) }
        try await home.refreshEpoch()
        guard epoch == home.epoch else { throw Inbox.isOfAnotherEpoch(epoch, home.epoch) }
        try home.inbox.store(
            Array(data), scope: scope, site: site.site, first: first, last: last, key: site.signingKey, cut: cut, epoch: epoch, now: now())
        KillPoint.reach("push.stored", in: home.directory)
        await worker.wake()
    }

    /// - Returns: a signed page; nil when nothing is newer.
    ///
    /// - Parameter isPlain: the child has other predictors: nothing is predicted.
    package func logPage(_ scope: ScopeID, after: Position, bytesMax: Int, isPlain: Bool = false) async throws -> [UInt8]? {
        let home = home
        return try await home.database.read { db in
            let pager = LogPager(catalogue: try home.versions.wide(db), hub: home.keys.site, inbox: home.inbox)
            guard let body = try pager.page(db, scope: scope, after: after, bytesMax: min(max(bytesMax, 1 << 12), 2 << 20)) else {
                return nil
            }
            let page = body.page!
            try home.inbox.noteServed(scope, page.logEnd)
            return try SegmentCodec.seal(
                body: body, kind: .logPage, scope: scope, site: home.keys.site, firstSeq: Seq(page.after.rawValue),
                lastSeq: Seq(page.upTo.rawValue), cursor: page.upTo, epoch: page.logEnd.epoch,
                previousHash: try LogMark.at(db, scope, page.logEnd) ?? .none,
                catalogueHash: home.catalogue.hash, predictors: isPlain ? .none : home.catalogue.predictors, level: Sealer.level,
                signingKey: home.keys.signing
            ).bytes
        }
    }

    package func receipt(_ scope: ScopeID, site: KnownSite) async throws -> Receipt {
        let home = home
        let head = try home.inbox.head(scope, site.site)
        let now = now()
        return try await home.database.read { db in
            let store = try SQLiteScopeStore(db, scope: scope)
            let forwarded = try ScopeLink.load(db, scope)?.merged.rawValue
            var digests: [String: String] = [:]
            for form in try home.versions.wide(db).dataForms {
                digests[form.id] = try FormDigest.compute(db, form: form, scope: scope).digest
            }
            let merged = try Incarnations.merged(db, store, of: site.site)
            let quarantined = try QuarantinedSeqs(db, home.inbox, scope: scope, upTo: store.logEnd).ranges(of: site.site)
                .filter { $0.lowerBound <= merged }.map { [$0.lowerBound.rawValue, min($0.upperBound, merged).rawValue] }
            return Receipt(
                hub: home.identity.name, scope: scope.description, site: site.site.description,
                received: head.last.rawValue, merged: merged.rawValue, forwarded: forwarded,
                quarantined: quarantined.isEmpty ? nil : quarantined,
                digests: digests, position: store.logEnd.rawValue, clock: now * 1000)
        }
    }
}
