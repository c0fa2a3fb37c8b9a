// The limit: plain SQLite doing the same writes with no sync at all, written as well as it can be: raw C API, prepared
// statement, one transaction.

import Foundation
import GRDBSQLite
import Shared

extension Measures {
    /// The same typed table with its id, and nothing else.
    func plainDatabase(synchronous: String = "NORMAL", scope: Bool = false) throws -> (OpaquePointer, String) {
        let key = scope ? "scope INT NOT NULL, id INT NOT NULL, \(typedColumns), PRIMARY KEY (scope, id)" : "id INT PRIMARY KEY NOT NULL, \(typedColumns)"
        return try database("CREATE TABLE bench_student (\(key)) STRICT, WITHOUT ROWID", synchronous: synchronous)
    }

    /// The reference workload's own table: a text key and 30 columns, the key's index beside the rows.
    func textKeyDatabase() throws -> (OpaquePointer, String) {
        let columns = "number TEXT PRIMARY KEY NOT NULL" + typedColumns.dropFirst("number TEXT".count)
        return try database("CREATE TABLE bench_student (\(columns))", synchronous: "NORMAL")
    }

    private var typedColumns: String { Workload.columns.map { "\($0.id) \($0.isInteger ? "INTEGER" : "TEXT")" }.joined(separator: ", ") }

    private func database(_ table: String, synchronous: String) throws -> (OpaquePointer, String) {
        let path = place("plain")
        var handle: OpaquePointer?
        guard sqlite3_open(path, &handle) == SQLITE_OK, let handle else { throw CocoaError(.fileWriteUnknown) }
        sqlite3_exec(handle, "PRAGMA journal_mode = WAL; PRAGMA synchronous = \(synchronous); \(table)", nil, nil, nil)
        return (handle, path)
    }

    /// Bytes of the whole file after a checkpoint; the handle is closed.
    func fileSize(_ handle: OpaquePointer, _ path: String) throws -> Double {
        sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil)
        sqlite3_close(handle)
        return Double((try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue ?? 0)
    }

    /// - Parameter firstID: nil where the table has no id of its own.
    func insert(_ handle: OpaquePointer, _ rows: [[Value]], into table: String = "bench_student", scope: Int64? = nil, firstID: Int64? = 1 << 40) {
        guard let width = rows.first?.count else { return }
        let marks = Array(repeating: "?", count: width + (scope == nil ? 0 : 1) + (firstID == nil ? 0 : 1)).joined(separator: ", ")
        var statement: OpaquePointer?
        sqlite3_exec(handle, "BEGIN IMMEDIATE", nil, nil, nil)
        sqlite3_prepare_v2(handle, "INSERT INTO \(table) VALUES (\(marks))", -1, &statement, nil)
        for (index, row) in rows.enumerated() {
            var parameter: Int32 = 0
            if let scope {
                parameter += 1
                sqlite3_bind_int64(statement, parameter, scope)
            }
            if let firstID {
                parameter += 1
                sqlite3_bind_int64(statement, parameter, firstID + Int64(index))
            }
            for value in row {
                parameter += 1
                bind(statement, parameter, value)
            }
            sqlite3_step(statement)
            sqlite3_reset(statement)
        }
        sqlite3_finalize(statement)
        sqlite3_exec(handle, "COMMIT", nil, nil, nil)
    }

    func bind(_ statement: OpaquePointer?, _ parameter: Int32, _ value: Value) {
        switch value {
        case .null: sqlite3_bind_null(statement, parameter)
        case .integer(let value): sqlite3_bind_int64(statement, parameter, value)
        case .real(let value): sqlite3_bind_double(statement, parameter, value)
        case .text(var value):
            value.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    _ = sqlite3_bind_text(statement, parameter, $0.baseAddress, Int32($0.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
                }
            }
        }
    }

    /// Single-field updates, each its own transaction.
    func edit(_ handle: OpaquePointer, _ edits: [Workload.Edit], firstID: Int64 = 1 << 40) {
        var statements: [Int: OpaquePointer] = [:]
        for edit in edits {
            if statements[edit.column] == nil {
                var statement: OpaquePointer?
                sqlite3_prepare_v2(handle, "UPDATE bench_student SET \(Workload.columns[edit.column].id) = ? WHERE id = ?", -1, &statement, nil)
                statements[edit.column] = statement
            }
            let statement = statements[edit.column]
            bind(statement, 1, edit.value)
            sqlite3_bind_int64(statement, 2, firstID + Int64(edit.row))
            sqlite3_step(statement)
            sqlite3_reset(statement)
        }
        for statement in statements.values { sqlite3_finalize(statement) }
    }
}
