// What lost logs of this hub had merged of its children, as pages that come back tell, and whether each child still has it.
//
// A replica that was put back numbers anew under its old site unless it is told in time. Mostly its parent holds what it has lost.
// Where the parent was put back too, only the pages of siblings remember: their `merged` speaks of a life of the site that is over,
// and would cover what the site numbers now.
//
// Two designs: every child goes on as a new site when its parent begins an epoch (nothing to carry, but what the lost log covered
// comes again under another name, and each restore of a province would ask again about all that its schools wrote in the lost time),
// or pages carry beside each site's seq eight bytes of its chain there, and the child is asked whether it has that point. The second:
// it costs eight bytes a site and page, and nothing in a hello while nothing was lost.
//
//     held here, or the child says that it has it    the seq is good: the page covers up to there what comes again
//     not asked yet                                  it covers nothing; hello names it; until it is answered nothing more is taken
//     another chain is held here                     it covers nothing, and nobody below counts as the writer of what comes back
//
// A child that has not got the point goes on as a new site, and shares with the old one what is held here.

import Foundation
import GRDB
import Shared

/// What is held here of a site, and may come, against what a lost log had merged of it.
enum SiteLife: Sendable {
    case same
    case another
    case unasked
}

extension Inbox {
    /// The chain at the end of a segment; 0 where none ended that is held.
    ///
    /// - Parameter line: the site and those that it inherits from, each with the first seq that is not its own.
    func chain(_ scope: ScopeID, _ line: [(site: SiteID, before: Seq)], at seq: Seq) throws -> UInt64 {
        try database.read { db in
            for member in line where seq < member.before {
                let row = try Row.fetchOne(
                    db.cachedStatement(sql: "SELECT last, chain FROM received WHERE scope = ? AND site = ? AND first <= ? ORDER BY first DESC LIMIT 1"),
                    arguments: [scope.key, member.site.key, seq.rawValue])
                if let row, row["last"] == seq.rawValue { return ContentHash(bytes: row["chain"] as Data)?.prefix ?? 0 }
            }
            return 0
        }
    }

    /// Durable when it returns: from now on nothing is taken of a site that has not answered.
    func hear(_ scope: ScopeID, _ marks: [SiteID: ChainMark]) throws {
        let sql = "SELECT EXISTS (SELECT 1 FROM heard WHERE scope = ? AND site = ? AND seq = ? AND chain = ?)"
        let new = try database.read { db in
            try marks.filter { site, mark in try mark.seq > .none && !Bool.fetchOne(db, sql: sql, arguments: Self.key(scope, site, mark))! }
        }
        guard !new.isEmpty else { return }
        try database.write { db in
            for (site, mark) in new {
                try db.execute(sql: "INSERT OR IGNORE INTO heard VALUES (?, ?, ?, ?, 0)", arguments: Self.key(scope, site, mark))
            }
        }
    }

    /// - Parameter giver: the child that hands the page back: it has what that says of itself.
    func life(_ scope: ScopeID, _ line: [(site: SiteID, before: Seq)], _ mark: ChainMark, giver: SiteID) throws -> SiteLife {
        let site = line[0].site
        let isHeld = try mark.chain != 0 && chain(scope, line, at: mark.seq) == mark.chain
        if !isHeld, try head(scope, site).last >= mark.seq { return .another }
        if isHeld || site == giver { try vouch(scope, site, [mark]) }
        let (isVouched, isWaiting) = try database.read { db in
            (
                try Self.vouched(db, scope, site).contains(mark),
                // Whoever sent that was not asked.
                try Bool.fetchOne(
                    db, sql: "SELECT EXISTS (SELECT 1 FROM received WHERE scope = ? AND site = ? AND state NOT IN ('merged', 'inherited'))",
                    arguments: [scope.key, site.key])!
            )
        }
        return isVouched ? .same : isWaiting ? .another : .unasked
    }

    /// Up to where a site's segments are held, and what was heard of it beyond.
    func standing(_ scope: ScopeID, _ site: SiteID) throws -> (head: ChainHead, heard: [ChainMark]) {
        try database.read { db in
            let head = try Self.head(db, scope, site)
            let heard = try Row.fetchAll(
                db.cachedStatement(sql: "SELECT seq, chain FROM heard WHERE scope = ? AND site = ? AND seq > ?"),
                arguments: [scope.key, site.key, head.last.rawValue])
            return (head, heard.map { ChainMark($0) })
        }
    }

    /// Whether a site has still to say that it has what was heard of it.
    static func isUnasked(_ db: Database, _ scope: ScopeID, _ site: SiteID, after held: Seq) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM heard WHERE scope = ? AND site = ? AND seq > ? AND vouched = 0)"),
            arguments: [scope.key, site.key, held.rawValue])!
    }

    func vouch(_ scope: ScopeID, _ site: SiteID, _ marks: [ChainMark]) throws {
        let known = try vouched(scope, site)
        guard !known.isSuperset(of: marks) else { return }
        try database.write { db in
            for mark in marks {
                try db.execute(
                    sql: "UPDATE heard SET vouched = 1 WHERE scope = ? AND site = ? AND seq = ? AND chain = ?", arguments: Self.key(scope, site, mark))
            }
        }
    }

    /// The points up to which what was taken back covers changes of a site.
    func vouched(_ scope: ScopeID, _ site: SiteID) throws -> Set<ChainMark> { try database.read { try Self.vouched($0, scope, site) } }

    private static func vouched(_ db: Database, _ scope: ScopeID, _ site: SiteID) throws -> Set<ChainMark> {
        let rows = try Row.fetchAll(
            db, sql: "SELECT seq, chain FROM heard WHERE scope = ? AND site = ? AND vouched = 1", arguments: [scope.key, site.key])
        return Set(rows.map { ChainMark($0) })
    }

    private static func key(_ scope: ScopeID, _ site: SiteID, _ mark: ChainMark) -> StatementArguments {
        [scope.key, site.key, mark.seq.rawValue, Int64(bitPattern: mark.chain)]
    }
}

extension ChainMark {
    fileprivate init(_ row: Row) { self.init(seq: Seq(row["seq"]), chain: UInt64(bitPattern: row["chain"])) }
}

extension HubService {
    /// Notes what a page that comes back says of this hub's children, merges what they have sent already, for that was sent unasked,
    /// and says of each whether it is still the one that the page knew.
    func lives(_ page: LogPageInfo, _ scope: ScopeID, from giver: SiteID) async throws -> [SiteID: SiteLife] {
        try home.inbox.hear(scope, page.merged)
        try await worker.drain(scope)
        let lines = try await home.database.read { db in
            try page.merged.keys.map { try Incarnations.line(db, scope: scope, of: $0, before: Seq(.max)) }
        }
        return try lines.reduce(into: [:]) { lives, line in
            let mark = page.merged[line[0].site]!
            if mark.seq > .none { lives[line[0].site] = try home.inbox.life(scope, line, mark, giver: giver) }
        }
    }
}
