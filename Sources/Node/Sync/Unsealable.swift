// Which row it is that cannot be sealed: SQLite takes any bytes for a text, the wire takes UTF-8 of a bounded length. Asked only when a
// seal has failed or met a row too heavy, for it reads every marked row.

import Foundation
import GRDB
import Shared

enum Unsealable {
    /// - Returns: nil where no row's text is at fault.
    static func find(_ db: Database, _ catalogue: Catalogue) throws -> Failure? {
        for form in catalogue.storedForms {
            let texts = form.fields.filter { $0.sqlType == "TEXT" }
            guard !texts.isEmpty else { continue }
            let columns = texts.map { "CAST(\($0.id) AS BLOB)" }.joined(separator: ", ")
            let rows = try Row.fetchCursor(
                db, sql: "SELECT id, \(columns) FROM \(form.table) WHERE id IN (SELECT id FROM zz_mark WHERE form = ?) ORDER BY id",
                arguments: [form.number])
            while let row = try rows.next() {
                var all = 0
                for (index, field) in texts.enumerated() {
                    guard let bytes = row[index + 1] as Data? else { continue }
                    all += bytes.count
                    if let why = problem(bytes) { return failure(row, form, "its \(field.title) (\(form.table).\(field.id)) \(why)") }
                }
                if all > Limits.rowTextBytesMax {
                    return failure(row, form, "its texts have \(all) bytes together, those of a row have at most \(Limits.rowTextBytesMax)")
                }
            }
        }
        return nil
    }

    private static func failure(_ row: Row, _ form: Form, _ why: String) -> Failure {
        Failure(
            .refused, "Row \(row["id"] as Int64) of \(form.path) cannot be sent: \(why).",
            next: "Correct that text, then sync again. Until then nothing leaves this node; nothing is lost.")
    }

    private static func problem(_ bytes: Data) -> String? {
        if bytes.count > Limits.textBytesMax { return "has \(bytes.count) bytes, a text has at most \(Limits.textBytesMax)" }
        return String(validating: bytes, as: UTF8.self) == nil ? "is not UTF-8 (GBK, perhaps)" : nil
    }
}
