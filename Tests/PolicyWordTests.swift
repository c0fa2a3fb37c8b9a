import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Whose word a value is that a policy has decided: who wrote it goes on from it, a person's decision is not overruled, and an owner who
/// says what stands has said it.
@Suite struct PolicyWordTests {
    private struct Stage {
        let world: zzsync.World
        let form: Form
        let row: RowID
        let field: Int

        init(_ form: String, _ field: String, nodes: [String] = ["A1", "A2"], policies: String = "") async throws {
            let rules = policies.isEmpty ? [] : try PolicyFile.parse(policies, path: "policies/a.toml", catalogue: Embedded.catalogue)
            world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes, policies: PolicyBook(rules: rules))
            let rows = try world.node("A1").addExamples(author: "初始数据", school: "A")
            try await world.settle()
            (self.form, row) = rows[try Embedded.catalogue.form(named: form).id]!
            self.field = try self.form.field(named: field)
        }

        func write(_ site: String, _ value: Value, days: Int = 0, years: Int = 0) throws {
            if let node = world.nodes[site] {
                try node.change(form, row, [field: value], author: site, years: years, days: days)
            } else {
                try world.hub(site).change(form, row, [field: value], author: site, now: world.clock.now)
            }
        }

        func value(_ site: String) throws -> Value? {
            if let node = world.nodes[site] { return try node.values(form, row)?[field] }
            return try world.hub(site).values(form, row)?[field]
        }

        /// All replicas have it and nobody is asked.
        func expect(_ value: Value, _ why: Comment? = nil) async throws {
            try await world.settle()
            for site in ["ministry", "province"] + world.nodes.keys.sorted() {
                #expect(try self.value(site) == value, why)
            }
            for hub in ["province", "ministry"] { #expect(try OperatorDesk(world.hub(hub)).cases().filter { $0.kind != "owner" }.isEmpty, why) }
        }
    }

    private static let union = "[[policy]]\nform = \"学生基本属性\"\nfields = [\"是否低保家庭\"]\npolicy = \"union\"\n"

    // MARK: his own later word

    /// Both words of a clock ten years ahead count as of when they arrived: the second corrects the first all the same.
    @Test func whoWonByTimeCorrectsHimself() async throws {
        let stage = try await Stage("校区信息", "备注")
        try stage.write("A2", .text("乙的"))
        try await stage.world.sync("A2")
        try stage.write("A1", .text("甲打错的"), years: 10)
        try await stage.world.push("A1")
        #expect(try stage.value("province") == .text("甲打错的"))
        try stage.write("A1", .text("甲改对的"), years: 10)
        try await stage.world.push("A1")
        try await stage.expect(.text("甲改对的"))
        #expect(try OperatorDesk(stage.world.hub("province")).journal().count == 1, "his correction overrules nobody")
        #expect(try OperatorDesk(stage.world.hub("ministry")).journal().isEmpty)
    }

    @Test func whoHasChosenTakesItBack() async throws {
        let stage = try await Stage("学生基本属性", "是否低保家庭", policies: Self.union)
        try stage.write("A1", .integer(1))
        try await stage.world.settle()
        try stage.write("A2", .integer(0))
        try await stage.world.sync("A2")
        for value in [0, 1] { try stage.write("A1", .integer(Int64(value))) }
        try await stage.world.push("A1")
        #expect(try stage.value("province") == .integer(1) && OperatorDesk(stage.world.hub("province")).journal().count == 1)
        try stage.write("A1", .integer(0))
        try await stage.world.push("A1")
        try await stage.expect(.integer(0), "nobody chooses it any more")
    }

    @Test func whoWonDeletesTheRow() async throws {
        let stage = try await Stage("校区信息", "备注")
        try stage.write("A2", .text("乙的"))
        try await stage.world.sync("A2")
        try stage.write("A1", .text("甲的"), days: 1)
        try await stage.world.push("A1")
        try stage.world.node("A1").remove(stage.form, stage.row, author: "A1")
        try await stage.world.push("A1")
        #expect(try OperatorDesk(stage.world.hub("province")).cases().isEmpty, "he had seen his own word")
        #expect(try stage.world.hub("province").values(stage.form, stage.row) == nil)
    }

