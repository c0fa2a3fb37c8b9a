// Pure: which cells of a row a page of the log shows, and as what.

import Shared

/// Cells of one row that stand at one place of the log.
struct ToldCells: Equatable {
    var mask: FieldMask
    var life: Life
    let stamp: Stamp
    let placement: Placement
}

extension MergeRow {
    /// The cells with either position in the page, one entry a place, the one with the life first. Of a dead row its life
    /// alone: the values stay, hidden.
    ///
    /// - Parameters:
    ///   - after: exclusive.
    ///   - upTo: inclusive.
    ///   - hub: written as the writer of what no child brought.
    func told(after: Position, upTo: Position, hub: SiteID) -> [ToldCells] {
        func isTold(_ cell: Cell) -> Bool {
            func lies(_ position: Position) -> Bool { position > after && position <= upTo }
            if mutants.contains(.rowMax) {
                let newest = cells.reduce(lifeCell.shown) { max($0, $1.shown) }
                return lies(newest) && cell.shown > after
            }
            return lies(cell.shown) || (lies(cell.written) && !mutants.contains(.reshowMoves))
        }
        struct Place: Hashable {
            let written: Position
            let shown: Position
            let by: Provenance
            let disputed: Bool
            let disputedAbove: Bool
        }
        var told: [ToldCells] = []
        var index: [Place: Int] = [:]
        func note(_ cell: Cell, disputed: Bool, mask: FieldMask, life: Life) {
            guard cell.isWritten, isTold(cell) else { return }
            let place = Place(written: cell.written, shown: cell.shown, by: cell.by, disputed: disputed, disputedAbove: cell.disputedAbove)
            if let known = index[place] {
                told[known].mask = told[known].mask | mask
            } else {
                index[place] = told.count
                var writer = hub
                if case .child(let site) = cell.by.writer { writer = site }
                told.append(
                    ToldCells(
                        mask: mask, life: life, stamp: cell.by.stamp,
                        placement: Placement(
                            written: cell.written, shown: cell.shown, writer: writer, disputed: disputed,
                            disputedAbove: cell.disputedAbove)))
            }
        }
        note(lifeCell, disputed: rowCase != nil, mask: FieldMask(), life: life)
        if life != .dead {
            for (index, cell) in cells.enumerated() {
                note(cell, disputed: cases[index] != nil, mask: form.groups[index].mask, life: .unchanged)
            }
        }
        return told
    }
}
