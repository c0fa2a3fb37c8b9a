import Foundation
import GRDB
import Testing

@testable import Node
@testable import Shared

/// Whatever a program does to rows, their marks tell what the simplest bookkeeping would have told.
@Suite struct MarkTests {
    private let folder = NSTemporaryDirectory() + "zz-mark-\(UInt64.random(in: 0...UInt64.max))"
    private let node: NodeHome
    /// Fields 58 to 70: both halves of the mask, and a trigger that has some of each.
    private static let numbers = 58...70
    private let form: Form

    init() throws {
        let fields = Self.numbers.map { "[[field]]\nnumber = \($0)\nid = \"f\($0)\"\ntitle = \"列\($0)\"\ntype = \"integer\"\nstatus = \"standard\"\n" }
        let toml = """
            id = "test.wide"
            number = 900
            module = "测试"
            section = "测试"
            title = "宽表"
            period = "continuous"
            key = []
            prerequisites = []
            [levels]
            [example]
            \(fields.joined())
            """
        let catalogue = try CatalogueLoader.compile([CatalogueFile(name: "forms/test.wide.toml", text: toml)])
        form = catalogue["test.wide"]!
        node = try NodeHome.create(
            folder, catalogue: catalogue, school: SchoolInfo(code: "3641000001", name: "示例", type: "vocational_continuing", region: nil))
    }

    /// A plain connection, none of our functions on it.
    private func stranger<T>(_ body: (Database) throws -> T) throws -> T {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try DatabaseQueue(path: NodeHome.databasePath(folder)).write(body)
    }

    private struct Told: Equatable {
        var fields: Set<Int>
        var life: Int
        var author: String
    }

    private func all(_ db: Database) throws -> [Int64: Told] {
        try Int64.fetchAll(db, sql: "SELECT id FROM zz_mark").reduce(into: [:]) { marks, id in marks[id] = try mark(db, id) }
    }

    private func mark(_ db: Database, _ id: Int64) throws -> Told? {
        try Mark(db, form, RowID(id)).map { mark in
            Told(fields: Set(Self.numbers.filter(mark.fields.contains)), life: mark.life, author: mark.author)
        }
    }

    /// Random programs; now and then the marks are sealed away.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func tellWhatWasWritten(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let ids: [Int64] = [.min, -1025, -1024, -1, 0, 1, 1023, 1024, 5 << 40, 5 << 40 + 1, .max]
        let every = Set(Self.numbers)
        try stranger { db in
            var rows: [Int64: [Int: Int]] = [:]
            var marks: [Int64: Told] = [:]
            func write(_ id: Int64, _ fields: Set<Int>, life: Int?, by author: String) {
                let was = marks[id] ?? Told(fields: [], life: 0, author: "")
                marks[id] = Told(fields: was.fields.union(fields), life: life ?? was.life, author: author)
            }
            for step in 0..<150 {
                let id = ids.randomElement(using: &random)!
                let author = ["甲", "乙", nil].randomElement(using: &random)!
                let writer = author ?? "outside program"
                if let author { try db.execute(sql: "INSERT INTO zz_author VALUES (1, ?)", arguments: [author]) }
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<4 where rows[id] == nil, 4 where rows[id] != nil:
                    let verb = rows[id] == nil ? "INSERT" : "REPLACE"
                    try db.execute(sql: "\(verb) INTO \(form.table) (id, f58) VALUES (?, 1)", arguments: [id])
                    rows[id] = [58: 1]
                    write(id, every, life: 1, by: writer)
                case 5:
                    guard rows.removeValue(forKey: id) != nil else { break }
                    try db.execute(sql: "DELETE FROM \(form.table) WHERE id = ?", arguments: [id])
                    write(id, [], life: 2, by: writer)
                case 6:
                    // As programs do that know tables and no columns: the row is saved as it was read.
                    let columns = try db.columns(in: form.table).map(\.name)
                    try db.execute(sql: "UPDATE \(form.table) SET \(columns.map { "\($0) = \($0)" }.joined(separator: ", ")) WHERE id = ?", arguments: [id])
                case 7:
                    try db.execute(sql: "DELETE FROM zz_mark")
                    marks = [:]
                default:
                    // Some values stand there already; the words for a conflict must not reach into the triggers.
                    let values = Dictionary(
                        Self.numbers.shuffled(using: &random).prefix(Int.random(in: 1...6, using: &random)).map { ($0, Int.random(in: 0...2, using: &random)) },
                        uniquingKeysWith: { a, _ in a })
                    let verb = ["", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE", "OR ROLLBACK"].randomElement(using: &random)!
                    let sets = values.map { "f\($0.key) = \($0.value)" }.joined(separator: ", ")
                    let here = Bool.random(using: &random) ? [id] : ids
                    try db.execute(sql: "UPDATE \(verb) \(form.table) SET \(sets)\(here.count == 1 ? " WHERE id = \(id)" : "")")
                    for id in here where rows[id] != nil {
                        let changed = values.filter { rows[id]![$0.key] != $0.value }
                        rows[id]!.merge(changed) { _, new in new }
                        if !changed.isEmpty { write(id, Set(changed.keys), life: nil, by: writer) }
                    }
                }
                try db.execute(sql: "DELETE FROM zz_author")
                #expect(try Mark.any(db) == !marks.isEmpty, "seed \(seed), step \(step)")
                try #require(told(try mark(db, id)) == told(marks[id]), "seed \(seed), step \(step), row \(id)")
            }
            #expect(try all(db).mapValues { told($0) } == marks.mapValues { told($0) }, "seed \(seed)")
        }
    }

    /// Which fields of a row that is gone were edited before, nobody asks.
    private func told(_ mark: Told?) -> Told? { mark.map { $0.life == 2 ? Told(fields: [], life: 2, author: $0.author) : $0 } }

    @Test func anEditThatIsTakenBackLeavesNoMark() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO \(form.table) (id) VALUES (7); DELETE FROM zz_mark")
            try db.inSavepoint {
                try db.execute(sql: "UPDATE \(form.table) SET f58 = 1")
                return .rollback
            }
            #expect(try !Mark.any(db))
        }
    }

    /// A row that is copied as it stands, whichever columns it has, is an insert of its copier's and nobody's edit.
    @Test func aCopiedRowIsMarkedAsItsCopiers() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO \(form.table) (id) VALUES (7); DELETE FROM zz_mark; INSERT INTO zz_author VALUES (1, '甲')")
            try db.execute(sql: "UPDATE \(form.table) SET f58 = 1; DELETE FROM zz_author")
            try db.execute(sql: "CREATE TEMP TABLE copy AS SELECT * FROM \(form.table); UPDATE copy SET id = 8; INSERT INTO \(form.table) SELECT * FROM copy")
            #expect(try all(db) == [
                7: Told(fields: [58], life: 0, author: "甲"), 8: Told(fields: Set(Self.numbers), life: 1, author: "outside program"),
            ])
        }
    }
}
