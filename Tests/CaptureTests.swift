import Foundation
import GRDB
import Testing

@testable import Node
@testable import Shared

/// Capture by triggers, as a stranger's SQLite program meets it.
@Suite struct CaptureTests {
    private let folder = NSTemporaryDirectory() + "zz-capture-\(UInt64.random(in: 0...UInt64.max))"
    private let node: NodeHome
    private let form: Form

    init() throws {
        let catalogue = try CatalogueLoader.embedded()
        form = catalogue["general.major"]!
        node = try NodeHome.create(
            folder, catalogue: catalogue,
            school: SchoolInfo(code: "3641000001", name: "示例", type: "vocational_continuing", region: nil))
    }

    /// A plain connection, none of our functions on it.
    private func stranger<T>(_ body: (Database) throws -> T) throws -> T {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try DatabaseQueue(path: NodeHome.databasePath(folder)).write(body)
    }

    private struct Mark: Equatable {
        var fields: [String]
        var life: Int
        var author: String
    }

    private func marks(_ db: Database) throws -> [Mark] {
        try Row.fetchAll(db, sql: "SELECT id FROM zz_mark ORDER BY id").map { row in
            let mark = try #require(try Node.Mark(db, form, RowID(row["id"])))
            return Mark(fields: form.fields.filter { mark.fields.contains($0.number) }.map(\.id), life: mark.life, author: mark.author)
        }
    }

    @Test func insertMarksAllFields() throws {
        try stranger { db in
            let id = try Int64.fetchOne(db, sql: "INSERT INTO general_major (major_number) VALUES ('A') RETURNING id")
            #expect(try Int64.fetchOne(db, sql: "SELECT id FROM zz_mark") == id)
            #expect(try marks(db) == [Mark(fields: form.fields.map(\.id), life: 1, author: "outside program")])
        }
    }

    @Test func updateMarksExactlyWhatChanged() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO general_major (major_number, major_name) VALUES ('A', 'x')")
            try db.execute(sql: "DELETE FROM zz_mark")
            try db.execute(sql: "UPDATE general_major SET major_number = 'A', major_name = 'x'")
            #expect(try marks(db).isEmpty, "an update that changes nothing marks nothing")
            try db.execute(sql: "UPDATE general_major SET major_name = 'y'")
            try db.execute(sql: "UPDATE general_major SET remark = 'z', major_number = 'A'")
            #expect(try marks(db) == [Mark(fields: ["major_name", "remark"], life: 0, author: "outside program")])
        }
    }

    @Test(arguments: 0..<17) func everyFieldHasItsBit(_ index: Int) throws {
        try stranger { db in
            guard index < form.fields.count else { return }
            let field = form.fields[index]
            try db.execute(sql: "INSERT INTO general_major (major_number) VALUES ('A')")
            try db.execute(sql: "DELETE FROM zz_mark")
            try db.execute(sql: "UPDATE general_major SET \(field.id) = \(field.type.sql == "TEXT" ? "'neu'" : "7")")
            #expect(try marks(db) == [Mark(fields: [field.id], life: 0, author: "outside program")])
        }
    }

    @Test func replaceMarksEverything() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO general_major (id, major_number, major_name) VALUES (7, 'A', 'x')")
            try db.execute(sql: "DELETE FROM zz_mark")
            try db.execute(sql: "INSERT OR REPLACE INTO general_major (id, major_number) VALUES (7, 'B')")
            #expect(try marks(db).first?.fields == form.fields.map(\.id), "columns not named became NULL")
        }
    }

    @Test func deleteAndRebirth() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO general_major (id, major_number) VALUES (7, 'A')")
            try db.execute(sql: "DELETE FROM general_major")
            #expect(try marks(db).first?.life == 2)
            try db.execute(sql: "INSERT INTO general_major (id, major_number) VALUES (7, 'A')")
            #expect(try marks(db).first?.life == 1)
        }
    }

    @Test func aRolledBackWriteLeavesNoMark() throws {
        try stranger { db in
            try db.inSavepoint {
                try db.execute(sql: "INSERT INTO general_major (major_number) VALUES ('A')")
                return .rollback
            }
            #expect(try marks(db).isEmpty)
        }
    }

    @Test(arguments: [
        "UPDATE general_major SET id = 8", "INSERT INTO general_major (id) VALUES (NULL)",
        "INSERT INTO general_major (id) VALUES ('abc')", "INSERT INTO general_major (schooling_length) VALUES (x'00')",
    ])
    func wrongIdsAndTypesAreRefused(_ sql: String) throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO general_major (id, major_number) VALUES (7, 'A')")
            #expect(throws: DatabaseError.self) { try db.execute(sql: sql) }
        }
    }

    @Test func theAuthorIsOursAndClearedAgain() throws {
        let values: [String: Value] = form.example
        _ = try? node.put(
            form: form, values: Dictionary(uniqueKeysWithValues: values.map { (form.fieldIndex(id: $0.key)!, $0.value) })
                .filter { form.fields[$0.key].references == nil }, author: "示例员")
        try stranger { db in
            let authors = try marks(db).map(\.author)
            #expect(authors == ["示例员"])
            #expect(try Int.fetchOne(db, sql: "SELECT count(*) FROM zz_author") == 0)
        }
    }

    @Test func droppedTriggersAreFoundAndRowsMarkedAgain() throws {
        try DatabaseQueue(path: NodeHome.databasePath(folder)).write { db in
            try db.execute(sql: "INSERT INTO general_major (id, major_number) VALUES (7, 'A')")
            try db.execute(sql: "DELETE FROM zz_mark; DROP TRIGGER zz_update_general_major_1")
            try db.execute(sql: "UPDATE general_major SET major_number = 'B'")
        }
        let (_, repairs) = try NodeHome.open(folder, catalogue: node.catalogue)
        #expect(repairs.count == 1 && repairs[0].contains("zz_update_general_major"))
        try stranger { db in
            let marked = try marks(db).first?.fields
            #expect(marked == form.fields.map(\.id), "what was written meanwhile goes up")
            #expect(try NodeSchema.faults(db, node.catalogue).isEmpty)
        }
    }

    @Test func viewsShowChineseLabelsAndCodeNames() throws {
        try stranger { db in
            try db.execute(sql: "INSERT INTO general_major (major_number, major_catalogue) VALUES ('A', '2021')")
            let row = try #require(try Row.fetchOne(db, sql: "SELECT * FROM \"\(form.path)\""))
            #expect(row["本校专业编号"] as String? == "A")
            #expect(row["专业目录版本"] as String? != "2021", "the code's name is shown")
        }
    }
}
