// A prepared statement stepped directly: for loops over every cell of a batch, where GRDB's conveniences cost three times
// the work itself (measured: 40 ms instead of 11 for 5,000 rows of 30 columns).

import GRDB
import GRDBSQLite

/// A column whose cells one parameter of a statement takes, row by row.
package struct BoundColumn {
    let parameter: Int32
    let column: PlainColumn
    /// - Parameter parameter: counts from 1, as in SQLite's own API.
    package init(_ column: PlainColumn, to parameter: Int) { (self.parameter, self.column) = (Int32(parameter), column) }
}

package struct HotStatement {
    private let statement: Statement        // keeps it alive
    private let raw: OpaquePointer

    package init(_ db: Database, _ sql: String) throws {
        statement = try db.cachedStatement(sql: sql)
        raw = statement.sqliteStatement
        sqlite3_reset(raw)                  // GRDB leaves a used statement un-reset
        sqlite3_clear_bindings(raw)
    }

    /// Parameter and column indices: parameters count from 1, columns from 0, as in SQLite's own API.
    package func bind(_ parameter: Int, _ value: Int64) { sqlite3_bind_int64(raw, Int32(parameter), value) }
    package func bindNull(_ parameter: Int) { sqlite3_bind_null(raw, Int32(parameter)) }
    package func bind(_ parameter: Int, _ text: String) {
        var text = text
        text.withUTF8 { bindText(parameter, $0) }
    }
    package func bind(_ parameter: Int, blob: [UInt8]) {
        _ = blob.withUnsafeBufferPointer {
            sqlite3_bind_blob(raw, Int32(parameter), $0.baseAddress, Int32($0.count), Self.transient)
        }
    }
    package func bind(_ parameter: Int, _ value: Value) {
        switch value {
        case .null: bindNull(parameter)
        case .integer(let value): bind(parameter, value)
        case .real(let value): sqlite3_bind_double(raw, Int32(parameter), value)
        case .text(let value): bind(parameter, value)
        }
    }
    /// Binds a cell of each column without copies of texts: the columns must stay where they are until the statement has run and its bindings
    /// are cleared. Parameters without a column are left alone.
    package func bind(_ columns: [BoundColumn], cell: Int) {
        for bound in columns {
            let (parameter, column, word) = (bound.parameter, bound.column, bound.column.words[cell])
            switch column.tags[cell] {
            case CellColumn.Tag.text.rawValue:
                let start = Int(column.starts[cell])
                sqlite3_bind_text(raw, parameter, column.bytes + start, Int32(Int(word) - start), Self.inPlace)
            case CellColumn.Tag.integer.rawValue: sqlite3_bind_int64(raw, parameter, word)
            case CellColumn.Tag.real.rawValue: sqlite3_bind_double(raw, parameter, Double(bitPattern: UInt64(bitPattern: word)))
            default: sqlite3_bind_null(raw, parameter)
            }
        }
    }
    package func clearBindings() { sqlite3_clear_bindings(raw) }
    private func bindText(_ parameter: Int, _ utf8: UnsafeBufferPointer<UInt8>) {
        guard let base = utf8.baseAddress else {
            sqlite3_bind_text(raw, Int32(parameter), "", 0, Self.transient)
            return
        }
        base.withMemoryRebound(to: CChar.self, capacity: utf8.count) {
            _ = sqlite3_bind_text(raw, Int32(parameter), $0, Int32(utf8.count), Self.transient)
        }
    }
    private static var transient: sqlite3_destructor_type? { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }
    /// SQLITE_STATIC: the bytes stay where they are.
    private static var inPlace: sqlite3_destructor_type? { nil }

    /// True while there is a row.
    package func step() throws -> Bool {
        switch sqlite3_step(raw) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw fault()
        }
    }
    /// Runs to the end and makes it ready for the next bindings.
    package func run() throws {
        defer { sqlite3_reset(raw) }
        while try step() {}
    }
    package func reset() { sqlite3_reset(raw) }
    private func fault() -> DatabaseError {
        let handle = sqlite3_db_handle(raw)
        let code = ResultCode(rawValue: sqlite3_extended_errcode(handle))
        let message = String(cString: sqlite3_errmsg(handle))
        sqlite3_reset(raw)
        return DatabaseError(resultCode: code, message: message)
    }

    package func integer(_ column: Int) -> Int64 { sqlite3_column_int64(raw, Int32(column)) }
    package func isNull(_ column: Int) -> Bool { sqlite3_column_type(raw, Int32(column)) == SQLITE_NULL }
    package func text(_ column: Int) -> String? { sqlite3_column_text(raw, Int32(column)).map { String(cString: $0) } }
    package func blob(_ column: Int) -> [UInt8]? {
        guard let base = sqlite3_column_blob(raw, Int32(column)) else { return nil }
        return Array(UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(raw, Int32(column)))))
    }
    package func value(_ column: Int) -> Value {
        switch sqlite3_column_type(raw, Int32(column)) {
        case SQLITE_INTEGER: .integer(integer(column))
        case SQLITE_FLOAT: .real(sqlite3_column_double(raw, Int32(column)))
        case SQLITE_TEXT: .text(textBytes(column))
        default: .null
        }
    }
    private func textBytes(_ column: Int) -> String {
        let start = sqlite3_column_text(raw, Int32(column))
        return String(
            decoding: UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(raw, Int32(column)))), as: UTF8.self)
    }
    /// Appends a result column to an arena, without a String.
    package func append(_ column: Int, to cells: inout CellColumn) {
        switch sqlite3_column_type(raw, Int32(column)) {
        case SQLITE_INTEGER: cells.append(integer: integer(column))
        case SQLITE_FLOAT: cells.append(real: sqlite3_column_double(raw, Int32(column)))
        case SQLITE_TEXT:
            let start = sqlite3_column_text(raw, Int32(column))
            cells.append(utf8: UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(raw, Int32(column)))))
        default: cells.appendNull()
        }
    }
    /// Rows that the last run changed.
    package var changes: Int { Int(sqlite3_changes(sqlite3_db_handle(raw))) }
}