    /// What the province's policy lets stand is the ministry's own word still: it does not come back to it as another's.
    @Test func theMinistryCorrectsItself() async throws {
        let stage = try await Stage("校区信息", "备注", nodes: ["A1"])
        try stage.write("A1", .text("校填的"))
        stage.world.clock.advance(days: 1)
        try stage.write("ministry", .text("部填错的"))
        try await stage.world.sync("province")
        try await stage.world.push("A1")
        #expect(try stage.value("province") == .text("部填错的"))
        try stage.write("ministry", .text("部改对的"))
        try await stage.expect(.text("部改对的"))
        #expect(try OperatorDesk(stage.world.hub("ministry")).journal().isEmpty)
        #expect(try OperatorDesk(stage.world.hub("province")).journal().map(\.kind) == ["newest"])
    }

    /// 甲 at noon, 乙 the same at four, 丙 another word at two: the latest word is 乙's, in whatever order they arrive.
    @Test(arguments: [["A1", "A2", "A3"], ["A1", "A3", "A2"], ["A3", "A1", "A2"], ["A2", "A1", "A3"]])
    func anEqualWordCountsFromWhenItWasTyped(order: [String]) async throws {
        let stage = try await Stage("校区信息", "备注", nodes: ["A1", "A2", "A3"])
        try stage.write("A1", .text("东校区"), days: -3)
        try stage.write("A3", .text("西校区"), days: -2)
        try stage.write("A2", .text("东校区"), days: -1)
        for node in order { try await stage.world.push(node) }
        try await stage.expect(.text("东校区"))
    }

    // MARK: a person's decision

    @Test(arguments: [true, false]) func noPolicyOverrulesAPerson(isUnion: Bool) async throws {
        let (no, yes): (Value, Value) = isUnion ? (.integer(0), .integer(1)) : (.text("邮局证明的"), .text("后来填的"))
        let stage = isUnion
            ? try await Stage("学生基本属性", "是否低保家庭", policies: Self.union) : try await Stage("校区信息", "备注")
        try stage.write("A1", yes)
        try await stage.world.settle()
        try stage.write("A1", isUnion ? .integer(0) : .text("甲的"))
        if isUnion { try stage.write("A2", no) }
        try stage.write("A2", isUnion ? yes : .text("乙的"), days: 1)
        for node in ["A1", "A2"] { try await stage.world.push(node) }
        let desk = OperatorDesk(try stage.world.hub("province"))
        let ruled = try #require(try desk.journal().first)
        _ = try desk.undo(ruled.decision, Verdict(who: "操作员", reason: "要核实"))
        let open = try #require(try desk.cases().first)
        _ = try desk.set(open.number, [stage.field: no], Verdict(who: "操作员", reason: "有证明"))
        // He has not seen that somebody decided.
        try stage.world.node("A2").change(stage.form, stage.row, [stage.field: isUnion ? no : .text("中间的")], author: "A2", days: 2)
        try stage.write("A2", yes, days: 3)
        try await stage.world.push("A2")
        let asked = try #require(try desk.cases().first)
        #expect(asked.kind == "cell" && Set(asked.candidates.compactMap { $0.values.values.first }) == Set([no.shown, yes.shown]), "\(asked)")
        #expect(try desk.journal().count == 3, "ruled, taken back, decided")
    }

    // MARK: whose it is

    /// A province that was put back is told the school's own word by the ministry: it is the school's all the same.
    @Test func aWordOfTheSchoolThatCameFromAboveIsTheSchools() async throws {
        let stage = try await Stage("学生基本信息", "民族", nodes: ["A1"])
        try stage.world.backup("province")
        try stage.write("A1", .text("02"))
        try await stage.world.settle()
        try stage.world.restore("province", .home)
        try await stage.world.settle()
        try stage.write("A1", .text("05"))
        try await stage.expect(.text("05"))
        #expect(try OperatorDesk(stage.world.hub("province")).requests().isEmpty, "the ministry has never written it")
    }

    /// The province is told by the ministry what a case there shows; nor does a node become a register by its name.
    @Test func aNodeIsNoRegisterByWayOfTheParent() throws {
        var policies = ScopePolicies()
        (policies.hub, policies.nodes, policies.hubsBelow) = (SiteID(1), [SiteID(7)], [SiteID(8)])
        func word(_ origin: UInt64, _ author: String = "某人") -> Provenance {
            Provenance(writer: .parent, stamp: Stamp(origin: SiteID(origin), author: author, time: 0))
        }
        let register = Stamp.author(source: "公安系统", user: "某人")
        #expect(!policies.isOwners(word(7, register), .source("公安系统")) && policies.isOwners(word(9, register), .source("公安系统")))
        #expect(policies.isOwners(word(7), .tier(.school)) && !policies.isOwners(word(7), .tier(.ministry)))
        #expect(policies.isOwners(word(9), .tier(.ministry)) && policies.isOwners(word(1), .tier(.province)) && policies.isOwners(word(8), .tier(.city)))
    }

