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
    /// - Throws: `Failure(.refused)` that lists every broken rule, or names the rows of a key that two have; nothing is written then.
    package func put(form: Form, values: [Int: Value], author: String) throws(Failure) -> PutResult {
        do {
            let result = try database.write { db in
                let same = try keyOf(form, values).map { try findAll(db, form, key: $0) } ?? []
                guard same.count < 2 else {
                    throw ambiguous(form, same, next: "If one of them is a mistake, `zzsync delete \(form.id) ID` removes it; else a hub's operator decides.")
                }
                let existing = same.first
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
    /// - Returns: nil when there is no such row; of twins the one with the smaller id, `twins(form:of:)` has the others.
    package func get(form: Form, key: [String]) throws(Failure) -> StoredRow? {
        do {
            return try database.read { try lookUp($0, form, key: key).first }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// The other rows of a row's natural key: what an operator has not decided yet.
    package func twins(form: Form, of row: StoredRow) throws(Failure) -> [StoredRow] {
        let key = form.key.map { row.values[$0] }
        guard !key.isEmpty, !key.contains(.null) else { return [] }
        do {
            return try database.read { try findAll($0, form, key: key) }.filter { $0.id != row.id }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Of a key that two rows have, which one is meant nobody can know.
    package func ambiguous(_ form: Form, _ rows: [StoredRow], next: String) -> Failure {
        let key = form.key.map { "\(form.fields[$0].title) \(rows[0].values[$0].shown)" }.joined(separator: "、")
        return Failure(
            .refused, "\(form.path) has \(rows.count) rows with \(key): \(rows.map(\.id.description).joined(separator: ", ")); which is meant is not said.",
            next: next)
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

    /// - Throws: `Failure(.refused)` when there is no such row, or two have the key.
    package func delete(form: Form, key: [String], author: String) throws(Failure) -> StoredRow {
        do {
            return try database.write { db in
                let rows = try lookUp(db, form, key: key)
                guard let row = rows.first else { throw noSuchRow(form, key) }
                guard rows.count == 1 else {
                    throw ambiguous(form, rows, next: "`zzsync get \(form.id) \(key.joined(separator: " "))` shows them; `zzsync delete \(form.id) ID` deletes one.")
                }
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

    func find(_ db: Database, _ form: Form, key: [Value]) throws -> StoredRow? { try findAll(db, form, key: key).first }

    /// More than one row until somebody decides about twins.
    func findAll(_ db: Database, _ form: Form, key: [Value]) throws -> [StoredRow] {
        let filter = form.key.map { "\(form.fields[$0].id) = ?" }.joined(separator: " AND ")
        let statement = try HotStatement(db, "SELECT \(columns(form)) FROM \(form.table) WHERE \(filter) ORDER BY id")
        defer { statement.reset() }
        for (index, value) in key.enumerated() { statement.bind(index + 1, value) }
        var rows: [StoredRow] = []
        while try statement.step() { rows.append(read(statement, form)) }
        return rows
    }

    func fetch(_ db: Database, _ form: Form, id: RowID) throws -> StoredRow? {
        let statement = try HotStatement(db, "SELECT \(columns(form)) FROM \(form.table) WHERE id = ?")
        defer { statement.reset() }
        statement.bind(1, id.rawValue)
        return try statement.step() ? read(statement, form) : nil
    }

    /// The rows that a person names: those of the key, else the one with the id.
    func lookUp(_ db: Database, _ form: Form, key: [String]) throws -> [StoredRow] {
        if form.key.count == key.count {
            let normaliser = Normaliser(catalogue: catalogue)
            // What cannot be a value of the key's type is the key of no row.
            let values = zip(form.key, key).compactMap { index, text in try? normaliser.value(text, for: form.fields[index]) }
            if values.count == key.count, case let rows = try findAll(db, form, key: values), !rows.isEmpty { return rows }
        }
        if key.count == 1, let id = Int64(key[0]) { return try fetch(db, form, id: RowID(id)).map { [$0] } ?? [] }
        return []
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
