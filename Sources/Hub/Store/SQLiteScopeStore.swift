// `ScopeStore` on SQLite.

import Foundation
import GRDB
import Shared

struct SQLiteScopeStore: ScopeStore {
    let db: Database
    let scope: ScopeID
    private(set) var logEnd: Position
    var stamps: Stamps
    private let foreign: ForeignFields
    /// SQL by form, built once a transaction.
    private var selects: [FormNumber: HotStatement] = [:]
    private var upserts: [FormNumber: HotStatement] = [:]
    private var updates: [FormNumber: HotStatement] = [:]
    /// The form that was widened last: most rows of a batch share theirs.
    private var widened: (from: SharedForm, to: SharedForm)?

    /// - Throws: `Failure(.damaged)` when the scope is unknown here.
    init(_ db: Database, scope: ScopeID) throws {
        guard let end = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT log_end FROM zz_scope WHERE scope = ?"), arguments: [scope.key])
        else { throw Failure(.damaged, "This hub has no scope \(scope).", next: "`zzsync hub schools` lists them.") }
        self.db = db
        self.scope = scope
        logEnd = Position(end)
        stamps = Stamps(db)
        foreign = try ForeignFields.load(db)
    }

    /// The form with all columns that its table has: whoever holds a narrower one must not lose what stands beside it.
    private mutating func wide(_ shared: SharedForm) -> SharedForm {
        if foreign.isEmpty { return shared }
        if let widened, widened.from === shared { return widened.to }
        let wide = SharedForm(shared.form.widened(by: foreign[shared.form.number]))
        widened = (shared, wide)
        return wide
    }

    // MARK: rows

    mutating func insertFresh(
        _ form: Form, _ changes: FormChanges, indices: [Int], by: [Provenance], at: (Int) -> Position
    ) throws -> [Int] {
        let numbers = try by.map { try stamps.number($0) }
        let columns = form.fields.map { changes.fields.firstIndex(of: $0.number) }
        let names = form.fields.map(\.id).joined(separator: ", ")
        let marks = Array(repeating: "?", count: form.fields.count).joined(separator: ", ")
        let insert = try HotStatement(
            db,
            """
            INSERT INTO \(form.table) (scope, id, _life, _at, _by, \(names)) VALUES (?, ?, 1, ?, ?, \(marks))
            ON CONFLICT (scope, id) DO NOTHING
            """)
        var known: [Int] = []
        var moved = 0
        if indices.isEmpty { return [] }
        try changes.withPlainColumns { plain in
            // Fields that the segment lacks stay unbound: null.
            let cells = columns.enumerated().compactMap { place, column in column.map { BoundColumn(plain[$0], to: place + 5) } }
            defer { insert.clearBindings() }
            for index in indices {
                insert.bind(1, scope.key)
                insert.bind(2, changes.rows[index].rawValue)
                insert.bind(3, at(moved).rawValue)
                insert.bind(4, numbers[Int(changes.stamps[index])])
                insert.bind(cells, cell: index)
                try insert.run()
                if insert.changes == 0 { known.append(index) } else { moved += 1 }
            }
        }
        return known
    }

    mutating func load(_ form: Form, _ rows: [RowID]) throws -> [RowID: MergeRow] {
        let shared = wide(SharedForm(form))
        let form = shared.form
        let select = try selectStatement(form)
        let blank = Self.blank(form)
        var found: [RowID: MergeRow] = [:]
        found.reserveCapacity(rows.count)
        for id in rows {
            select.bind(1, scope.key)
            select.bind(2, id.rawValue)
            defer { select.reset() }
            guard try select.step() else { continue }
            var row = MergeRow(shared, id: id)
            row.isStored = true
            row.life = Life(rawValue: UInt8(select.integer(0))) ?? .unchanged
            let meta = RowMeta(at: Position(select.integer(1)), by: select.integer(2), exceptions: select.blob(3))
            for field in row.values.indices { row.values[field] = select.value(field + 4) }
            try unpack(meta, blank, into: &row)
            found[id] = row
        }
        return found
    }