    /// An owner who writes what the school has typed already owns the cell from then on.
    @Test func anOwnerSaysWhatStands() async throws {
        let stage = try await Stage("学生基本信息", "民族", nodes: ["A1"])
        let stands = try #require(try stage.value("ministry"))
        try stage.write("ministry", stands)
        try await stage.world.settle()
        try stage.write("A1", .text(stands == .text("02") ? "03" : "02"))
        try await stage.expect(stands)
        #expect(try OperatorDesk(stage.world.hub("ministry")).requests().count == 1)
    }

    /// Whichever of two equal rows stays, what the register has said of one of them it has said of the row.
    @Test func aRegistersEqualRowOwnsTheRow() async throws {
        let stage = try await Stage(
            "校内机构", "机构名称", nodes: ["A1"],
            policies: "[[policy]]\nform = \"校内机构\"\nfields = [\"机构名称\"]\npolicy = \"owner\"\nsource = \"机构系统\"\n")
        let province = try stage.world.hub("province")
        let number = try stage.form.field(named: stage.form.fields[stage.form.key[0]].title)
        let school = try stage.world.schoolCode("A")
        var rows: [RowID] = []
        for index in 1...8 {
            let values: [Int: Value] = [number: .text("9\(index)"), stage.field: .text("第\(index)处")]
            rows.append(try stage.world.node("A1").add(stage.form, values, author: "甲"))
        }
        try await stage.world.settle()
        let known = try rows.map { try #require(try province.values(stage.form, $0)) }
        let report = try OwnerWriter(province).write(
            stage.form, known.enumerated().map { line, values in
                RoutedRow(line: line, school: school, values: Dictionary(uniqueKeysWithValues: values.enumerated().filter { $1 != .null }.map { ($0, $1) }))
            }, author: Stamp.author(source: "机构系统", user: "操作员"), existing: .refuse)
        #expect(report.isWritten && report.twinsMerged == 8, "\(report)")
        try await stage.world.settle()
        let all = "SELECT id FROM \(stage.form.table)"
        let living = try await stage.world.node("A1").database.read { try Int64.fetchAll($0, sql: all) }
        for row in living.map({ RowID($0) }) where row != stage.row {
            try stage.world.node("A1").change(stage.form, row, [stage.field: .text("校改的")], author: "甲")
        }
        try await stage.world.settle()
        #expect(try OperatorDesk(province).requests().count == 8)
        #expect(Set(try stage.world.digests(school: "A").values).count == 1)
    }

    // MARK: what is told

    /// What stood before both is told of what a policy decided, whichever side won.
    @Test(arguments: [(0, 1), (1, 0)]) func whatStoodBeforeIsTold(days: (Int, Int)) async throws {
        let stage = try await Stage("校区信息", "备注")
        try stage.write("A1", .text("原来的"))
        try await stage.world.settle()
        try stage.write("A1", .text("更早的"))
        try await stage.world.settle()
        try stage.write("A1", .text("甲的"), days: days.0)
        try stage.write("A2", .text("乙的"), days: days.1)
        for node in ["A1", "A2"] { try await stage.world.push(node) }
        let desk = OperatorDesk(try stage.world.hub("province"))
        let number = try #require(try desk.journal().first).number
        #expect(try desk.show(number).base == ["remark": "更早的"])
    }

    @Test func aRequestSaysWhoWroteWhatStands() async throws {
        let stage = try await Stage("学生基本信息", "民族", nodes: ["A1"])
        try stage.write("ministry", .text("03"))
        try await stage.world.settle()
        try stage.write("A1", .text("02"))
        try await stage.world.push("A1")
        let desk = OperatorDesk(try stage.world.hub("province"))
        let request = try #require(try desk.requests().first)
        #expect(request.standsBy == "ministry, from parent")
        try stage.write("ministry", .text("02"))
        try await stage.world.settle()
        let file = NSTemporaryDirectory() + "zz-requests-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: file) }
        #expect(try desk.requests(all: true).map(\.state) == [.agreed])
        #expect(try desk.exportRequests(desk.requests(all: true), to: file) == 1, "what was agreed to is listed too")
    }
}
