import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Versions of the catalogue that cut the fields into groups differently: a judge groups by its own, and a home that switches joins
/// or parts what it holds.
@Suite struct RegroupingTests {
    private struct Home {
        let world: zzsync.World
        let form: Form
        let row: RowID
        let region: Int
        let address: Int

        /// - Parameter newer: who has region and address in one group.
        init(_ newer: Set<String>, nodes: [String] = ["A1", "A2"]) async throws {
            world = try await ForeignFieldTests.country(newer, CatalogueVariants.regrouped(), nodes: nodes)
            (form, row) = try ForeignFieldTests.attributes(world, "A1")
            region = try form.field(named: "home_region")
            address = try form.field(named: "home_address")
        }

        func write(_ name: String, region new: String? = nil, address other: String? = nil) throws {
            var values: [Int: Value] = [:]
            if let new { values[region] = .text(new) }
            if let other { values[address] = .text(other) }
            try world.node(name).change(form, row, values, author: name)
        }

        func shown(_ name: String) throws -> [String] {
            let values = try world.nodes[name]?.values(form, row) ?? world.hub(name).values(form, row)
            return [values![region].shown, values![address].shown]
        }

        func cases(_ name: String) throws -> [CaseView] { try OperatorDesk(world.hub(name)).cases() }

        func take(_ name: String, _ fits: ([String: String]) -> Bool) throws {
            let open = try #require(try cases(name).first)
            let choice = try #require(open.candidates.first { fits($0.values) })
            _ = try OperatorDesk(world.hub(name)).decide(open.number, .candidate(choice.candidate), Verdict(who: "操作员", reason: "按户口本"))
        }

        func expectAgreement(_ expected: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
            for name in world.nodes.keys.sorted() + ["province", "ministry"] {
                #expect(try shown(name) == expected, "\(name)", sourceLocation: sourceLocation)
            }
            let digests = try world.digests(school: "A")
            #expect(Set(digests.values).count == 1, sourceLocation: sourceLocation)
        }
    }

    /// Two older nodes write one field each; to the newer province it is one group, and one question.
    @Test(arguments: [["province"], ["province", "ministry"], ["province", "A2"]])
    func aCoarserJudgeAsksAboutTheWholeGroup(newer: [String]) async throws {
        let home = try await Home(Set(newer))
        try home.write("A1", region: "410103")
        try home.write("A2", address: "示例路9号")
        try await home.world.settle()
        #expect(try home.cases("province").map(\.group) == [["home_region", "home_address"]])
        #expect(try home.shown("ministry") == ["410102", "河南省郑州市中原区示例街 1 号"], "held whole")
        try home.take("province") { $0["home_address"] == "示例路9号" }
        try await home.world.settle()
        try home.expectAgreement([try home.shown("province")[0], "示例路9号"])
        #expect(try home.cases("province").isEmpty && home.cases("ministry").isEmpty)
    }

    /// A segment that lay in quarantine says one field, its site's later one another: to a judge that has both in one group the later word
    /// is no answer to the first.
    @Test func aReleasedSegmentIsOvertakenByField() async throws {
        let home = try await Home(["province"])
        let province = try home.world.hub("province")
        try home.write("A1", region: "410103")
        _ = try await home.world.session("A1").run(pull: false)
        let number = try #require(try province.inbox.nextWaiting())
        try province.inbox.quarantine(number, reason: "a test cannot read it")
        try home.write("A1", address: "示例路9号")
        try await home.world.sync("A1")
        #expect(try home.shown("province") == ["410102", "示例路9号"])
        #expect(try province.inbox.release(number))
        try await MergeWorker(province).drain()
        #expect(try home.cases("province").map(\.group) == [["home_region", "home_address"]])
        try home.take("province") { $0["home_region"] == "410103" }
        try await home.world.settle()
        try home.expectAgreement(["410103", "示例路9号"])
    }

    /// A newer node sends both fields of its group; the older province judges each alone.
    @Test func aFinerJudgeAsksAboutWhatDiffers() async throws {
        let home = try await Home(["A1"])
        try home.write("A1", region: "410103")
        try home.write("A2", address: "示例路9号")
        try await home.world.sync("A2")
        try await home.world.push("A1")
        #expect(try home.cases("province").map(\.group) == [["home_address"]])
        #expect(try home.shown("province")[0] == "410103", "merged: nobody else wrote it")
        try home.take("province") { $0["home_address"] == "示例路9号" }
        try await home.world.settle()
        try home.expectAgreement(["410103", "示例路9号"])
    }

    /// A parent that cuts finer tells the parts of a group one by one.
    @Test(arguments: [["province"], ["A1", "A2"], ["A1", "province"]])
    func partsOfAGroupComeDown(newer: [String]) async throws {
        let home = try await Home(Set(newer))
        let ministry = try home.world.hub("ministry")
        let form = try #require(try home.world.form(home.form.number, at: "ministry"))
        try ministry.change(form, home.row, [home.region: .text("410104")], author: "部", now: home.world.clock.now)
        try await home.world.settle()
        try home.expectAgreement(["410104", "河南省郑州市中原区示例街 1 号"])
        try ministry.change(form, home.row, [home.address: .text("部定地址")], author: "部", now: home.world.clock.now)
        try await home.world.settle()
        try home.expectAgreement(["410104", "部定地址"])
    }

