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
            held[row["form"], default: [:]][RowID(row["id"])] = HeldCells(
                fields: FieldMask(low: row["fields_low"], high: row["fields_high"]), life: row["life"] as Int64 != 0)
        }
        return held
    }

    static func cells(_ db: Database, scope: ScopeID, form: Form, row: RowID) throws -> HeldCells {
        guard let found = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT fields_low, fields_high, life FROM zz_held WHERE scope = ? AND form = ? AND id = ?"),
            arguments: [scope.key, form.number, row.rawValue])
        else { return HeldCells() }
        return HeldCells(
            fields: FieldMask(low: found["fields_low"], high: found["fields_high"]), life: found["life"] as Int64 != 0)
    }

    /// Replaces what is held of a row; nothing held = no entry.
    static func store(_ db: Database, scope: ScopeID, form: Form, row: RowID, _ cells: HeldCells) throws {
        if cells.isEmpty {
            try db.cachedStatement(sql: "DELETE FROM zz_held WHERE scope = ? AND form = ? AND id = ?")
                .execute(arguments: [scope.key, form.number, row.rawValue])
        } else {
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO zz_held VALUES (?, ?, ?, ?, ?, ?)").execute(arguments: [
                scope.key, form.number, row.rawValue, cells.fields.low, cells.fields.high, cells.life ? 1 : 0,
            ])
        }
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
