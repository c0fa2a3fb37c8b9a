import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// A home goes on with another version of the catalogue: nothing of what it holds is lost or converted.
@Suite struct SwitchTests {
    static let table = ForeignFieldTests.table

    /// Everybody becomes newer, one by one, while the others are older: what was foreign is an ordinary column then.
    @Test(arguments: [["ministry", "province", "A2"], ["A2", "province", "ministry"], ["province", "A2", "ministry"]])
    func whatWasForeignIsShownAfterTheUpgrade(order: [String]) async throws {
        let version = try CatalogueVariants.withBoth()
        let world = try await ForeignFieldTests.country(["A1"], version)
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        let field = try form.field(named: "母语")
        let hobby = try #require(version["general.student.hobby"])
        try world.node("A1").change(form, row, [field: .text("汉语")], author: "甲")
        let added = try world.node("A1").add(hobby, [0: .text("02")], author: "甲")
        try await world.settle()
        for name in order {
            try world.upgrade(name, to: version)
            func values(_ form: Form, _ row: RowID) throws -> [Value]? {
                if let node = world.nodes[name] { return try node.values(form, row) }
                return try world.hub(name).values(form, row)
            }
            #expect(try values(form, row)?[field] == .text("汉语"), "\(name)")
            #expect(try values(hobby, added)?[0] == .text("02"), "\(name)")
            #expect(try values(hobby, added)?[2] == .integer(3), "\(name)")
            try world.node("A1").change(form, row, [field: .text("汉语")], author: name)
            try await world.settle()
            let digests = try world.digests(school: "A")
            #expect(Set(digests.values).count == 1, "\(name): \(digests)")
        }
        // An ordinary column: the other node writes it, having seen.
        try world.node("A2").change(form, row, [field: .text("苗语")], author: "乙")
        try world.node("A2").change(hobby, added, [1: .text("象棋")], author: "乙")
        try await world.settle()
        #expect(try world.node("A1").values(form, row)?[field] == .text("苗语"))
        #expect(try world.hub("ministry").values(hobby, added)?[1] == .text("象棋"))
        #expect(try OperatorDesk(world.hub("province")).cases().isEmpty)
        #expect(try world.hub("province").database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_foreign") } == 0)
    }

    /// A node that was written to, unsynced, seals under the old version; what it had not sent arrives.
    @Test func aNodeSealsBeforeItSwitches() async throws {
        let version = try CatalogueVariants.withField()
        let world = try await ForeignFieldTests.country([], version)
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        let remark = try form.field(named: "remark")
        try world.node("A1").change(form, row, [remark: .text("走读")], author: "甲")
        try world.upgrade("A1", to: version)
        #expect(try await world.node("A1").database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_mark") } == 0)
        try await world.settle()
        #expect(try world.hub("ministry").values(form, row)?[remark] == .text("走读"))
        // Back to the older program: its own field is foreign then, and comes back with the newer one.
        let newer = try #require(version[form.id])
        try world.node("A1").change(newer, row, [try newer.field(named: "母语"): .text("汉语")], author: "甲")
        try world.upgrade("A1", to: CatalogueVariants.present)
        #expect(try ForeignFieldTests.foreign(world, "A1", Self.table, 40) == ["汉语"])
        try await world.settle()
        try world.upgrade("A1", to: version)
        #expect(try world.node("A1").values(newer, row)?[try newer.field(named: "母语")] == .text("汉语"))
        #expect(try ForeignFieldTests.foreign(world, "ministry", Self.table, 40) == ["汉语"])
    }

    /// What was sealed with predictors that the hub lacks waits, and is merged when the hub has them.
    @Test func aSegmentOfOtherPredictorsWaitsForTheUpgrade() async throws {
        let version = try CatalogueVariants.edited(CatalogueVariants.form) {
            $0 + CatalogueVariants.field(40, "home_copy", "住址副本", more: "fill = \"this.home_address || '（同上）'\"")
        }
        let world = try await ForeignFieldTests.country([], version)
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        try world.upgrade("A1", to: version)
        let newer = try #require(version[form.id])
        let copy = try newer.field(named: "住址副本")
        // Sealed before hello could say that the hub reads other predictors.
        try world.node("A1").change(newer, row, [try newer.field(named: "home_address"): .text("新街2号"), copy: .text("新街2号（同上）")], author: "甲")
        let session = try world.session("A1")
        let scope = try #require(try world.node("A1").scope())
        try await world.node("A1").database.write { db in
            try ParentPredictors.note(db, areOurs: true)
            _ = try session.replica.seal(db, scope: scope, now: 1_790_000_000)
        }
        try await world.sync("A1")
        let province = try world.hub("province")
        if try province.inbox.quarantined().isEmpty { Issue.record("nothing was predicted") }
        #expect(try province.values(form, row)?[try form.field(named: "home_address")] != .text("新街2号"))
        try world.upgrade("province", to: version)
        try await MergeWorker(world.hub("province")).drain()
        #expect(try world.hub("province").values(newer, row)?[copy] == .text("新街2号（同上）"))
        try await world.settle()
        #expect(try ForeignFieldTests.foreign(world, "ministry", Self.table, 40) == ["新街2号（同上）"], "not predicted for who lacks the fill")
        #expect(try ForeignFieldTests.foreign(world, "A2", Self.table, 40) == ["新街2号（同上）"])
    }

    /// A foreign value of another kind than the new column's is refused, not converted.
    @Test func aValueOfAnotherKindStopsTheSwitch() async throws {
        let text = try CatalogueVariants.withField()
        let world = try await ForeignFieldTests.country(["A1"], text, nodes: ["A1"])
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        try world.node("A1").change(form, row, [try form.field(named: "母语"): .text("12")], author: "甲")
        try await world.settle()
        let number = try CatalogueVariants.edited(CatalogueVariants.form) {
            $0 + CatalogueVariants.field(40, "mother_tongue", "母语", type: "integer")
        }
        #expect {
            try world.upgrade("province", to: number)
        } throws: {
            ($0 as? Failure)?.what.contains("1 rows hold another kind of value") == true
        }
    }
}
