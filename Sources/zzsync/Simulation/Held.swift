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
    /// Those that homes are of.
    private let versions: [Catalogue]

    /// - Parameter catalogue: what cells are counted by.
    init(_ catalogue: Catalogue, versions: [Catalogue]) { (self.catalogue, self.versions) = (catalogue, versions) }

    mutating func add(_ key: RowKey, _ group: Int, _ word: String) { words[CellKey(row: key, group: group), default: []].insert(word) }

    /// A form's columns as a home has them, by the fields' places here; what the home has not heard of stands in none of its rows.
    private struct Present {
        let form: Form
        let table: String
        let columns: [(place: Int, name: String)]
        /// Those that the home knows whole.
        let groups: [Int]
        /// Behind others in a SELECT.
        var list: String { columns.map { ", " + $0.name }.joined() }
    }

    /// The catalogue that a home's tables are of, as wide as what it holds: its program may be a newer one that has not opened it yet.
    private func version(of db: Database) throws -> Catalogue {
        let hash = try CatalogueVersions.present(db)
        return versions.first { $0.hash == hash }!.widened(by: try ForeignFields.load(db))
    }

    private func present(_ local: Catalogue) -> [Present] {
        catalogue.forms.compactMap { form in
            guard let there = local[number: form.number] else { return nil }
            let columns = form.fields.enumerated().compactMap { place, field in
                there.fields.first { $0.number == field.number }.map { (place: place, name: $0.id) }
            }
            let known = Set(columns.map(\.place))
            let groups = form.groups.indices.filter { known.isSuperset(of: form.groups[$0].fields) }
            return Present(form: form, table: there.table, columns: columns, groups: groups)
        }
    }

    /// - Parameter first: where the columns begin in what is selected.
    private mutating func add(_ key: RowKey, _ present: Present, _ select: HotStatement, from first: Int) {
        var values = Array(repeating: Value.null, count: present.form.fields.count)
        for (index, column) in present.columns.enumerated() { values[column.place] = select.value(first + index) }
        for group in present.groups { add(key, group, Entries.word(present.form, group, values)) }
    }

    // MARK: a home, by its files

    mutating func read(node home: String, scope: UInt64) throws {
        let database = try DatabaseQueue(path: home + "/node.db")
        try database.read { db in
            for present in present(try version(of: db)) {
                let select = try HotStatement(db, "SELECT id\(present.list) FROM \(present.table)")
                defer { select.reset() }
                while try select.step() { add(RowKey(scope: scope, form: present.form.number, id: select.integer(0)), present, select, from: 1) }
                // A delete that is not sealed yet: its mark is left, the row is gone.
                for id in try Int64.fetchAll(
                    db, sql: "SELECT id FROM zz_mark WHERE form = ? AND id NOT IN (SELECT id FROM \(present.table))", arguments: [present.form.number])
                { dead.insert(RowKey(scope: scope, form: present.form.number, id: id)) }
            }
            try readBytes(db)
        }
        try database.close()
    }

    mutating func read(hub home: String) throws {
        let database = try DatabaseQueue(path: HubHome.databasePath(home))
        try database.read { db in
            let local = try version(of: db)
            for present in present(local) { try readRows(db, present) }
            try readCandidates(db, local)
            try readBytes(db)
        }
        try database.close()
        let inbox = try DatabaseQueue(path: home + "/inbox.db")
        try inbox.read { db in
            for bytes in try Data.fetchAll(db, sql: "SELECT bytes FROM received WHERE state <> 'inherited'") { try read(segment: Array(bytes)) }
        }
        try inbox.close()
    }

    private mutating func readRows(_ db: Database, _ present: Present) throws {
        let select = try HotStatement(db, "SELECT scope, id, _life\(present.list) FROM \(present.table)")
        defer { select.reset() }
        while try select.step() {
            let key = RowKey(scope: ScopeID(key: select.integer(0)).rawValue, form: present.form.number, id: select.integer(1))
            if select.integer(2) == 2 { dead.insert(key) }
            add(key, present, select, from: 3)
        }
    }

    /// - Parameter local: the home's catalogue, whose groups its cases are about.
    private mutating func readCandidates(_ db: Database, _ local: Catalogue) throws {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT scope, form, id, field_group, life, value FROM zz_candidate JOIN zz_case USING (number)
                WHERE closed_at IS NULL AND kind IN ('cell', 'life', 'owner')
                """)
        for row in rows {
            let key = RowKey(scope: ScopeID(key: row["scope"]).rawValue, form: row["form"], id: row["id"])
            if row["life"] as Int == 2 { dead.insert(key) }
            guard let form = catalogue[number: key.form], let there = local[number: key.form],
                let group = there.groups.first(where: { $0.number == row["field_group"] as Int })
            else { continue }
            let values = Dictionary(uniqueKeysWithValues: zip(group.fields.map { there.fields[$0].number }, ValuesJSON.decode(row["value"])))
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
    func held(after fallen: Site? = nil) throws -> Held {
        var held = Held(catalogue, versions: [newestCatalogue, olderCatalogue])
        for site in sites {
            let home = site === fallen ? site.fuse.heir : site.fuse.directory
            if let school = site.school { try held.read(node: home, scope: scopes[school].rawValue) } else { try held.read(hub: home) }
        }
        return held
    }
}
