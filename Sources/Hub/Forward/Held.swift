// What a hub holds back, and why: the small tables that a seal asks.

import GRDB
import Shared

enum Held {
    static func load(_ db: Database, scope: ScopeID) throws -> [FormNumber: [RowID: HeldCells]] {
        var held: [FormNumber: [RowID: HeldCells]] = [:]
        let rows = try Row.fetchCursor(
            db.cachedStatement(sql: "SELECT form, id, fields_low, fields_high, life FROM zz_held WHERE scope = ?"),
            arguments: [scope.key])
        while let row = try rows.next() {
            let id = RowID(row["id"])
            held[row["form"], default: [:]][id] = (held[row["form"]]?[id] ?? HeldCells()) | cells(row)
        }
        return held
    }

    static func cells(_ db: Database, scope: ScopeID, form: Form, row: RowID) throws -> HeldCells {
        try entries(db, scope, form, row).reduce(HeldCells()) { $0 | $1.cells }
    }

    /// Cells of one row, and the position up to which everything of them had gone up when they came to be held: what stood there then
    /// is the last that the parent has heard of them.
    static func entries(_ db: Database, _ scope: ScopeID, _ form: Form, _ row: RowID) throws -> [(cells: HeldCells, since: Position)] {
        try Row.fetchAll(
            db.cachedStatement(sql: "SELECT since, fields_low, fields_high, life FROM zz_held WHERE scope = ? AND form = ? AND id = ? ORDER BY since"),
            arguments: [scope.key, form.number, row.rawValue]
        ).map { (cells($0), Position($0["since"])) }
    }

    /// Replaces what is held of a row; nothing held = no entry. What was held before is held since then.
    static func store(_ db: Database, scope: ScopeID, form: Form, row: RowID, _ cells: HeldCells, since: Position) throws {
        var entries = try entries(db, scope, form, row)
        let before = entries.reduce(HeldCells()) { $0 | $1.cells }
        if before == cells { return }
        entries = entries.map { ($0.cells & cells, $0.since) } + [(cells.without(before), since)]
        try db.cachedStatement(sql: "DELETE FROM zz_held WHERE scope = ? AND form = ? AND id = ?")
            .execute(arguments: [scope.key, form.number, row.rawValue])
        for (cells, since) in entries where !cells.isEmpty {
            try db.cachedStatement(sql: "INSERT INTO zz_held VALUES (?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
                scope.key, form.number, row.rawValue, since.rawValue, cells.fields.low, cells.fields.high, cells.life ? 1 : 0,
            ])
        }
    }

    private static func cells(_ row: Row) -> HeldCells {
        HeldCells(fields: FieldMask(low: row["fields_low"], high: row["fields_high"]), life: row["life"] as Int64 != 0)
    }

    /// Rows that break a rule of level error.
    static func invalid(_ db: Database, scope: ScopeID, form: Form) throws -> Set<RowID> {
        try rows(db, "SELECT DISTINCT id FROM zz_finding WHERE scope = ? AND form = ? AND level = 'error'", scope, form)
    }

    /// Rows whose delete went up and is not known to be judged: `Pending.settle` keeps those alone so long.
    static func endingLife(_ db: Database, scope: ScopeID, form: Form) throws -> Set<RowID> {
        try rows(
            db, "SELECT id FROM zz_unsettled WHERE scope = ? AND form = ? AND life = \(Life.dead.rawValue)", scope, form)
    }

    private static func rows(_ db: Database, _ sql: String, _ scope: ScopeID, _ form: Form) throws -> Set<RowID> {
        Set(
            try Int64.fetchAll(db.cachedStatement(sql: sql), arguments: [scope.key, form.number]).map { RowID($0) })
    }
}
