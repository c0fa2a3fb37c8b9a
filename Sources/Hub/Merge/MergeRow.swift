// The state of one row at a hub, as the merge sees it: values, where each cell stands, open cases. No database, no clock,
// no network: loaded and saved by the store, judged by `Judge`.

import Shared

/// Who brought a value to this hub and who typed it.
package struct Provenance: Hashable, Sendable {
    /// The direct neighbour that it came from.
    package enum Writer: Hashable, Sendable {
        /// Written here: a decision, a policy, an operator.
        case hub
        case parent
        case child(SiteID)
    }
    package var writer: Writer
    package var stamp: Stamp
    /// Where the claimed time lies ahead of the clock of the hub that received it: the time that orders it here.
    package var clamped: Int64?
    package init(writer: Writer, stamp: Stamp, clamped: Int64? = nil) {
        self.writer = writer
        self.stamp = stamp
        self.clamped = clamped
    }

    /// As received now. The claimed time is clamped here, once: clamped when it is judged, a clock years ahead would stay
    /// ahead of everybody for years.
    init(writer: Writer, stamp: Stamp, receivedAt now: Int64) {
        let latest = now + Self.clockAheadMax
        self.init(writer: writer, stamp: stamp, clamped: stamp.time > latest ? latest : nil)
    }
    /// How far ahead of the hub's clock a claimed time still counts, in seconds.
    private static let clockAheadMax: Int64 = 5 * 60

    /// Seconds since 1970, for `newest`.
    var ordering: Int64 { clamped ?? stamp.time }

    /// A strict order without a preference: it only has to be the same whatever arrived first.
    func precedes(_ other: Provenance) -> Bool {
        if stamp.origin != other.stamp.origin { return stamp.origin < other.stamp.origin }
        if stamp.time != other.stamp.time { return stamp.time < other.stamp.time }
        if stamp.author != other.stamp.author { return stamp.author.utf8.lexicographicallyPrecedes(other.stamp.author.utf8) }
        return writer.rank < other.writer.rank
    }
}

extension Provenance.Writer {
    fileprivate var rank: (Int, UInt64) {
        switch self {
        case .parent: (0, 0)
        case .hub: (1, 0)
        case .child(let site): (2, site.rawValue)
        }
    }
}

/// One group of one row, or its life.
package struct Cell: Hashable, Sendable {
    /// Where it was written; rule 2 judges by it. `.none` = never.
    package var written: Position
    /// Where the log shows it last.
    package var shown: Position
    package var by: Provenance
    /// The newest writing at the parent that this value was made over: what the parent wrote up to here is no news.
    package var base: Position = .none
    /// The parent told it as disputed there, or above it: this value says nothing of those that it hides.
    package var disputedAbove = false
    package init(written: Position, shown: Position, by: Provenance) {
        self.written = written
        self.shown = shown
        self.by = by
    }
    package var isWritten: Bool { written != .none }
}

/// One of the values that an operator chooses from.
package struct Candidate: Hashable, Sendable {
    package var by: Provenance
    /// The values of the group's fields, in the group's order; empty for a candidate about the row's life.
    package var values: [Value]
    /// For a case of the whole row: what it says about the life.
    package var life: Life
    /// What its author had seen.
    package var cursor: Position
    package init(by: Provenance, values: [Value], life: Life, cursor: Position) {
        self.by = by
        self.values = values
        self.life = life
        self.cursor = cursor
    }

    /// Equal as an answer, whoever gives it.
    func says(_ other: Candidate) -> Bool { values == other.values && life == other.life }
}

/// An open question about one group, or about a row's life.
package struct OpenCase: Hashable, Sendable {
    /// The store's number; nil until it is saved.
    package var number: Int64?
    /// In order of arrival; only grows while the case is open.
    package var candidates: [Candidate]
    package init(number: Int64?, candidates: [Candidate]) {
        self.number = number
        self.candidates = candidates
    }

    /// Adds a candidate; one that says what the same writer said before replaces it (it moves to the end).
    mutating func join(_ candidate: Candidate) {
        candidates.removeAll { $0.by.writer == candidate.by.writer && $0.says(candidate) }
        candidates.append(candidate)
    }

    /// What a case shows while it is open: a pure function of each writer's newest candidate, never of the order of
    /// arrival: the smallest by value, then by who typed it, then by the way it came (what the parent has need not go up).
    var shown: Candidate {
        var newest: [Provenance.Writer: Candidate] = [:]
        for candidate in candidates { newest[candidate.by.writer] = candidate }
        return newest.values.min { a, b in
            for (x, y) in zip(a.values, b.values) where x != y { return x.precedes(y) }
            return a.by.precedes(b.by)
        }!
    }
}

