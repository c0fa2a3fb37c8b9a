// A node or a hub in memory that runs the production core: SegmentMerger, Judge, RowPull, NodeRowPull, what a page tells and
// what goes up. What stands here beside it is what the stores and the link do around it.

@testable import Hub
@testable import Node
@testable import Shared

final class ModelReplica {
    let number: Int
    let parent: ModelReplica?
    let isNode: Bool
    let mutants: MergeMutant
    var incarnation = 0
    var link: ModelUplink
    private let form = ModelForm.form

    // A hub.
    var store = MemoryStore()
    var held: [RowID: HeldCells] = [:]
    var sealed = Position.none
    /// The cursor when something of a row came to be held; a mutant seals with it.
    private var heldSince: [RowID: Position] = [:]
    var kin: [SiteID: (site: SiteID, limit: Position)] = [:]
    /// Rows that break a rule or are not released.
    var invalid: Set<RowID> = []

    // Segments that are not understood (ModelQuarantine.swift).
    /// Of its outbox, by its parent.
    var unreadable: Set<Int> = []
    /// Of its children.
    var quarantine = QuarantineState()

    // A replica that is put back (ModelRestore.swift).
    /// 0 in histories without hubs that are put back.
    var epoch: Int
    var restoring = RestoringState()
    var putBacks = 0

    // A node.
    struct Mark {
        var mask = FieldMask()
        var life = Life.unchanged
        var time = 0
    }
    var table: [RowID: [Value]] = [:]
    var marks: [RowID: Mark] = [:]
    private var snapshot: (table: [RowID: [Value]], link: ModelUplink)?

    init(number: Int, parent: ModelReplica?, isNode: Bool, epoch: Int, chains: ModelCounter, mutants: MergeMutant) {
        link = ModelUplink(chains: chains)
        self.epoch = epoch
        self.number = number
        self.parent = parent
        self.isNode = isNode
        self.mutants = mutants
        store.mutants = mutants
    }

    var site: SiteID { SiteID(UInt64(number * 100 + incarnation)) }
    /// Whom its own writes name: its children know a hub by one site, whatever happens above.
    var name: SiteID { isNode ? site : SiteID(UInt64(number * 100)) }

    // MARK: an author's writes

    func insert(_ id: RowID, _ time: Int, _ numbers: [Int]) {
        var row: [Value] = Array(repeating: .null, count: form.fields.count)
        for group in form.groups.indices { write(&row, group, ModelForm.values(group, numbers[group])) }
        table[id] = row
        marks[id] = Mark(mask: form.allFields, life: .alive, time: time)
    }

    func edit(_ id: RowID, _ group: Int, _ time: Int, _ number: Int) throws {
        let new = ModelForm.values(group, number)
        if isNode {
            write(&table[id]!, group, new)
            marks[id, default: Mark()].mask = marks[id, default: Mark()].mask | form.groups[group].mask
            marks[id]!.time = time
        } else {
            try author([id]) { row in row.forceWrite(group, new, by: self.here(time)) }
        }
    }

    func delete(_ id: RowID, _ time: Int) throws {
        if isNode {
            table[id] = nil
            marks[id, default: Mark()].life = .dead
            marks[id]!.time = time
        } else {
            try author([id]) { row in row.decideLife(.dead, by: self.here(time), at: row.position) }
        }
    }

    func merge(_ id: RowID, _ other: RowID, _ time: Int, _ numbers: [Int]) throws {
        try author([id, other]) { row in
            if row.id == other { return row.decideLife(.dead, by: self.here(time), at: row.position) }
            for group in row.form.groups.indices {
                row.forceWrite(group, ModelForm.values(group, numbers[group]), by: self.here(time))
            }
        }
    }

    func decide(_ id: RowID, _ group: Int, _ number: Int, _ time: Int) throws {
        try author([id]) { row in row.decide(group, ModelForm.values(group, number), by: self.here(time), at: row.position) }
    }

    func decideLife(_ id: RowID, _ life: Life, _ time: Int) throws {
        try author([id]) { row in row.decideLife(life, by: self.here(time), at: row.position) }
    }

    private func here(_ time: Int) -> Provenance { Provenance(writer: .hub, stamp: ModelForm.stamp(name, time)) }

    /// One transaction of a hub that writes to these rows, a position each.
    private func author(_ ids: [RowID], _ write: (inout MergeRow) -> Void) throws {
        var next = store.logEnd
        for id in ids {
            guard var row = store.row(id) else { continue }
            next = next.next(inEpoch: epoch)
            row.position = next
            write(&row)
            try store.save([row])
        }
        store.append(Extent(), upTo: next)
    }

