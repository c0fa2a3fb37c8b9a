// Marks of what was written since the last seal: `zz_mark`, one row for each row of a form, in the writer's own transaction.
//
// Two designs for the mark of an edit. In columns of the edited row itself (its page is written anyhow: 1.3 times plain SQLite's time,
// where a page of a table of its own makes it 1.7), or in that table. The second, after the first had been built and measured: columns in
// the row are everybody's. A program that saves whole rows writes them back as it read them, and the edits are never sent; one that copies
// rows copies their marks; another's triggers meet the writes of ours. Nothing that is written to a form's columns reaches this table.

import GRDB
import Shared

package struct Mark {
    let fields: FieldMask
    /// 0 edited, 1 inserted, 2 deleted.
    let life: Int
    let author: String
    /// Seconds since 1970.
    let time: Int64

    static let table = """
        -- A row written since the last seal. fields_low and fields_high are masks of field numbers 1-63 and 64-126, NULL: every field;
        -- life: 0 edited, 1 inserted, 2 deleted; author NULL: another program.
        CREATE TABLE zz_mark (
          form INT NOT NULL,
          id INT NOT NULL,
          fields_low INT,
          fields_high INT,
          life INT NOT NULL,
          author TEXT,
          time INT NOT NULL,
          PRIMARY KEY (form, id)
        ) STRICT, WITHOUT ROWID;
        """

    private static let columns = "form, id, fields_low, fields_high, life, author, time"
    private static let writer = "(SELECT name FROM zz_author), unixepoch()"

    /// What a trigger does after an insert or a delete.
    static func ofLife(_ form: Form, _ id: String, _ life: Life) -> String {
        """
          INSERT INTO zz_mark (\(columns)) VALUES (\(form.number), \(id), NULL, NULL, \(life.rawValue), \(writer))
          ON CONFLICT (form, id) DO UPDATE SET fields_low = NULL, fields_high = NULL, life = excluded.life, author = excluded.author,
            time = excluded.time;
        """
    }

    /// What a trigger does after an update. Every field, NULL, stays every field.
    ///
    /// - Parameters:
    ///   - low: an expression of the bits of the changed fields 1 to 63.
    ///   - high: of the fields 64 to 126.
    static func ofEdit(_ form: Form, low: String, high: String) -> String {
        """
          INSERT INTO zz_mark (\(columns)) VALUES (\(form.number), NEW.id, \(low), \(high), 0, \(writer))
          ON CONFLICT (form, id) DO UPDATE SET fields_low = fields_low | excluded.fields_low, fields_high = fields_high | excluded.fields_high,
            author = excluded.author, time = excluded.time;
        """
    }

    /// Whether anything was written since the last seal.
    static func any(_ db: Database) throws -> Bool {
        try Bool.fetchOne(db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM zz_mark)"))!
    }

    /// What of a row waits to be sealed; nil when nothing does.
    init?(_ db: Database, _ form: Form, _ row: RowID) throws {
        let found = try Row.fetchOne(db, sql: "SELECT * FROM zz_mark WHERE form = ? AND id = ?", arguments: [form.number, row.rawValue])
        guard let found else { return nil }
        fields = (found["fields_low"] as Int64?).map { FieldMask(low: $0, high: found["fields_high"]) } ?? form.allFields
        (life, author, time) = (found["life"], found["author"] ?? NodeSchema.outsideProgram, found["time"])
    }
}
