// Rule 2 and rule 3 of the README: seen or disputed; a case only grows.
//
// A pure port of the model's `judge`, `dispute` and `row_case`. A row change has one seq and one position; its groups are
// judged before its life.

import Shared

/// A row change as a child sent it, cut into this hub's groups.
package struct IncomingChange: Sendable {
    package var by: Provenance
    /// What the segment's authors had seen.
    package var cursor: Position
    /// Group index → the values of its fields.
    package var groups: [(group: Int, values: [Value])]
    package var life: Life
    package init(by: Provenance, cursor: Position, groups: [(group: Int, values: [Value])], life: Life) {
        self.by = by
        self.cursor = cursor
        self.groups = groups
        self.life = life
    }
}

/// What the judge must know beside the row: who the hub is, and what counts as the child's though an older incarnation of it wrote it.
package struct JudgeContext: Sendable {
    package var hub: SiteID
    /// Seconds since 1970 at the hub, for system decisions' stamps.
    package var now: Int64
    /// Cells of the row that an older incarnation of the child wrote before the copy was made: for rule 2 they are its own.
    package var inherited: Set<Int> = []
    /// Groups whose present value a person has decided here: whoever had not seen that is asked about, whatever the policy.
    package var decided: Set<Int> = []
    /// Groups in which a policy let the child's own word stand: it went on from that, whatever this hub wrote to cover the other side.
    /// The models' policy knows no authors, and rules again.
    package var ruledOwn: Set<Int> = []
    /// Under another version of the catalogue the change's groups were cut otherwise: a field may be carried that nobody has typed.
    package var mayCarry = false
    /// The change's author had not seen that a person here said of this row and another of its key that they are two.
    package var isDistinctUnseen = false
    package var policies: ScopePolicies
    /// A cell of a lost log that comes back had seen nothing but what survived and these groups' present values (`lifeIndex`
    /// for the life's); nil for an ordinary change.
    package var covered: Set<Int>?
    package static let lifeIndex = -1
    package init(hub: SiteID, now: Int64, policies: ScopePolicies = ScopePolicies()) {
        self.hub = hub
        self.now = now
        self.policies = policies
    }

    func system(_ author: String) -> Provenance {
        Provenance(writer: .hub, stamp: Stamp(origin: hub, author: author, time: now))
    }
}

extension MergeRow {
    /// Judges one change of a child at `position`.
    package mutating func judge(_ change: IncomingChange, at position: Position, _ context: JudgeContext) {
        self.position = position
        for (group, values) in change.groups { judge(group, values, change, context) }
        if change.life != .unchanged { judgeLife(change, context) }
    }

    /// The author had this cell's value before his eyes, or it is his own.
    func saw(_ group: Int, _ change: IncomingChange, _ context: JudgeContext) -> Bool {
        let cell = group == JudgeContext.lifeIndex ? lifeCell : cells[group]
        if let covered = context.covered { return !cell.isWritten || cell.written <= change.cursor || covered.contains(group) }
        return !cell.isWritten || cell.by.writer == change.by.writer || cell.written <= change.cursor || context.inherited.contains(group)
            || context.ruledOwn.contains(group)
    }

    /// The row before a change whose author had not seen some of it; nil when he had, or says nothing about values.
    func apart(_ change: IncomingChange, _ context: JudgeContext) -> ApartChange? {
        // By index: an element handed to a closure is a copy of the cell.
        let isAlone = !cells.indices.contains { cells[$0].written > change.cursor && cells[$0].by.writer != change.by.writer }
        guard !isAlone, !change.groups.isEmpty else { return nil }        // of a dead row too: an edit keeps it
        let touched = Set(change.groups.map(\.group))
        let unseen = cells.indices.filter { !touched.contains($0) && !saw($0, change, context) }
        guard let other = unseen.max(by: { cells[$0].written < cells[$1].written }) else { return nil }
        return ApartChange(
            form: form, row: id, before: values, unseen: Dictionary(uniqueKeysWithValues: unseen.map { ($0, change.cursor) }), by: change.by,
            cursor: change.cursor, other: cells[other].by)
    }

    /// Words of a change that this hub has decided already, unknown to the change's author: equal, so that nothing is written, but his.
    func sameWords(_ change: IncomingChange, _ context: JudgeContext) -> [SameWord] {
        var same: [SameWord] = []
        for (group, values) in change.groups where cells[group].by.writer == .hub && cases[group] == nil && groupValues(group) == values {
            guard !saw(group, change, context) else { continue }
            same.append(SameWord(form: form.number, row: id, group: form.groups[group].number, written: cells[group].written, by: change.by))
        }
        if change.life == life, lifeCell.by.writer == .hub, rowCase == nil, !saw(JudgeContext.lifeIndex, change, context) {
            same.append(SameWord(form: form.number, row: id, group: 0, written: lifeCell.written, by: change.by))
        }
        return same
    }

