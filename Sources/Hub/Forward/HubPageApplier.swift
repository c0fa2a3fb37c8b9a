// A parent's log page at a hub: rule 5, and what a hub adds to it. A cell held back here that meets another value from above
// becomes a case here; a value of a case that came from the parent never goes back up.
//
// A port of the model's `pull`. Life first, then the groups; what is pending is judged by the parent, not here.

import GRDB
import Shared

struct HubPageApplier {
    private let db: Database
    private let home: HubHome
    private let scope: ScopeID
    private let merged: Seq
    private let context: JudgeContext
    private var store: SQLiteScopeStore
    private var summary = PullSummary()

    init(_ db: Database, hub home: HubHome, scope: ScopeID, merged: Seq, now: Int64) throws {
        self.db = db
        self.home = home
        self.scope = scope
        self.merged = merged
        context = JudgeContext(hub: home.keys.site, now: now)
        store = try SQLiteScopeStore(db, scope: scope)
    }

    mutating func apply(_ body: SegmentBody) throws -> PullSummary {
        var next = store.logEnd.next(inEpoch: home.epoch)
        var extent = Extent()
        for changes in body.forms {
            guard let form = home.catalogue[number: changes.form] else {
                summary.unknownForms += changes.count
                continue
            }
            summary.disputed += changes.placements.count { $0.disputed }
            var index = 0
            while index < changes.count {
                var end = index + 1
                while end < changes.count, changes.rows[end] == changes.rows[index] { end += 1 }
                if let row = try apply(form, changes, index..<end, stamps: body.stamps, at: next) {
                    try store.save([row])
                    extent.rows.append((form.number, row.id))
                    next = next.advanced(by: 1)
                    summary.applied += end - index
                } else {
                    summary.passedOver += end - index
                }
                index = end
            }
        }
        guard !extent.rows.isEmpty else { return summary }
        try store.append(extent, upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: extent.rows)
        return summary
    }

    /// All changes of one row in the page.
    ///
    /// - Returns: the row if it moved.
    private mutating func apply(
        _ form: Form, _ changes: FormChanges, _ range: Range<Int>, stamps: [Stamp], at position: Position
    ) throws -> MergeRow? {
        let id = changes.rows[range.lowerBound]
        var row = try store.load(form, [id])[id] ?? MergeRow(form: form, id: id)
        row.position = position
        let held = try Held.cells(db, scope: scope, form: form, row: id)
        let pending = try Pending.load(db, scope: scope, form: form.number, row: id, mergedUpTo: merged)
        var pull = RowPull(row: row, held: held, pending: pending, site: home.keys.site, context: context)
        for index in range where changes.life[index] != .unchanged {
            pull.takeLife(
                changes.life[index], placement: changes.placements[index], stamp: stamps[Int(changes.stamps[index])])
        }
        for index in range {
            for (group, values) in groups(form, changes, index) {
                pull.take(
                    group, values, placement: changes.placements[index], stamp: stamps[Int(changes.stamps[index])])
            }
        }
        if pull.held != held { try Held.store(db, scope: scope, form: form, row: id, pull.held) }
        return pull.row.moved ? pull.row : nil
    }

    private func groups(_ form: Form, _ changes: FormChanges, _ index: Int) -> [(group: Int, values: [Value])] {
        form.groups.indices.compactMap { group in
            guard changes.masks[index].isSuperset(of: form.groups[group].mask) else { return nil }
            let values = form.groups[group].fields.map { field in
                changes.fields.firstIndex(of: form.fields[field].number).map { changes.columns[$0][index] } ?? .null
            }
            return (group, values)
        }
    }
}

/// Pure: what one row does with its parent's cells.
struct RowPull {
    var row: MergeRow
    /// Own cells that are not sealed: held back.
    var held: HeldCells
    /// Own cells that are sealed and not merged above.
    let pending: Pending
    /// This hub's site as the parent knows it.
    let site: SiteID
    let context: JudgeContext

    mutating func takeLife(_ life: Life, placement: Placement, stamp: Stamp) {
        let by = Provenance(writer: .parent, stamp: stamp)
        let candidate = Candidate(by: by, values: [], life: life, cursor: placement.written)
        if row.rowCase != nil {
            row.rowCase!.join(candidate)
            row.moved = true
        } else if life == .dead, !row.cases.isEmpty || !held.fields.isEmpty {
            if row.life == .alive { row.openRowCase(candidate, context) }     // held or disputed here, deleted above
        } else if held.life, row.lifeCell.isWritten {
            if placement.written <= row.lifeCell.base { return }
            if life != row.life, placement.writer != site { row.openRowCase(candidate, context) }
        } else if pending.life || (life == .dead && !pending.fields.isEmpty) {
            return                                                          // the parent will judge it
        } else if row.lifeCell.isWritten, row.life == life {
            return
        } else {
            let reborn = row.life == .dead
            row.put(life: life, by: by)
            row.lifeCell.base = max(row.lifeCell.base, placement.written)
            if reborn {                                                     // the delete had covered what is here
                held = HeldCells()
                row.showWhole()
            }
        }
    }

    mutating func take(_ group: Int, _ values: [Value], placement: Placement, stamp: Stamp) {
        let by = Provenance(writer: .parent, stamp: stamp)
        let mask = row.form.groups[group].mask
        let isHeld = !(mask & held.fields).isEmpty
        let same = row.cells[group].isWritten && row.groupValues(group) == values
        let mine = placement.writer == site
        if row.life == .dead, held.life, !same, !mine, row.rowCase == nil {   // deleted here and held, changed above
            row.openRowCase(Candidate(by: by, values: [], life: .alive, cursor: placement.written), context)
        }
        if row.life == .dead, row.rowCase == nil {
            if !pending.life, !same { write(group, values, by, placement) }   // hidden until its life comes back
        } else if row.cases[group] != nil {
            row.dispute(group, Candidate(by: by, values: values, life: .unchanged, cursor: placement.written))
            row.cells[group].base = max(row.cells[group].base, placement.written)
        } else if isHeld, row.cells[group].isWritten {
            if placement.written <= row.cells[group].base || same || mine || placement.disputed { return }
            row.dispute(group, Candidate(by: by, values: values, life: .unchanged, cursor: placement.written))
            row.cells[group].base = max(row.cells[group].base, placement.written)
        } else if !(mask & pending.fields).isEmpty || same {
            return
        } else {
            write(group, values, by, placement)
        }
    }

    private mutating func write(_ group: Int, _ values: [Value], _ by: Provenance, _ placement: Placement) {
        row.put(group, values, by: by)
        row.cells[group].base = max(row.cells[group].base, placement.written)
    }
}
