// A child that was put back from a copy goes on as a new site. What its parent incarnation had written up to the point that
// both share counts as its own (rule 2), and is merged as far as that one's is; beyond it they are two sites.

import Foundation
import GRDB
import Shared

enum Incarnations {
    /// The incarnation before this one, and up to which position what that one wrote counts as this one's.
    static func parent(_ db: Database, scope: ScopeID, of site: SiteID) throws -> (site: SiteID, limit: Position)? {
        guard let (parent, seq) = try inherited(db, scope, site) else { return nil }
        return (parent, try lastMerge(db, scope: scope, of: parent, seqMax: seq).at)
    }

    /// The newest of a site's changes that was merged, those inherited included, and the end of that transaction.
    static func lastMerge(
        _ db: Database, scope: ScopeID, of site: SiteID, seqMax: Seq = Seq(.max), upTo: Position = Position(.max)
    ) throws -> (seq: Seq, at: Position) {
        let own = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT max(last_seq) AS seq, max(last) AS at FROM zz_extent INDEXED BY zz_extent_site
                    WHERE scope = ? AND site = ? AND last_seq <= ? AND last <= ?
                    """),
            arguments: [scope.key, site.key, seqMax.rawValue, upTo.rawValue])
        let (seq, at) = (Seq(own?["seq"] as Int64? ?? 0), Position(own?["at"] as Int64? ?? 0))
        // A segment that came out of quarantine is in no extent of its own: those behind it were merged before.
        if seq < seqMax, try isMerged(db, scope, site, beyond: seqMax, upTo: upTo) { return (seqMax, at) }
        if seq > .none { return (seq, at) }
        guard let (parent, seq) = try inherited(db, scope, site) else { return (.none, .none) }
        return try lastMerge(db, scope: scope, of: parent, seqMax: min(seq, seqMax), upTo: upTo)
    }

    private static func isMerged(_ db: Database, _ scope: ScopeID, _ site: SiteID, beyond seq: Seq, upTo: Position) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(
                sql: "SELECT EXISTS (SELECT 1 FROM zz_extent INDEXED BY zz_extent_site WHERE scope = ? AND site = ? AND last_seq > ? AND last <= ?)"),
            arguments: [scope.key, site.key, seq.rawValue, upTo.rawValue])!
    }

    /// Up to which of its seqs a site is merged, those inherited included.
    static func merged(_ db: Database, _ store: SQLiteScopeStore, of site: SiteID) throws -> Seq {
        let own = try store.merged(of: site)
        return own > .none ? own : try lastMerge(db, scope: store.scope, of: site).seq
    }

    /// The incarnations in a scope, each with its parent and the last seq that the two share.
    static func all(_ db: Database, scope: ScopeID) throws -> [SiteID] {
        try Int64.fetchAll(db.cachedStatement(sql: "SELECT site FROM zz_inherited WHERE scope = ?"), arguments: [scope.key])
            .map { SiteID(key: $0) }
    }

    /// The site and those that it inherits from, each with the first seq that is not its own.
    static func line(_ db: Database, scope: ScopeID, of site: SiteID, before first: Seq) throws -> [(site: SiteID, before: Seq)] {
        var line = [(site: site, before: first)]
        while let (parent, seq) = try inherited(db, scope, line.last!.site) {
            line.append((parent, min(seq.advanced(by: 1), line.last!.before)))
        }
        return line
    }

    private static func inherited(_ db: Database, _ scope: ScopeID, _ site: SiteID) throws -> (parent: SiteID, seq: Seq)? {
        try Row.fetchOne(
            db.cachedStatement(sql: "SELECT parent, seq FROM zz_inherited WHERE scope = ? AND site = ?"),
            arguments: [scope.key, site.key]
        ).map { (SiteID(key: $0["parent"]), Seq($0["seq"])) }
    }

    /// The first incarnation of a replica; a site without a family is its own.
    static func family(_ db: Database, _ site: SiteID) throws -> SiteID {
        try Int64.fetchOne(db, sql: "SELECT family FROM zz_family WHERE site = ?", arguments: [site.key]).map { SiteID(key: $0) } ?? site
    }

    /// The newest incarnation born after this one; nil when it is the last of its replica.
    static func newer(_ db: Database, than site: SiteID) throws -> SiteID? {
        try Int64.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT later.site FROM zz_family AS me JOIN zz_family AS later ON later.family = me.family AND later.born > me.born
                    WHERE me.site = ? ORDER BY later.born DESC LIMIT 1
                    """), arguments: [site.key]
        ).map { SiteID(key: $0) }
    }

    /// The incarnations born before this one.
    static func older(_ db: Database, than site: SiteID) throws -> [SiteID] {
        try Int64.fetchAll(
            db,
            sql: """
                SELECT older.site FROM zz_family AS me JOIN zz_family AS older ON older.family = me.family AND older.born < me.born
                WHERE me.site = ?
                """, arguments: [site.key]
        ).map { SiteID(key: $0) }
    }

    /// Enrols a new incarnation beside the one that asks, with the same school and label.
    fileprivate static func enrol(
        _ db: Database, _ keys: PublicKeys, asked signer: SiteID, parent: SiteID, now: Int64
    ) throws {
        let family = try family(db, signer)
        guard try self.family(db, parent) == family else {
            throw WireError(.forbidden, "site \(parent) is no incarnation of the replica that asks")
        }
        let known = try Int64.fetchOne(db, sql: "SELECT site FROM zz_site WHERE site = ?", arguments: [keys.site.key])
        if known != nil {
            guard try self.family(db, keys.site) == family else { throw WireError(.forbidden, "site \(keys.site) is another replica's") }
            return
        }
        try db.execute(
            sql: """
                INSERT INTO zz_site (site, scope, label, signing_key, agreement_key, enrolled_at)
                SELECT ?, scope, label, ?, ?, ? FROM zz_site WHERE site = ?
                """,
            arguments: [keys.site.key, Data(keys.signing), Data(keys.agreement), now, signer.key])
        try db.execute(sql: "INSERT OR IGNORE INTO zz_family VALUES (?1, ?1, NULL, 0)", arguments: [family.key])
        try db.execute(
            sql: "INSERT INTO zz_family SELECT ?, ?2, ?, max(born) + 1 FROM zz_family WHERE family = ?2",
            arguments: [keys.site.key, family.key, parent.key])
    }

    /// What this hub, whose database was put back, knew of incarnations stands in its inbox.
    static func enrolAgain(_ db: Database, known: [KnownIncarnation]) throws {
        for one in known {
            let isKnown = try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM zz_site WHERE site = ?)", arguments: [one.asked.key])!
            // Its replica was enrolled after the copy: it has to show its statement first.
            guard isKnown, try family(db, one.parent) == family(db, one.asked) else { continue }
            try enrol(db, one.keys, asked: one.asked, parent: one.parent, now: try ReplicaDatabase.now(db))
            for (scope, head) in one.points { _ = try record(db, scope, one.keys.site, parent: one.parent, head) }
        }
    }

    /// - Returns: what was recorded first: a copy of the same home may have spoken between two tries.
    fileprivate static func record(
        _ db: Database, _ scope: ScopeID, _ site: SiteID, parent: SiteID, _ head: ChainHead
    ) throws -> ChainHead {
        try db.execute(
            sql: "INSERT OR IGNORE INTO zz_inherited VALUES (?, ?, ?, ?, ?)",
            arguments: [scope.key, site.key, parent.key, head.last.rawValue, Data(head.chain.bytes)])
        let row = try Row.fetchOne(
            db, sql: "SELECT seq, chain FROM zz_inherited WHERE scope = ? AND site = ?", arguments: [scope.key, site.key])!
        return ChainHead(last: Seq(row["seq"]), chain: ContentHash(bytes: row["chain"] as Data) ?? .none)
    }
}

