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
        #expect(try await world.hub("province").database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_foreign") } == 0)
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

    /// Before its first join nothing can be sealed: what was edited is marked in the table that is made anew, and stays marked.
    @Test func aNodeThatHasNotJoinedKeepsItsMarks() throws {
        let folder = NSTemporaryDirectory() + "zz-switch-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let school = SchoolInfo(code: "3641000001", name: "示例", type: "vocational_continuing", region: nil)
        let older = try #require(CatalogueVariants.present[CatalogueVariants.form])
        let column = try #require(older.fields.first { $0.id == "remark" })
        try NodeHome.create(folder, catalogue: CatalogueVariants.present, school: school).database.write { db in
            try db.execute(sql: "INSERT INTO \(older.table) (id) VALUES (7); DELETE FROM zz_mark; UPDATE \(older.table) SET remark = '走读'")
        }
        let version = try CatalogueVariants.withField()
        let (node, _) = try NodeHome.open(folder, catalogue: version)
        let form = try #require(version[CatalogueVariants.form])
        let mark = try #require(try node.database.read { try Mark($0, form, RowID(7)) })
        #expect(mark.life == 0 && form.fields.filter { mark.fields.contains($0.number) }.map(\.number) == [column.number])
    }

    /// Nor could an older version send what only the newer one knows: it would be called merged, and lie here until a pull replaces it.
    @Test func aNodeThatHasNotJoinedStaysWithItsVersion() throws {
        let folder = NSTemporaryDirectory() + "zz-switch-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let school = SchoolInfo(code: "3641000001", name: "示例", type: "vocational_continuing", region: nil)
        let version = try CatalogueVariants.withField()
        let form = try #require(version[CatalogueVariants.form])
        let database = try NodeHome.create(folder, catalogue: version, school: school).database
        try database.write { try $0.execute(sql: "INSERT INTO \(form.table) (id, mother_tongue) VALUES (7, '汉语')") }
        #expect { try NodeHome.open(folder, catalogue: CatalogueVariants.present) } throws: {
            "\($0)".contains("1 rows of") && "\($0)".contains("母语") && "\($0)".contains("join a hub and sync")
        }
        try database.write { try $0.execute(sql: "UPDATE \(form.table) SET mother_tongue = NULL") }
        _ = try NodeHome.open(folder, catalogue: CatalogueVariants.present)
    }

    /// A value of another kind than the column that waits for it: nothing is converted, and only the school that has it stands still.
    @Test func aValueOfAnotherKindIsNotConverted() async throws {
        let text = try CatalogueVariants.edited(CatalogueVariants.form) { $0 + CatalogueVariants.field(40, "level", "等级") }
        let number = try CatalogueVariants.edited(CatalogueVariants.form) { $0 + CatalogueVariants.field(40, "level", "等级", type: "integer") }
        let world = try await ForeignFieldTests.country(["ministry", "A1"], text)
        try world.upgrade("A2", to: number)
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        try world.node("A1").change(form, row, [try form.field(named: "等级"): .text("0044")], author: "甲")
        try await world.sync("A1")
        await #expect { try await world.sync("A2") } throws: { "\($0)".contains("values of 等级") && "\($0)".contains("that are no integer") }
        #expect(try world.node("A2").values(try #require(number[form.id]), row)?[form.field(named: "等级")] == .null)
    }

    /// At a hub it is one school's page that cannot be applied: the others' are.
    @Test func oneSchoolsValueKeepsNoOtherWaiting() async throws {
        let text = try CatalogueVariants.edited("general.school.campus") { $0 + CatalogueVariants.field(40, "level", "等级") }
        let number = try CatalogueVariants.edited("general.school.campus") { $0 + CatalogueVariants.field(40, "level", "等级", type: "integer") }
        let world = try await zzsync.World(
            catalogue: CatalogueVariants.present, nodes: ["A1", "B1"], versions: ["ministry": text, "province": number])
        let form = try #require(text["general.school.campus"])
        let rows = try ["A": "A1", "B": "B1"].mapValues { try #require(try world.node($0).addExamples(author: $0, school: String($0.prefix(1)))[form.id]).row }
        try await world.settle()
        let (level, remark) = (try form.field(named: "等级"), try form.field(named: "remark"))
        let ministry = try world.hub("ministry"), province = try world.hub("province")
        for row in rows.values { try ministry.change(form, row, [remark: .text("东门进")], author: "部", now: world.clock.now) }
        try ministry.change(form, rows["A"]!, [level: .text("0044")], author: "部", now: world.clock.now)
        let report = try await world.session("province").run()
        #expect(report.unapplied.count == 1 && report.unapplied[0].contains("values of 等级"), "\(report.unapplied)")
        #expect(try province.values(form, rows["B"]!)?[remark] == .text("东门进") && province.values(form, rows["A"]!)?[remark] != .text("东门进"))
        // Emptied where it stands it stops nobody any more.
        try ministry.change(form, rows["A"]!, [level: .null], author: "部", now: world.clock.now)
        #expect(try await world.session("province").run().unapplied.isEmpty)
        #expect(try province.values(form, rows["A"]!)?[remark] == .text("东门进"))
    }

    /// What was sealed with predictors that the hub lacks waits, and is merged when the hub has them.
    @Test func aSegmentOfOtherPredictorsWaitsForTheUpgrade() async throws {
        let campus = "general.school.campus"
        let version = try CatalogueVariants.edited(campus) {
            $0 + CatalogueVariants.field(40, "sign", "门牌", more: "fill = \"campus_name || '（门牌）'\"")
        }
        let world = try await ForeignFieldTests.country([], version)
        try world.upgrade("A1", to: version)
        let form = try #require(version[campus])
        let (key, name, sign) = (try form.field(named: "campus_number"), try form.field(named: "campus_name"), try form.field(named: "门牌"))
        let node = try world.node("A1")
        let rows = try (1...5).map { number in
            try node.add(
                form, [key: .text("1\(number)"), name: .text("第\(number)校区"), sign: .text("第\(number)校区（门牌）")], author: "甲")
        }
        // The hub had said that it reads these predictions, and went back to another version since.
        let replica = try world.session("A1").replica
        let scope = try #require(try node.scope())
        try await node.database.write { db in
            try ParentPredictors.note(db, areOurs: true)
            _ = try replica.seal(db, scope: scope, now: 1_790_000_000)
        }
        try await world.sync("A1")
        let province = try world.hub("province")
        #expect(try province.inbox.quarantined().count == 1)
        #expect(try province.values(CatalogueVariants.present[campus]!, rows[0]) == nil)
        try world.upgrade("province", to: version)
        try await MergeWorker(world.hub("province")).drain()
        #expect(try world.hub("province").values(form, rows[4])?[sign] == .text("第5校区（门牌）"))
        try await world.settle()
        // Who lacks the expression is told the values.
        for name in ["ministry", "A2"] {
            let found = try ForeignFieldTests.foreign(world, name, "general_school_campus", 40).compactMap(\.self).sorted()
            #expect(found.suffix(5) == (1...5).map { "第\($0)校区（门牌）" }, "\(name): \(found)")
        }
    }

    /// A process that ends inside a switch leaves a home of the old version, or one of the new: whole, either way.
    @Test(arguments: ["switch.write", "switch.commit"]) func aSwitchThatWasCutShortIsTakenUp(point: String) async throws {
        let version = try CatalogueVariants.withField()
        let world = try await ForeignFieldTests.country(["A1"], version)
        let (form, row) = try ForeignFieldTests.attributes(world, "A1")
        let (field, remark) = (try form.field(named: "母语"), try form.field(named: "remark"))
        try world.node("A1").change(form, row, [field: .text("汉语")], author: "甲")
        try await world.settle()
        try world.node("A2").change(form, row, [remark: .text("走读")], author: "乙")
        try world.node("A1").change(form, row, [remark: .text("住校")], author: "甲")
        _ = try await world.session("A1").run(pull: false)
        let number = try #require(try world.hub("province").inbox.nextWaiting())
        try world.hub("province").inbox.quarantine(number, reason: "a test cannot read it")

        for (name, home) in [("province", try world.hub("province").directory), ("A2", try world.node("A2").directory)] {
            let heir = home + "-cut-short"
            let fuse = Fuse(directory: home, heir: heir, seed: 1)
            fuse.arm(point, count: 1)
            try world.upgrade(name, to: version)
            #expect(fuse.blownAt == point && fuse.flaw == nil)
            if name == "A2" {
                let node = try NodeHome.open(heir, catalogue: version).0
                #expect(try node.values(form, row)?[field] == .text("汉语"))
                #expect(try node.values(form, row)?[remark] == .text("走读"))
                let waiting = try await node.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_outbox WHERE last > (SELECT merged FROM zz_link)")! }
                #expect(waiting == 1, "what was written under the old version is sealed")
            } else {
                let hub = try HubHome.open(heir, catalogue: version)
                #expect(try hub.values(form, row)?[field] == .text("汉语"))
                #expect(try hub.inbox.quarantined().isEmpty, "it may be read now")
                try await MergeWorker(hub).drain()
                #expect(try hub.values(form, row)?[remark] == .text("住校"))
            }
        }
    }

    /// While a program of the other version works on the home nothing is switched.
    @Test func aHomeInUseIsNotSwitched() async throws {
        let version = try CatalogueVariants.withField()
        let world = try await ForeignFieldTests.country([], version, nodes: ["A1"])
        for (home, name) in [(try world.node("A1").directory, "A1"), (try world.hub("province").directory, "province")] {
            let lock = try HomeLock(home, "serve")
            func open(_ catalogue: Catalogue) throws(Failure) {
                if name == "A1" { _ = try NodeHome.open(home, catalogue: catalogue) } else { _ = try HubHome.open(home, catalogue: catalogue) }
            }
            let failure = #expect(throws: Failure.self) { try open(version) }
            #expect(failure?.kind == .busy, "\(name)")
            try open(CatalogueVariants.present)
            withExtendedLifetime(lock) {}
        }
        try world.upgrade("A1", to: version)
        #expect(try ForeignFieldTests.attributes(world, "A1").form.fieldIndex(id: "mother_tongue") != nil)
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
