// Invites that a hub's operator writes: one file, one use, an end date. The file carries the secret; the hub keeps its hash.

import Crypto
import Foundation
import GRDB
import Shared

package struct Invitations {
    package let home: HubHome
    package init(_ home: HubHome) { self.home = home }
    /// Days that an invite is good for: a letter to a mountain school takes its time.
    package static let validDays = 30

    /// More is a slip of the hand.
    private static let validDaysMax = 3_650

    /// Invites a school: the first invite of a code gives the school its scope, later ones join the same.
    ///
    /// - Parameter wanted: the scope that a home of the school has already, where this hub was put back from a backup that may not know it.
    package func school(
        _ school: SchoolInfo, scope wanted: ScopeID? = nil, address: HubAddress, pin: String?, insecure: Bool, days: Int = Self.validDays
    ) throws(Failure) -> Invite {
        let schoolTypes = home.catalogue.codeSets["school_type"]
        guard schoolTypes?.name(of: school.type) != nil else {
            throw Failure(
                .usage, "'\(school.type)' is no type of school.",
                next: "Use one of \(schoolTypes?.entries.map(\.code).joined(separator: ", ") ?? "").")
        }
        guard school.code.utf8.count == 10, school.code.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
            throw Failure(
                .usage, "'\(school.code)' is no school code.", next: "A school code (学校标识码) has 10 digits.")
        }
        return try write { db in
            let scope = try wanted ?? HubHome.scope(db, school: school.code) ?? ScopeID(UInt64.random(in: 1...UInt64(Int64.max)))
            try db.execute(
                sql: "INSERT OR IGNORE INTO zz_scope (scope, school) VALUES (?, ?)",
                arguments: [scope.key, String(decoding: WireJSON.encode(school), as: UTF8.self)])
            guard try HubHome.school(db, scope)?.code == school.code else {
                throw Failure(
                    .refused, "Scope \(scope) is another school's here.",
                    next: "Compare `zzsync hub sites` with `zzsync status --json` at the school.")
            }
            return try record(
                db, .school(school, scope: scope), scope: scope, label: "\(school.code) \(school.name)", address: address,
                pin: pin, insecure: insecure, days: days)
        }
    }

    /// Invites a hub below this one.
    package func hub(
        _ child: Invite.ChildHub, address: HubAddress, pin: String?, insecure: Bool, days: Int = Self.validDays
    ) throws(Failure) -> Invite {
        try write { db in
            try record(
                db, .hub(child), scope: nil, label: "\(child.code) \(child.name)", address: address, pin: pin,
                insecure: insecure, days: days)
        }
    }

    private func record(
        _ db: Database, _ guest: Invite.Guest, scope: ScopeID?, label: String, address: HubAddress, pin: String?,
        insecure: Bool, days: Int
    ) throws -> Invite {
        guard 0...Self.validDaysMax ~= days else {
            throw Failure(
                .usage, "An invite cannot be good for \(days) days.", next: "Give --days 0 to \(Self.validDaysMax); 0 expires at once.")
        }
        let invite = Invite(
            address: address, hub: home.keys.publicKeys, certificatePin: pin, allowsInsecureHTTP: insecure, guest: guest,
            expires: try ReplicaDatabase.now(db) + Int64(days) * 86_400)
        try db.execute(
            sql: "INSERT INTO zz_invite (token_hash, scope, label, expires) VALUES (?, ?, ?, ?)",
            arguments: [Data(SHA256.hash(data: Data(invite.token.utf8))), scope?.key, label, invite.expires])
        return invite
    }

    private func write<T>(_ body: (Database) throws -> T) throws(Failure) -> T {
        do { return try home.database.write(body) } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }
}
