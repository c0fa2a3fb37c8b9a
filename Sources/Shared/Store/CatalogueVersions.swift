// The catalogue of a home, as wide as what others have sent: the version that it works with, the fields and forms that it has
// met of others, and the source files of those that it worked with before.

import Foundation
import GRDB
import Synchronization

package final class CatalogueVersions: Sendable {
    package let own: Catalogue
    /// By the mark of the newest entry of zz_foreign: a transaction that is rolled back takes its entries with it.
    private let newest: Mutex<(mark: Int64?, wide: Catalogue)>
    private let older = Mutex<[ContentHash: Catalogue]>([:])

    package init(_ own: Catalogue) {
        self.own = own
        newest = Mutex((nil, own))
    }

    /// The own version, with columns and tables for what was met of others.
    package func wide(_ db: Database) throws -> Catalogue {
        let mark = try Int64.fetchOne(db.cachedStatement(sql: "SELECT mark FROM zz_foreign ORDER BY number DESC LIMIT 1"))
        if let known = newest.withLock({ $0.mark == mark ? $0.wide : nil }) { return known }
        let wide = own.widened(by: try ForeignFields.load(db))
        newest.withLock { $0 = (mark, wide) }
        return wide
    }

    /// Makes room for what a body carries, in the transaction that stores it.
    ///
    /// - Parameter make: makes a form's table (no field), or a column of it.
    package func wide(
        _ db: Database, for body: SegmentBody, make: (Database, Form, Field?) throws -> Void
    ) throws -> Catalogue {
        let present = try wide(db)
        var isWider = false
        for changes in body.forms {
            var form = present[number: changes.form]
            if form == nil {
                form = Form.foreign(changes.form)
                try make(db, form!, nil)
                try Self.note(db, changes.form, 0)
                isWider = true
            }
            let known = form!.allFields
            for number in changes.fields where !known.contains(number) {
                form = form!.widened(by: [number])
                try make(db, form!, form!.fields.last!)
                try Self.note(db, changes.form, number)
                isWider = true
            }
        }
        return isWider ? try wide(db) : present
    }

    private static func note(_ db: Database, _ form: FormNumber, _ field: Int) throws {
        try db.execute(sql: "INSERT INTO zz_foreign (form, field) VALUES (?, ?)", arguments: [form, field])
    }

    /// Forms and fields that one home takes in beyond its own: a country has some hundreds of forms.
    package static let foreignMax = 10_000

    /// Whether a body's foreign forms and fields fit in; a broken sender must not fill a database with columns.
    package func hasRoom(_ db: Database, for body: SegmentBody) throws -> Bool {
        let present = try wide(db)
        let new = body.forms.reduce(0) { sum, changes in
            let known = present[number: changes.form]?.allFields
            return sum + (known == nil ? 1 : 0) + changes.fields.count { known?.contains($0) != true }
        }
        if new == 0 { return true }
        return try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_foreign")! + new <= Self.foreignMax
    }

    // MARK: versions that were

    /// Keeps the files of a version for good.
    package static func keep(_ db: Database, _ catalogue: Catalogue) throws {
        let json = try JSONEncoder().encode(catalogue.files)
        try db.execute(
            sql: "INSERT OR IGNORE INTO zz_catalogue (hash, raw_bytes, files) VALUES (?, ?, ?)",
            arguments: [Data(catalogue.hash.bytes), json.count, Data(try ZstdFrame.compress(Array(json), level: 3))])
        try Meta.set(db, presentKey, catalogue.hash.base64)
    }
    private static let presentKey = "catalogue"

    /// The version that the tables were made by.
    package static func present(_ db: Database) throws -> ContentHash? {
        try Meta.text(db, presentKey).flatMap { Data(base64Encoded: $0) }.flatMap { ContentHash(bytes: $0) }
    }

    /// A version that this home has had; nil when it never had it.
    package func version(_ db: Database, _ hash: ContentHash) throws -> Catalogue? {
        if hash == own.hash { return own }
        if let known = older.withLock({ $0[hash] }) { return known }
        guard let row = try Row.fetchOne(db, sql: "SELECT raw_bytes, files FROM zz_catalogue WHERE hash = ?", arguments: [Data(hash.bytes)])
        else { return nil }
        let json = try ZstdFrame.decompress(Array(row["files"] as Data)[...], rawLength: row["raw_bytes"], at: 0)
        let catalogue = try CatalogueLoader.compile(JSONDecoder().decode([CatalogueFile].self, from: Data(json)))
        older.withLock { $0[hash] = catalogue }
        return catalogue
    }

    /// The predictors to read a segment with: those of the version that it was made under, if this home has had it.
    package func predictors(_ db: Database, for header: SegmentHeader) throws -> Predictors {
        try version(db, header.catalogueHash)?.predictors ?? own.predictors
    }
}
