// The digest of a form: what two replicas compare to know that they hold the same rows.
//
// Defined so that anyone can recompute it with the sqlite3 program and sha256sum: SHA-256 over one line a living row,
// ascending by id: the id and every field in catalogue order as `quote()` prints it, joined by '|'.

import Crypto
import Foundation
import GRDB

package enum FormDigest {
    /// The SELECT whose output lines are hashed; also what the README and the demo give to the sqlite3 program.
    package static func sql(form: Form, scope: ScopeID?) -> String {
        // By number, so that a column counts alike whether its catalogue knows it or not.
        let columns = (["id"] + form.fields.sorted { $0.number < $1.number }.map { "quote(\($0.id))" }).joined(separator: " || '|' || ")
        let filter = scope.map { " WHERE scope = \(Int64(bitPattern: $0.rawValue)) AND _life = 1" } ?? ""
        return "SELECT \(columns) FROM \(form.table)\(filter) ORDER BY id"
    }

    /// Lower-case hexadecimal digest and number of rows.
    package static func compute(_ db: Database, form: Form, scope: ScopeID?) throws -> (digest: String, rows: Int) {
        var hash = SHA256()
        var rows = 0
        let statement = try HotStatement(db, sql(form: form, scope: scope))
        defer { statement.reset() }
        while try statement.step() {
            hash.update(data: Data((statement.text(0)! + "\n").utf8))
            rows += 1
        }
        return (hash.finalize().map { hexByte($0) }.joined(), rows)
    }
}

package func hexByte(_ byte: UInt8) -> String {
    let digits = Array("0123456789abcdef")
    return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
}