    private mutating func selectStatement(_ form: Form) throws -> HotStatement {
        if let known = selects[form.number] { return known }
        let names = form.fields.map(\.id).joined(separator: ", ")
        let select = try HotStatement(
            db, "SELECT _life, _at, _by, _x, \(names) FROM \(form.table) WHERE scope = ? AND id = ?")
        selects[form.number] = select
        return select
    }

    /// Both statements take the scope, the id, the metadata and the values, in this order.
    private mutating func upsertStatement(_ form: Form) throws -> HotStatement {
        if let known = upserts[form.number] { return known }
        let names = ["_life", "_at", "_by", "_x"] + form.fields.map(\.id)
        let upsert = try HotStatement(
            db,
            """
            INSERT INTO \(form.table) (scope, id, \(names.joined(separator: ", ")))
            VALUES (?, ?, \(Array(repeating: "?", count: names.count).joined(separator: ", ")))
            ON CONFLICT (scope, id) DO UPDATE SET \(names.map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
            """)
        upserts[form.number] = upsert
        return upsert
    }

    private mutating func updateStatement(_ form: Form) throws -> HotStatement {
        if let known = updates[form.number] { return known }
        let sets = (["_life", "_at", "_by", "_x"] + form.fields.map(\.id)).enumerated().map { "\($1) = ?\($0 + 3)" }
        let update = try HotStatement(db, "UPDATE \(form.table) SET \(sets.joined(separator: ", ")) WHERE scope = ?1 AND id = ?2")
        updates[form.number] = update
        return update
    }

    /// Entries of a row's cells, its life's first, of which nothing is known yet.
    private static func blank(_ form: Form) -> [RowMeta.Entry] {
        var entries = ([0] + form.groups.map(\.number)).map {
            RowMeta.Entry(group: $0, written: .none, shown: .none, stamp: 0, disputed: false, base: .none)
        }
        for (index, group) in form.groups.enumerated() where group.isForeign { entries[index + 1].isForeign = true }
        return entries
    }

    private mutating func unpack(_ meta: RowMeta, _ blank: [RowMeta.Entry], into row: inout MergeRow) throws {
        var entries = blank
        let state = try meta.unpack(into: &entries)
        row.lifeCell = try cell(entries[0])
        for index in row.cells.indices { row.cells[index] = try cell(entries[index + 1]) }
        if state.disputed || state.hasRowCase { try CaseStore.load(db, scope: scope, into: &row, stamps: &stamps) }
    }

    private mutating func cell(_ entry: RowMeta.Entry) throws -> Cell {
        var cell = Cell(written: entry.written, shown: entry.shown, by: try stamps.provenance(entry.stamp))
        cell.base = entry.base
        cell.disputedAbove = entry.disputedAbove
        return cell
    }

    mutating func save(_ rows: [MergeRow]) throws {
        for row in rows {
            try saveHistory(row)
            try CaseStore.save(db, scope: scope, row, stamps: &stamps)
            try saveRow(row)
        }
    }

    private mutating func saveRow(_ row: MergeRow) throws {
        let shared = wide(row.shared)
        let form = shared.form
        var entries: [RowMeta.Entry] = []
        entries.reserveCapacity(form.groups.count + 1)
        entries.append(try entry(0, row.lifeCell, disputed: false))
        // A new row may have been made by a narrower form: what that lacks was never written.
        for index in 0..<min(form.groups.count, row.cells.count) {
            var entry = try entry(form.groups[index].number, row.cells[index], disputed: row.cases[index] != nil)
            entry.isForeign = form.groups[index].isForeign
            entries.append(entry)
        }
        let meta = RowMeta.pack(entries, rowCase: row.rowCase != nil)
        // An upsert makes the whole row first and then finds the old one: an update of a row that is there costs half of that.
        if row.isStored, try write(row, meta, form, by: updateStatement(form)) { return }
        _ = try write(row, meta, form, by: upsertStatement(form))
    }

    /// - Returns: whether a row was written.
    private func write(_ row: MergeRow, _ meta: RowMeta, _ form: Form, by statement: HotStatement) throws -> Bool {
        statement.bind(1, scope.key)
        statement.bind(2, row.id.rawValue)
        statement.bind(3, Int64(row.life.rawValue))
        statement.bind(4, meta.at.rawValue)
        statement.bind(5, meta.by)
        if let exceptions = meta.exceptions { statement.bind(6, blob: exceptions) } else { statement.bindNull(6) }
        for field in form.fields.indices {
            if field < row.values.count { statement.bind(field + 7, row.values[field]) } else { statement.bindNull(field + 7) }
        }
        try statement.run()
        return statement.changes > 0
    }

