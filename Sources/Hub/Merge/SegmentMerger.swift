// One decoded segment into one scope, in the caller's transaction: rows, history, cases, findings, log, counts, all or
// nothing.
//
// Fast path: rows nobody has heard of go straight from the decoded columns into the table. Everything else is loaded, judged
// by the pure core and saved.

import Shared

struct MergeReport: Sendable {
    var rows = 0
    var counts = CellCounts()
    var findings = 0
    var casesOpened = 0
    /// Natural keys that rows had before.
    var formerKeys: [FormNumber: Set<String>] = [:]
    var rulings: [RowRuling] = []
    /// Equal words that had not seen this hub's.
    var same: [SameWord] = []
    /// Changes merged beside cells that their authors had not seen: together they may break what each kept.
    var apart: [ApartChange] = []
}

struct SegmentMerger {
    let catalogue: Catalogue
    let hub: SiteID
    /// Seconds since 1970.
    let now: Int64
    let epoch: Int
    /// The child was put back from a copy: its older incarnation, and until when that one counts as this.
    var parentIncarnation: (site: SiteID, limit: Position)?
    /// The segment was in quarantine: what its site has written since is passed over. nil for an ordinary one.
    var later: LaterWords?
    private var isReleased: Bool { later != nil }
    /// Points of its site's chain up to which pages of lost logs, taken back, may cover its changes.
    var vouched: Set<ChainMark> = []
    var policies = ScopePolicies()
    /// The segment was sealed under another version of the catalogue.
    var isOtherVersion = false
    /// The tests' mistakes; empty everywhere else.
    var mutants: MergeMutant = []

    /// Merges what is new in the segment; changes up to the child's `merged` are passed over, so that any repeat is harmless.
    ///
    /// - Parameter cursor: what the segment's authors had seen (older than the header's while an earlier segment of the site
    ///   is in quarantine).
    func merge<Store: ScopeStore>(
        _ body: SegmentBody, header: SegmentHeader, cursor: Position, into store: inout Store
    ) throws -> (report: MergeReport, touched: [(form: FormNumber, row: RowID)]) {
        let site = header.site
        let newest = try store.merged(of: site)
        guard header.lastSeq > newest || isReleased else { return (MergeReport(), []) }
        let done = isReleased ? header.firstSeq.advanced(by: -1) : newest
        var report = MergeReport()
        var next = store.logEnd.next(inEpoch: epoch)
        var extent = Extent()
        if header.lastSeq > newest { extent.merged = (site, header.lastSeq) } else { extent.released = (site, header.lastSeq) }
        let by = body.stamps.map { Provenance(writer: .child(site), stamp: $0, receivedAt: now) }
        // Sealed before the child and this hub, which was put back, agreed on what both still have; in epoch 0, if the child's first hello
        // met a later one than the first.
        let comesAgain = max(header.epoch, 1) < epoch
        var seq = header.firstSeq
        for changes in body.forms {
            guard let form = catalogue[number: changes.form] else { preconditionFailure("checked before the merge") }
            let start = max(0, Int(done.rawValue - seq.rawValue + 1))
            if start < changes.count {
                try merge(
                    form, changes, from: start, firstSeq: comesAgain ? seq : nil, by: by, releasedUpTo: isReleased ? header.lastSeq : nil, cursor: cursor,
                    into: &store, next: &next, extent: &extent, report: &report)
            }
            seq = seq.advanced(by: changes.count)
        }
        // A transaction that moved nothing ends the log too: the child learns from it that it is merged.
        if extent.rows.isEmpty { next = next.advanced(by: 1) }
        try store.append(extent, upTo: next.advanced(by: -1))
        try store.count(report.counts, sent: report.counts.sent, of: site, upTo: header.lastSeq)
        return (report, extent.rows)
    }

