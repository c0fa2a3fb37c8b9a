// Pure: what one row of a hub does with its parent's cells (rule 5), and what a hub adds to it. A cell held back here that
// meets another value from above becomes a case here; a value of a case that came from the parent never goes back up.
//
// A port of the model's `take`.

import Shared

struct RowPull {
    var row: MergeRow
    /// Own cells that are not sealed: held back.
    var held: HeldCells
    /// Own cells that are sealed and not merged above.
    let pending: Pending
    /// This hub's site as the parent knows it.
    let site: SiteID
    let context: JudgeContext
    /// The page reaches the log's end: of a row that it shows whole the parent has nothing else.
    let reachesEnd: Bool
    /// The row is to be saved though nothing of it moved in the log: it knows more of its parent.
    private(set) var learned = false

    init(row: MergeRow, held: HeldCells, pending: Pending, site: SiteID, context: JudgeContext, reachesEnd: Bool) {
        self.row = row
        self.held = held
        self.pending = pending
        self.site = site
        self.context = context
        self.reachesEnd = reachesEnd
    }

    /// All changes of the row in a page: life first, then the groups.
    mutating func apply(_ changes: FormChanges, _ range: Range<Int>, stamps: [Stamp]) {
        let told = changes.masks[range].reduce(FieldMask()) { $0 | $1 }
        for index in range where changes.life[index] != .unchanged {
            takeLife(changes.life[index], placement: changes.placements[index], stamp: stamps[Int(changes.stamps[index])], told: told)
        }
        for told in groups(changes, range) {
            take(told.group, told.values, placement: told.placement, stamp: stamps[told.stamp], isPending: !told.isNews)
        }
    }

    /// The row before the page, where new values of the parent stand beside cells held here, which it will not hear of before the row
    /// keeps the rules; nil where none do.
    ///
    /// - Parameter entries: what is held, and since when.
    func apart(from before: MergeRow, _ entries: [(cells: HeldCells, since: Position)]) -> ApartChange? {
        guard row.moved, row.life == .alive else { return nil }
        let told = row.cells.indices.filter {
            row.cells[$0].by.writer == .parent && row.cells[$0].written == row.position && row.groupValues($0) != before.groupValues($0)
        }
        var unseen: [Int: Position] = [:]
        for index in row.cells.indices where row.cells[index].isWritten && row.cells[index].by.writer != .parent {
            unseen[index] = entries.filter { !($0.cells.fields & row.form.groups[index].mask).isEmpty }.map(\.since).min()
        }
        guard let newest = told.max(by: { row.cells[$0].base < row.cells[$1].base }),
            let other = unseen.keys.max(by: { (row.cells[$0].written, $0) < (row.cells[$1].written, $1) })
        else { return nil }
        return ApartChange(
            form: row.form, row: row.id, before: before.values, unseen: unseen, by: row.cells[newest].by, cursor: row.cells[newest].base,
            other: row.cells[other].by)
    }

    /// What the page says of one group, cut as here.
    private struct Told {
        let group: Int
        var values: [Value]
        var placement: Placement
        var stamp: Int
        /// None of it is sealed here and not merged above.
        let isNews: Bool
    }

    /// The groups that the changes touch, in the form's order. The parent may cut them differently: a group here takes its fields'
    /// highest written position, its writer is nobody if they differ, and what is not told, or waits above, stays as it is.
    private func groups(_ changes: FormChanges, _ range: Range<Int>) -> [Told] {
        row.form.groups.indices.compactMap { number in
            let group = row.form.groups[number]
            let told = range.filter { !(changes.masks[$0] & group.mask).isEmpty }
            guard let newest = told.max(by: { changes.placements[$0].written < changes.placements[$1].written }) else { return nil }
            let carried = told.reduce(FieldMask()) { $0 | changes.masks[$1] } & group.mask
            let news = FieldMask(carried.bits & ~pending.fields.bits)
            var placement = changes.placements[newest]
            for index in told where index != newest {
                let other = changes.placements[index]
                placement.shown = max(placement.shown, other.shown)
                placement.disputed = placement.disputed || other.disputed
                placement.disputedAbove = placement.disputedAbove || other.disputedAbove
                if other.writer != placement.writer { placement.writer = Self.nobody }
            }
            let values = group.fields.map { field in
                let number = row.form.fields[field].number
                guard (news.isEmpty ? carried : news).contains(number), let index = told.first(where: { changes.masks[$0].contains(number) })
                else { return row.values[field] }
                return changes.columns[changes.fields.firstIndex(of: number)!][index]
            }
            return Told(group: number, values: values, placement: placement, stamp: Int(changes.stamps[newest]), isNews: !news.isEmpty)
        }
    }

