// A child's side of the link to its parent, in memory: outbox, what waits, cursor. The encoding is left out, the layout of a
// segment is not.

@testable import Hub
@testable import Shared

struct ModelSegment {
    let first: Seq
    let last: Seq
    let cursor: Position
    let body: SegmentBody
}

struct ModelUplink {
    var cursor = Position.none
    var merged = Seq.none
    var judged = Seq.none
    var nextSeq = Seq(1)
    var outbox: [ModelSegment] = []
    private var unsettled: [(seq: Seq, row: RowID, mask: FieldMask, life: Life)] = []

    /// Puts what was collected into the outbox, as `Sealer` does.
    mutating func seal(_ builder: inout SegmentBuilder) {
        guard let body = builder.take() else { return }
        let first = nextSeq
        for changes in body.forms {
            for index in 0..<changes.count {
                unsettled.append((nextSeq, changes.rows[index], changes.masks[index], changes.life[index]))
                nextSeq = nextSeq.advanced(by: 1)
            }
        }
        outbox.append(ModelSegment(first: first, last: nextSeq.advanced(by: -1), cursor: cursor, body: body))
    }

    func pending(_ row: RowID, mergedUpTo merged: Seq, mutants: MergeMutant = []) -> Pending {
        var pending = Pending()
        for change in unsettled where change.row == row && change.seq > merged {
            pending.add(fields: change.mask, life: change.life, mutants: mutants)
        }
        return pending
    }

    func isDeleteUnjudged(_ row: RowID) -> Bool { unsettled.contains { $0.row == row && $0.life == .dead } }

    /// After a page, as `SyncSession` and `Pending.settle` do.
    mutating func advance(to upTo: Position, logEnd: Position, merged: Seq) {
        cursor = upTo
        self.merged = merged
        if upTo == logEnd { judged = merged }
        let judged = judged
        unsettled.removeAll { $0.seq <= merged && ($0.life != .dead || $0.seq <= judged) }
    }
}
