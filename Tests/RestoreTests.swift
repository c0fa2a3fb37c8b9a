// Homes put back from copies, and copies that both go on: the real node and hub code on real files. Nothing that any other
// machine had is lost, nothing that two people wrote is overwritten unseen.

import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

@Suite(.serialized) struct RestoreTests {
    /// A school with nodes, a province and a ministry, and one row that they all hold.
    struct Stage {
        let world: zzsync.World
        let form: Form
        let row: RowID

        /// - Parameter copied: hubs of which a copy is taken before anyone joins.
        init(_ nodes: [String] = ["A1", "A2"], copied: [String] = []) async throws {
            world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes, copied: copied)
            (form, row) = try world.node(nodes[0]).addExamples(author: "初始数据", school: "A")["general.student.attribute"]!
            try await world.settle()
        }

        func write(_ who: String, _ field: String, _ text: String) throws {
            try world.node(who).change(form, row, [form.field(named: field): .text(text)], author: who)
        }

        /// The school's two nodes, apart, and the province has a case of it.
        func disputeAddress() async throws {
            try write("A1", "home_address", "甲写的")
            try write("A2", "home_address", "乙写的")
            try await world.sync("A1")
            try await world.sync("A2")
        }

        func value(_ who: String, _ field: String) throws -> String? {
            let values = try world.hubs[who] == nil ? world.node(who).values(form, row) : world.hub(who).values(form, row)
            return try values?[form.field(named: field)].shown
        }

        func site(_ who: String) throws -> SiteID { try world.session(who).replica.keys.site }

        func cases(_ hub: String = "province") throws -> [String] {
            try world.hub(hub).database.read { try String.fetchAll($0, sql: "SELECT kind FROM zz_case WHERE closed_at IS NULL ORDER BY kind") }
        }