/// A value that was overwritten, for the history.
package struct Overwritten: Hashable, Sendable {
    /// The group's number; 0 for the row's life.
    package let group: Int
    package let values: [Value]
    package let life: Life
    package let cell: Cell
}

/// How the cells of a change ended. Sent = merged + equal + disputed + overtaken (+ quarantined, counted elsewhere).
package struct CellCounts: Hashable, Sendable {
    package var merged = 0
    package var equal = 0
    package var disputed = 0
    /// Decided against the change by a policy, with a decision of its own.
    package var overtaken = 0
    package init() {}
    package static func += (l: inout Self, r: Self) {
        l.merged += r.merged
        l.equal += r.equal
        l.disputed += r.disputed
        l.overtaken += r.overtaken
    }
    package var sent: Int { merged + equal + disputed + overtaken }
}

/// A form in one piece of memory. It has a score of members with storage of their own: a row that carried it as it is would retain each of
/// them whenever the row is copied (measured: a quarter of what an edit costs the merge).
package final class SharedForm: Sendable {
    package let form: Form
    package init(_ form: Form) { self.form = form }
}

package struct MergeRow: Sendable {
    package let shared: SharedForm
    package var form: Form { shared.form }
    package let id: RowID
    package var life: Life
    package var lifeCell: Cell
    /// One a group, in the form's order.
    package var cells: [Cell]
    /// One a field. A dead row keeps its values, hidden.
    package var values: [Value]
    /// Open cases by group index.
    package var cases: [Int: OpenCase] = [:]
    /// Open case of the row's life: edit against delete.
    package var rowCase: OpenCase?

    /// The store has it already.
    package var isStored = false
    /// It was loaded with open cases: those that are gone have to be closed.
    package var hadCases = false

    // What happened to the row since it was loaded; the store writes these out.
    package var overwritten: [Overwritten] = []
    package var rulings: [PolicyRuling] = []
    package var counts = CellCounts()
    /// The position of the change in hand, and whether it was used.
    package var position: Position
    package var moved = false
    /// The tests' mistakes; empty everywhere else.
    package var mutants: MergeMutant = []

    package static let nobody = Provenance(writer: .hub, stamp: Stamp(origin: SiteID(0), author: "", time: 0))

    /// A row that nobody has heard of yet.
    package init(form: Form, id: RowID) { self.init(SharedForm(form), id: id) }

    package init(_ shared: SharedForm, id: RowID) {
        let form = shared.form
        self.shared = shared
        self.id = id
        life = .unchanged
        lifeCell = Cell(written: .none, shown: .none, by: Self.nobody)
        cells = Array(repeating: lifeCell, count: form.groups.count)
        values = Array(repeating: .null, count: form.fields.count)
        position = .none
    }

    package func groupValues(_ group: Int) -> [Value] { form.groups[group].fields.map { values[$0] } }

    /// What the values were made over in a log that the parent has lost says nothing of what it writes at those positions now.
    ///
    /// - Returns: whether anything was lowered.
    mutating func lowerBases(to cursor: Position) -> Bool {
        let isAbove = lifeCell.base > cursor || cells.contains { $0.base > cursor }
        lifeCell.base = min(lifeCell.base, cursor)
        for index in cells.indices { cells[index].base = min(cells[index].base, cursor) }
        return isAbove
    }

    // MARK: writing (the model's `put`)

    /// Writes a value to a group, or shows it again where it is the value already there.
    mutating func put(_ group: Int, _ new: [Value], by: Provenance) {
        moved = true
        cells[group].shown = position
        let old = groupValues(group)
        if cells[group].isWritten, old == new, cells[group].by == by { return }     // shown again: no new write
        if cells[group].isWritten {
            overwritten.append(
                Overwritten(group: form.groups[group].number, values: old, life: .unchanged, cell: cells[group]))
        }
        for (field, value) in zip(form.groups[group].fields, new) { values[field] = value }
        cells[group].written = position
        cells[group].by = by
    }

    mutating func put(life new: Life, by: Provenance) {
        moved = true
        lifeCell.shown = position
        if lifeCell.isWritten, life == new, lifeCell.by == by { return }
        if lifeCell.isWritten {
            overwritten.append(Overwritten(group: 0, values: [], life: life, cell: lifeCell))
        }
        life = new
        lifeCell.written = position
        lifeCell.by = by
        if new == .dead, mutants.contains(.noValues) {
            cells = cells.map { var cell = $0; (cell.written, cell.shown) = (.none, .none); return cell }
        }
    }

    /// Shows the row again whole: whoever deleted it, or was told so, must get every group.
    mutating func showWhole() {
        if mutants.contains(.noReshow) { return }
        for group in cells.indices where cells[group].isWritten {
            moved = true
            cells[group].shown = position
        }
    }
}