    /// Two open cases of one row become one where their groups join, and each of its candidates is still there.
    @Test func openCasesJoin() async throws {
        let home = try await Home([])
        try home.write("A1", region: "410103", address: "示例路1号")
        try home.write("A2", region: "410104", address: "示例路2号")
        try await home.world.settle()
        #expect(try home.cases("province").count == 2)
        try home.world.upgrade("province", to: CatalogueVariants.regrouped())
        let open = try #require(try home.cases("province").first)
        #expect(try home.cases("province").count == 1)
        let said = Set(open.candidates.flatMap { [$0.values["home_region"], $0.values["home_address"]] })
        #expect(said.isSuperset(of: ["410103", "410104", "示例路1号", "示例路2号"]))
        try home.take("province") { $0["home_address"] == "示例路2号" }
        try await home.world.settle()
        try home.expectAgreement(try home.shown("province"))
        #expect(try home.shown("ministry")[1] == "示例路2号")
        // Back to the finer version: the closed cases still say what they were about.
        try home.world.upgrade("province", to: CatalogueVariants.present)
        #expect(try home.cases("province").isEmpty)
        try await home.world.settle()
        try home.expectAgreement(try home.shown("ministry"))
    }

    /// A case about the second of two fields that become a group, and about the second part of one that is parted, is still open then, and
    /// is found by whoever writes next.
    @Test(arguments: [true, false]) func anOpenCaseOfTheSecondPartStaysOpen(joins: Bool) async throws {
        let home = try await Home(joins ? [] : ["province", "A1", "A2"])
        try home.write("A1", address: "示例路1号")
        try home.write("A2", address: "示例路2号")
        try await home.world.settle()
        let before = try #require(try home.cases("province").first)
        try home.world.upgrade("province", to: joins ? CatalogueVariants.regrouped() : CatalogueVariants.present)
        func expectOpen(_ said: [String]) throws {
            let open = try home.cases("province")
            #expect(open.map(\.number) == [before.number] && open[0].group == (joins ? ["home_region", "home_address"] : ["home_address"]))
            #expect(Set(open[0].candidates.map { $0.values["home_address"] }).isSuperset(of: said), "\(open[0].candidates)")
        }
        try expectOpen(["示例路1号", "示例路2号"])
        try home.write("A1", address: "示例路3号")
        try await home.world.settle()
        try expectOpen(["示例路2号", "示例路3号"])
        try home.take("province") { $0["home_address"] == "示例路2号" }
        try await home.world.settle()
        try home.expectAgreement([try home.shown("province")[0], "示例路2号"])
        #expect(try home.cases("province").isEmpty)
    }

    /// One open case becomes two where its group is parted and both parts differ; a part that does not differ is no question.
    @Test(arguments: [true, false]) func anOpenCaseIsParted(bothDiffer: Bool) async throws {
        let home = try await Home(["province", "A1", "A2"])
        try home.write("A1", region: "410103", address: bothDiffer ? "示例路1号" : nil)
        try home.write("A2", region: "410104", address: bothDiffer ? "示例路2号" : nil)
        try await home.world.settle()
        #expect(try home.cases("province").count == 1)
        try home.world.upgrade("province", to: CatalogueVariants.present)
        #expect(try home.cases("province").map(\.group) == (bothDiffer ? [["home_region"], ["home_address"]] : [["home_region"]]))
        try home.take("province") { $0["home_region"] == "410104" }
        if bothDiffer { try home.take("province") { $0["home_address"] == "示例路1号" } }
        try await home.world.settle()
        try home.expectAgreement(["410104", bothDiffer ? "示例路1号" : "河南省郑州市中原区示例街 1 号"])
    }

