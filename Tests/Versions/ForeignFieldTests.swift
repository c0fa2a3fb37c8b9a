import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Two versions of the catalogue side by side: what one of them does not know it keeps and hands on.
@Suite struct ForeignFieldTests {
    /// A country in which the named sites work with `version` and the others with the embedded one.
    static func country(_ newer: Set<String>, _ version: Catalogue, nodes: [String] = ["A1", "A2"]) async throws -> zzsync.World {
        let world = try await zzsync.World(
            catalogue: CatalogueVariants.present, nodes: nodes, versions: Dictionary(uniqueKeysWithValues: newer.map { ($0, version) }))
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        return world
    }

    static func attributes(_ world: zzsync.World, _ name: String) throws -> (form: Form, row: RowID) {
        let node = try world.node(name)
        let form = try #require(node.catalogue[CatalogueVariants.form])
        let row = try node.database.read { try Int64.fetchOne($0, sql: "SELECT min(id) FROM \(form.table)") }
        return (form, RowID(try #require(row)))
    }

    /// A foreign column's values at a site, by row.
    static func foreign(_ world: zzsync.World, _ name: String, _ table: String, _ field: Int) throws -> [String?] {
        let sql = "SELECT _f\(field) FROM \(table) ORDER BY id"
        return try (world.nodes[name]?.database ?? world.hub(name).database).read { try String?.fetchAll($0, sql: sql) }
    }

    static let table = "general_student_attribute"

    /// Newer nodes and ministry, an older province between them: what the province does not know reaches everybody.
    @Test(arguments: [["A1", "A2", "ministry"], ["A1", "A2"], ["A1", "ministry"], ["A1"]])
    func anUnknownFieldIsKeptAndHandedOn(newer: [String]) async throws {
        let version = try CatalogueVariants.withField()
        let world = try await Self.country(Set(newer), version)
        let (form, row) = try Self.attributes(world, "A1")
        let field = try form.field(named: "母语")
        try world.node("A1").change(form, row, [field: .text("回族话")], author: "业务员")
        try await world.settle()
        #expect(try world.hub("province").inbox.quarantined().isEmpty)
        for name in ["A1", "A2", "province", "ministry"] {
            if newer.contains(name) {
                if let node = world.nodes[name] { #expect(try node.values(form, row)?[field] == .text("回族话"), "\(name)") }
                else { #expect(try world.hub(name).values(form, row)?[field] == .text("回族话"), "\(name)") }
            } else {
                #expect(try Self.foreign(world, name, Self.table, 40) == ["回族话"], "\(name)")
            }
        }
        let digests = try world.digests(school: "A")
        #expect(Set(digests.values).count == 1, "\(digests)")
    }

    /// A program at an older node writes whole rows as it knows them. REPLACE would drop what the newer version's column holds, here, and
    /// after this node's own switch for everybody.
    @Test func anInsertOverARowThatHoldsAnUnknownFieldIsRefused() async throws {
        let version = try CatalogueVariants.withField()
        let world = try await Self.country(["A1"], version)
        let (form, row) = try Self.attributes(world, "A1")
        func replace(_ verb: String, _ id: Int64) async throws {
            try await world.node("A2").database.write { try $0.execute(sql: "\(verb) INTO \(Self.table) (id, remark) VALUES (?, '走读')", arguments: [id]) }
        }
        try await replace("REPLACE", row.rawValue)
        try await world.settle()
        try world.node("A1").change(form, row, [try form.field(named: "母语"): .text("回族话")], author: "业务员")
        try await world.settle()
        for verb in ["REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE"] {
            await #expect { try await replace(verb, row.rawValue) } throws: { "\($0)".contains("the row holds _f40") }
        }
        await #expect {
            try await world.node("A2").database.write {
                try $0.execute(sql: "DELETE FROM \(Self.table) WHERE id = ?", arguments: [row.rawValue])
                try $0.execute(sql: "INSERT INTO \(Self.table) (id, remark) VALUES (?, '走读')", arguments: [row.rawValue])
            }
        } throws: { "\($0)".contains("the row holds _f40") }
        try await replace("INSERT", 77)
        try await world.node("A2").database.write { try $0.execute(sql: "UPDATE \(Self.table) SET remark = '住校' WHERE id = ?", arguments: [row.rawValue]) }
        try await world.settle()
        #expect(try world.node("A1").values(form, row)?[form.field(named: "母语")] == .text("回族话"))
        #expect(try world.node("A1").values(form, row)?[form.field(named: "remark")] == .text("住校"))
        #expect(try world.node("A1").values(form, RowID(77))?[form.field(named: "remark")] == .text("走读"))
    }

    @Test(arguments: [["A1", "A2", "ministry"], ["A1"]])
    func anUnknownFormIsKeptAndHandedOn(newer: [String]) async throws {
        let version = try CatalogueVariants.withForm()
        let world = try await Self.country(Set(newer), version)
        let node = try world.node("A1")
        let form = try #require(version["general.student.hobby"])
        let row = try node.add(form, [try form.field(named: "特长编号"): .text("02")], author: "业务员")
        let other = try node.add(form, [try form.field(named: "特长编号"): .text("03")], author: "业务员")
        try await world.settle()
        try node.change(form, row, [try form.field(named: "特长"): .text("围棋")], author: "业务员")
        try node.remove(form, other, author: "业务员")
        try await world.settle()
        if newer.contains("A2") { #expect(try world.node("A2").values(form, row)?[1] == .text("围棋")) }
        let living = try await world.hub("province").database.read {
            try Row.fetchAll($0, sql: "SELECT id, _f1, _f2, _f3, _life FROM foreign_70 WHERE _f1 <> '01' ORDER BY _f1").map { "\($0)" }
        }
        #expect(living.count == 2)
        #expect(living[0].contains("围棋") && living[0].contains("_f3:3 _life:1"), "\(living)")
        #expect(living[1].contains("_life:2"), "\(living)")
        let digests = try world.digests(school: "A")
        #expect(Set(digests.values).count == 1, "\(digests)")
    }

    /// Two nodes write an unknown field apart: the older hub asks, and hands the decision on.
    @Test func anUnknownFieldIsDisputedLikeAnyOther() async throws {
        let world = try await Self.country(["A1", "A2"], try CatalogueVariants.withField())
        let (form, row) = try Self.attributes(world, "A1")
        let field = try form.field(named: "母语")
        try world.node("A1").change(form, row, [field: .text("汉语")], author: "甲")
        try world.node("A2").change(form, row, [field: .text("壮语")], author: "乙")
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        #expect(open.candidates.map { $0.values["_f40"] }.sorted { $0! < $1! } == ["壮语", "汉语"])
        #expect(try Self.foreign(world, "ministry", Self.table, 40) == [nil], "a disputed cell is held")
        let choice = try #require(open.candidates.first { $0.values["_f40"] == "壮语" })
        _ = try desk.decide(open.number, .candidate(choice.candidate), Verdict(who: "操作员", reason: "按户口本"))
        try await world.settle()
        for name in ["A1", "A2"] { #expect(try world.node(name).values(form, row)?[field] == .text("壮语")) }
        #expect(try Self.foreign(world, "ministry", Self.table, 40) == ["壮语"])
        #expect(try desk.cases().isEmpty)
    }

    /// A row of an older node has never carried the field: nobody is taken to have written it.
    /// Two rows were merged before the hub had heard of the field, and are two again after it has: what it put aside has no value for it.
    @Test func aMergeOfBeforeTheFieldIsUndone() async throws {
        let world = try await Self.country(["A1"], try CatalogueVariants.withField(), nodes: ["A1", "A2", "A3"])
        let older = try #require(CatalogueVariants.present[CatalogueVariants.form])
        let number = try older.field(named: "id_number"), address = try older.field(named: "home_address")
        for (name, text) in [("A2", "示例路1号"), ("A3", "示例路2号")] {
            _ = try world.node(name).add(older, [number: .text("SL0009"), address: .text(text)], author: name)
        }
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        #expect(open.kind == "twins")
        let merged = try desk.merge(open.number, Verdict(who: "操作员", reason: "同一个人"))
        try await world.settle()
        let form = try #require(world.node("A1").catalogue[CatalogueVariants.form])
        let key = try #require(form.example["id_number"]).shown
        let another = try #require(try world.node("A1").get(form: form, key: [key]))
        try world.node("A1").change(form, another.id, [form.field(named: "母语"): .text("回族话")], author: "业务员")
        try await world.settle()
        _ = try desk.undo(merged.decision, Verdict(who: "操作员", reason: "是两个人"))
        #expect(try desk.show(open.number).rows?.compactMap { $0.values["home_address"] }.sorted() == ["示例路1号", "示例路2号"])
    }

    @Test func anAbsentFieldIsNoWrite() async throws {
        let world = try await Self.country(["A1", "province"], try CatalogueVariants.withField())
        let (form, row) = try Self.attributes(world, "A1")
        let older = try #require(try world.node("A2").catalogue[CatalogueVariants.form])
        let field = try form.field(named: "母语")
        try world.node("A2").change(older, row, [try older.field(named: "remark"): .text("走读")], author: "乙")
        try world.node("A1").change(form, row, [field: .text("汉语")], author: "甲")
        try await world.settle()
        #expect(try OperatorDesk(try world.hub("province")).cases().isEmpty)
        let digests = try world.digests(school: "A")
        #expect(Set(digests.values).count == 1, "\(digests)")
        // Held at the province, for no student has this number; the nodes have it.
        let added = try world.node("A2").add(older, [0: .text("410102200810200030")], author: "乙")
        try await world.sync("A2")
        try await world.fetch("A1")
        try world.node("A2").change(older, added, [try older.field(named: "remark"): .text("住校")], author: "乙")
        try world.node("A1").change(form, added, [field: .text("彝语")], author: "甲")
        try await world.settle()
        #expect(try OperatorDesk(try world.hub("province")).cases().isEmpty)
    }

    /// Other programs may read a foreign column of a node, and not write it.
    @Test func aForeignColumnIsGuarded() async throws {
        let world = try await Self.country(["A1"], try CatalogueVariants.withField())
        let (form, row) = try Self.attributes(world, "A1")
        try world.node("A1").change(form, row, [try form.field(named: "母语"): .text("汉语")], author: "甲")
        try await world.settle()
        let node = try world.node("A2")
        #expect(throws: DatabaseError.self) {
            try node.database.write { try $0.execute(sql: "UPDATE \(Self.table) SET _f40 = 'x'") }
        }
        try await node.database.write { try $0.execute(sql: "UPDATE \(Self.table) SET remark = 'x'") }
        #expect(try Self.foreign(world, "A2", Self.table, 40) == ["汉语"])
    }
}
