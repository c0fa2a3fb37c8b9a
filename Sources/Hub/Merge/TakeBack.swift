// A page of this hub's own log that it has lost, handed back by a child: each of its cells is judged as a write that had seen
// what survived and all that the lost log had merged by then, and nothing else.
//
// What it covers is noted a cell: a change of a child that comes again and is covered is not judged, only shown again.

import GRDB
import Shared

struct TakeBack {
    private let db: Database
    private let home: HubHome
    private let page: LogPageInfo
    /// The epoch in which the page was made.
    private let epoch: Int
    /// The newest position that this log and the lost one have in common, as far as the child can know.
    private let survived: Position
    private let context: JudgeContext
    private var store: SQLiteScopeStore
    private var next: Position
    private var moved: [(form: FormNumber, row: RowID)] = []
    private var rulings: [RowRuling] = []

    /// An entry of a lost log that was taken back before.
    private struct Taken {
        let was: Position
        let at: Position
        let isDisputed: Bool
    }

    init(
        _ db: Database, _ home: HubHome, _ scope: ScopeID, _ page: LogPageInfo, epoch: Int, survived: Position, now: Int64
    ) throws {
        (self.db, self.home, self.page, self.epoch, self.survived) = (db, home, page, epoch, survived)
        store = try SQLiteScopeStore(db, scope: scope)
        next = store.logEnd.next(inEpoch: home.epoch)
        context = JudgeContext(hub: home.keys.site, now: now, policies: try home.policies(db, scope: scope, now: now))
    }

    mutating func take(_ body: SegmentBody) throws {
        for changes in body.forms {
            guard let form = home.catalogue[number: changes.form] else {
                throw WireError(.badSegment, "form number \(changes.form) is not in this hub's catalogue")
            }
            // A page tells a row's life first; a judge wants its groups first.
            let order = (0..<changes.count).sorted { a, b in
                (changes.rows[a], changes.life[a] == .unchanged ? 0 : 1, a) < (changes.rows[b], changes.life[b] == .unchanged ? 0 : 1, b)
            }
            for index in order { try take(form, changes, index, body.stamps[Int(changes.stamps[index])]) }
        }
        guard !moved.isEmpty else { return }
        try store.append(Extent(merged: nil, rows: moved), upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: moved)
        try PolicyJournal.write(db, home, rulings, store: &store)
    }

    private mutating func take(_ form: Form, _ changes: FormChanges, _ index: Int, _ stamp: Stamp) throws {
        let (id, placement, life) = (changes.rows[index], changes.placements[index], changes.life[index])
        var row = try store.load(form, [id])[id] ?? MergeRow(form: form, id: id)
        let writer: Provenance.Writer = placement.writer == home.keys.site ? .hub : .child(placement.writer)
        let groups = form.groups.indices.filter { changes.masks[index].isSuperset(of: form.groups[$0].mask) }
        var change = IncomingChange(
            by: Provenance(writer: writer, stamp: stamp), cursor: survived, groups: groups.map { ($0, values(form, $0, changes, index)) },
            life: life)
        var own = context
        own.covered = []
        let taken = try earlier(form, id)
        if !placement.disputed { own.covered = try covered(row, taken, placement.written) }
        func isKnown(_ cell: Cell, _ group: Int) -> Bool {
            if placement.written <= survived { return true }
            if taken[group, default: []].contains(where: { $0.was == placement.written || ($0.was > placement.written && !$0.isDisputed) }) {
                return true
            }
            // The same child's later word stands here.
            return writer != .hub && cell.isWritten && cell.by.writer == writer && cell.written > survived
                && !own.covered!.contains(cell.written) && !taken[group, default: []].contains { $0.at == cell.written }
        }
        change.groups.removeAll { isKnown(row.cells[$0.group], form.groups[$0.group].number) }
        if life != .unchanged, isKnown(row.lifeCell, 0) { change.life = .unchanged }
        if !placement.disputed { try cover(form, id, groups, life) }
        guard !change.groups.isEmpty || change.life != .unchanged else { return }
        row.judge(change, at: next, own)
        try note(row, change, placement)
        guard row.moved else { return }
        try store.save([row])
        moved.append((form.number, id))
        rulings += row.rulings.map { RowRuling(form: form, row: id, ruling: $0) }
        next = next.advanced(by: 1)
    }

