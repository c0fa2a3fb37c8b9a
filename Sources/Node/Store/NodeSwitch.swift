// A node goes on with another version of the catalogue. It seals before it switches: what was written under the old groups goes up as
// whole groups of the old version, with the cursor that its authors had.

import GRDB
import Shared

enum NodeSwitch {
    /// - Parameter seal: seals under the old version; for a node that has joined.
    /// - Returns: one sentence for whoever starts the program.
    static func run(
        _ db: Database, _ versions: CatalogueVersions, seal: (Catalogue) throws -> Void
    ) throws -> String? {
        guard let change = try CatalogueSwitch(db, versions), let was = try CatalogueVersions.present(db).flatMap({ try versions.version(db, $0) })
        else { return nil }
        try seal(was)
        // Views and triggers name columns: all are made anew.
        for entry in try Row.fetchAll(db, sql: "SELECT type, name FROM sqlite_schema WHERE type = 'view' OR (type = 'trigger' AND name LIKE 'zz\\_%' ESCAPE '\\')") {
            try db.execute(sql: "DROP \(entry["type"] as String) \"\(entry["name"] as String)\"")
        }
        for (old, new) in change.forms {
            guard try CatalogueSwitch.remake(db, old, new, table: NodeSchema.table, extra: ["id"]) else { continue }
            for index in NodeSchema.indexes(new) { try db.execute(sql: index) }
        }
        for form in versions.own.storedForms {
            for trigger in NodeSchema.triggers(form) { try db.execute(sql: trigger.sql) }
            try db.execute(sql: NodeSchema.view(form))
        }
        for form in change.new.storedForms { for trigger in NodeSchema.foreignGuards(form) { try db.execute(sql: trigger.sql) } }
        try NodeSchema.fillCodes(db, versions.own)
        try change.finish(db, versions.own)
        return "This node works with another version of the catalogue now; its data were taken over."
    }

    /// A node that has not joined cannot seal, and another version could not send what only this one knows: it would lie here unsent,
    /// until a pull replaces it.
    static func refuseUnsendable(_ db: Database, _ was: Catalogue, _ own: Catalogue) throws {
        for form in was.storedForms {
            guard let new = own[number: form.number] else { continue }      // marks of forms that are not known stay
            let gone = form.fields.filter { field in !new.fields.contains { $0.number == field.number } }
            guard !gone.isEmpty else { continue }
            let filled = gone.map { "row.\($0.id) IS NOT NULL" }.joined(separator: " OR ")
            let rows = try Int.fetchOne(
                db, sql: "SELECT count(*) FROM zz_mark AS mark JOIN \(form.table) AS row USING (id) WHERE mark.form = ? AND (\(filled))",
                arguments: [form.number])!
            guard rows > 0 else { continue }
            throw Failure(
                .refused,
                "\(rows) rows of \(form.path) that no hub has yet hold \(gone.map(\.title).joined(separator: "、")), which this version of the catalogue does not know.",
                next: "Work with the version that they were typed under (--catalogue), join a hub and sync; nothing was changed.")
        }
    }
}