    private func merge<Store: ScopeStore>(
        _ form: Form, _ changes: FormChanges, from start: Int, firstSeq: Seq?, by: [Provenance], releasedUpTo last: Seq?, cursor: Position,
        into store: inout Store, next: inout Position, extent: inout Extent, report: inout MergeReport
    ) throws {
        let all = form.ownFields
        // The foreign fields' metadata are no base's.
        let fresh = (start..<changes.count).filter { changes.life[$0] == .alive && changes.masks[$0] == all }
        let first = next
        let known = try store.insertFresh(form, changes, indices: fresh, by: by) { first.advanced(by: $0) }
        let knownSet = Set(known)
        let groups = form.groups.count { !$0.isForeign }
        for index in fresh where !knownSet.contains(index) {
            extent.rows.append((form.number, changes.rows[index]))
            next = next.advanced(by: 1)
            report.rows += 1
            report.counts.merged += groups + 1
        }
        let freshSet = fresh.count == changes.count - start && known.isEmpty ? nil : Set(fresh).subtracting(knownSet)
        guard let freshSet else { return }
        try judge(
            form, changes, (start..<changes.count).filter { !freshSet.contains($0) }, firstSeq: firstSeq, by: by, releasedUpTo: last,
            cursor: cursor, into: &store, next: &next, extent: &extent, report: &report)
    }

    private func judge<Store: ScopeStore>(
        _ form: Form, _ changes: FormChanges, _ indices: [Int], firstSeq: Seq?, by: [Provenance], releasedUpTo last: Seq?, cursor: Position,
        into store: inout Store, next: inout Position, extent: inout Extent, report: inout MergeReport
    ) throws {
        let batch = Batch(
            form: form, changes: changes, columns: form.fields.map { changes.fields.firstIndex(of: $0.number) }, firstSeq: firstSeq, by: by,
            releasedUpTo: last, cursor: cursor, context: JudgeContext(hub: hub, now: now, policies: policies))
        var rows = try store.load(form, indices.map { changes.rows[$0] })
        var moved: Set<RowID> = []
        for index in indices {
            let id = changes.rows[index]
            // In place: to copy a row is to copy its forty cells.
            try judge(&rows[id, default: MergeRow(form: form, id: id)], index, of: batch, at: next, store: store, report: &report)
            guard rows[id]!.moved else { continue }
            next = next.advanced(by: 1)
            extent.rows.append((form.number, id))
            moved.insert(id)
        }
        try save(moved.sorted().map { rows.removeValue(forKey: $0)! }, form, into: &store, report: &report)
        for same in report.same { try store.note(same) }
        report.same = []
    }

    /// What the changes of one form have in common.
    private struct Batch {
        let form: Form
        let changes: FormChanges
        /// Of each field of the form.
        let columns: [Int?]
        let firstSeq: Seq?
        let by: [Provenance]
        /// The last seq of a segment released from quarantine.
        let releasedUpTo: Seq?
        let cursor: Position
        let context: JudgeContext
    }

    /// Leaves in the row whether it moved.
    private func judge(
        _ row: inout MergeRow, _ index: Int, of batch: Batch, at next: Position, store: some ScopeStore, report: inout MergeReport
    ) throws {
        let (changes, casesBefore) = (batch.changes, row.openCases)
        row.moved = false
        row.mutants = mutants
        row.counts = CellCounts()
        var change = IncomingChange(
            by: batch.by[Int(changes.stamps[index])], cursor: batch.cursor, groups: groups(batch, index, present: row.values),
            life: changes.life[index])
        row.position = next
        if let last = batch.releasedUpTo, let later, !mutants.contains(.blindRelease) {
            let carried = (sent: changes.masks[index], since: later[batch.form.number, row.id])
            try row.dropOvertaken(&change, carried) { try store.mergedSeq(of: $0, at: $1) ?? .none > last }
        }
        let told = change
        if let firstSeq = batch.firstSeq, case .child(let site) = change.by.writer {
            let covered = try store.covered(batch.form, row.id, by: site).filter { vouched.contains($0.value) }
            row.dropCovered(&change, firstSeq.advanced(by: index), covered.mapValues(\.seq), batch.context)
        }
        if batch.firstSeq != nil, mutants.contains(.markOver) { change.cursor = next }
        var context = batch.context
        context.inherited = try inherited(row, change, store)
        try noteDecided(row, change, in: &context, store)
        context.mayCarry = isOtherVersion && change.groups.count > 1
        if change.life == .dead { context.isDistinctUnseen = try store.isDistinct(batch.form, row.id, after: change.cursor) }
        let apart = row.apart(change, context)
        report.same += row.sameWords(change, context)
        row.judge(change, at: next, context)
        if row.moved, let apart { report.apart.append(apart) }
        if batch.firstSeq != nil { row.showAgain(told) }
        report.rows += 1
        report.counts += row.counts
        report.casesOpened += max(0, row.openCases - casesBefore)
    }

