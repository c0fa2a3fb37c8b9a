// Where the mark of an edit lies: in the edited row itself, until the seal gathers it.
//
// Two designs. One mark table for everything that was written (one place to look; but each edit then writes a second page to the
// write-ahead log, 1.7 times plain SQLite's time), or an edit's mark in four columns of its row, whose page is written anyhow, and
// beside it a note which 1,024 ids to look through, which is there already for most edits (1.3 times). The second, for edits alone:
// an insert would write its row twice and wants an author from elsewhere, a deleted row has no place left; both go to `zz_mark`.
// The seal moves the edits' marks there first, so that from then on there is one kind of mark. Clearing them writes each edited page once
// more, but once a seal and not once an edit.

import GRDB
import Shared

package enum EditMarks {
    /// Beside a form's own columns; all NULL in a row that was not edited since the last seal. No author: another program.
    static let columns = ["_fields_low INT", "_fields_high INT", "_author TEXT", "_time INT"]

    static let table = """
        -- Blocks of 1,024 ids in which rows were edited since the last seal; the marks are in the rows.
        CREATE TABLE zz_edited (
          form INT NOT NULL,
          block INT NOT NULL,                   -- id >> 10
          PRIMARY KEY (form, block)
        ) STRICT, WITHOUT ROWID;
        """

    private static let blockBits = 10
    /// Of a block's first id, which is parameter 1.
    private static let inBlock = "id BETWEEN ?1 AND (?1 | \(1 << blockBits - 1)) AND _time IS NOT NULL"
    private static let values = "coalesce(_fields_low, 0), coalesce(_fields_high, 0), 0, _author, _time"

    /// What an update trigger does.
    ///
    /// - Parameters:
    ///   - low: an expression of the bits of the changed fields 1 to 63; nil where the trigger has none of them.
    ///   - high: of the fields 64 to 126.
    static func action(_ form: Form, low: String?, high: String?) -> String {
        // ON CONFLICT DO NOTHING and not OR IGNORE, which an UPDATE OR ABORT of the writer's would overrule.
        let masks = [("_fields_low", low), ("_fields_high", high)].compactMap { column, bits in
            bits.map { "\(column) = coalesce(\(column), 0) | \($0), " }
        }
        return """
              UPDATE \(form.table) SET \(masks.joined())_author = (SELECT name FROM zz_author), _time = unixepoch() WHERE id = NEW.id;
              INSERT INTO zz_edited (form, block) VALUES (\(form.number), NEW.id >> \(blockBits)) ON CONFLICT (form, block) DO NOTHING;
            """
    }

    /// Whether anything was written since the last seal.
    static func any(_ db: Database) throws -> Bool {
        try Bool.fetchOne(db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM zz_mark) OR EXISTS (SELECT 1 FROM zz_edited)"))!
    }

    /// Moves the edits' marks to `zz_mark`. Call in a write transaction. Marks of forms that this catalogue does not have stay.
    package static func gather(_ db: Database, _ catalogue: Catalogue) throws {
        for (form, blocks) in try blocks(db, catalogue) {
            // The edit is the newer one: an insert or a delete that came after it left no row with its mark. NULL, every field, stays NULL.
            let mark = try HotStatement(
                db,
                """
                INSERT INTO zz_mark (form, id, fields_low, fields_high, life, author, time)
                SELECT \(form.number), id, \(values) FROM \(form.table) WHERE \(inBlock)
                ON CONFLICT (form, id) DO UPDATE SET fields_low = fields_low | excluded.fields_low,
                  fields_high = fields_high | excluded.fields_high, author = excluded.author, time = excluded.time
                """)
            let clear = try HotStatement(
                db, "UPDATE \(form.table) SET _fields_low = NULL, _fields_high = NULL, _author = NULL, _time = NULL WHERE \(inBlock)")
            for block in blocks {
                for statement in [mark, clear] {
                    statement.bind(1, block << blockBits)
                    try statement.run()
                }
            }
            try db.execute(sql: "DELETE FROM zz_edited WHERE form = ?", arguments: [form.number])
        }
    }

    private static func blocks(_ db: Database, _ catalogue: Catalogue) throws -> [(form: Form, blocks: [Int64])] {
        try Int.fetchAll(db, sql: "SELECT DISTINCT form FROM zz_edited ORDER BY form").compactMap { number in
            guard let form = catalogue[number: number] else { return nil }
            return (form, try Int64.fetchAll(db, sql: "SELECT block FROM zz_edited WHERE form = ? ORDER BY block", arguments: [number]))
        }
    }

    /// Rows that wait to be sealed.
    static func count(_ db: Database, _ catalogue: Catalogue) throws -> Int {
        var count = try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_mark")!
        for (form, blocks) in try blocks(db, catalogue) {
            let sql = """
                SELECT count(*) FROM \(form.table) AS t WHERE \(inBlock)
                  AND NOT EXISTS (SELECT 1 FROM zz_mark WHERE form = \(form.number) AND id = t.id)
                """
            for block in blocks { count += try Int.fetchOne(db.cachedStatement(sql: sql), arguments: [block << blockBits])! }
        }
        return count
    }

    /// What of a row waits to be sealed; nil when nothing does.
    static func mark(_ db: Database, _ form: Form, _ row: RowID) throws -> Mark? {
        let found = try Row.fetchAll(
            db,
            sql: """
                SELECT fields_low, fields_high, life, author, time FROM zz_mark WHERE form = ?1 AND id = ?2
                UNION ALL SELECT \(values) FROM \(form.table) WHERE id = ?2 AND _time IS NOT NULL
                """, arguments: [form.number, row.rawValue])
        guard let newest = found.last else { return nil }
        let fields = found.reduce(FieldMask()) { fields, mark in
            fields | ((mark["fields_low"] as Int64?).map { FieldMask(low: $0, high: mark["fields_high"]) } ?? form.allFields)
        }
        return Mark(fields: fields, life: found[0]["life"], author: newest["author"] ?? NodeSchema.outsideProgram, time: newest["time"])
    }

    struct Mark {
        let fields: FieldMask
        /// As in `zz_mark`.
        let life: Int
        let author: String
        /// Seconds since 1970.
        let time: Int64
    }
}
