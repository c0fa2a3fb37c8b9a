// Pure: a page of this hub's own log that it has lost, handed back by a child. Each of its cells is judged as a write that had
// seen what survived and all that the lost log had merged by then, and nothing else.
//
// What it covers is noted a cell: a change of a child that comes again and is covered is not judged, only shown again. A delete covers
// every group of its row, whose values no page tells: those are kept aside, hidden, when they come again. A cell
// that was disputed in the lost log, or above it, hides others: it covers nothing, and its case is open again.
//
// Two designs for what covers what: sets of candidates with what each had seen (the design's own model; pages would have to
// carry every candidate), or positions of the lost log, which pages carry anyhow. The second asks more where a case was lost.

import Shared

struct TakeBack<Store: ScopeStore> {
    private let catalogue: Catalogue
    private let page: LogPageInfo
    /// The epoch in which the page was made.
    private let epoch: Int
    /// The newest position that this log and the lost one have in common, as far as the child can know.
    private let survived: Position
    /// Of the children that the page names.
    private let lives: [SiteID: SiteLife]
    private let context: JudgeContext
    private let mutants: MergeMutant
    private(set) var store: Store
    private var next: Position
    private(set) var moved: [(form: FormNumber, row: RowID)] = []
    private(set) var rulings: [RowRuling] = []
    /// What may have been asked about in the lost log, or would have been: whether one who broke a rule had seen the other nobody knows any more.
    private(set) var apart: [ApartChange] = []

    /// - Parameter present: this hub's epoch.
    init(
        _ store: Store, _ catalogue: Catalogue, _ page: LogPageInfo, epoch: Int, survived: Position, present: Int,
        lives: [SiteID: SiteLife], context: JudgeContext, mutants: MergeMutant = []
    ) {
        (self.store, self.catalogue, self.page, self.epoch, self.survived) = (store, catalogue, page, epoch, survived)
        (self.lives, self.context, self.mutants) = (lives, context, mutants)
        next = store.logEnd.next(inEpoch: present)
    }

    mutating func take(_ body: SegmentBody) throws {
        for changes in body.forms {
            guard let form = catalogue[number: changes.form] else {
                throw WireError(.badSegment, "form number \(changes.form) is not in this hub's catalogue")
            }
            // A page tells a row's life first; a judge wants its groups first.
            let order = (0..<changes.count).sorted { a, b in
                (changes.rows[a], changes.life[a] == .unchanged ? 0 : 1, a) < (changes.rows[b], changes.life[b] == .unchanged ? 0 : 1, b)
            }
            for index in order { try take(form, changes, index, body.stamps[Int(changes.stamps[index])]) }
        }
        if mutants.contains(.wholeSeq) {
            for (site, mark) in page.merged where try mark.seq > store.merged(of: site) {
                try store.count(CellCounts(), sent: 0, of: site, upTo: mark.seq)
            }
        }
        guard !moved.isEmpty else { return }
        try store.append(Extent(merged: nil, rows: moved), upTo: next.advanced(by: -1))
    }

    private mutating func take(_ form: Form, _ changes: FormChanges, _ index: Int, _ stamp: Stamp) throws {
        let (id, placement, life) = (changes.rows[index], changes.placements[index], changes.life[index])
        var row = try store.load(form, [id])[id] ?? MergeRow(form: form, id: id)
        // Where a site numbers anew, nobody below counts as the writer of what it had written before.
        let isHub = placement.writer == context.hub || lives[placement.writer] == .another
        let writer: Provenance.Writer = isHub ? mutants.contains(.lentAbove) ? .parent : .hub : .child(placement.writer)
        let groups = form.groups.indices.filter { !(changes.masks[index] & form.groups[$0].mask).isEmpty }
        let claims = !(placement.disputed || placement.disputedAbove) || mutants.contains(.openClaims)
        let taken = try store.taken(form, id, epoch: epoch)
        var own = context
        own.covered = claims ? try covered(row, taken, placement.written) : []
        var change = IncomingChange(
            by: Provenance(writer: writer, stamp: stamp), cursor: claims ? survived : .none,
            groups: groups.map { ($0, values(row, $0, changes, index)) }, life: life)
        try dropKnown(&change, row, taken, placement)
        // A part of a group, as it was cut when the page was made, covers nothing of the rest.
        if claims { try cover(form, id, groups.filter { changes.masks[index].isSuperset(of: form.groups[$0].mask) }, life) }
        guard !change.groups.isEmpty || change.life != .unchanged else { return }
        let doubt = claims ? row.apart(change, context) : nil
        if !mutants.isDisjoint(with: [.newerWins, .olderWins]) {
            takeBlindly(change, &row, own)
        } else if claims {
            row.judge(change, at: next, own)
        } else {
            row.takeDisputed(change, at: next, own)
        }
        try note(row, change, placement)
        guard row.moved else { return }
        try store.save([row])
        moved.append((form.number, id))
        if let doubt { apart.append(doubt) }
        rulings += row.rulings.map { RowRuling(form: form, row: id, ruling: $0) }
        next = next.advanced(by: 1)
    }

    /// The tests' mistake: one side wins, unseen.
    private func takeBlindly(_ change: IncomingChange, _ row: inout MergeRow, _ context: JudgeContext) {
        var change = change
        if mutants.contains(.newerWins) { change.groups.removeAll { row.cells[$0.group].written.epoch == next.epoch } }
        row.mutants.insert(.noCase)
        row.judge(change, at: next, context)
    }