    /// The cells that the child's older incarnation wrote up to the copy, as far as the child has not seen them anyhow.
    ///
    /// By its merges alone: what a page of a lost log brought back stands where it was taken back, before its own site came again, be it of
    /// after the copy. What came before the copy all the same is asked for.
    private func inherited(_ row: MergeRow, _ change: IncomingChange, _ store: some ScopeStore) throws -> Set<Int> {
        guard let old = parentIncarnation else { return [] }
        func isInherited(_ cell: Cell) throws -> Bool {
            guard cell.by.writer == .child(old.site), cell.written > change.cursor else { return false }
            if mutants.contains(.kinAll) { return true }
            return try cell.written <= old.limit && store.mergedSeq(of: old.site, at: cell.written) != nil
        }
        var inherited = Set(try row.cells.indices.filter { try isInherited(row.cells[$0]) })
        if try isInherited(row.lifeCell) { inherited.insert(JudgeContext.lifeIndex) }
        return inherited
    }

    /// Who has decided what stands here and the change's author had not seen: a person, whom no policy overrules; or a policy, for the
    /// author's own word.
    private func noteDecided(_ row: MergeRow, _ change: IncomingChange, in context: inout JudgeContext, _ store: some ScopeStore) throws {
        // Who deletes a row says something of every group.
        let groups = change.life == .dead ? Array(row.cells.indices) : change.groups.map(\.group)
        for group in groups where row.cells[group].by.writer == .hub && context.policies[row.form, group].policy != .manual {
            let (cell, origin) = (row.cells[group], row.cells[group].by.stamp.origin)
            let isOwn = origin == change.by.stamp.origin && change.by.writer == .child(origin)
            guard isOwn || origin == hub, !row.saw(group, change, context) else { continue }
            switch try store.decided(row.form, row.id, at: cell.written) {
            case .person? where !isOwn: context.decided.insert(group)
            case .policy? where isOwn: context.ruledOwn.insert(group)
            default: break
            }
        }
    }

    /// - Parameter rows: in the order of their ids, so that cases are numbered alike everywhere.
    private func save<Store: ScopeStore>(_ rows: [MergeRow], _ form: Form, into store: inout Store, report: inout MergeReport) throws {
        var rows = rows
        for index in rows.indices { rows[index].moved = true }          // by an earlier change of the segment than its last
        for row in rows {
            report.formerKeys[form.number, default: []].formUnion(row.formerKeys)
            report.rulings += row.rulings.map { RowRuling(form: form, row: row.id, ruling: $0) }
        }
        try store.save(rows)
    }

    /// The change cut into this hub's groups. A field of a group that the change does not carry keeps its present value.
    private func groups(_ batch: Batch, _ index: Int, present: [Value]) -> [(group: Int, values: [Value])] {
        let (form, changes) = (batch.form, batch.changes)
        let mask = changes.masks[index]
        return form.groups.indices.compactMap { group in
            guard !(form.groups[group].mask & mask).isEmpty else { return nil }
            return (group, form.groups[group].fields.map { field in
                guard mask.contains(form.fields[field].number) else { return present[field] }
                return batch.columns[field].map { changes.columns[$0][index] } ?? .null
            })
        }
    }
}

extension MergeRow {
    fileprivate var openCases: Int { cases.count + (rowCase == nil ? 0 : 1) }

