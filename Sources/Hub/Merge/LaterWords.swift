// What a site has written in segments after one that comes out of quarantine, read from the inbox, which keeps them all: by field, for
// its groups may have been cut otherwise when the one was sealed, the other merged, or the hub's catalogue changed between.

import GRDB
import Shared

struct LaterWords: Sendable {
    private struct Key: Hashable {
        let form: FormNumber
        let row: RowID
    }
    private var fields: [Key: FieldMask] = [:]

    /// The fields that were sent since.
    subscript(form: FormNumber, row: RowID) -> FieldMask { fields[Key(form: form, row: row)] ?? FieldMask() }

    mutating func add(_ body: SegmentBody) {
        for changes in body.forms {
            for (row, mask) in zip(changes.rows, changes.masks) {
                let key = Key(form: changes.form, row: row)
                fields[key] = (fields[key] ?? FieldMask()) | mask
            }
        }
    }
}

extension Inbox {
    /// The site's segments after `seq` that a program has read: those that wait or are merged, and those released from quarantine.
    func understood(_ scope: ScopeID, _ site: SiteID, after seq: Seq) throws -> [Int64] {
        try database.read { db in
            try Int64.fetchAll(
                db, sql: "SELECT number FROM received WHERE scope = ? AND site = ? AND first > ? AND state <> 'quarantined' ORDER BY first",
                arguments: [scope.key, site.key, seq.rawValue])
        }
    }
}