        /// Everything disputed is decided; then everybody must hold the same.
        func settleAndAgree() async throws {
            try await world.settle()
            for hub in ["province", "ministry"] {
                let desk = OperatorDesk(try world.hub(hub))
                for open in try desk.cases() where open.kind == "cell" || open.kind == "life" {
                    _ = try desk.take(open.number, candidate: 1, Verdict(who: "操作员", reason: "演练"))
                }
            }
            try await world.settle()
            #expect(Set(try world.digests(school: "A").values).count == 1, "all replicas hold the same")
        }
    }

    // MARK: nodes

    @Test(arguments: [HomeCopy.Part.database, .home]) func aRestoredNodePullsItsLostTailBack(part: HomeCopy.Part) async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "第一次")
        try await stage.world.sync("A1")
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "第二次")
        try await stage.world.sync("A1")
        let old = try stage.site("A1")

        try stage.world.restore("A1", part)
        #expect(try stage.value("A1", "home_address") == "第一次")
        try stage.write("A1", "guardian_name", "还原后的草稿")
        let report = try await stage.world.session("A1").run()
        let site = try stage.site("A1")
        #expect(report.incarnation == site.description)
        #expect(site != old)
        try await stage.world.sync("A1")
        #expect(try stage.value("A1", "home_address") == "第二次", "the lost tail comes back")
        #expect(try stage.value("province", "guardian_name") == "还原后的草稿", "the draft went up")
        #expect(try stage.cases().isEmpty)
        #expect(try await stage.world.session("A1").run().incarnation == nil, "once is enough")
        try await stage.settleAndAgree()
    }

    @Test func aCellWrittenOnBothSidesOfTheCopyIsACase() async throws {
        let stage = try await Stage()
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "丢失的")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .home)
        try stage.write("A1", "home_address", "还原后写的")
        try await stage.world.sync("A1")
        #expect(try stage.cases() == ["cell"])
        let candidates = try OperatorDesk(stage.world.hub("province")).cases()[0].candidates
        #expect(Set(candidates.compactMap { $0.values["home_address"] }) == ["丢失的", "还原后写的"])
        try await stage.settleAndAgree()
    }

    /// Rule 2: up to the copy the new incarnation counts as the old one; its cursor alone would not show it.
    @Test func whatWasWrittenBeforeTheCopyIsItsOwn() async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "复制前写的")
        try await stage.world.push("A1")
        try stage.world.backup("A1")
        try stage.write("A1", "guardian_name", "复制后写的")
        try await stage.world.push("A1")
        try stage.world.restore("A1", .home)
        try stage.write("A1", "home_address", "又改了")
        try await stage.world.sync("A1")
        #expect(try stage.cases().isEmpty, "it corrects its own word")
        #expect(try stage.value("province", "home_address") == "又改了")
        #expect(try stage.value("A1", "guardian_name") == "复制后写的")
        try await stage.settleAndAgree()
    }

    @Test func onlyTheKeysPutBack() async throws {
        let stage = try await Stage()
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "甲")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .database)
        try await stage.world.sync("A1")
        let second = try stage.site("A1")
        try stage.write("A1", "home_address", "乙")
        try await stage.world.sync("A1")
        try stage.write("A1", "home_address", "丙")
        try stage.world.restore("A1", .keys)
        #expect(try stage.site("A1") != second, "the first keys are back")
        try await stage.world.sync("A1")
        #expect(try stage.value("province", "home_address") == "丙")
        #expect(try stage.cases().isEmpty)
        try await stage.settleAndAgree()
    }

    @Test func theAnchorTellsWhatTheHubCannot() async throws {
        let stage = try await Stage()
        let scope = try #require(try stage.world.node("A1").scope())
        let sealed = try await stage.world.node("A1").database.read { try ScopeLink.load($0, scope)!.sealed }
        let site = try stage.site("A1")
        // It left the machine and is on its way, on a USB disk perhaps; then the database was put back.
        try Anchor(site: site.description, seq: sealed.rawValue + 1, chain: ContentHash.none.base64)
            .save(stage.world.node("A1").directory, scope)
        try stage.write("A1", "home_address", "甲")
        #expect(try await stage.world.session("A1").run().incarnation != nil)
        try await stage.world.sync("A1")
        #expect(try stage.value("province", "home_address") == "甲")
        try await stage.settleAndAgree()
    }

    @Test func aBrokenIncarnationIsRepeated() async throws {
        let stage = try await Stage()
        try stage.world.backup("A1")
        try stage.write("A1", "home_address", "甲")
        try await stage.world.sync("A1")
        try stage.world.restore("A1", .home)
        try stage.write("A1", "guardian_name", "乙")
        // The hub has heard it, and the line broke before its answer.
        let session = try stage.world.session("A1")
        let keys = try Incarnation.prepare(session.replica.keysPath)
        _ = try await session.client.incarnate(IncarnationRequest(predecessor: session.replica.keys.site, keys: keys, scopes: []))
        try await stage.world.sync("A1")
        #expect(try stage.site("A1") == keys.site, "no further one is made")
        #expect(try stage.value("province", "guardian_name") == "乙")
        #expect(try stage.cases().isEmpty)
        try await stage.settleAndAgree()
    }

    // MARK: clones

    @Test func aCloneGoesOnBesideTheFirst() async throws {
        let stage = try await Stage()
        try stage.world.clone("A1", as: "A3")
        try stage.write("A1", "home_address", "原机写的")
        try stage.write("A3", "guardian_name", "复制机写的")
        let major = try Embedded.catalogue.form(named: "general.student.attribute")
        let first = try stage.world.node("A1").add(major, [:], author: "甲")
        let second = try stage.world.node("A3").add(major, [:], author: "乙")
        #expect(first != second, "two machines give two ids")
        try await stage.world.sync("A1")
        #expect(try !stage.cases().contains("clone"), "nobody knows yet")
        try await stage.world.sync("A3")
        #expect(try stage.site("A3") != stage.site("A1"))
        try await stage.world.sync("A1")
        #expect(try stage.cases().filter { $0 == "clone" } == ["clone"], "the operator is told")
        try await stage.world.sync("A3")
        for who in ["A1", "A3", "province"] {
            #expect(try stage.value(who, "home_address") == "原机写的")
            #expect(try stage.value(who, "guardian_name") == "复制机写的")
        }
        #expect(try stage.cases().filter { $0 == "clone" } == ["clone"], "once")
    }

    /// Both copies had sealed before either spoke: what the hub does not share is signed again, with its old cursor.
    @Test func aCloneThatHadSealedOnBothSides() async throws {
        let stage = try await Stage()
        try stage.write("A1", "home_address", "共同的")
        try await stage.world.fetch("A1")
        try stage.world.clone("A1", as: "A3")
        try stage.write("A1", "guardian_name", "原机写的")
        try stage.write("A3", "guardian_name", "复制机写的")
        try await stage.world.fetch("A1")
        try await stage.world.fetch("A3")
        try await stage.world.sync("A1")
        try await stage.world.sync("A3")
        #expect(try stage.value("province", "home_address") == "共同的")
        let candidates = try OperatorDesk(stage.world.hub("province")).cases(kind: "cell").flatMap(\.candidates)
        #expect(Set(candidates.compactMap { $0.values["guardian_name"] }) == ["原机写的", "复制机写的"])
        try await stage.settleAndAgree()
    }

    /// A node that was put back twice has no older self that speaks: no clone.
    @Test func restoredTwiceIsNoClone() async throws {
        let stage = try await Stage()
        try stage.world.backup("A1")
        for text in ["一", "二", "三"] {
            try stage.write("A1", "home_address", text)
            try await stage.world.sync("A1")
            try stage.world.restore("A1", .home)
            try await stage.world.sync("A1")
            #expect(try stage.value("A1", "home_address") == text)
        }
        #expect(try stage.cases().isEmpty)
        try await stage.settleAndAgree()
    }
}