    private func write(_ row: inout [Value], _ group: Int, _ new: [Value]) {
        for (field, value) in zip(form.groups[group].fields, new) { row[field] = value }
    }

    // MARK: up

    func seal() {
        var builders: [Position: SegmentBuilder] = [:]
        if isNode { sealMarks(&builders[link.cursor, default: SegmentBuilder()]) } else if parent != nil { sealRows(&builders) }
        for cursor in builders.keys.sorted() { link.seal(&builders[cursor]!, cursor: cursor) }
    }

    private func sealMarks(_ builder: inout SegmentBuilder) {
        for (id, mark) in marks.sorted(by: { $0.key < $1.key }) {
            let row = table[id]
            guard let change = NodeRowSeal.change(form, life: mark.life, mask: mark.mask, present: row != nil) else { continue }
            builder.add(form: form, row: id, life: change.life, mask: change.mask, stamp: ModelForm.stamp(site, mark.time)) {
                $1.append(row![$0])
            }
        }
        marks = [:]
    }

    /// - Parameter builders: by the cursor with which they are sealed: one, but for the tests' mistake.
    private func sealRows(_ builders: inout [Position: SegmentBuilder]) {
        for id in store.rows.keys.sorted() {
            let row = store.row(id)!
            let dirty = row.dirtyCells(held: held[id] ?? HeldCells(), after: sealed)
            let (changes, rest) = row.forward(
                dirty, invalid: invalid.contains(id), deleteUnjudged: link.isDeleteUnjudged(id))
            let cursor = mutants.contains(.heldCursor) ? min(heldSince[id] ?? link.cursor, link.cursor) : link.cursor
            heldSince[id] = rest.isEmpty ? nil : cursor
            for change in changes {
                builders[cursor, default: SegmentBuilder()].add(form: form, row: id, life: change.life, mask: change.mask, stamp: change.stamp) {
                    $1.append(row.values[$0])
                }
            }
            held[id] = rest.isEmpty ? nil : rest
        }
        sealed = store.logEnd
    }

    func push(_ range: Range<Int>) throws {
        seal()
        for index in range { try parent!.receive(link.outbox[index], from: self, isReadable: !unreadable.contains(index)) }
    }

    private func receive(_ segment: ModelSegment, from child: ModelReplica, isReadable: Bool) throws {
        guard segment.last > store.merged(of: child.site), !quarantine.hasLain(segment, of: child.site) else { return }
        if isReadable { try merge(segment, from: child) } else { quarantine.keep(segment, of: child.site) }
    }

    /// - Parameter later: what its site has sent since, of a segment that lay in quarantine.
    func merge(_ segment: ModelSegment, from child: ModelReplica, later: LaterWords? = nil) throws {
        let header = SegmentHeader(
            kind: .changes, scope: store.scope, site: child.site, firstSeq: segment.first, lastSeq: segment.last,
            cursor: segment.cursor, epoch: segment.epoch, rawLength: 0, bodyLength: 0, previousHash: .none, catalogueHash: .none,
            decodingHash: .none, bodyHash: .none, valuesDigest: .none)
        var cursor = mutants.contains(.ownCursor) ? segment.cursor : quarantine.cursor(segment, of: child.site)
        if mutants.contains(.lateContext) { cursor = child.link.cursor }
        cursor = min(cursor, segment.cut ?? cursor, store.logEnd)
        var merger = SegmentMerger(
            catalogue: ModelForm.catalogue, hub: name, now: 0, epoch: epoch, parentIncarnation: kin[child.site], mutants: mutants)
        merger.vouched = restoring.vouched(child.site)
        merger.later = later
        _ = try merger.merge(segment.body, header: header, cursor: cursor, into: &store)
        restoring.chains[child.site, default: [:]][segment.last] = segment.chain
        restoring.ends[child.site, default: [:]][segment.last] = segment.chain
    }

    // MARK: down

    func pull(upTo: Position) throws {
        if !mutants.contains(.lateSeal) { seal() }
        let parent = parent!
        let merged = parent.merged(of: site, upTo: upTo, known: link.merged)
        if epoch > 0 {
            guard upTo > link.cursor else { return }
            keepPage(upTo)
        }
        if upTo > link.cursor, let body = parent.page(after: link.cursor, upTo: upTo) {
            for changes in body.forms {
                if isNode { applyToTable(changes, merged) } else { try applyToStore(changes, body.stamps, merged, reachesEnd: upTo == parent.store.logEnd) }
            }
        }
        link.advance(to: upTo, logEnd: parent.store.logEnd, merged: merged)
    }

