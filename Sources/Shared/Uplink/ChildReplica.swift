// What a sync needs of a child: a node, or a hub that has a parent.

import GRDB

package struct SealSummary: Sendable {
    package var rows = 0
    package var segments = 0
    package init() {}
    package init(rows: Int, segments: Int) {
        self.rows = rows
        self.segments = segments
    }
}

package struct PullSummary: Sendable {
    /// Changes taken over, and changes that the parent will judge first (rule 5).
    package var applied = 0
    package var passedOver = 0
    /// Changes whose cells are disputed above.
    package var disputed = 0
    package init() {}
}

/// Where a sync of this replica may be killed: sealed and not sent, held above and not noted, inside a page's transaction.
package struct UplinkKillPoints: Sendable {
    package let sealed: String
    package let sent: String
    package let page: String
    package init(sealed: String, sent: String, page: String) {
        self.sealed = sealed
        self.sent = sent
        self.page = page
    }
}

package protocol ChildReplica: Sendable {
    var database: DatabasePool { get }
    var catalogue: Catalogue { get }
    var versions: CatalogueVersions { get }
    var keys: SiteKeys { get }
    /// Its home, where the anchors lie.
    var directory: String { get }
    /// Where the keys of a new incarnation go.
    var keysPath: String { get }
    /// This replica, going on with other keys.
    func succeeded(by keys: SiteKeys) -> any ChildReplica
    var killPoints: UplinkKillPoints { get }
    /// The parent knows more of this replica than it does itself: a hub's children must learn of it too.
    func wasPutBack() throws(Failure)
    /// The school as the parent should show it.
    func school(_ scope: ScopeID) throws -> SchoolInfo?
    /// Whether a seal would have to look: something was written since the last one, or is held.
    func hasUnsealed(_ db: Database, scope: ScopeID) throws -> Bool
    /// Turns what was written into segments of the outbox; in the caller's write transaction.
    func seal(_ db: Database, scope: ScopeID, now: Int64) throws -> SealSummary
    /// The parent has lost its log beyond `cursor`: that a value was made over something there says nothing any more.
    func lowerBases(_ db: Database, scope: ScopeID, to cursor: Position) throws
    /// Applies a page of the parent's log; in the caller's write transaction, after `seal`.
    ///
    /// - Parameter merged: which of our seqs the parent had merged as of the page's end.
    func apply(
        _ db: Database, scope: ScopeID, body: SegmentBody, page: LogPageInfo, merged: MergedSeqs, now: Int64
    ) throws -> PullSummary
}