    private mutating func entry(_ group: Int, _ cell: Cell, disputed: Bool) throws -> RowMeta.Entry {
        RowMeta.Entry(
            group: group, written: cell.written, shown: cell.shown, stamp: cell.isWritten ? try stamps.number(cell.by) : 0,
            disputed: disputed, base: cell.base, disputedAbove: cell.disputedAbove)
    }

    private mutating func saveHistory(_ row: MergeRow) throws {
        guard !row.overwritten.isEmpty else { return }
        let insert = try HotStatement(db, "INSERT OR REPLACE INTO zz_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)")
        for old in row.overwritten {
            insert.bind(1, scope.key)
            insert.bind(2, Int64(row.form.number))
            insert.bind(3, row.id.rawValue)
            insert.bind(4, Int64(old.group))
            insert.bind(5, row.position.rawValue)
            insert.bind(6, old.cell.written.rawValue)
            insert.bind(7, try stamps.number(old.cell.by))
            insert.bind(8, Int64(old.life.rawValue))
            insert.bind(9, ValuesJSON.encode(old.values))
            try insert.run()
        }
    }

    // MARK: log

    mutating func append(_ extent: Extent, upTo: Position) throws {
        try db.cachedStatement(sql: "INSERT INTO zz_extent (scope, last, site, last_seq, rows) VALUES (?, ?, ?, ?, ?)")
            .execute(arguments: [
                scope.key, upTo.rawValue, extent.merged?.site.key ?? 0, extent.merged?.lastSeq.rawValue ?? 0,
                Data(ExtentRows.pack(extent.rows)),
            ])
        if let (site, seq) = extent.released {
            try db.cachedStatement(sql: "INSERT INTO zz_released VALUES (?, ?, ?, ?)")
                .execute(arguments: [scope.key, upTo.rawValue, site.key, seq.rawValue])
        }
        try db.cachedStatement(sql: "UPDATE zz_scope SET log_end = ? WHERE scope = ?")
            .execute(arguments: [upTo.rawValue, scope.key])
        logEnd = upTo
    }

    func merged(of site: SiteID) throws -> Seq {
        Seq(
            try Int64.fetchOne(
                db.cachedStatement(sql: "SELECT merged FROM zz_child WHERE scope = ? AND site = ?"),
                arguments: [scope.key, site.key]) ?? 0)
    }