    /// A field that a group had not when the page was made keeps its present value.
    private func values(_ row: MergeRow, _ group: Int, _ changes: FormChanges, _ index: Int) -> [Value] {
        row.form.groups[group].fields.map { field in
            let number = row.form.fields[field].number
            guard changes.masks[index].contains(number) else { return row.values[field] }
            return changes.columns[changes.fields.firstIndex(of: number)!][index]
        }
    }

    // MARK: what is known here

    /// Takes out what survived, what was taken back before, and what the same child has written over since.
    private func dropKnown(
        _ change: inout IncomingChange, _ row: MergeRow, _ taken: [Int: [TakenCell]], _ placement: Placement
    ) throws {
        let writer = change.by.writer
        let isDisputed = placement.disputed || placement.disputedAbove
        func isKnown(_ cell: Cell, _ group: Int, isOpen: Bool) throws -> Bool {
            // What stands here since before was asked about in the lost log alone: that is not known, and its writer, who was shown it in place
            // of a word of his own, would write over that word when both come again.
            let isCaseLost = placement.disputed && cell.written == placement.written && row.rowCase == nil && !isOpen && !mutants.contains(.caseSurvives)
            if placement.written <= survived, !isCaseLost { return true }
            // A later page may tell that a cell, taken back before, came to be disputed.
            if taken[group, default: []].contains(where: {
                $0.was == placement.written ? $0.isDisputed || !isDisputed : $0.was > placement.written && !$0.isDisputed
            }) {
                return true
            }
            // Only a merge tells that a word is later; where a case shows a value, it was written for that.
            guard !isOpen, writer != .hub, cell.isWritten, cell.written > survived, cell.by.writer == writer,
                let merge = try store.merge(at: cell.written), .child(merge.site) == writer
            else { return false }
            return merge.upTo > page.merged[merge.site]?.seq ?? .none
        }
        change.groups = try change.groups.filter {
            try !isKnown(row.cells[$0.group], row.form.groups[$0.group].number, isOpen: row.cases[$0.group] != nil)
        }
        if change.life != .unchanged, try isKnown(row.lifeCell, 0, isOpen: row.rowCase != nil) { change.life = .unchanged }
    }

    /// The groups of the row whose present value the lost log had merged, or written over, when it made the page.
    private func covered(_ row: MergeRow, _ taken: [Int: [TakenCell]], _ written: Position) throws -> Set<Int> {
        func isCovered(_ cell: Cell, _ group: Int) throws -> Bool {
            guard cell.isWritten, cell.written > survived else { return false }
            if let entry = taken[group, default: []].first(where: { $0.at == cell.written }) {
                return entry.was < written && !entry.isDisputed
            }
            guard case .child(let site) = cell.by.writer, lives[site] == .same, let merge = try store.merge(at: cell.written) else { return false }
            return merge.site == site && merge.upTo <= page.merged[site]!.seq
        }
        var covered = Set(try row.cells.indices.filter { try isCovered(row.cells[$0], row.form.groups[$0].number) })
        if try isCovered(row.lifeCell, 0) { covered.insert(JudgeContext.lifeIndex) }
        return covered
    }

    // MARK: what is remembered of lost logs

    private mutating func note(_ row: MergeRow, _ change: IncomingChange, _ placement: Placement) throws {
        let isDisputed = placement.disputed || placement.disputedAbove
        func note(_ group: Int, _ cell: Cell, isOpen: Bool, isRuled: Bool) throws {
            // A policy's decision covers more than the cell that came back: it is none that the lost log knew.
            let isTaken = cell.written == next && cell.by == change.by && !isRuled
            try store.note(
                TakenCell(was: placement.written, at: isTaken ? next : .none, isDisputed: isOpen || isDisputed), row.form, row.id,
                group: group, epoch: epoch)
        }
        for (group, _) in change.groups {
            try note(
                row.form.groups[group].number, row.cells[group], isOpen: row.cases[group] != nil,
                isRuled: row.rulings.contains { $0.group == group })
        }
        if change.life != .unchanged { try note(0, row.lifeCell, isOpen: row.rowCase != nil, isRuled: false) }
    }

    private mutating func cover(_ form: Form, _ id: RowID, _ groups: [Int], _ life: Life) throws {
        // A delete was judged against every group of its row.
        var numbers = life == .dead ? [CoverNumber.byDelete] : groups.map { form.groups[$0].number }
        if life != .unchanged { numbers.append(0) }
        for (site, life) in lives where life != .another { try store.cover(form, id, groups: numbers, by: site, upTo: page.merged[site]!) }
    }
}

extension MergeRow {
    /// Cells that were disputed in the lost log, or above it: the page tells what was shown of them, not what that hid. Their
    /// case is open again, though the values be equal: only a decision closes it.
    fileprivate mutating func takeDisputed(_ change: IncomingChange, at position: Position, _ context: JudgeContext) {
        self.position = position
        for (group, values) in change.groups {
            if context.policies[form, group].policy != .manual || life == .dead {
                judge(IncomingChange(by: change.by, cursor: change.cursor, groups: [(group, values)], life: .unchanged), at: position, context)
            } else {
                if !cells[group].isWritten { put(group, values, by: change.by) }
                dispute(group, Candidate(by: change.by, values: values, life: .unchanged, cursor: change.cursor))
            }
            cells[group].disputedAbove = true
        }
        guard change.life != .unchanged else { return }
        if life == .dead {
            judge(IncomingChange(by: change.by, cursor: change.cursor, groups: [], life: change.life), at: position, context)
        } else {
            if !lifeCell.isWritten { put(life: change.life, by: change.by) }
            openRowCase(Candidate(by: change.by, values: [], life: change.life, cursor: change.cursor), context)
        }
        lifeCell.disputedAbove = true
    }
}
