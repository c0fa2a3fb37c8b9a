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
    func textKeyDatabase(synchronous: String = "NORMAL") throws -> (OpaquePointer, String) {
        let columns = "number TEXT PRIMARY KEY NOT NULL" + typedColumns.dropFirst("number TEXT".count)
        return try database("CREATE TABLE bench_student (\(columns))", synchronous: synchronous)
    }

    private var typedColumns: String { Workload.columns.map { "\($0.id) \($0.isInteger ? "INTEGER" : "TEXT")" }.joined(separator: ", ") }

    private func database(_ table: String, synchronous: String) throws -> (OpaquePointer, String) {
        let path = place("plain")
        var handle: OpaquePointer?
        // Without mutexes, as our own connections are.
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        guard sqlite3_open_v2(path, &handle, flags, nil) == SQLITE_OK, let handle else { throw CocoaError(.fileWriteUnknown) }
        sqlite3_exec(handle, "PRAGMA journal_mode = WAL; PRAGMA synchronous = \(synchronous); \(table)", nil, nil, nil)
        return (handle, path)
    }

    /// Bytes of the whole file after a checkpoint; the handle is closed.
    func fileSize(_ handle: OpaquePointer, _ path: String) throws -> Double {
        sqlite3_exec(handle, "PRAGMA wal_checkpoint(TRUNCATE)", nil, nil, nil)
        sqlite3_close(handle)
        return Double((try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.intValue ?? 0)
    }

    /// - Parameters:
    ///   - part: of the workload's columns, which has a table of its own; nil for all of them.
    ///   - firstID: nil where the table has no id of its own.
    func insert(_ handle: OpaquePointer, _ rows: PlainRows, into part: Workload.Part? = nil, scope: Int64? = nil, firstID: Int64? = 1 << 40) {
        guard rows.count > 0 else { return }
        let columns = (scope == nil ? [] : ["scope"]) + (firstID == nil ? [] : ["id"]) + (part?.columns ?? Array(Workload.columns.indices)).map { Workload.columns[$0].id }
        let marks = columns.map { _ in "?" }.joined(separator: ", ")
        var statement: OpaquePointer?
        sqlite3_exec(handle, "BEGIN IMMEDIATE", nil, nil, nil)
        sqlite3_prepare_v2(handle, "INSERT INTO bench_\(part?.name ?? "student") (\(columns.joined(separator: ", "))) VALUES (\(marks))", -1, &statement, nil)
        for row in 0..<rows.count {
            var parameter: Int32 = 0
            if let scope {
                parameter += 1
                sqlite3_bind_int64(statement, parameter, scope)
            }
            if let firstID {
                parameter += 1
                sqlite3_bind_int64(statement, parameter, firstID + Int64(row))
            }
            rows.bind(statement, row, after: parameter)
            sqlite3_step(statement)
            sqlite3_reset(statement)
        }
        sqlite3_finalize(statement)
        sqlite3_exec(handle, "COMMIT", nil, nil, nil)
    }

    /// Single-field updates, each its own transaction.
    ///
    /// - Parameter keys: of the rows, for the table that has no ids.
    func edit(_ handle: OpaquePointer, _ edits: [Workload.Edit], firstID: Int64 = 1 << 40, keys: [String]? = nil) {
        var statements: [Int: OpaquePointer] = [:]
        for edit in edits {
            if statements[edit.column] == nil {
                var statement: OpaquePointer?
                let column = Workload.columns[edit.column].id
                sqlite3_prepare_v2(handle, "UPDATE bench_student SET \(column) = ? WHERE \(keys == nil ? "id" : "number") = ?", -1, &statement, nil)
                statements[edit.column] = statement
            }
            let statement = statements[edit.column]
            if let keys { bound(statement, 2, keys[edit.row]) { run(statement, edit.value) } } else {
                sqlite3_bind_int64(statement, 2, firstID + Int64(edit.row))
                run(statement, edit.value)
            }
        }
        for statement in statements.values { sqlite3_finalize(statement) }
    }

    private func run(_ statement: OpaquePointer?, _ value: Value) {
        switch value {
        case .integer(let value):
            sqlite3_bind_int64(statement, 1, value)
            sqlite3_step(statement)
        case .text(let value): bound(statement, 1, value) { sqlite3_step(statement) }
        default: preconditionFailure("the workload's edits write numbers and texts")
        }
        sqlite3_reset(statement)
    }

    /// A text bound in place.
    private func bound(_ statement: OpaquePointer?, _ parameter: Int32, _ text: String, _ body: () -> Void) {
        var text = text
        text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { _ = sqlite3_bind_text(statement, parameter, $0.baseAddress, Int32($0.count), nil) }
            body()
        }
    }
}

/// Rows as a C program has them in its hands: texts in one piece of memory, bound in place. Packed before the clock starts.
final class PlainRows: Sendable {
    let width: Int
    let count: Int
    private struct Item {
        var tag: Int32
        var word: Int64     // an integer, or where a text begins
        var length: Int32
    }
    private let items: [Item]
    private let bytes: [CChar]

    init(_ rows: [[Value]]) {
        (width, count) = (rows.first?.count ?? 0, rows.count)
        var (items, bytes): ([Item], [CChar]) = ([], [])
        for value in rows.joined() {
            switch value {
            case .null: items.append(Item(tag: SQLITE_NULL, word: 0, length: 0))
            case .integer(let value): items.append(Item(tag: SQLITE_INTEGER, word: value, length: 0))
            case .real(let value): items.append(Item(tag: SQLITE_FLOAT, word: Int64(bitPattern: value.bitPattern), length: 0))
            case .text(let value):
                items.append(Item(tag: SQLITE_TEXT, word: Int64(bytes.count), length: Int32(value.utf8.count)))
                bytes += value.utf8.map { CChar(bitPattern: $0) }
            }
        }
        (self.items, self.bytes) = (items, bytes)
    }

    func bind(_ statement: OpaquePointer?, _ row: Int, after parameter: Int32) {
        bytes.withUnsafeBufferPointer { bytes in
            for column in 0..<width {
                let (item, place) = (items[row * width + column], parameter + 1 + Int32(column))
                switch item.tag {
                case SQLITE_INTEGER: sqlite3_bind_int64(statement, place, item.word)
                case SQLITE_FLOAT: sqlite3_bind_double(statement, place, Double(bitPattern: UInt64(bitPattern: item.word)))
                case SQLITE_TEXT: sqlite3_bind_text(statement, place, bytes.baseAddress! + Int(item.word), item.length, nil)
                default: sqlite3_bind_null(statement, place)
                }
            }
        }
    }
}