extension HubService {
    /// A child names the keys that it goes on with. Any repeat with the same keys is answered the same.
    package func incarnate(_ request: IncarnationRequest, from signer: KnownSite) async throws -> IncarnationReply {
        guard let keys = PublicKeys(signingBase64: request.signingKey, agreementBase64: request.agreementKey),
            let named = SiteID(request.predecessor), let proof = Data(base64Encoded: request.proof),
            PublicKeys.isSignature(
                [UInt8](proof), of: IncarnationRequest.provenBytes(predecessor: request.predecessor), by: keys.signing)
        else { throw WireError(.malformed, "the incarnation holds no usable keys, or is not signed with the new one") }
        let now = now()
        // A hub that was put back may know the one that signs, but not the later incarnation that it names: of that nothing is here.
        let parent = try await site(named) == nil ? signer.site : named
        try await home.database.write { try Incarnations.enrol($0, keys, asked: signer.site, parent: parent, now: now) }
        try home.inbox.note(KnownIncarnation(keys: keys, parent: parent, asked: signer.site))
        var answered: [IncarnationReply.Scope] = []
        for asked in request.scopes.prefix(1_000) {
            guard let scope = ScopeID(asked.scope) else { throw WireError(.malformed, "'\(asked.scope)' is no scope") }
            let heads = asked.heads.prefix(100).compactMap { head in
                Data(base64Encoded: head.chain).flatMap { ContentHash(bytes: $0) }.map { (Seq(head.seq), $0) }
            }
            // A school that was never introduced here shares nothing.
            guard try await isKnown(scope) else {
                answered.append(IncarnationReply.Scope(scope: asked.scope, seq: 0, chain: ContentHash.none.base64))
                continue
            }
            try await checkAccess(scope, signer)
            let found = try home.inbox.shared(scope, parent, heads)
            let head = try await home.database.write { try Incarnations.record($0, scope, keys.site, parent: parent, found) }
            try home.inbox.inherit(scope, keys.site, head, now: now)
            answered.append(IncarnationReply.Scope(scope: asked.scope, seq: head.last.rawValue, chain: head.chain.base64))
        }
        return IncarnationReply(scopes: answered)
    }

    private func isKnown(_ scope: ScopeID) async throws -> Bool {
        try await home.database.read {
            try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM zz_scope WHERE scope = ?)", arguments: [scope.key])!
        }
    }
}
