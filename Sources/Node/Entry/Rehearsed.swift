// Writes of a rehearsal: as a stranger's program would, without the rules of `put`, so that a worked conflict can show what
// drafts and wrong rows do.

import GRDB
import Shared

extension NodeHome {
    /// The example row of every form. A key that must be unique everywhere stands in school A alone, with what refers to it.
    package func addExamples(author: String, school letter: String) throws -> [String: (form: Form, row: RowID)] {
        try database.write { db in
            try authored(db, by: author) {
                var rows: [String: (form: Form, row: RowID)] = [:]
                func isOfOneSchool(_ form: Form) -> Bool { form.keyScope == .everywhere && !form.key.isEmpty }
                for form in catalogue.forms {
                    let targets = form.fields.compactMap { $0.references.flatMap { catalogue[$0.form] } }
                    if letter != "A", isOfOneSchool(form) || targets.contains(where: isOfOneSchool) { continue }
                    var values: [Int: Value] = [:]
                    for (name, value) in form.example { values[form.fieldIndex(id: name)!] = value }
                    rows[form.id] = (form, try write(db, form, values, onto: nil))
                }
                return rows
            }
        }
    }

    /// - Parameters:
    ///   - years: by how much the writer's clock is wrong.
    ///   - days: by how much everybody's clock was moved on.
    package func change(_ form: Form, _ row: RowID, _ values: [Int: Value], author: String, years: Int = 0, days: Int = 0) throws {
        try database.write { db in
            _ = try authored(db, by: author) { try write(db, form, values, onto: row) }
            try shift(db, form, row, years: years, days: days)
        }
    }

    package func add(_ form: Form, _ overrides: [Int: Value], author: String, years: Int = 0, days: Int = 0) throws -> RowID {
        try database.write { db in
            var values: [Int: Value] = [:]
            for (name, value) in form.example { values[form.fieldIndex(id: name)!] = value }
            values.merge(overrides) { _, new in new }
            let row = try authored(db, by: author) { try write(db, form, values, onto: nil) }
            try shift(db, form, row, years: years, days: days)
            return row
        }
    }

    /// Many rows at once, as a program of the school's own would bring them.
    @discardableResult package func addMany(_ form: Form, _ rows: [[Int: Value]], author: String) throws -> [RowID] {
        try database.write { db in
            try authored(db, by: author) { try rows.map { try write(db, form, $0, onto: nil) } }
        }
    }

    package func remove(_ form: Form, _ row: RowID, author: String, years: Int = 0, days: Int = 0) throws {
        try database.write { db in
            try authored(db, by: author) {
                try db.execute(sql: "DELETE FROM \(form.table) WHERE id = ?", arguments: [row.rawValue])
            }
            try shift(db, form, row, years: years, days: days)
        }
    }

    private func shift(_ db: Database, _ form: Form, _ row: RowID, years: Int, days: Int) throws {
        try db.execute(
            sql: "UPDATE zz_mark SET time = time + ? WHERE form = ? AND id = ?",
            arguments: [years * 31_556_952 + days * 86_400, form.number, row.rawValue])
    }

    package func values(_ form: Form, _ row: RowID) throws -> [Value]? {
        try database.read { try fetch($0, form, id: row)?.values }
    }
}
