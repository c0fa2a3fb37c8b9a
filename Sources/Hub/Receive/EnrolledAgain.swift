// A site that this hub has enrolled and forgotten: it was put back from a backup of before the site joined.
//
// Two designs: the operator invites it again and `join` keeps all that the home holds (nothing new on the wire; but weeks of a school's
// work wait for two people, and a school that the copy has never heard of gets another scope by a new invite, under which its data cannot
// go on), or the hub signs at each enrolment what it has enrolled, the site keeps that and shows it when it is not known, and the hub
// believes its own signature. The second: it needs nobody, and the school comes back as the school that it was.
//
// What it opens: a site may come back that was revoked after it joined, where the backup is older than both: the hub that was put back
// knows neither, as it has forgotten the revocation of any site that it does know. `zzsync hub sites` names every one that came back so.
// A site of which the backup knows that it was revoked stays so. A statement alone is of no use: it is shown under the signature of the
// key that stands in it. Shown once more it changes nothing.

import Foundation
import GRDB
import Shared

extension HubService {
    /// - Parameter enrolment: signed by this hub; `keys` are those in it, and have signed the request.
    package func enrolAgain(_ enrolment: Enrolment, _ keys: PublicKeys) async throws {
        if let known = try await site(keys.site) {
            guard !known.isRevoked else { throw WireError(.unauthenticated, "site \(keys.site) was revoked") }
            return
        }
        // The statement tells that this hub was put back. Every copy without the site is of its epoch or an older one: a later one has
        // begun since. First, for once the site is known nobody need tell any more.
        try await home.refreshEpoch()
        if enrolment.epoch >= home.epoch { try home.startEpoch(above: enrolment.epoch) }
        let (incarnations, now) = (try home.inbox.incarnations(), now())
        try await home.database.write { db in
            let remarks = try Forgotten(enrolment, keys).enrol(db, now: now)
            try db.execute(
                sql: "UPDATE zz_site SET returned_at = ?, remark = ? WHERE site = ?",
                arguments: [now, remarks.isEmpty ? nil : remarks.joined(separator: "; "), keys.site.key])
            // Where the inbox was not put back it knows as whom the site went on.
            try Incarnations.enrolAgain(db, known: incarnations)
        }
    }
}

private struct Forgotten {
    let enrolment: Enrolment
    let keys: PublicKeys
    let scope: ScopeID?

    init(_ enrolment: Enrolment, _ keys: PublicKeys) throws {
        (self.enrolment, self.keys) = (enrolment, keys)
        scope = enrolment.scope.flatMap { ScopeID($0) }
        guard (scope == nil) == (enrolment.scope == nil), (scope == nil) == (enrolment.school == nil) else {
            throw WireError(.malformed, "the statement of enrolment names no usable school")
        }
    }

    /// - Returns: what the operator should know of it beyond that it came back.
    func enrol(_ db: Database, now: Int64) throws -> [String] {
        var remarks: [String] = []
        if let scope, let school = enrolment.school { remarks += try bringBack(db, scope, school) }
        remarks += try useInvite(db)
        try db.execute(
            sql: """
                INSERT INTO zz_site (site, scope, label, signing_key, agreement_key, enrolled_at) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (site) DO NOTHING
                """,
            arguments: [keys.site.key, scope?.key, enrolment.label, Data(keys.signing), Data(keys.agreement), enrolment.enrolledAt])
        return remarks
    }

    /// The school keeps its scope: its data know no other. If it was invited anew meanwhile, two scopes have its code; the other one's
    /// invites that nobody has used are withdrawn, so that what is parted does not grow.
    private func bringBack(_ db: Database, _ scope: ScopeID, _ school: SchoolInfo) throws -> [String] {
        try db.execute(
            sql: "INSERT OR IGNORE INTO zz_scope (scope, school) VALUES (?, ?)",
            arguments: [scope.key, String(decoding: WireJSON.encode(school), as: UTF8.self)])
        return try HubHome.scopes(db, school: school.code).filter { $0 != scope }.map { other in
            try db.execute(sql: "DELETE FROM zz_invite WHERE scope = ? AND used_by IS NULL", arguments: [other.key])
            return try HubHome.isInUse(db, other)
                ? "code \(school.code) was given to scope \(other) meanwhile, which is in use: two schools here have this code, call each by its scope"
                : "code \(school.code) had been given to scope \(other) meanwhile, which nobody uses: its invites are withdrawn"
        }
    }

    /// Its invite, which may be unused in the backup, works once.
    private func useInvite(_ db: Database) throws -> [String] {
        let hash = Data(base64Encoded: enrolment.invite)
        try db.execute(
            sql: "UPDATE zz_invite SET used_at = ?, used_by = ? WHERE token_hash = ? AND used_by IS NULL",
            arguments: [enrolment.enrolledAt, keys.site.key, hash])
        let user = try Int64.fetchOne(db, sql: "SELECT used_by FROM zz_invite WHERE token_hash = ?", arguments: [hash])
        return user == nil || user == keys.site.key ? [] : ["its invite was used by site \(SiteID(key: user!)) meanwhile"]
    }
}

// MARK: for the operator

/// A direct child, as `zzsync hub sites` lists it.
package struct SiteStatus: Codable, Sendable {
    package var site: String
    /// Its school's code; nil for a hub.
    package var school: String?
    package var scope: String?
    package var label: String
    /// Seconds since 1970, like the other times.
    package var enrolledAt: Int64
    /// When it was enrolled again by its own statement, and what was found then.
    package var returnedAt: Int64?
    package var remark: String?
    package var revokedAt: Int64?
    package var lastSeen: Int64?

    enum CodingKeys: String, CodingKey {
        case site, school, scope, label, remark
        case enrolledAt = "enrolled_at", returnedAt = "returned_at", revokedAt = "revoked_at", lastSeen = "last_seen"
    }
}

extension HubHome {
    package func sites() throws(Failure) -> [SiteStatus] {
        do {
            return try database.read { db in
                try Row.fetchAll(db, sql: "SELECT * FROM zz_site ORDER BY enrolled_at, site").map { row in
                    let scope = (row["scope"] as Int64?).map { ScopeID(key: $0) }
                    return SiteStatus(
                        site: SiteID(key: row["site"]).description, school: try scope.flatMap { try Self.school(db, $0)?.code },
                        scope: scope?.description, label: row["label"], enrolledAt: row["enrolled_at"], returnedAt: row["returned_at"],
                        remark: row["remark"], revokedAt: row["revoked_at"], lastSeen: row["last_seen"])
                }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }
}