    private func values(_ form: Form, _ group: Int, _ changes: FormChanges, _ index: Int) -> [Value] {
        form.groups[group].fields.map { field in
            changes.fields.firstIndex(of: form.fields[field].number).map { changes.columns[$0][index] } ?? .null
        }
    }

    /// Positions of the row's cells that the lost log had merged, or written over, when it made the page.
    private func covered(_ row: MergeRow, _ taken: [Int: [Taken]], _ written: Position) throws -> Set<Position> {
        var covered: Set<Position> = []
        let entries = taken.values.flatMap { $0 }
        for cell in row.cells + [row.lifeCell] where cell.isWritten && cell.written > survived {
            if let entry = entries.first(where: { $0.at == cell.written }) {
                if entry.was < written, !entry.isDisputed { covered.insert(cell.written) }
            } else if case .child(let site) = cell.by.writer, let merged = page.merged[site] {
                let extent = try Row.fetchOne(
                    db.cachedStatement(sql: "SELECT site, last_seq FROM zz_extent WHERE scope = ? AND last >= ? ORDER BY last LIMIT 1"),
                    arguments: [store.scope.key, cell.written.rawValue])
                if let extent, extent["site"] == site.key, Seq(extent["last_seq"] as Int64) <= merged { covered.insert(cell.written) }
            }
        }
        return covered
    }

    // MARK: what is remembered of lost logs

    /// Entries of the same lost log that were taken back before, by group number.
    private func earlier(_ form: Form, _ id: RowID) throws -> [Int: [Taken]] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT field_group, was, at, disputed FROM zz_taken WHERE scope = ? AND form = ? AND id = ? AND epoch = ?"),
            arguments: [store.scope.key, form.number, id.rawValue, epoch])
        return Dictionary(grouping: rows) { $0["field_group"] }.mapValues { rows in
            rows.map { Taken(was: Position($0["was"] as Int64), at: Position($0["at"] as Int64), isDisputed: $0["disputed"] as Int != 0) }
        }
    }

    private func note(_ row: MergeRow, _ change: IncomingChange, _ placement: Placement) throws {
        var entries = change.groups.map { (row.form.groups[$0.group].number, row.cells[$0.group], row.cases[$0.group] != nil) }
        if change.life != .unchanged { entries.append((0, row.lifeCell, row.rowCase != nil)) }
        for (group, cell, isOpen) in entries {
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO zz_taken VALUES (?, ?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
                store.scope.key, row.form.number, row.id.rawValue, group, epoch, placement.written.rawValue,
                cell.written == next ? next.rawValue : 0, isOpen || placement.disputed ? 1 : 0,
            ])
        }
    }

    private func cover(_ form: Form, _ id: RowID, _ groups: [Int], _ life: Life) throws {
        // A delete was judged against every group of its row.
        var numbers = (life == .dead ? form.groups.map(\.number) : groups.map { form.groups[$0].number })
        if life != .unchanged { numbers.append(0) }
        for (site, seq) in page.merged {
            for group in numbers {
                try db.cachedStatement(
                    sql: """
                        INSERT INTO zz_cover VALUES (?, ?, ?, ?, ?, ?)
                        ON CONFLICT (scope, form, id, field_group, site) DO UPDATE SET seq = max(seq, excluded.seq)
                        """
                ).execute(arguments: [store.scope.key, form.number, id.rawValue, group, site.key, seq.rawValue])
            }
        }
    }
}

extension SQLiteScopeStore {
    func covered(_ form: Form, _ row: RowID, by site: SiteID) throws -> [Int: Seq] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT field_group, seq FROM zz_cover WHERE scope = ? AND form = ? AND id = ? AND site = ?"),
            arguments: [scope.key, form.number, row.rawValue, site.key])
        return Dictionary(uniqueKeysWithValues: rows.map { ($0["field_group"] as Int, Seq($0["seq"] as Int64)) })
    }
}
