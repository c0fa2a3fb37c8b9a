// A child's side of the link to its parent, in memory: outbox, what waits, cursor. The encoding is left out, the layout of a
// segment is not.

@testable import Hub
@testable import Shared

struct ModelSegment {
    let first: Seq
    let last: Seq
    let cursor: Position
    let body: SegmentBody
    /// Of the parent, in which it was sealed.
    let epoch: Int
    /// Stands for the hash: a segment that is signed again has another.
    var chain: Int
    var cut: Position?
}

/// A page of the parent's log, kept as it came.
struct ModelPage {
    let upTo: Position
    let made: Position
    let mark: Int?
    let body: SegmentBody
}

/// Numbers that never come again, whatever is put back.
final class ModelCounter {
    private var last = 0
    func next() -> Int {
        last += 1
        return last
    }
}

struct ModelUplink {
    var cursor = Position.none
    var merged = Seq.none
    /// Of its own seqs: what lay in quarantine at the end of the last page.
    private(set) var quarantined: [ClosedRange<Seq>] = []
    var judged = Seq.none
    var nextSeq = Seq(1)
    var outbox: [ModelSegment] = []
    var epoch = 0
    var received = Seq.none
    var pages: [ModelPage] = []
    var returned: [ModelPage] = []
    /// Those that have come down again, each with the index of the page that ended it.
    var down: [(page: ModelPage, by: Int)] = []
    private let chains: ModelCounter
    init(chains: ModelCounter) { self.chains = chains }
    private var unsettled: [(seq: Seq, row: RowID, mask: FieldMask, life: Life)] = []

    /// Puts what was collected into the outbox, as `Sealer` does.
    mutating func seal(_ builder: inout SegmentBuilder, cursor: Position) {
        guard let body = builder.take() else { return }
        let first = nextSeq
        for changes in body.forms {
            for index in 0..<changes.count {
                unsettled.append((nextSeq, changes.rows[index], changes.masks[index], changes.life[index]))
                nextSeq = nextSeq.advanced(by: 1)
            }
        }
        outbox.append(ModelSegment(first: first, last: nextSeq.advanced(by: -1), cursor: cursor, body: body, epoch: epoch, chain: chains.next()))
    }

    /// As `Pending.load` does; as of the last page where no other is given.
    func pending(_ row: RowID, merged: MergedSeqs? = nil, mutants: MergeMutant = []) -> Pending {
        let merged = merged ?? MergedSeqs(upTo: self.merged, quarantined: quarantined)
        var pending = Pending()
        for change in unsettled where change.row == row {
            if merged.contains(change.seq) {
                pending.settle(fields: change.mask, life: change.life)
            } else {
                pending.add(fields: change.mask, life: change.life, mutants: mutants)
            }
        }
        return pending
    }

    func isDeleteUnjudged(_ row: RowID) -> Bool { unsettled.contains { $0.row == row && $0.life == .dead } }

    /// After a page, as `SyncSession` and `Pending.settle` do.
    mutating func advance(to upTo: Position, logEnd: Position, merged: MergedSeqs) {
        (cursor, self.merged, quarantined) = (upTo, merged.upTo, merged.quarantined)
        if upTo == logEnd { judged = merged.upTo }
        for later in unsettled where merged.contains(later.seq) {
            for index in unsettled.indices where unsettled[index].row == later.row && unsettled[index].seq < later.seq {
                guard !merged.contains(unsettled[index].seq) else { continue }
                var waiting = Pending()
                waiting.add(fields: unsettled[index].mask, life: unsettled[index].life)
                waiting.settle(fields: later.mask, life: later.life)
                (unsettled[index].mask, unsettled[index].life) = (waiting.fields, waiting.life ? unsettled[index].life : .unchanged)
            }
        }
        unsettled.removeAll { change in
            if !merged.contains(change.seq) { return change.mask.isEmpty && change.life == .unchanged }
            return change.life != .dead || upTo == logEnd
        }
    }

    // MARK: a parent that was put back, or this child

    /// What the parent does not share is signed again.
    mutating func signAgain(after shared: Seq) {
        received = shared
        for index in outbox.indices where outbox[index].last > shared { outbox[index].chain = chains.next() }
    }

    /// As `SyncSession.enter` and `agree` do.
    mutating func setAside(newest count: Int, mutants: MergeMutant) -> (cursor: Position, survived: Position) {
        let kept = pages.count - count
        let again = mutants.contains(.onceOnly) ? [] : down.filter { $0.by >= kept }.map(\.page)
        returned = again + returned + pages.suffix(count)
        down.removeAll { $0.by >= kept }
        pages.removeLast(count)
        return (pages.last?.upTo ?? .none, pages.last?.made ?? .none)
    }

    mutating func agree(epoch: Int, base: Position, merged: Seq, mutants: MergeMutant) {
        self.epoch = epoch
        cursor = min(cursor, base)
        self.merged = min(self.merged, merged)
        judged = min(judged, self.merged)
        for index in outbox.indices where outbox[index].last > self.merged {
            if !mutants.contains(.noCut) { outbox[index].cut = min(outbox[index].cut ?? base, base) }
            if !mutants.contains(.notOwed) { owe(outbox[index]) }
        }
        unsettled.sort { $0.seq < $1.seq }
    }

    private mutating func owe(_ segment: ModelSegment) {
        let waiting = Set(unsettled.map(\.seq))
        var seq = segment.first
        for changes in segment.body.forms {
            for index in 0..<changes.count {
                if !waiting.contains(seq) { unsettled.append((seq, changes.rows[index], changes.masks[index], changes.life[index])) }
                seq = seq.advanced(by: 1)
            }
        }
    }
}
