// Writes of a rehearsal: as a stranger's program would, without the rules of `put`, so that a worked conflict can show what
// drafts and wrong rows do.

import GRDB
import Shared

extension NodeHome {
    /// The example row of every form; keys that must be unique everywhere carry the school's letter.
    package func addExamples(author: String, school letter: String) throws -> [String: (form: Form, row: RowID)] {
        try database.write { db in
            try authored(db, by: author) {
                var rows: [String: (form: Form, row: RowID)] = [:]
                for form in catalogue.forms {
                    var values: [Int: Value] = [:]
                    for (name, value) in form.example { values[form.fieldIndex(id: name)!] = value }
                    if letter != "A", form.keyScope == .everywhere { continue }
                    rows[form.id] = (form, try write(db, form, values, onto: nil))
                }
                return rows
            }
        }
    }

    /// - Parameter years: by how much the writer's clock is wrong.
    package func change(_ form: Form, _ row: RowID, _ values: [Int: Value], author: String, years: Int) throws {
        try database.write { db in
            _ = try authored(db, by: author) { try write(db, form, values, onto: row) }
            try db.execute(
                sql: "UPDATE zz_mark SET time = time + ? WHERE form = ? AND id = ?",
                arguments: [years * 31_556_952, form.number, row.rawValue])
        }
    }

    package func add(_ form: Form, _ overrides: [Int: Value], author: String) throws -> RowID {
        try database.write { db in
            var values: [Int: Value] = [:]
            for (name, value) in form.example { values[form.fieldIndex(id: name)!] = value }
            values.merge(overrides) { _, new in new }
            return try authored(db, by: author) { try write(db, form, values, onto: nil) }
        }
    }

    package func remove(_ form: Form, _ row: RowID, author: String) throws {
        try database.write { db in
            try authored(db, by: author) {
                try db.execute(sql: "DELETE FROM \(form.table) WHERE id = ?", arguments: [row.rawValue])
            }
        }
    }

    package func values(_ form: Form, _ row: RowID) throws -> [Value]? {
        try database.read { try fetch($0, form, id: row)?.values }
    }
}
