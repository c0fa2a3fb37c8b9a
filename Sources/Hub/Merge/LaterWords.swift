// What a site has written in segments after one that comes out of quarantine, read from the inbox, which keeps them all: by field, for
// its groups may have been cut otherwise when the one was sealed, the other merged, or the hub's catalogue changed between.

import GRDB
import Shared

struct LaterWords: Sendable {
    private struct Key: Hashable {
        let form: FormNumber
        let row: RowID
    }
    /// What was sent of one row since.
    struct Sent {
        var fields = FieldMask()
        var life = false
    }
    private var rows: [Key: Sent] = [:]

    subscript(form: FormNumber, row: RowID) -> Sent { rows[Key(form: form, row: row)] ?? Sent() }

    mutating func add(_ body: SegmentBody) {
        for changes in body.forms {
            for index in changes.rows.indices {
                let key = Key(form: changes.form, row: changes.rows[index])
                // Who deletes a row has no more to say of any of its fields.
                rows[key, default: Sent()].fields = self[changes.form, key.row].fields | (changes.life[index] == .dead ? .all : changes.masks[index])
                if changes.life[index] != .unchanged { rows[key]!.life = true }
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