    private static let nobody = SiteID(0)

    private var isBlind: Bool { row.mutants.contains(.holdBlind) }

    private mutating func takeLife(_ life: Life, placement: Placement, stamp: Stamp, told: FieldMask) {
        defer { noteDispute(\.lifeCell, placement) }
        let by = Provenance(writer: .parent, stamp: stamp)
        let candidate = Candidate(by: by, values: [], life: life, cursor: placement.written)
        let mine = placement.writer == site
        let same = row.lifeCell.isWritten && row.life == life
        let isHeld = held.life && row.lifeCell.isWritten
        let isPending = pending.life || (life == .dead && !pending.fields.isEmpty)
        if row.rowCase != nil {
            row.rowCase!.join(candidate)
            row.moved = true
        } else if life == .dead, !row.cases.isEmpty || !held.fields.isEmpty {
            if row.life == .alive, !isBlind { row.openRowCase(candidate, context) }     // held or disputed here, deleted above
        } else if same {
            if isHeld || !isPending { learn(\.lifeCell, placement, mine: mine) }
        } else if isHeld {
            if placement.written > row.lifeCell.base, !mine, !isBlind { row.openRowCase(candidate, context) }
        } else if !isPending {                                              // else the parent will judge it
            if row.life == .dead {
                // The delete had covered what is here, but for fields of a newer catalogue that the parent never had: it shows the row without them.
                held = HeldCells(fields: reachesEnd ? FieldMask(held.fields.bits & ~told.bits) : FieldMask())
            }
            row.put(life: life, by: by)
            learn(\.lifeCell, placement, mine: false)
            if life == .alive { row.showWhole() }                           // whoever took it to be dead gets it whole
        }
    }

    private mutating func take(_ group: Int, _ values: [Value], placement: Placement, stamp: Stamp, isPending: Bool) {
        defer { noteDispute(\.cells[group], placement) }
        let by = Provenance(writer: .parent, stamp: stamp, receivedAt: context.now)
        let mask = row.form.groups[group].mask
        let isHeld = !(mask & held.fields).isEmpty && row.cells[group].isWritten
        let same = row.cells[group].isWritten && row.groupValues(group) == values
        let mine = placement.writer == site
        let candidate = Candidate(by: by, values: values, life: .unchanged, cursor: placement.written)
        if row.life == .dead, held.life, !same, !mine, row.rowCase == nil, !isBlind {   // deleted here and held, changed above
            row.openRowCase(Candidate(by: by, values: [], life: .alive, cursor: placement.written), context)
        }
        if row.life == .dead, row.rowCase == nil {
            if pending.life { return }                                      // the parent will judge the delete
            if !same { row.put(group, values, by: by) }                     // hidden until its life comes back
            learn(\.cells[group], placement, mine: same && mine)
        } else if row.cases[group] != nil {
            row.dispute(group, candidate)
            learn(\.cells[group], placement, mine: false)
        } else if same, !row.mutants.contains(.echo) {
            if isHeld || !isPending { learn(\.cells[group], placement, mine: mine) }
        } else if isHeld {
            // At or before the base: this value was made over it.
            if placement.written <= row.cells[group].base || mine || placement.disputed || isBlind { return }
            if row.ownerAnswer(group, candidate, context) == true {
                row.settle(group, by: context.policies[row.form, group], candidate, wins: true, context)
                held.fields = FieldMask(held.fields.bits & ~mask.bits)      // it stands here no more: nothing of it is left to go up
            } else {
                row.dispute(group, candidate)
            }
            learn(\.cells[group], placement, mine: false)
        } else if !isPending {
            row.put(group, values, by: by)
            learn(\.cells[group], placement, mine: false)
        }
    }

    private mutating func noteDispute(_ cell: WritableKeyPath<MergeRow, Cell>, _ placement: Placement) {
        let isDisputed = placement.disputed || placement.disputedAbove
        guard row[keyPath: cell].disputedAbove != isDisputed else { return }
        row[keyPath: cell].disputedAbove = isDisputed
        learned = true
    }

    /// Notes that what stands here was made knowing the parent's write; one's own word coming back tells nothing new.
    private mutating func learn(_ cell: WritableKeyPath<MergeRow, Cell>, _ placement: Placement, mine: Bool) {
        guard !mine, row[keyPath: cell].base < placement.written else { return }
        row[keyPath: cell].base = placement.written
        learned = true
    }
}
