// What the files of a whole country hold: after a home was put back, this and nothing else can come back.
//
// Two designs: follow every message from home to home (exact, and a second product to get wrong), or read all files at the moment of the
// loss. The second: rows, open candidates, segments and log pages, live or down, as they lie on disk; whatever is in none of them
// lay on the lost disk alone.

import Foundation
import GRDB
import Hub
import Shared

struct Held {
    /// Everything that stands or waits somewhere in a cell.
    private(set) var words: [CellKey: Set<String>] = [:]
    /// Whose changes lie in a segment or a page.
    private(set) var authors: Set<String> = []
    /// Rows of which a tombstone lies somewhere.
    private(set) var dead: Set<RowKey> = []
    private let catalogue: Catalogue

    init(_ catalogue: Catalogue) { self.catalogue = catalogue }

    private mutating func add(_ key: RowKey, _ group: Int, _ word: String) { words[CellKey(row: key, group: group), default: []].insert(word) }

    /// Not in a home of an older catalogue: what stands in its rows lies in its segments and pages too.
    private func holds(_ db: Database, _ form: Form) throws -> Bool {
        guard try db.tableExists(form.table) else { return false }
        return try Set(db.columns(in: form.table).map(\.name)).isSuperset(of: form.fields.map(\.id))
    }

    // MARK: a home, by its files

    mutating func read(node home: String, scope: UInt64) throws {
        let database = try DatabaseQueue(path: home + "/node.db")
        try database.read { db in
            for form in try catalogue.forms.filter({ try holds(db, $0) }) {
                let select = try HotStatement(db, "SELECT id, \(form.fields.map(\.id).joined(separator: ", ")) FROM \(form.table)")
                defer { select.reset() }
                while try select.step() {
                    let key = RowKey(scope: scope, form: form.number, id: select.integer(0))
                    let values = form.fields.indices.map { select.value($0 + 1) }
                    for group in form.groups.indices { add(key, group, Entries.word(form, group, values)) }
                }
            }
            // A delete that is not sealed yet: its mark is left, the row is gone.
            for form in catalogue.forms where try holds(db, form) {
                for id in try Int64.fetchAll(
                    db, sql: "SELECT id FROM zz_mark WHERE form = ? AND id NOT IN (SELECT id FROM \(form.table))", arguments: [form.number])
                { dead.insert(RowKey(scope: scope, form: form.number, id: id)) }
            }
            try readBytes(db)
        }
        try database.close()
    }

    /// - Parameter cut: its catalogue, whose groups its cases are about.
    mutating func read(hub home: String, cut: Catalogue) throws {
        let database = try DatabaseQueue(path: HubHome.databasePath(home))
        try database.read { db in
            for form in try catalogue.forms.filter({ try holds(db, $0) }) { try readRows(db, form) }
            try readCandidates(db, cut)
            try readBytes(db)
        }
        try database.close()
        let inbox = try DatabaseQueue(path: home + "/inbox.db")
        try inbox.read { db in
            for bytes in try Data.fetchAll(db, sql: "SELECT bytes FROM received WHERE state <> 'inherited'") { try read(segment: Array(bytes)) }
        }
        try inbox.close()
    }

    private mutating func readRows(_ db: Database, _ form: Form) throws {
        let select = try HotStatement(db, "SELECT scope, id, _life, \(form.fields.map(\.id).joined(separator: ", ")) FROM \(form.table)")
        defer { select.reset() }
        while try select.step() {
            let key = RowKey(scope: ScopeID(key: select.integer(0)).rawValue, form: form.number, id: select.integer(1))
            if select.integer(2) == 2 { dead.insert(key) }
            let values = form.fields.indices.map { select.value($0 + 3) }
            for group in form.groups.indices { add(key, group, Entries.word(form, group, values)) }
        }
    }

    private mutating func readCandidates(_ db: Database, _ cut: Catalogue) throws {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT scope, form, id, field_group, life, value FROM zz_candidate JOIN zz_case USING (number)
                WHERE closed_at IS NULL AND kind IN ('cell', 'life', 'owner')
                """)
        for row in rows {
            let key = RowKey(scope: ScopeID(key: row["scope"]).rawValue, form: row["form"], id: row["id"])
            if row["life"] as Int == 2 { dead.insert(key) }
            guard let form = catalogue[number: key.form] else { continue }
            // What that catalogue does not know stands alone.
            let local = cut[number: key.form]
            let fields = local?.groups.first { $0.number == row["field_group"] as Int }.map { $0.fields.map { local!.fields[$0].number } }
            let values = Dictionary(uniqueKeysWithValues: zip(fields ?? [row["field_group"]], ValuesJSON.decode(row["value"])))
            for (group, own) in form.groups.enumerated() {
                let known = own.fields.compactMap { values[form.fields[$0].number] }
                if known.count == own.fields.count { add(key, group, Entries.word(known)) }
            }
        }
    }

    /// What it has sent, and what its parent has shown it.
    private mutating func readBytes(_ db: Database) throws {
        for table in ["zz_outbox", "zz_page", "zz_returned"] {
            for bytes in try Data.fetchAll(db, sql: "SELECT bytes FROM \(table)") { try read(segment: Array(bytes)) }
        }
    }

    // MARK: a segment or a page

    private mutating func read(segment bytes: [UInt8]) throws {
        let (header, body) = try SegmentCodec.decodeOwn(bytes, predictors: catalogue.predictors)
        for changes in body.forms {
            guard let form = catalogue[number: changes.form] else { continue }
            let columns = form.fields.map { changes.fields.firstIndex(of: $0.number) }
            for index in 0..<changes.count {
                authors.insert(body.stamps[Int(changes.stamps[index])].author)
                let key = RowKey(scope: header.scope.rawValue, form: form.number, id: changes.rows[index].rawValue)
                if changes.life[index] == .dead { dead.insert(key) }
                for (group, fields) in form.groups.enumerated() where !(fields.mask & changes.masks[index]).isEmpty {
                    add(key, group, Entries.word(fields.fields.map { columns[$0].map { changes.columns[$0][index] } ?? .null }))
                }
            }
        }
    }
}

extension Country {
    /// - Parameter fallen: its next process will find its files elsewhere.
    func held(after fallen: Site) throws -> Held {
        var held = Held(catalogue)
        for site in sites {
            let home = site === fallen ? site.fuse.heir : site.fuse.directory
            if let school = site.school { try held.read(node: home, scope: scopes[school].rawValue) } else { try held.read(hub: home, cut: site.catalogue) }
        }
        return held
    }
}
