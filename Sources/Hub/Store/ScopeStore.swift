// What merge, pull, decisions and forwarding need of a store: narrow, and in sets, so that another database can stand
// behind it. One value serves one transaction on one scope.

import Shared

/// What one merge transaction adds to the log.
struct Extent {
    /// The child whose segment was merged, and up to which seq; nil for decisions and pulls.
    var merged: (site: SiteID, lastSeq: Seq)?
    /// The child whose segment was merged after later ones, and its last seq: that was in quarantine.
    var released: (site: SiteID, lastSeq: Seq)?
    var rows: [(form: FormNumber, row: RowID)] = []
}

/// Cells of a row that still have to go up.
struct HeldCells: Hashable {
    var fields = FieldMask()
    var life = false
    var isEmpty: Bool { fields.isEmpty && !life }

    static func | (l: Self, r: Self) -> Self { Self(fields: l.fields | r.fields, life: l.life || r.life) }
    static func & (l: Self, r: Self) -> Self { Self(fields: l.fields & r.fields, life: l.life && r.life) }
    func without(_ other: Self) -> Self { Self(fields: FieldMask(fields.bits & ~other.fields.bits), life: life && !other.life) }
}

/// A cell of a lost log that was taken back.
struct TakenCell: Hashable {
    /// Where the lost log had it.
    let was: Position
    /// Where it was written here for that; `.none` where nothing was.
    let at: Position
    let isDisputed: Bool
}

/// What a child wrote that stood here already, by this hub's own decision, which the child had not seen.
struct SameWord: Hashable {
    let form: FormNumber
    let row: RowID
    /// The group's number; 0 for the row's life.
    let group: Int
    /// Where the hub's word was written.
    let written: Position
    let by: Provenance
}

enum Decider { case person, policy }

/// Beside the groups of a row (by number; 0 its life), what may be covered of it.
enum CoverNumber {
    /// Every group, by a delete: a page tells none of a dead row's values, and nobody but those who wrote them has them any more.
    static let byDelete = -1
}

protocol ScopeStore {
    var scope: ScopeID { get }
    /// The newest position of the scope's log.
    var logEnd: Position { get }

    /// Inserts rows that nobody has heard of, as they came.
    ///
    /// - Parameter at: the position of the first; each further one takes the next.
    /// - Returns: indices of changes whose row exists already; they were not written.
    mutating func insertFresh(
        _ form: Form, _ changes: FormChanges, indices: [Int], by: [Provenance], at: (Int) -> Position
    ) throws -> [Int]
    /// Rows with metadata, values and open cases; rows nobody has heard of are left out.
    mutating func load(_ form: Form, _ rows: [RowID]) throws -> [RowID: MergeRow]
    /// Writes rows, their history and their cases.
    mutating func save(_ rows: [MergeRow]) throws
    /// Ends the transaction's part of the log.
    mutating func append(_ extent: Extent, upTo: Position) throws

    func merged(of site: SiteID) throws -> Seq
    /// Up to which of a child's changes pages of a lost log, taken back, cover the row's groups (by number; 0 its life; `CoverNumber`).
    func covered(_ form: Form, _ row: RowID, by site: SiteID) throws -> [Int: ChainMark]
    /// The child whose merge has this position in its transaction, and up to which seq; nil where no child's has.
    func merge(at position: Position) throws -> (site: SiteID, upTo: Seq)?
    /// What was taken back of a row from logs of an epoch that are lost, by group number (0 its life).
    func taken(_ form: Form, _ row: RowID, epoch: Int) throws -> [Int: [TakenCell]]
    /// Who decided here what was written to a row at a position; nil where it is no decision.
    func decided(_ form: Form, _ row: RowID, at position: Position) throws -> Decider?
    /// Whether a person here has said after a position that the row and another of its key are two, and it holds.
    func isDistinct(_ form: Form, _ row: RowID, after position: Position) throws -> Bool
    mutating func note(_ cell: TakenCell, _ form: Form, _ row: RowID, group: Int, epoch: Int) throws
    /// A page that was taken back covers these groups of a row up to a point of a child's chain.
    mutating func cover(_ form: Form, _ row: RowID, groups: [Int], by site: SiteID, upTo mark: ChainMark) throws
    /// The last seq of the child's segment whose merge has this position in its transaction, be it one that was released from
    /// quarantine; nil where none of its has.
    func mergedSeq(of site: SiteID, at position: Position) throws -> Seq?
    /// A child's word that is this hub's own, typed without having seen it: to take the hub's back would take that too.
    mutating func note(_ same: SameWord) throws
    mutating func count(_ counts: CellCounts, sent: Int, of site: SiteID, upTo: Seq) throws
    /// Stores what the rules say of these rows, instead of what they said before.
    mutating func replaceFindings(_ form: Form, rows: [RowID], with findings: [Finding]) throws
}