    func mergedSeq(of site: SiteID, at position: Position) throws -> Seq? {
        try Int64.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT iif(extent.site = ?3, extent.last_seq, released.last_seq) FROM
                      (SELECT * FROM zz_extent WHERE scope = ?1 AND last >= ?2 ORDER BY last LIMIT 1) AS extent
                      LEFT JOIN zz_released AS released ON released.scope = extent.scope AND released.last = extent.last AND released.site = ?3
                    """),
            arguments: [scope.key, position.rawValue, site.key]
        ).map { Seq($0) }
    }

    mutating func count(_ counts: CellCounts, sent: Int, of site: SiteID, upTo: Seq) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO zz_child (scope, site, merged, sent, merged_cells, equal, disputed, overtaken)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (scope, site) DO UPDATE SET merged = max(merged, excluded.merged), sent = sent + excluded.sent,
                  merged_cells = merged_cells + excluded.merged_cells, equal = equal + excluded.equal,
                  disputed = disputed + excluded.disputed, overtaken = overtaken + excluded.overtaken
                """
        ).execute(arguments: [
            scope.key, site.key, upTo.rawValue, sent, counts.merged, counts.equal, counts.disputed, counts.overtaken,
        ])
    }

    func decided(_ form: Form, _ row: RowID, at position: Position) throws -> Decider? {
        // A merge writes its survivor one place before the row that goes, which it notes.
        try Bool.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT decision.policy IS NULL FROM zz_decision AS decision JOIN zz_case AS item USING (number)
                    WHERE decision.position IN (?4, ?4 + 1) AND (decision.policy IS NOT NULL OR decision.who <> ?5)
                      AND item.scope = ?1 AND item.form = ?2 AND (item.id = ?3 OR item.other_id = ?3)
                    ORDER BY decision.position LIMIT 1
                    """),
            arguments: [scope.key, form.number, row.rawValue, position.rawValue, PolicyJournal.system]
        ).map { $0 ? .person : .policy }
    }

    func isDistinct(_ form: Form, _ row: RowID, after position: Position) throws -> Bool {
        // The record stands one place after what the journal notes.
        try Bool.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT EXISTS (
                      SELECT 1 FROM zz_distinct AS pair
                        CROSS JOIN zz_case AS item ON item.kind = 'twins' AND item.form = pair.form
                          AND item.id IN (pair.id, pair.other_id) AND item.other_id IN (pair.id, pair.other_id)
                        JOIN zz_decision AS decision USING (number)
                      WHERE pair.form = ?2 AND ((pair.scope = ?1 AND pair.id = ?3) OR (pair.other_scope = ?1 AND pair.other_id = ?3))
                        AND decision.kind = 'distinct' AND decision.undone_by IS NULL AND decision.position >= ?4)
                    """),
            arguments: [scope.key, form.number, row.rawValue, position.rawValue])!
    }

    mutating func note(_ same: SameWord) throws {
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO zz_same VALUES (?, ?, ?, ?, ?, ?)").execute(arguments: [
            scope.key, same.form, same.row.rawValue, same.group, same.written.rawValue, try stamps.number(same.by),
        ])
    }

    // MARK: findings

    mutating func replaceFindings(_ form: Form, rows: [RowID], with findings: [Finding]) throws {
        if try hasFindings(form, among: rows) {
            let ids = "[" + rows.map(\.description).joined(separator: ",") + "]"
            try db.cachedStatement(
                sql: "DELETE FROM zz_finding WHERE scope = ? AND form = ? AND id IN (SELECT value FROM json_each(?))"
            ).execute(arguments: [scope.key, form.number, ids])
        }
        for finding in findings {
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO zz_finding VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                .execute(arguments: [
                    scope.key, form.number, finding.row.rawValue, finding.rule, finding.level.rawValue, finding.message,
                    finding.fix, finding.waitsFor,
                ])
        }
    }

    /// Whether any row between the first and the last of these has findings: of most batches none has, and one look tells.
    private func hasFindings(_ form: Form, among rows: [RowID]) throws -> Bool {
        guard let first = rows.min(), let last = rows.max() else { return false }
        return try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM zz_finding WHERE scope = ? AND form = ? AND id BETWEEN ? AND ?)"),
            arguments: [scope.key, form.number, first.rawValue, last.rawValue])!
    }
}

/// Field values as a JSON array, for history and candidates: read by people with the sqlite3 program, and back by us.
package enum ValuesJSON {
    /// Written by hand: through `JSONSerialization` it was a sixth of what an edit costs the merge.
    static func encode(_ values: [Value]) -> String {
        var json = "["
        for (index, value) in values.enumerated() {
            if index > 0 { json += "," }
            switch value {
            case .null: json += "null"
            case .integer(let value): json += String(value)
            case .real(let value): json += "{\"real\":\"\(value)\"}"
            case .text(let value): quote(value, into: &json)
            }
        }
        return json + "]"
    }

    private static func quote(_ text: String, into json: inout String) {
        json += "\""
        // 0xEF begins a byte order mark, among others.
        let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") && $0 != 0xEF }
        if isPlain {
            json += text
        } else {
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"", "\\": json += "\\" + String(scalar)
                // Bare at the start of a text, or behind an escape, `JSONSerialization` drops it.
                case "\u{FEFF}": json += "\\ufeff"
                case "\0"..<" ": json += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                default: json.unicodeScalars.append(scalar)
                }
            }
        }
        json += "\""
    }

    package static func decode(_ text: String) -> [Value] {
        let parts = (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [Any] ?? []
        return parts.map { part in
            switch part {
            case let text as String: .text(text)
            case let real as [String: String]: .real(Double(real["real"] ?? "") ?? 0)
            case let number as NSNumber: .integer(number.int64Value)
            default: .null
            }
        }
    }
}