    func page(after: Position, upTo: Position) -> SegmentBody? {
        var builder = SegmentBuilder()
        for id in store.rows.keys.sorted() {
            let row = store.row(id)!
            for cells in row.told(after: after, upTo: upTo, hub: name) {
                builder.add(
                    form: form, row: id, life: cells.life, mask: cells.mask, stamp: cells.stamp, placement: cells.placement
                ) { $1.append(row.values[$0]) }
            }
        }
        return builder.take()
    }

    private func applyToTable(_ changes: FormChanges, _ merged: MergedSeqs) {
        for index in 0..<changes.count {
            let id = changes.rows[index]
            let pending = pending(id, merged)
            let decision = NodeRowPull.decide(
                life: changes.life[index], mask: changes.masks[index], present: table[id] != nil, pending: pending)
            switch decision {
            case .pass: break
            case .delete: table[id] = nil
            case .write(let mask, let insert):
                var row = insert ? Array(repeating: Value.null, count: form.fields.count) : table[id]!
                for (field, column) in zip(changes.fields, changes.columns) where mask.contains(field) {
                    row[field - 1] = column[index]
                }
                table[id] = row
            }
        }
    }

    private func applyToStore(_ changes: FormChanges, _ stamps: [Stamp], _ merged: MergedSeqs, reachesEnd: Bool) throws {
        var next = store.logEnd.next(inEpoch: epoch)
        var index = 0
        while index < changes.count {
            let id = changes.rows[index]
            let end = changes.rows[index...].firstIndex { $0 != id } ?? changes.count
            var row = store.row(id) ?? MergeRow(form: form, id: id)
            row.mutants = mutants
            row.position = next
            var pull = RowPull(
                row: row, held: held[id] ?? HeldCells(), pending: pending(id, merged), site: site, context: JudgeContext(hub: name, now: 0),
                reachesEnd: reachesEnd)
            pull.apply(changes, index..<end, stamps: stamps)
            held[id] = pull.held.isEmpty ? nil : pull.held
            if pull.row.moved || pull.learned { try store.save([pull.row]) }
            if pull.row.moved { next = next.advanced(by: 1) }
            index = end
        }
        if next > store.logEnd.next(inEpoch: epoch) { store.append(Extent(), upTo: next.advanced(by: -1)) }
    }

    /// What waits for the parent; what a mutant has not sealed waits beside it.
    private func pending(_ id: RowID, _ merged: MergedSeqs) -> Pending {
        var pending = link.pending(id, merged: merged, mutants: mutants)
        guard mutants.contains(.lateSeal) else { return pending }
        if let mark = marks[id] { pending.add(fields: form.closure(mark.mask), life: mark.life) }
        if let row = store.row(id) { pending.add(fields: dirty(row).fields, life: dirty(row).life ? row.life : .unchanged) }
        return pending
    }

    /// A mutant forgets rows that are dead and settled once every child has heard of it.
    func collect(_ children: [ModelReplica]) {
        for row in store.rows.values where row.life == .dead && row.rowCase == nil && row.cases.isEmpty && !dirty(row).life {
            let isOwed = link.pending(row.id).life || link.isDeleteUnjudged(row.id)
            let end = row.lifeCell.written
            let isAwaited = children.contains { child in
                let waits = child.link.outbox.contains { $0.cursor < end && $0.last > store.merged(of: child.site) }
                return child.link.cursor < end || mutants.contains(.collectLate) && waits
            }
            if !isOwed, !isAwaited { store.forget(row.id) }
        }
    }

    // MARK: a node restored from its backup

    func backup() {
        seal()
        snapshot = (table, link)
    }

    /// - Parameter incarnation: the one that it goes on as.
    func restore(as incarnation: Int) {
        (table, link) = snapshot!
        marks = [:]
        guard incarnation != self.incarnation else { return }
        let old = site
        self.incarnation = incarnation
        parent!.adopt(site, from: old, upTo: link.nextSeq.advanced(by: -1))
    }

    private func adopt(_ new: SiteID, from old: SiteID, upTo seq: Seq) {
        let limit = store.inherit(new, from: old, upTo: seq)
        kin[new] = (old, max(limit, kin[old]?.limit ?? .none))
    }

    // MARK: for the comparison

    func dirty(_ row: MergeRow) -> HeldCells {
        parent == nil ? HeldCells() : row.dirtyCells(held: held[row.id] ?? HeldCells(), after: sealed)
    }
}