    /// A decision that was made under other groups stays in the journal and cannot be undone by parts.
    @Test func aDecisionOfOtherGroupsIsNotUndone() async throws {
        let home = try await Home([])
        try home.write("A1", region: "410103")
        try home.write("A2", region: "410104")
        try await home.world.settle()
        try home.take("province") { $0["home_region"] == "410103" }
        let entry = try #require(try OperatorDesk(home.world.hub("province")).journal().first)
        try home.world.upgrade("province", to: CatalogueVariants.regrouped())
        #expect { try OperatorDesk(home.world.hub("province")).undo(entry.decision, Verdict(who: "操作员", reason: "错了")) } throws: {
            ($0 as? Failure)?.what.contains("cuts the form's groups differently") == true
        }
        #expect(try home.world.hub("province").history(home.form, home.row, field: home.region).contains(.text("410103")))
        try await home.world.settle()
        try home.expectAgreement(["410103", "河南省郑州市中原区示例街 1 号"])
    }

    /// What a node had sealed under finer groups waits alone; the rest of the new group, told by the parent, comes in.
    @Test func aPullPassesOverFieldsThatWaitAlone() async throws {
        let home = try await Home([])
        try home.write("A1", region: "410103")
        try home.world.upgrade("A1", to: CatalogueVariants.regrouped())
        try home.write("A2", address: "示例路2号")
        try await home.world.sync("A2")
        try await home.world.fetch("A1")
        #expect(try home.shown("A1") == ["410103", "示例路2号"])
        try await home.world.settle()
        try home.expectAgreement(["410103", "示例路2号"])
        #expect(try home.cases("province").isEmpty)
    }

    /// What a province or node that has switched shows and asks about, rule by rule, and with the rule built wrong.
    @Test(arguments: MergeMutant.regrouped.map(\.name)) func noticesMutant(name: String) async throws {
        let mutant = MergeMutant.regrouped.first { $0.name == name }!.mutant
        let (played, expected) = try #require(Self.rules[mutant])
        #expect(try await played(Home([]), []) == expected)
        #expect(try await played(Home([]), mutant) != expected, "the mutant is not noticed")
    }

    private typealias Play = @Sendable (Home, MergeMutant) async throws -> [String]
    private static let rules: [MergeMutant: (Play, [String])] = [
        // A1 has not seen what stands in the other half of what is one group now.
        .lowestPosition: (
            { home, mutant in
                try home.write("A2", address: "示例路2号")
                try await home.world.sync("A2")
                try home.world.upgrade("province", to: CatalogueVariants.regrouped(), mutants: mutant)
                try home.write("A1", region: "410103")
                try await home.world.push("A1")
                return try home.cases("province").map { $0.group.joined(separator: " ") }
            }, ["home_region home_address"]
        ),
        // A2 has written one half last, and has not seen the other half, which is A1's.
        .keptWriter: (
            { home, mutant in
                try home.write("A1", region: "410103")
                try await home.world.sync("A1")
                try home.write("A2", address: "示例路2号")
                try await home.world.push("A2")
                try home.world.upgrade("province", to: CatalogueVariants.regrouped(), mutants: mutant)
                try home.write("A2", address: "示例路3号")
                try await home.world.push("A2")
                return try home.cases("province").map { $0.group.joined(separator: " ") }
            }, ["home_region home_address"]
        ),
        .casesClosed: (
            { home, mutant in
                try home.write("A1", region: "410103", address: "示例路1号")
                try home.write("A2", region: "410104", address: "示例路2号")
                try await home.world.settle()
                try home.world.upgrade("province", to: CatalogueVariants.regrouped(), mutants: mutant)
                return try Set(home.cases("province").flatMap(\.candidates).compactMap { $0.values["home_address"] }).sorted()
            }, ["示例路1号", "示例路2号"]
        ),
        // What A1 wrote before its switch is one field, not the group that it is a part of now.
        .switchUnsealed: (
            { home, mutant in
                try home.write("A1", region: "410103")
                try home.world.upgrade("A1", to: CatalogueVariants.regrouped(), mutants: mutant)
                try home.write("A2", address: "示例路2号")
                try await home.world.sync("A2")
                try await home.world.sync("A1")
                return try home.shown("A1") + home.cases("province").map { $0.group.joined(separator: " ") }
            }, ["410103", "示例路2号"]
        ),
    ]

    /// The rule itself: the highest written position, nobody where writers differ, and the oldest base.
    @Test func aNewGroupTakesTheHighestPositionAndNobodysName() throws {
        let form = try #require(CatalogueVariants.present[CatalogueVariants.form])
        let joined = try #require(CatalogueVariants.regrouped()[CatalogueVariants.form])
        let parts = [try form.field(named: "home_region"), try form.field(named: "home_address")].map { field in
            form.groups.firstIndex { $0.fields == [field] }!
        }
        func by(_ site: UInt64) -> Provenance {
            Provenance(writer: .child(SiteID(site)), stamp: Stamp(origin: SiteID(site), author: "\(site)", time: 1))
        }
        var row = MergeRow(form: form, id: RowID(1))
        row.cells[parts[0]] = Cell(written: Position(7), shown: Position(7), by: by(1))
        row.cells[parts[1]] = Cell(written: Position(5), shown: Position(9), by: by(2))
        (row.cells[parts[0]].base, row.cells[parts[1]].base) = (Position(4), Position(3))
        let group = try #require(joined.groups.firstIndex { $0.fields.count == 2 })
        let cell = row.regrouped(into: joined).cells[group]
        #expect(cell.written == Position(7) && cell.shown == Position(9) && cell.base == Position(3))
        #expect(cell.by.writer == .hub && cell.by.stamp.author == "1")
        row.cells[parts[1]].by = by(1)
        #expect(row.regrouped(into: joined).cells[group].by == by(1))
        row.cells[parts[1]].written = .none
        #expect(row.regrouped(into: joined).cells[group].written == Position(7))
    }
}