    private mutating func judge(_ group: Int, _ new: [Value], _ change: IncomingChange, _ context: JudgeContext) {
        if life == .dead, rowCase == nil, !mutants.contains(.deadSilent) {
            // Equal or not: whoever typed it takes the row to be alive, and must be told.
            openRowCase(Candidate(by: change.by, values: [], life: .alive, cursor: change.cursor), context)
        }
        let cell = cells[group]
        let open = cases[group] != nil
        if cell.isWritten, !open, groupValues(group) == new {
            if isNewerWord(group, change.by, context) {
                put(group, new, by: change.by)
                counts.merged += 1
            } else {
                counts.equal += 1
            }
            return
        }
        let candidate = Candidate(by: change.by, values: new, life: .unchanged, cursor: change.cursor)
        let fits = saw(group, change, context) || mutants.contains(.noCase)
        if !cell.isWritten || (fits && (!open || !mutants.isDisjoint(with: [.shrink, .noCase]))) {
            if !open, contradictsOwner(group, change.by, context) {
                settle(group, by: context.policies[form, group], candidate, wins: false, context)
                return
            }
            cases[group] = nil
            put(group, new, by: change.by)
            counts.merged += 1
        } else if !open, let wins = policyAnswer(group, candidate, context) {
            settle(group, by: context.policies[form, group], candidate, wins: wins, context)
        } else {
            dispute(group, candidate)
            counts.disputed += 1
        }
    }

    /// Rule 3: the change and, for a new case, the present value become candidates; the case shows one of them.
    package mutating func dispute(_ group: Int, _ candidate: Candidate) {
        var open =
            cases[group]
            ?? OpenCase(
                number: nil,
                candidates: [
                    Candidate(
                        by: cells[group].by, values: groupValues(group), life: .unchanged, cursor: cells[group].written)
                ])
        open.join(candidate)
        cases[group] = open
        let shown = open.shown
        // A candidate that came from the parent never goes back up; what a case shows is else the hub's own showing.
        put(group, shown.values, by: shown.by)
    }

    /// Edit against delete, in either order: the row is kept, and shown again whole.
    package mutating func openRowCase(_ candidate: Candidate, _ context: JudgeContext) {
        var open = rowCase ?? OpenCase(number: nil, candidates: [])
        if open.candidates.isEmpty, lifeCell.isWritten {
            open.candidates.append(
                Candidate(by: lifeCell.by, values: [], life: life, cursor: lifeCell.written))
        }
        open.join(candidate)
        rowCase = open
        moved = true
        if life == .dead {
            put(life: .alive, by: context.system("zzsync: kept, edited while deleted"))
            showWhole()
        } else if candidate.life == .dead {
            lifeCell.shown = position
            showWhole()
        }
    }

    private mutating func judgeLife(_ change: IncomingChange, _ context: JudgeContext) {
        if change.life == life, rowCase == nil {
            counts.equal += 1
            return
        }
        var seen = saw(JudgeContext.lifeIndex, change, context) && rowCase == nil
        if change.life == .dead, context.isDistinctUnseen { seen = false }
        if change.life == .dead, !mutants.contains(.lifeAlone) {
            seen = seen && cases.isEmpty && cells.indices.allSatisfy { saw($0, change, context) }
        }
        guard seen else {
            openRowCase(Candidate(by: change.by, values: [], life: change.life, cursor: change.cursor), context)
            counts.disputed += 1
            return
        }
        put(life: change.life, by: change.by)
        if change.life == .alive { showWhole() }
        counts.merged += 1
    }

    // MARK: decisions

    /// An operator's or a policy's answer for one group: an ordinary write that covers all candidates, and closes the case.
    package mutating func decide(_ group: Int, _ answer: [Value], by: Provenance, at position: Position) {
        self.position = position
        cases[group] = nil
        forceWrite(group, answer, by: by)
    }

    /// An answer for the row's life. Deleting decides the row's open cases too; keeping shows it whole.
    package mutating func decideLife(_ answer: Life, by: Provenance, at position: Position) {
        self.position = position
        rowCase = nil
        if answer == .dead, !mutants.contains(.caseLeft) {
            // By writes: the delete may be overruled before it goes up, and the parent must learn what stands here then.
            for group in cases.keys.sorted() { decide(group, groupValues(group), by: by, at: position) }
        }
        overwritten.append(Overwritten(group: 0, values: [], life: life, cell: lifeCell))
        life = answer
        lifeCell.written = position
        lifeCell.shown = position
        lifeCell.by = by
        moved = true
        if answer == .alive { showWhole() }
    }

    /// A write at a new position even where the value stays: what it covers is more than what it says.
    package mutating func forceWrite(_ group: Int, _ new: [Value], by: Provenance) {
        overwritten.append(
            Overwritten(
                group: form.groups[group].number, values: groupValues(group), life: .unchanged, cell: cells[group]))
        for (field, value) in zip(form.groups[group].fields, new) { values[field] = value }
        moved = true
        cells[group].written = position
        cells[group].shown = position
        cells[group].by = by
    }
}
