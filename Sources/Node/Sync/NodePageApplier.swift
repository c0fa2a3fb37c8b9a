// One form's part of a log page, applied to the node's table. Rule 5: cells that the parent has not merged yet are passed
// over, the rest is replaced; life first.

import GRDB
import Shared

struct NodePageApplier {
    let db: Database
    let form: Form
    let scope: ScopeID
    /// Which of our seqs the parent had merged as of the page's end.
    let merged: MergedSeqs
    let changes: FormChanges
    private(set) var applied = 0
    private(set) var passedOver = 0
    /// Nothing of ours waits in this scope: no row needs to be asked.
    private let nothingPends: Bool
    private let exists: HotStatement
    private let columnOf: [Int?]
    private var writers: [Shape: Writer] = [:]

    /// Which fields a statement writes.
    private struct Shape: Hashable {
        let mask: FieldMask
        let insert: Bool
    }
    private struct Writer {
        let statement: HotStatement
        let columns: [BoundColumn]
    }

    init(_ db: Database, form: Form, scope: ScopeID, merged: MergedSeqs, changes: FormChanges) throws {
        self.db = db
        self.form = form
        self.scope = scope
        self.merged = merged
        self.changes = changes
        nothingPends = try Bool.fetchOne(
            db, sql: "SELECT NOT EXISTS (SELECT 1 FROM zz_unsettled WHERE scope = ? AND seq > ?)",
            arguments: [scope.key, merged.floor.rawValue])!
        exists = try HotStatement(db, "SELECT 1 FROM \(form.table) WHERE id = ?")
        columnOf = form.fields.map { changes.fields.firstIndex(of: $0.number) }
    }

    mutating func run() throws {
        let changes = changes
        if changes.count > 0 {
            try changes.withPlainColumns { columns in
                defer { for writer in writers.values { writer.statement.clearBindings() } }
                for index in 0..<changes.count { try apply(index, columns) }
            }
        }
        try noteDisputes()
    }

    /// Keeps the list of disputed rows in step with what the page shows.
    private func noteDisputes() throws {
        let known = try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM zz_disputed WHERE form = ?)", arguments: [form.number])!
        guard known || changes.placements.contains(where: \.disputed) else { return }
        let add = try HotStatement(
            db,
            """
            INSERT INTO zz_disputed VALUES (?, ?, ?, ?, ?) ON CONFLICT (form, id) DO UPDATE SET life = life | excluded.life,
              fields_low = fields_low | excluded.fields_low, fields_high = fields_high | excluded.fields_high
            """)
        let clear = try HotStatement(
            db,
            """
            UPDATE zz_disputed SET fields_low = fields_low & ~?3, fields_high = fields_high & ~?4, life = life & ~?5
            WHERE form = ?1 AND id = ?2
            """)
        for index in 0..<changes.count {
            let statement = changes.placements[index].disputed ? add : clear
            statement.bind(1, Int64(form.number))
            statement.bind(2, changes.rows[index].rawValue)
            statement.bind(3, changes.masks[index].low)
            statement.bind(4, changes.masks[index].high)
            statement.bind(5, changes.life[index] == .unchanged ? 0 : 1)
            try statement.run()
        }
        try db.execute(
            sql: "DELETE FROM zz_disputed WHERE form = ? AND fields_low = 0 AND fields_high = 0 AND life = 0",
            arguments: [form.number])
    }

    /// A page's changes of one row come life first, so that cells find their row there.
    private mutating func apply(_ index: Int, _ columns: [PlainColumn]) throws {
        let row = changes.rows[index]
        let pending =
            nothingPends
            ? Pending() : try Pending.load(db, scope: scope, form: form.number, row: row, merged: merged)
        exists.bind(1, row.rawValue)
        let present = try exists.step()
        exists.reset()
        switch NodeRowPull.decide(life: changes.life[index], mask: changes.masks[index], present: present, pending: pending) {
        case .pass: return passedOver += 1
        case .delete: try delete(row)
        case .write(let mask, let insert): try write(index, row, mask, columns, insert: insert)
        }
        applied += 1
    }

    private func delete(_ row: RowID) throws {
        let statement = try HotStatement(db, "DELETE FROM \(form.table) WHERE id = ?")
        statement.bind(1, row.rawValue)
        try statement.run()
    }

    private mutating func write(_ index: Int, _ row: RowID, _ mask: FieldMask, _ columns: [PlainColumn], insert: Bool) throws {
        let shape = Shape(mask: mask, insert: insert)
        let writer = try writers[shape] ?? makeWriter(shape, columns)
        if writer.columns.isEmpty && !insert { return }
        writer.statement.bind(writer.columns, cell: index)
        writer.statement.bind(writer.columns.count + 1, row.rawValue)
        try writer.statement.run()
    }

    /// Pages have few shapes of change: each one's statement is built once.
    private mutating func makeWriter(_ shape: Shape, _ columns: [PlainColumn]) throws -> Writer {
        let fields = form.fields.indices.filter { shape.mask.contains(form.fields[$0].number) && columnOf[$0] != nil }
        let names = fields.map { form.fields[$0].id }
        let marks = Array(repeating: "?", count: names.count + 1).joined(separator: ", ")
        let sql =
            shape.insert
            ? "INSERT INTO \(form.table) (\((names + ["id"]).joined(separator: ", "))) VALUES (\(marks))"
            : "UPDATE \(form.table) SET \((names.isEmpty ? ["id"] : names).map { "\($0) = ?" }.joined(separator: ", ")) WHERE id = ?"
        let writer = Writer(statement: try HotStatement(db, sql), columns: fields.enumerated().map { BoundColumn(columns[columnOf[$1]!], to: $0 + 1) })
        writers[shape] = writer
        return writer
    }
}