    /// Takes out of a change that comes again what pages of the lost log cover.
    ///
    /// What a delete covers no page has told: its values are kept aside, as the lost log's tombstone had them. Should the row live again,
    /// here or below, it must be whole: its children sent them long ago, and know them to be here.
    fileprivate mutating func dropCovered(_ change: inout IncomingChange, _ seq: Seq, _ covered: [Int: Seq], _ context: JudgeContext) {
        func isCovered(_ number: Int) -> Bool { seq <= covered[number] ?? .none }
        let isDeleted = isCovered(CoverNumber.byDelete)
        for (group, values) in change.groups {
            let isTold = isCovered(form.groups[group].number)
            guard isTold || isDeleted else { continue }
            if isTold || !keepAside(group, values, change, context) { counts.overtaken += 1 } else { counts.merged += 1 }
        }
        change.groups.removeAll { isDeleted || isCovered(form.groups[$0.group].number) }
        if change.life != .unchanged, isCovered(0) {
            change.life = .unchanged
            counts.overtaken += 1
        }
    }

    /// - Returns: whether the value stands here now; what stands here instead was written by another since, as far as anybody can tell.
    private mutating func keepAside(_ group: Int, _ values: [Value], _ change: IncomingChange, _ context: JudgeContext) -> Bool {
        if mutants.contains(.emptyGraves) { return false }
        guard cases[group] == nil, saw(group, change, context) else { return false }
        if !cells[group].isWritten || groupValues(group) != values { put(group, values, by: change.by) }
        return true
    }

    /// Its sender may have passed over what stands here instead, and does not know it though its cursor says so: another's
    /// word takes a new place.
    fileprivate mutating func showAgain(_ change: IncomingChange) {
        if mutants.contains(.noReturnShow) { return }
        moved = true
        func showAgain(_ cell: inout Cell) {
            guard cell.isWritten else { return }
            cell.shown = position
            if cell.by.writer != change.by.writer { cell.written = position }
        }
        for (group, _) in change.groups { showAgain(&cells[group]) }
        if change.life != .unchanged || life == .dead { showAgain(&lifeCell) }      // who edits the row has not deleted it
        if change.life == .dead, life == .alive { showWhole() }         // its sender has deleted the row
    }

    /// Takes out of a released change what its site has written again since: the later word of one author stands, also where it was
    /// judged equal and wrote nothing. Where the log has a word tells nothing (an earlier segment may have been released a moment ago, a
    /// case may show an earlier word again): its seq does.
    ///
    /// Where groups were cut otherwise meanwhile, the later word may have carried other fields of what is one group, and is no answer to
    /// these: where that word stands here, both are asked about.
    ///
    /// - Parameters:
    ///   - carried: the fields of the change, and what its site has sent since.
    ///   - isLater: whether the site's word at a position was sealed after the change.
    fileprivate mutating func dropOvertaken(
        _ change: inout IncomingChange, _ carried: (sent: FieldMask, since: LaterWords.Sent), isLater: (SiteID, Position) throws -> Bool
    ) rethrows {
        guard case .child(let site) = change.by.writer else { return }
        func isOvertaken(_ cell: Cell) throws -> Bool { try cell.by.writer == change.by.writer && isLater(site, cell.written) }
        var left: [(group: Int, values: [Value])] = []
        for (group, values) in change.groups {
            let last = FieldMask(form.groups[group].mask.bits & carried.sent.bits & ~carried.since.fields.bits)
            let words = zip(form.groups[group].fields, values).map { last.contains(form.fields[$0].number) ? $1 : self.values[$0] }
            let stands = try isOvertaken(cells[group])
            if last.isEmpty || (stands && (life == .dead || words == groupValues(group))) {
                counts.overtaken += 1
                if life == .dead {      // its sender passed over the row's end while this waited
                    lifeCell.shown = position
                    moved = true
                }
            } else if stands {
                dispute(group, Candidate(by: change.by, values: words, life: .unchanged, cursor: change.cursor))
                counts.disputed += 1
            } else {
                left.append((group, words))
            }
        }
        change.groups = left
        if change.life != .unchanged, try carried.since.life || isOvertaken(lifeCell) {
            change.life = .unchanged
            counts.overtaken += 1
        }
    }
}
