// The node's database: ordinary typed tables that any SQLite program may write to, views with Chinese labels, and capture
// by triggers in plain SQL.
//
// Two designs for capture: a log row per change (simple, exact order; 25 times plain SQLite with a row a cell, and it grows
// with every keystroke), or one mark per touched row with a mask of fields, which the seal turns into a change. The second:
// it is bounded by the data, costs one upsert in the writer's own transaction and is as crash-safe as the write. Where it lies: Marks.swift.

import GRDB
import Shared

package enum NodeSchema {
    /// Raised with every change of the zz_ tables. A file of another version is refused; one of an older one will be brought up when
    /// there has been a release to bring up from.
    static let version = 2

    package static func create(_ db: Database, _ catalogue: Catalogue) throws {
        try db.execute(sql: UplinkSchema.sql)
        try db.execute(sql: Mark.table)
        try db.execute(sql: captureTables)
        try db.execute(sql: StageSchema.sql)
        for form in catalogue.storedForms {
            try db.execute(sql: table(form))
            for index in indexes(form) { try db.execute(sql: index) }
            for trigger in triggers(form) { try db.execute(sql: trigger.sql) }
            try db.execute(sql: view(form))
        }
        try fillCodes(db, catalogue)
        try CatalogueVersions.keep(db, catalogue)
    }

    private static let captureTables = """
        -- Who writes: set by zzsync's own writers in their transaction and cleared before it ends.
        CREATE TABLE zz_author (
          one INTEGER PRIMARY KEY CHECK (one = 1),
          name TEXT NOT NULL
        ) STRICT;

        -- Rows of which some cells are disputed at the parent: shown to the school, decided there.
        CREATE TABLE zz_disputed (
          form INT NOT NULL,
          id INT NOT NULL,
          fields_low INT NOT NULL,
          fields_high INT NOT NULL,
          life INT NOT NULL,                    -- 1: whether the row lives is disputed
          PRIMARY KEY (form, id)
        ) STRICT, WITHOUT ROWID;

        -- For the views: code → name.
        CREATE TABLE zz_code (
          code_set TEXT NOT NULL,
          code TEXT NOT NULL,
          name TEXT NOT NULL,
          PRIMARY KEY (code_set, code)
        ) STRICT, WITHOUT ROWID;
        """

    package static func fillCodes(_ db: Database, _ catalogue: Catalogue) throws {
        try db.execute(sql: "DELETE FROM zz_code")
        for set in catalogue.codeSets.values {
            for entry in set.entries {
                try db.execute(
                    sql: "INSERT OR IGNORE INTO zz_code VALUES (?, ?, ?)", arguments: [set.name, entry.code, entry.name])
            }
        }
    }

    static func table(_ form: Form) -> String {
        let columns = form.fields.map { ",\n  \($0.id) \($0.sqlType)" }.joined()
        return """
            CREATE TABLE \(form.table) (
              id INT PRIMARY KEY NOT NULL DEFAULT (random() & \(Int64.max))\(columns)
            ) STRICT, WITHOUT ROWID
            """
    }

    /// The natural key is looked up by rules, imports and references; it is no constraint, for two schools may claim it.
    static func indexes(_ form: Form) -> [String] {
        guard !form.key.isEmpty else { return [] }
        let columns = form.key.map { form.fields[$0].id }.joined(separator: ", ")
        return ["CREATE INDEX zz_key_\(form.table) ON \(form.table) (\(columns))"]
    }

    /// A table, or a column of it, of another version of the catalogue. Nobody here knows what may stand there: other programs
    /// may read it and not write it.
    static func makeForeign(_ db: Database, _ form: Form, _ field: Field?) throws {
        if let field {
            try db.execute(sql: "ALTER TABLE \(form.table) ADD COLUMN \(field.id) \(field.sqlType)")
            for trigger in foreignGuards(form) where trigger.name.contains("\(field.id)_") { try db.execute(sql: trigger.sql) }
        } else {
            try db.execute(sql: table(form))
            for trigger in foreignGuards(form) { try db.execute(sql: trigger.sql) }
        }
    }

    /// Of a foreign form, or of the foreign columns of another one.
    static func foreignGuards(_ form: Form) -> [Trigger] {
        if form.isForeign { return guards(form) }
        if SystemForms.isSystem(form.number) { return [] }
        return form.fields.filter(\.isForeign).flatMap { field in
            [replaceGuard(form, field)] + [("INSERT", "NEW.\(field.id) IS NOT NULL"), ("UPDATE", "OLD.\(field.id) IS NOT NEW.\(field.id)")].map { event, condition in
                let name = "zz_guard_\(event.lowercased())\(field.id)_\(form.table)"
                return Trigger(
                    name: name,
                    sql: """
                        CREATE TRIGGER \(name) BEFORE \(event) ON \(form.table) WHEN \(condition) BEGIN
                          SELECT RAISE(ABORT, '\(field.id) belongs to another version of the catalogue and cannot be written here');
                        END
                        """)
            }
        }
    }

    /// REPLACE deletes the old row without a word and knows nothing of the column; nor does who deletes a row and inserts it again. An upsert is
    /// refused with it, for nothing tells the two apart.
    private static func replaceGuard(_ form: Form, _ field: Field) -> Trigger {
        let name = "zz_guard_replace\(field.id)_\(form.table)"
        return Trigger(
            name: name,
            sql: """
                CREATE TRIGGER \(name) BEFORE INSERT ON \(form.table)
                WHEN EXISTS (SELECT 1 FROM \(form.table) WHERE id = NEW.id AND \(field.id) IS NOT NULL)
                  OR EXISTS (SELECT 1 FROM zz_mark WHERE form = \(form.number) AND id = NEW.id AND life = \(Life.dead.rawValue)) BEGIN
                  SELECT RAISE(ABORT, 'the row holds \(field.id), of another version of the catalogue, which an insert over it could drop: update the row');
                END
                """)
    }

    struct Trigger {
        let name: String
        let sql: String
    }

    /// What hubs alone write.
    static func guards(_ form: Form) -> [Trigger] {
        ["INSERT", "UPDATE", "DELETE"].map { verb in guardTrigger(form, verb, "\(form.table) is written by the hub alone; nothing was changed") }
    }

    private static func guardTrigger(_ form: Form, _ verb: String, when condition: String = "", _ sentence: String) -> Trigger {
        let name = "zz_guard_\(verb.lowercased())_\(form.table)"
        return Trigger(
            name: name,
            sql: """
                CREATE TRIGGER \(name) BEFORE \(verb) ON \(form.table) \(condition)BEGIN
                  SELECT RAISE(ABORT, '\(sentence)');
                END
                """)
    }

    /// What this school writes by `zzsync` alone, once: a new record is marked like every row.
    private static func recordTriggers(_ form: Form) -> [Trigger] {
        let sentence = "\(form.table) is written by zzsync confirm alone, once; nothing was changed"
        return [
            guardTrigger(form, "INSERT", when: "WHEN NOT EXISTS (SELECT 1 FROM zz_author) ", sentence), guardTrigger(form, "UPDATE", sentence),
            guardTrigger(form, "DELETE", sentence), insertion(form),
        ]
    }

    static func triggers(_ form: Form) -> [Trigger] {
        if SystemForms.isSystem(form.number) { return SystemForms.isSchools(form.number) ? recordTriggers(form) : guards(form) }
        let delete = Trigger(
            name: "zz_delete_\(form.table)",
            sql: """
                CREATE TRIGGER zz_delete_\(form.table) AFTER DELETE ON \(form.table) BEGIN
                \(Mark.ofLife(form, "OLD.id", .dead))
                END
                """)
        let fixedID = Trigger(
            name: "zz_fixed_id_\(form.table)",
            sql: """
                CREATE TRIGGER zz_fixed_id_\(form.table) BEFORE UPDATE OF id ON \(form.table) WHEN OLD.id IS NOT NEW.id BEGIN
                  SELECT RAISE(ABORT, 'the id of a row cannot be changed; delete the row and insert another');
                END
                """)
        return [insertion(form), delete, fixedID] + updates(form)
    }

    private static func insertion(_ form: Form) -> Trigger {
        Trigger(
            name: "zz_insert_\(form.table)",
            sql: """
                CREATE TRIGGER zz_insert_\(form.table) AFTER INSERT ON \(form.table) BEGIN
                \(Mark.ofLife(form, "NEW.id", .alive))
                END
                """)
    }

    /// Fields of one update trigger. A statement compiles the triggers of the columns that it names and compares each of their columns:
    /// one trigger over 30 columns cost an edit of one column as much again as the edit itself, one a column costs memory.
    private static let updateFields = 8

    private static func updates(_ form: Form) -> [Trigger] {
        stride(from: 0, to: form.fields.count, by: updateFields).map { start in
            let fields = form.fields[start..<min(start + updateFields, form.fields.count)]
            // Parentheses around each shift: in SQLite << and | have one precedence.
            func changed(_ numbers: ClosedRange<Int>) -> String {
                let bits = fields.filter { numbers.contains($0.number) }.map {
                    "((OLD.\($0.id) IS NOT NEW.\($0.id)) << \($0.number - numbers.lowerBound))"
                }
                return bits.isEmpty ? "0" : bits.joined(separator: " | ")
            }
            let name = "zz_update_\(form.table)_\(fields[start].number)"
            return Trigger(
                name: name,
                sql: """
                    CREATE TRIGGER \(name) AFTER UPDATE OF \(fields.map(\.id).joined(separator: ", ")) ON \(form.table)
                    WHEN \(fields.map { "OLD.\($0.id) IS NOT NEW.\($0.id)" }.joined(separator: " OR ")) BEGIN
                    \(Mark.ofEdit(form, low: changed(1...63), high: changed(64...126)))
                    END
                    """)
        }
    }

    /// The author of what a stranger's SQLite program writes.
    package static let outsideProgram = "outside program"

    /// A view per form with Chinese labels; codes show their names. Its name is the whole menu path, for titles repeat.
    static func view(_ form: Form) -> String {
        let columns = form.fields.map { field in
            guard let codes = field.codes else { return "\(field.id) AS \"\(field.title)\"" }
            return """
                coalesce((SELECT name FROM zz_code WHERE code_set = '\(codes)' AND code = \(field.id)), \(field.id)) AS "\(field.title)"
                """
        }
        return "CREATE VIEW \"\(form.path)\" AS SELECT id AS \"记录号\", \(columns.joined(separator: ", ")) FROM \(form.table)"
    }

    /// What start and `doctor` find wrong with tables and triggers: a stranger can drop them.
    ///
    /// - Returns: one sentence a fault; dropped triggers are named first because rows written since then are not marked.
    package static func faults(_ db: Database, _ catalogue: Catalogue) throws -> [String] {
        let found = try Row.fetchAll(db, sql: "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'trigger', 'view')")
        let sql = Dictionary(found.map { ($0["name"] as String, $0["sql"] as String? ?? "") }, uniquingKeysWith: { a, _ in a })
        let own = [UplinkSchema.sql, Mark.table, captureTables, StageSchema.sql].flatMap { $0.matches(of: /CREATE TABLE (\w+)/).map(\.1) }
        var faults = own.filter { sql[String($0)] == nil }.map { "Table \($0) is missing." }
        for form in catalogue.storedForms {
            if sql[form.table] == nil {
                faults.append("Table \(form.table) (\(form.path)) is missing.")
                continue
            }
            let columns = try Set(String.fetchAll(db, sql: "SELECT name FROM pragma_table_info(?)", arguments: [form.table]))
            if let gone = form.fields.first(where: { !columns.contains($0.id) }) {
                faults.append("Table \(form.table) (\(form.path)) lacks column \(gone.id).")
            }
            if sql[form.path] == nil { faults.append("View \(form.path) is missing.") }
            for trigger in triggers(form) where sql[trigger.name] != trigger.sql {
                faults.append(
                    "Trigger \(trigger.name) is \(sql[trigger.name] == nil ? "missing" : "changed"): writes of other programs "
                        + "to \(form.path) were not noticed while it was gone.")
            }
        }
        return faults
    }

    /// Puts dropped triggers back and marks every row of their forms, so that nothing written meanwhile is lost.
    ///
    /// Marking a row that nobody changed costs a few bytes on the wire and merges as equal; where another site wrote since the last pull
    /// the row's older values come as edits, and are asked about. Rows deleted meanwhile cannot be known here: they live on at the hub.
    package static func repairTriggers(_ db: Database, _ catalogue: Catalogue) throws -> [String] {
        var repaired: [String] = []
        let present = Set(try String.fetchAll(db, sql: "SELECT name || sql FROM sqlite_schema WHERE type = 'trigger'"))
        let views = Set(try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'view'"))
        for form in catalogue.storedForms {
            if !views.contains(form.path) {
                try db.execute(sql: view(form))
                repaired.append("View \(form.path) was made again.")
            }
            let broken = triggers(form).filter { !present.contains($0.name + $0.sql) }
            guard !broken.isEmpty else { continue }
            for trigger in broken {
                try db.execute(sql: "DROP TRIGGER IF EXISTS \(trigger.name)")
                try db.execute(sql: trigger.sql)
            }
            if SystemForms.isSystem(form.number) {
                repaired.append("Table \(form.table) is guarded again: no other program writes it.")
                continue
            }
            try db.execute(
                sql: """
                    INSERT INTO zz_mark (form, id, life, time) SELECT \(form.number), id, 1, unixepoch() FROM \(form.table) WHERE true
                    ON CONFLICT (form, id) DO UPDATE SET fields_low = NULL, fields_high = NULL
                    """)
            repaired.append(
                "Capture of \(form.path) was restored (\(broken.map(\.name).joined(separator: ", "))); its rows go up again whole. "
                    + "What others wrote since the last sync is asked about; what was deleted meanwhile lives on at the hub: delete it there again.")
        }
        return repaired
    }
}
