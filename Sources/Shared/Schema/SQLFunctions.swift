// The functions that rules and fills may call, registered on every connection of ours.
//
// Raw C callbacks rather than GRDB's `DatabaseFunction`: 2.7 times cheaper a call, and rules call several a row. Triggers
// and views never call them, for strangers' SQLite programs do not have them.

import GRDBSQLite

package enum SQLFunctions {
    /// Registers all functions; the code sets are kept alive by the connection.
    package static func register(on connection: OpaquePointer, codeSets: [String: CodeSet]) {
        unary(connection, "id_number_ok") { context, bytes in
            sqlite3_result_int(context, CitizenNumber.isValid(bytes) ? 1 : 0)
        }
        unary(connection, "id_birth") { context, bytes in
            result(context, CitizenNumber.birth(bytes))
        }
        unary(connection, "id_sex") { context, bytes in
            result(context, CitizenNumber.sex(bytes).map { [$0] })
        }
        unary(connection, "id_region") { context, bytes in
            result(context, bytes.count == 18 ? Array(bytes.prefix(6)) : nil)
        }
        unary(connection, "pinyin") { context, bytes in
            result(context, Pinyin.name(bytes))
        }
        unary(connection, "credit_code_ok") { context, bytes in
            sqlite3_result_int(context, CreditCode.isValid(bytes) ? 1 : 0)
        }
        coded(connection, "in_code_set", codeSets) { context, set, code in
            sqlite3_result_int(context, set.name(of: code) == nil ? 0 : 1)
        }
        coded(connection, "code_name", codeSets) { context, set, code in
            result(context, set.name(of: code).map { Array($0.utf8) })
        }
    }

    private static let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS

    private typealias Unary = (OpaquePointer?, UnsafeBufferPointer<UInt8>) -> Void
    private final class UnaryBox {
        let body: Unary
        init(_ body: @escaping Unary) { self.body = body }
    }

    /// A function of one text; NULL gives NULL.
    private static func unary(_ connection: OpaquePointer, _ name: String, _ body: @escaping Unary) {
        sqlite3_create_function_v2(
            connection, name, 1, flags, Unmanaged.passRetained(UnaryBox(body)).toOpaque(),
            { context, _, arguments in
                guard let value = arguments?[0], let text = sqlite3_value_text(value) else {
                    return sqlite3_result_null(context)
                }
                let box = Unmanaged<UnaryBox>.fromOpaque(sqlite3_user_data(context)).takeUnretainedValue()
                box.body(context, UnsafeBufferPointer(start: text, count: Int(sqlite3_value_bytes(value))))
            }, nil, nil, { Unmanaged<UnaryBox>.fromOpaque($0!).release() })
    }

    private final class CodeBox {
        let sets: [String: CodeSet]
        let body: (OpaquePointer?, CodeSet, String) -> Void
        init(_ sets: [String: CodeSet], _ body: @escaping (OpaquePointer?, CodeSet, String) -> Void) {
            self.sets = sets
            self.body = body
        }
    }

    /// A function of (code set, code); NULL when either is NULL or the set is unknown.
    private static func coded(
        _ connection: OpaquePointer, _ name: String, _ sets: [String: CodeSet],
        _ body: @escaping (OpaquePointer?, CodeSet, String) -> Void
    ) {
        sqlite3_create_function_v2(
            connection, name, 2, flags, Unmanaged.passRetained(CodeBox(sets, body)).toOpaque(),
            { context, _, arguments in
                guard let setName = sqlite3_value_text(arguments?[0]), let code = sqlite3_value_text(arguments?[1]) else {
                    return sqlite3_result_null(context)
                }
                let box = Unmanaged<CodeBox>.fromOpaque(sqlite3_user_data(context)).takeUnretainedValue()
                guard let set = box.sets[String(cString: setName)] else { return sqlite3_result_null(context) }
                box.body(context, set, String(cString: code))
            }, nil, nil, { Unmanaged<CodeBox>.fromOpaque($0!).release() })
    }

    private static func result(_ context: OpaquePointer?, _ bytes: [UInt8]?) {
        guard let bytes else { return sqlite3_result_null(context) }
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)     // SQLITE_TRANSIENT
        bytes.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) {
                sqlite3_result_text(context, $0.baseAddress, Int32($0.count), transient)
            }
        }
    }
}
