// Writes of a rehearsal at a hub, and what it looks up there: as `hub put` writes, by the row's id and without the rules.

import GRDB
import Shared

extension HubHome {
    /// Writes a living row's cells here; a cell that is disputed here gets one more candidate.
    package func change(_ form: Form, _ row: RowID, _ values: [Int: Value], author: String, now: Int64) throws {
        try rewrite(form, row, author: author, now: now) { row, by, seen, context in
            _ = row.write(values, by: by, seen: seen, context) { _, _ in false }
        }
    }

    /// Deletes a row of which nothing is disputed here.
    package func remove(_ form: Form, _ row: RowID, author: String, now: Int64) throws {
        try rewrite(form, row, author: author, now: now) { row, by, _, _ in
            guard row.rowCase == nil, row.cases.isEmpty else {
                throw Failure(.refused, "Something of the row is disputed here.", next: "Decide the case first.")
            }
            row.put(life: .dead, by: by)
        }
    }

    private func rewrite(
        _ form: Form, _ id: RowID, author: String, now: Int64, _ body: (inout MergeRow, Provenance, Position, JudgeContext) throws -> Void
    ) throws {
        try database.write { db in
            var (store, row) = try find(db, form, id)
            let asked = try WholeRowCases(db, store.scope)
            let seen = store.logEnd
            row.position = seen.next(inEpoch: epoch)
            let context = JudgeContext(hub: keys.site, now: now, policies: try policies(db, scope: store.scope, now: now))
            try body(&row, Provenance(writer: .hub, stamp: Stamp(origin: keys.site, author: author, time: now)), seen, context)
            guard row.moved else { return }
            try store.save([row])
            try store.append(Extent(merged: nil, rows: [(form.number, id)]), upTo: row.position)
            _ = try FindingsRefresher(rules: rules).refresh(db, store: &store, touched: [(form.number, id)])
            try asked.note(moved: [(form.number, id)])
            try PolicyJournal.write(db, self, row.rulings.map { RowRuling(form: form, row: id, ruling: $0) }, store: &store)
        }
    }

    private func find(_ db: Database, _ form: Form, _ id: RowID) throws -> (store: SQLiteScopeStore, row: MergeRow) {
        let scope = try Int64.fetchOne(db, sql: "SELECT scope FROM \(form.table) WHERE id = ?", arguments: [id.rawValue])
        guard let scope else {
            throw Failure(.refused, "The row has not reached this hub.", next: "Let it be sent first.")
        }
        var store = try SQLiteScopeStore(db, scope: ScopeID(key: scope))
        return (store, try store.load(form, [id])[id]!)
    }

    /// A field's overwritten values, oldest first.
    package func history(_ form: Form, _ row: RowID, field: Int) throws -> [Value] {
        let group = form.groups.first { $0.fields.contains(field) }!
        return try database.read { db in
            let own = group.fields.map { form.fields[$0].number }
            return try Row.fetchAll(
                db, sql: "SELECT old, cut, field_group FROM zz_history WHERE form = ? AND id = ? AND field_group <> 0 ORDER BY replaced, written",
                arguments: [form.number, row.rawValue]
            ).compactMap { entry in
                let cut = (entry["cut"] as String?).flatMap { WireJSON.decode([Int].self, from: Array($0.utf8)) }
                guard let numbers = cut ?? (entry["field_group"] as Int == group.number ? own : nil) else { return nil }
                return numbers.firstIndex(of: form.fields[field].number).map { ValuesJSON.decode(entry["old"])[$0] }
            }
        }
    }

    /// Who typed what stands in a field.
    package func author(_ form: Form, _ row: RowID, field: Int) throws -> String {
        try database.read { db in
            let group = form.groups.firstIndex { $0.fields.contains(field) }!
            return try find(db, form, row).row.cells[group].by.stamp.author
        }
    }
}
