// Put, get, list and delete: what a clerk does at the terminal, in one transaction each, rules included.

import Foundation
import GRDB
import Shared

/// A row as it stands.
package struct StoredRow: Sendable {
    package let id: RowID
    /// One a field of the form.
    package let values: [Value]
}

package struct PutResult: Sendable {
    package let row: StoredRow
    package let created: Bool
    /// Warnings and requests to explain; nothing that refused the row.
    package let findings: [Finding]
}

extension NodeHome {
    /// Writes one row: updates the row that has its natural key, else inserts it.
    ///
    /// - Parameter values: field index → value; only these fields change.
    /// - Throws: `Failure(.refused)` that lists every broken rule; nothing is written then.
    package func put(form: Form, values: [Int: Value], author: String) throws(Failure) -> PutResult {
        do {
            let result = try database.write { db in
                let existing = try keyOf(form, values).flatMap { try find(db, form, key: $0) }
                let row = try authored(db, by: author) {
                    try write(db, form, values, onto: existing?.id)
                }
                let findings = try rules.findings(db, form: form, rows: [row], scope: .node)
                try refuseErrors(findings, form: form)
                let stored = try fetch(db, form, id: row)!
                KillPoint.reach("entry.write", in: directory)
                return PutResult(row: stored, created: existing == nil, findings: findings.filter { $0.level != .error })
            }
            KillPoint.reach("entry.commit", in: directory)
            return result
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// - Parameter key: the natural key's values, or a decimal row id where the form has none or the key is unknown.
    /// - Returns: nil when there is no such row.
    package func get(form: Form, key: [String]) throws(Failure) -> StoredRow? {
        do {
            return try database.read { try lookUp($0, form, key: key) }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func list(
        form: Form, filters: [(field: Int, value: Value)] = [], limit: Int?, _ body: (StoredRow) throws -> Void
    ) throws(Failure) {
        do {
            try database.read { db in
                let conditions = filters.map { "\(form.fields[$0.field].id) IS ?" }
                let filter = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
                let statement = try HotStatement(
                    db, "SELECT \(columns(form)) FROM \(form.table)\(filter) ORDER BY id LIMIT \(limit ?? -1)")
                defer { statement.reset() }
                for (index, filter) in filters.enumerated() { statement.bind(index + 1, filter.value) }
                while try statement.step() { try body(read(statement, form)) }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// - Throws: `Failure(.refused)` when there is no such row.
    package func delete(form: Form, key: [String], author: String) throws(Failure) -> StoredRow {
        do {
            return try database.write { db in
                guard let row = try lookUp(db, form, key: key) else { throw noSuchRow(form, key) }
                try authored(db, by: author) {
                    try db.execute(sql: "DELETE FROM \(form.table) WHERE id = ?", arguments: [row.id.rawValue])
                }
                return row
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func noSuchRow(_ form: Form, _ key: [String]) -> Failure {
        let names = form.key.map { form.fields[$0].title }.joined(separator: "、")
        return Failure(
            .refused, "\(form.path) has no row with \(names.isEmpty ? "id" : names) \(key.joined(separator: " ")).",
            next: "`zzsync list \(form.id)` shows the rows.")
    }

    // MARK: in a transaction

    /// Sets the author for the triggers and clears it again, within the caller's transaction.
    func authored<T>(_ db: Database, by author: String, _ body: () throws -> T) throws -> T {
        try db.execute(sql: "INSERT OR REPLACE INTO zz_author (one, name) VALUES (1, ?)", arguments: [author])
        let result = try body()
        try db.execute(sql: "DELETE FROM zz_author")
        return result
    }

    /// Inserts or updates, then fills what follows from other fields and was left empty.
    func write(_ db: Database, _ form: Form, _ values: [Int: Value], onto existing: RowID?) throws -> RowID {
        let fields = values.keys.sorted()
        let row: RowID
        if let existing {
            row = existing
            if !fields.isEmpty {
                let sets = fields.map { "\(form.fields[$0].id) = ?" }.joined(separator: ", ")
                let update = try HotStatement(db, "UPDATE \(form.table) SET \(sets) WHERE id = ?")
                for (index, field) in fields.enumerated() { update.bind(index + 1, values[field]!) }
                update.bind(fields.count + 1, row.rawValue)
                try update.run()
            }
        } else {
            row = mintID()
            let names = (["id"] + fields.map { form.fields[$0].id }).joined(separator: ", ")
            let marks = Array(repeating: "?", count: fields.count + 1).joined(separator: ", ")
            let insert = try HotStatement(db, "INSERT INTO \(form.table) (\(names)) VALUES (\(marks))")
            insert.bind(1, row.rawValue)
            for (index, field) in fields.enumerated() { insert.bind(index + 2, values[field]!) }
            try insert.run()
        }
        for field in form.fields {
            guard let fill = field.fill else { continue }
            try db.cachedStatement(
                sql: "UPDATE \(form.table) AS this SET \(field.id) = (\(fill)) WHERE id = ? AND \(field.id) IS NULL AND (\(fill)) IS NOT NULL"
            ).execute(arguments: [row.rawValue])
        }
        return row
    }

    /// The values of the natural key, if all of them are given.
    func keyOf(_ form: Form, _ values: [Int: Value]) -> [Value]? {
        guard !form.key.isEmpty else { return nil }
        let key = form.key.compactMap { values[$0] }
        return key.count == form.key.count && !key.contains(.null) ? key : nil
    }

    func find(_ db: Database, _ form: Form, key: [Value]) throws -> StoredRow? {
        let filter = form.key.map { "\(form.fields[$0].id) = ?" }.joined(separator: " AND ")
        let statement = try HotStatement(
            db, "SELECT \(columns(form)) FROM \(form.table) WHERE \(filter) ORDER BY id LIMIT 1")
        defer { statement.reset() }
        for (index, value) in key.enumerated() { statement.bind(index + 1, value) }
        return try statement.step() ? read(statement, form) : nil
    }

    func fetch(_ db: Database, _ form: Form, id: RowID) throws -> StoredRow? {
        let statement = try HotStatement(db, "SELECT \(columns(form)) FROM \(form.table) WHERE id = ?")
        defer { statement.reset() }
        statement.bind(1, id.rawValue)
        return try statement.step() ? read(statement, form) : nil
    }

    func lookUp(_ db: Database, _ form: Form, key: [String]) throws -> StoredRow? {
        if form.key.count == key.count {
            let normaliser = Normaliser(catalogue: catalogue)
            // What cannot be a value of the key's type is the key of no row.
            let values = zip(form.key, key).compactMap { index, text in try? normaliser.value(text, for: form.fields[index]) }
            if values.count == key.count, let row = try find(db, form, key: values) { return row }
        }
        if key.count == 1, let id = Int64(key[0]) { return try fetch(db, form, id: RowID(id)) }
        return nil
    }

    func columns(_ form: Form) -> String { (["id"] + form.fields.map(\.id)).joined(separator: ", ") }

    func read(_ statement: HotStatement, _ form: Form) -> StoredRow {
        StoredRow(
            id: RowID(statement.integer(0)), values: form.fields.indices.map { statement.value($0 + 1) })
    }

    func refuseErrors(_ findings: [Finding], form: Form) throws {
        let errors = findings.filter { $0.level == .error }
        guard !errors.isEmpty else { return }
        throw Failure(
            .refused,
            "\(form.path) was not written: " + errors.map { "\($0.message)（\($0.fix)）" }.joined(separator: "；") + ".",
            next: "Mend the values and repeat; nothing was written.")
    }
}
