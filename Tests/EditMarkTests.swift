import Foundation
import GRDB
import Testing

@testable import Node
@testable import Shared

/// The mark of an edit lies in its row: whatever a program does to rows, the seal finds what one mark a row would have told.
@Suite struct EditMarkTests {
    private let folder = NSTemporaryDirectory() + "zz-edit-mark-\(UInt64.random(in: 0...UInt64.max))"
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

    private struct Mark: Equatable {
        var fields: Set<Int>
        var life: Int
        var author: String
    }

    private func gathered(_ db: Database) throws -> [Int64: Mark] {
        try EditMarks.gather(db, node.catalogue)
        #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_edited") == 0)
        #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM \(form.table) WHERE coalesce(_fields_low, _fields_high, _author, _time) IS NOT NULL") == 0)
        return try Int64.fetchAll(db, sql: "SELECT id FROM zz_mark").reduce(into: [:]) { marks, id in marks[id] = try mark(db, id) }
    }

    private func mark(_ db: Database, _ id: Int64) throws -> Mark? {
        try EditMarks.mark(db, form, RowID(id)).map { mark in
            Mark(fields: Set(Self.numbers.filter(mark.fields.contains)), life: mark.life, author: mark.author)
        }
    }

    /// Random programs against one mark a row in its simplest form; now and then the marks are gathered, or sealed away.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func tellWhatWasWritten(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let ids: [Int64] = [.min, -1025, -1024, -1, 0, 1, 1023, 1024, 5 << 40, 5 << 40 + 1, .max]
        let all = Set(Self.numbers)
        try stranger { db in
            var rows: [Int64: [Int: Int]] = [:]
            var marks: [Int64: Mark] = [:]
            func write(_ id: Int64, _ fields: Set<Int>, life: Int?, by author: String) {
                let was = marks[id] ?? Mark(fields: [], life: 0, author: "")
                marks[id] = Mark(fields: was.fields.union(fields), life: life ?? was.life, author: author)
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
                    write(id, all, life: 1, by: writer)
                case 5:
                    guard rows.removeValue(forKey: id) != nil else { break }
                    try db.execute(sql: "DELETE FROM \(form.table) WHERE id = ?", arguments: [id])
                    write(id, [], life: 2, by: writer)
                case 6:
                    _ = try gathered(db)
                case 7:
                    _ = try gathered(db)
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
                let count = try EditMarks.count(db, node.catalogue)
                #expect(count == marks.count, "seed \(seed), step \(step)")
                #expect(try EditMarks.any(db) == !marks.isEmpty, "seed \(seed), step \(step)")
                try #require(told(try mark(db, id)) == told(marks[id]), "seed \(seed), step \(step), row \(id)")
            }
            #expect(try gathered(db).mapValues { told($0) } == marks.mapValues { told($0) }, "seed \(seed)")
        }
    }

    /// Which fields of a row that is gone were edited before, nobody asks.
    private func told(_ mark: Mark?) -> Mark? { mark.map { $0.life == 2 ? Mark(fields: [], life: 2, author: $0.author) : $0 } }

    @Test func anEditThatIsTakenBackLeavesNoMark() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO \(form.table) (id) VALUES (7); DELETE FROM zz_mark")
            try db.inSavepoint {
                try db.execute(sql: "UPDATE \(form.table) SET f58 = 1")
                return .rollback
            }
            #expect(try !EditMarks.any(db))
            #expect(try gathered(db).isEmpty)
        }
    }

    /// A page tells where to look; the mark itself is in the row, so that an edit writes the row's page alone.
    @Test func aSecondEditOfABlockWritesNoPageBesideItsRow() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO \(form.table) (id) VALUES (7), (8); DELETE FROM zz_mark")
            try db.execute(sql: "UPDATE \(form.table) SET f58 = 1 WHERE id = 7")
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_edited") == 1)
            try db.execute(sql: "UPDATE \(form.table) SET f70 = 1 WHERE id = 8")
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_edited") == 1)
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_mark") == 0)
            #expect(try gathered(db).mapValues(\.fields) == [7: [58], 8: [70]])
        }
    }

    /// As a home of before the marks moved: it is refused with a sentence, and not written to without a mark.
    @Test func aTableWithoutRoomForMarksIsNamed() throws {
        try stranger { db in
            for trigger in NodeSchema.triggers(form) { try db.execute(sql: "DROP TRIGGER \(trigger.name)") }
            try db.execute(sql: "ALTER TABLE \(form.table) DROP COLUMN _time")
            #expect(try NodeSchema.faults(db, node.catalogue).contains { $0.hasPrefix("Table \(form.table)") && $0.contains("lacks column _time") })
        }
    }
}
