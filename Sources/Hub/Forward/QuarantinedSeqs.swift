// Which of its children's seqs this hub had not merged as of a position of its log because they lay in quarantine. Whose segment is
// released later than that lies in quarantine still.
//
// The inbox knows which segments were ever there, the log when each was merged. The log's snapshot must be taken first: what the inbox
// tells of a later moment only adds segments, and the log says of each whether it had it.

import GRDB
import Shared

struct QuarantinedSeqs {
    private let db: Database
    private let scope: ScopeID
    private let segments: [SiteID: [ClosedRange<Seq>]]

    /// - Parameter db: has been read from in this transaction.
    init(_ db: Database, _ inbox: Inbox, scope: ScopeID, upTo: Position) throws {
        self.db = db
        self.scope = scope
        let waiting = try inbox.everQuarantined(scope).filter { try !Self.isMerged(db, scope, $0.site, $0.seqs.upperBound, upTo: upTo) }
        segments = Dictionary(grouping: waiting, by: \.site).mapValues { $0.map(\.seqs) }
    }

    private static func isMerged(_ db: Database, _ scope: ScopeID, _ site: SiteID, _ last: Seq, upTo: Position) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM zz_released WHERE scope = ?1 AND site = ?2 AND last_seq = ?3 AND last <= ?4)
                      OR EXISTS (SELECT 1 FROM zz_extent INDEXED BY zz_extent_site WHERE scope = ?1 AND site = ?2 AND last_seq = ?3 AND last <= ?4)
                    """),
            arguments: [scope.key, site.key, last.rawValue, upTo.rawValue])!
    }

    /// Of a site, with what it inherits; ascending.
    func ranges(of site: SiteID) throws -> [ClosedRange<Seq>] {
        if segments.isEmpty { return [] }
        let line = try Incarnations.line(db, scope: scope, of: site, before: Seq(.max))
        return MergedSeqs.joined(line.flatMap { member in segments[member.site, default: []].filter { $0.lowerBound < member.before } })
    }

    /// Of these sites and of all that have some.
    func ranges(ofAllAnd sites: some Collection<SiteID>) throws -> [SiteID: [ClosedRange<Seq>]] {
        try Set(segments.keys).union(sites).reduce(into: [:]) { ranges, site in
            let own = try self.ranges(of: site)
            if !own.isEmpty { ranges[site] = own }
        }
    }
}
