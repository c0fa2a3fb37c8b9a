// The journal as it is read: a year of decisions has thousands of lines, and what is looked for is one school's, one form's, last week's.

import Foundation
import GRDB
import Shared

/// Which entries of the journal; all conditions must hold.
package struct JournalFilter: Sendable {
    package var form: FormNumber?
    package var school: String?
    /// Seconds since 1970.
    package var since: Int64?
    /// So many of the newest; nil = all.
    package var last: Int?
    package init() {}
}

extension OperatorDesk {
    /// - Parameter batch: the decisions of this bulk; nil = every decision, a bulk as one.
    /// - Throws: `Failure(.usage)` for a bulk or school that there is not.
    package func journal(batch: Int64? = nil, _ filter: JournalFilter = JournalFilter()) throws(Failure) -> [JournalEntry] {
        let scope: ScopeID? = if let school = filter.school { try home.scope(school: school) } else { nil }
        return try read { db in
            if let batch { try checkBatch(db, batch) }
            // A bulk is about no case of its own: it is found by those that it decided.
            let found = try Row.fetchAll(
                db,
                sql: """
                    WITH asked AS (SELECT number FROM zz_case WHERE (?2 IS NULL OR form = ?2) AND (?3 IS NULL OR scope = ?3 OR other_scope = ?3))
                    SELECT * FROM zz_decision WHERE batch IS ?1 AND (?4 IS NULL OR at >= ?4)
                      AND (?2 IS NULL AND ?3 IS NULL OR number IN (SELECT number FROM asked)
                        OR decision IN (SELECT batch FROM zz_decision WHERE batch IS NOT NULL AND number IN (SELECT number FROM asked)))
                    ORDER BY decision DESC LIMIT ?5
                    """, arguments: [batch, filter.form, scope?.key, filter.since, filter.last ?? -1])
            return found.reversed().map(JournalEntry.init)
        }
    }

    private func checkBatch(_ db: Database, _ batch: Int64) throws {
        let head = try Row.fetchOne(db, sql: "SELECT number FROM zz_decision WHERE decision = ?", arguments: [batch])
        guard let head, Self.isBatch(head) else {
            throw Failure(.usage, "There is no bulk \(batch).", next: "`zzsync hub conflicts journal` lists them: a bulk says 'all' in place of a case.")
        }
    }
}
