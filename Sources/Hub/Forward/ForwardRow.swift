// Pure: what of a hub's row goes up at a seal, and what is held back. A hub forwards what is undisputed, valid and whole.

import Shared

/// One change of a row as it goes up.
struct ForwardChange: Equatable {
    var life: Life
    var mask: FieldMask
    let stamp: Stamp
}

extension MergeRow {
    /// What still has to go up: held before, or written here since the last seal by anyone but the parent.
    func dirtyCells(held: HeldCells, after sealed: Position) -> HeldCells {
        var dirty = HeldCells()
        for (index, group) in form.groups.enumerated() {
            let isHeld = !(group.mask & held.fields).isEmpty
            if cells[index].isWritten, cells[index].by.writer != .parent, isHeld || cells[index].written > sealed {
                dirty.fields = dirty.fields | group.mask
            }
        }
        dirty.life = lifeCell.isWritten && lifeCell.by.writer != .parent && (held.life || lifeCell.written > sealed)
        return dirty
    }

    /// What goes up now, as changes in order, and what stays held.
    ///
    /// - Parameters:
    ///   - invalid: the row breaks a rule, or is not released.
    ///   - deleteUnjudged: a delete of the row went up, and it is not known that the parent has judged it.
    func forward(_ dirty: HeldCells, invalid: Bool, deleteUnjudged: Bool) -> (changes: [ForwardChange], held: HeldCells) {
        // A row whose life waits is new to the parent, or lives again: it goes up whole or not at all.
        let isNew = dirty.life && life == .alive
        var isStuck = rowCase != nil || (life == .alive && invalid) || (isNew && !cases.isEmpty)
        if life == .alive, deleteUnjudged, !mutants.contains(.revive) { isStuck = true }
        if isStuck, !mutants.contains(.noHold) { return ([], dirty) }
        if life == .dead {
            // It has nothing to say but that it is dead; what never went up goes if it lives again.
            let rest = mutants.contains(.deadForgets) ? FieldMask() : dirty.fields
            let gone = ForwardChange(life: .dead, mask: FieldMask(), stamp: lifeCell.by.stamp)
            return (dirty.life ? [gone] : [], HeldCells(fields: rest))
        }
        let (sent, held) = releasable(dirty)
        return (changes(sent), held)
    }

    /// Splits into what may go and what is held: a disputed cell stays, the rest flows.
    private func releasable(_ dirty: HeldCells) -> (sent: HeldCells, held: HeldCells) {
        var sent = dirty
        var held = HeldCells()
        if mutants.contains(.noHold) { return (sent, held) }
        for (index, group) in form.groups.enumerated() where cases[index] != nil && !(group.mask & dirty.fields).isEmpty {
            sent.fields = FieldMask(sent.fields.bits & ~group.mask.bits)
            held.fields = held.fields | group.mask
        }
        return (sent, held)
    }

    /// Cells of one stamp are one change: origin, author and time are preserved. Those of the life's stamp come last, so that
    /// the groups of a living row are judged before it.
    private func changes(_ cells: HeldCells) -> [ForwardChange] {
        var changes: [ForwardChange] = []
        func add(_ mask: FieldMask, _ stamp: Stamp) {
            if let known = changes.firstIndex(where: { $0.stamp == stamp }) {
                changes[known].mask = changes[known].mask | mask
            } else {
                changes.append(ForwardChange(life: .unchanged, mask: mask, stamp: stamp))
            }
        }
        for (index, group) in form.groups.enumerated() where !(group.mask & cells.fields).isEmpty {
            add(group.mask, self.cells[index].by.stamp)
        }
        guard cells.life else { return changes }
        add(FieldMask(), lifeCell.by.stamp)
        let last = changes.firstIndex { $0.stamp == lifeCell.by.stamp }!
        changes[last].life = life
        changes.append(changes.remove(at: last))
        return changes
    }
}
