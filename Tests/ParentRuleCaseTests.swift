import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Ministry and school write different cells of a class, each keeping the rule, together breaking it. Whoever first has both asks: the
/// merge where the later came from a child, the province where the parent's word meets what it holds back.
@Suite struct ParentRuleCaseTests {
    static let school = "3641990001"
    /// CL-03 reads both: a class ends after it was established.
    static let begin = "建班年月", end = "结束年月"
    static let theirs = ["established_month": "2026-09", "ended_month": "2027-07"], mine = ["established_month": "2024-09", "ended_month": "2026-07"]

    /// A finished class, and another, which everybody has.
    struct Stage {
        let world: zzsync.World
        let form: Form
        let row: RowID
        let other: RowID

        init() async throws {
            world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
            (form, row) = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!
            other = try world.node("A1").add(form, [form.field(named: "班号"): .text("20249902")], author: "初始数据")
            try write("班级状态", "2")
            try write(end, "2027-07")
            try await world.settle()
        }

        func write(_ title: String, _ text: String?, in row: RowID? = nil) throws {
            try world.node("A1").change(form, row ?? self.row, [form.field(named: title): text.map { .text($0) } ?? .null], author: "王芳")
        }

        /// As `hub put` does.
        func put(_ title: String, _ text: String, at hub: String = "ministry") throws {
            let values: [Int: Value] = [try form.field(named: "班号"): .text("20240101"), try form.field(named: title): .text(text)]
            let report = try OwnerWriter(world.hub(hub)).write(
                form, [RoutedRow(line: 1, school: school, values: values)], author: "\(hub) 操作员", existing: .update, now: world.clock.now)
            #expect(report.isWritten && report.changed == 1, "\(report.errors)")
        }

        /// The row waits at the province for a major of which nobody has heard yet, and with it what was written beside it.
        func wait() throws { try write("本校专业编号", "ZY77") }
        func arrive() throws {
            let major = Embedded.catalogue["general.major"]!
            _ = try world.node("A1").add(major, [major.field(named: "本校专业编号"): .text("ZY77")], author: "李娜")
        }

        func desk(_ hub: String = "province") throws -> OperatorDesk { OperatorDesk(try world.hub(hub)) }
        func cases(_ hub: String = "province") throws -> [CaseView] { try desk(hub).cases() }
        func broken(_ hub: String = "province") throws -> [String] {
            try world.hub(hub).findings().filter { $0.level == "error" && $0.row == row.description }.map(\.rule).sorted()
        }
        /// Column → value of the two that the rule reads.
        func pair(_ hub: String) throws -> [String: String] {
            guard let values = try world.hub(hub).values(form, row) else { return [:] }
            return try Dictionary(uniqueKeysWithValues: [begin, end].map { title in
                let field = try form.field(named: title)
                return (form.fields[field].id, values[field].shown)
            })
        }
        func decide(_ hub: String, _ values: [String: String], _ reason: String = "照学籍登记表") throws -> JournalEntry {
            let open = try #require(cases(hub).first)
            let candidate = try #require(open.candidates.first { $0.values == values }, "\(open.candidates.map(\.values))")
            return try desk(hub).take(open.number, candidate: candidate.candidate, Verdict(who: "操作员", reason: reason))
        }
        func undo(_ hub: String, _ decision: JournalEntry) throws { _ = try desk(hub).undo(decision.decision, Verdict(who: "操作员", reason: "看错了")) }

        func settleAndAgree(_ values: [String: String]) async throws {
            try await world.settle()
            for hub in ["province", "ministry"] {
                let (open, broken) = (try cases(hub), try broken(hub))
                #expect(open.isEmpty && broken.isEmpty, "\(hub): \(open) \(broken)")
                #expect(try pair(hub) == values, "\(hub)")
            }
            #expect(Set(try world.digests(school: "A").values).count == 1, "everybody holds the result")
            #expect(try await world.hub("province").database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM zz_held") } == 0)
        }
    }

    // MARK: either order

    enum Order: String, CaseIterable, Sendable { case ministryFirst, schoolFirst, held }

    /// Both have written; what they wrote has met, and who met it first is asked.
    static func meet(_ stage: Stage, _ order: Order) async throws -> (asks: String, other: String) {
        switch order {
        case .ministryFirst:
            try stage.put(Self.begin, "2026-09")
            try stage.write(Self.end, "2026-07")
            try await stage.world.sync("province")
            try await stage.world.sync("A1")
            try await stage.world.sync("province")
        case .schoolFirst:
            try stage.put(Self.begin, "2026-09")
            try stage.write(Self.end, "2026-07")
            try await stage.world.sync("A1")
            try await stage.world.sync("province")
        case .held:
            try stage.wait()
            try stage.write(Self.end, "2026-07")
            try await stage.world.sync("A1")
            try await stage.world.sync("province")
            try stage.put(Self.begin, "2026-09")
            try await stage.world.sync("province")
        }
        return order == .schoolFirst ? ("ministry", "province") : ("province", "ministry")
    }

    @Test(arguments: Order.allCases, ["parent", "child"]) func oneLevelAsksAndItsAnswerReachesEverybody(order: Order, side: String) async throws {
        let stage = try await Stage()
        let (asks, other) = try await Self.meet(stage, order)
        let open = try stage.cases(asks)
        #expect(open.map(\.kind) == ["rule"] && open.first?.breaks?.first?.hasPrefix("CL-03") == true, "\(order): \(open)")
        #expect(Set(open.first?.candidates.map(\.values) ?? []) == [Self.theirs, Self.mine], "\(order)")
        #expect(try stage.cases(other).isEmpty, "\(order): nobody else is asked")
        #expect(try stage.broken().contains("CL-03"))
        // Nothing else of the school waits.
        try stage.write("班级名称", "另一个班", in: stage.other)
        for who in ["A1", "province", "A1", "province"] { try await stage.world.sync(who) }
        #expect(try stage.world.hub("ministry").values(stage.form, stage.other)?[stage.form.field(named: "班级名称")] == .text("另一个班"))
        #expect(try stage.cases(other).isEmpty && stage.cases(asks).count == 1, "\(order): once for all")

        if order == .held { try stage.arrive() }
        let answer = side == "parent" ? Self.theirs : Self.mine
        let decision = try stage.decide(asks, answer)
        try stage.undo(asks, decision)
        #expect(try stage.cases(asks).map(\.number) == open.map(\.number), "the case is open again")
        #expect(try stage.pair(asks) == ["established_month": "2026-09", "ended_month": "2026-07"])
        let last = try stage.decide(asks, answer)
        try await stage.settleAndAgree(answer)
        #expect(try stage.world.node("A1").decisions(form: stage.form).contains { $0.reason == "照学籍登记表" }, "the school reads why")
        #expect(try stage.desk(other).decisions(form: stage.form).contains { $0.reason == "照学籍登记表" })

        // Everybody has the answer: taken back, all are asked again, and another answer reaches them too.
        try stage.undo(asks, last)
        try await stage.world.settle()
        let needless = try stage.cases(other)
        #expect(try stage.cases(asks).count == 1 && needless.isEmpty, "\(order): \(needless)")
        let another = side == "parent" ? Self.mine : Self.theirs
        _ = try stage.decide(asks, another)
        try await stage.settleAndAgree(another)
    }

    @Test(arguments: Order.allCases, ["ministry", "A1"]) func whoeverMendsItClosesIt(order: Order, who: String) async throws {
        let stage = try await Stage()
        _ = try await Self.meet(stage, order)
        if order == .held { try stage.arrive() }
        if who == "ministry" { try stage.put(Self.begin, "2025-09") } else {
            for name in ["A1", "province", "A1"] { try await stage.world.sync(name) }
            try stage.write(Self.end, "2027-01")
        }
        try await stage.settleAndAgree(
            who == "ministry" ? ["established_month": "2025-09", "ended_month": "2026-07"] : ["established_month": "2026-09", "ended_month": "2027-01"])
        for hub in ["province", "ministry"] { #expect(try stage.desk(hub).journal().isEmpty, "\(hub): nobody had to decide") }
    }

    // MARK: what is held back

    /// A question of the ministry's cell and the school's, which the ministry has never heard of: put back as it was, the ministry's
    /// word is no write of the province, so that the ministry may go on with it.
    @Test func theParentsWordNeverGoesBackUp() async throws {
        let stage = try await Stage()
        _ = try await Self.meet(stage, .held)
        let decision = try stage.decide("province", Self.mine)
        try stage.undo("province", decision)
        try stage.put(Self.begin, "2026-10")
        try await stage.world.sync("province")
        // It joins, and is no second question about the ministry's own cell.
        let open = try stage.cases()
        #expect(open.count == 1 && open[0].kind == "rule" && open[0].version > 2, "\(open)")
        #expect(open[0].candidates.map { $0.values["established_month"] } == ["2024-09", "2026-09", "2026-10"])
        #expect(open[0].candidates.map(\.from) == ["A1", "parent", "parent"])
        #expect(try stage.pair("ministry") == ["established_month": "2026-10", "ended_month": "2027-07"])
        try stage.arrive()
        try await stage.world.settle()
        #expect(try stage.cases().count == 1 && stage.cases("ministry").isEmpty && stage.broken() == ["CL-03"], "nobody else has to know")
        let bulk = try stage.desk().bulk(
            CaseFilter(["kind=rule"], catalogue: Embedded.catalogue), take: Side("parent"), Verdict(who: "操作员", reason: "照部级"), dryRun: false)
        #expect(bulk.decided == 1, "\(bulk)")
        try await stage.settleAndAgree(["established_month": "2026-10", "ended_month": "2027-07"])
    }

    /// What the parent has of a cell that is held is what went up last, or came from it: the side that the operator is shown.
    @Test func theParentsSideIsWhatItHas() async throws {
        let stage = try await Stage()
        try stage.write(Self.end, "2027-06")
        try await stage.world.settle()
        try stage.wait()
        try await stage.world.sync("A1")
        try await stage.world.sync("province")      // held from here on, its end not yet among it
        try stage.write(Self.end, "2026-08")
        try await stage.world.sync("A1")
        try await stage.world.sync("province")
        try stage.write(Self.end, "2026-07")
        try await stage.world.sync("A1")
        try stage.put(Self.begin, "2026-09")
        try await stage.world.sync("province")
        let sides = try stage.cases().flatMap(\.candidates).map(\.values)
        #expect(Set(sides) == [Self.mine, ["established_month": "2026-09", "ended_month": "2027-06"]])
    }

    /// Somebody erred alone: a finding, and no question.
    @Test(arguments: ["ministry", "A1"]) func whoErredAloneIsNotAskedAbout(who: String) async throws {
        let stage = try await Stage()
        try stage.wait()
        try stage.write(Self.end, who == "A1" ? "2023-07" : "2026-07")
        try await stage.world.sync("A1")
        try await stage.world.sync("province")
        if who == "A1" { try stage.put(Self.begin, "2024-10") } else {
            let begin = try stage.form.field(named: Self.begin)
            try stage.world.hub("ministry").change(stage.form, stage.row, [begin: .text("2028-09")], author: "部级操作员", now: stage.world.clock.now)
        }
        try await stage.world.sync("province")
        let open = try stage.cases()
        #expect(try stage.broken().contains("CL-03") && open.isEmpty, "\(open)")
    }

    // MARK: homes that change

    @Test func aSwitchOfTheCatalogueKeepsIt() async throws {
        let stage = try await Stage()
        _ = try await Self.meet(stage, .held)
        let version = try CatalogueVariants.edited("general.class") {
            $0.replacing("[[rule]]\nid = \"CL-01\"", with: CatalogueVariants.field(60, "room", "教室") + "\n[[rule]]\nid = \"CL-01\"")
        }
        try stage.world.upgrade("province", to: version)
        let open = try stage.cases()
        #expect(open.map(\.kind) == ["rule"] && Set(open.flatMap(\.candidates).map(\.values)) == [Self.theirs, Self.mine])
        try stage.arrive()
        _ = try stage.decide("province", Self.mine)
        try await stage.world.settle()
        for hub in ["province", "ministry"] { #expect(try stage.pair(hub) == Self.mine && stage.cases(hub).isEmpty) }
    }

    /// The province is put back to a time before anything of it: whoever comes first with both sides, the question is asked again.
    @Test(arguments: [Order.ministryFirst, .held]) func aProvinceThatWasPutBackAsksAgain(order: Order) async throws {
        let stage = try await Stage()
        try stage.world.backup("province")
        _ = try await Self.meet(stage, order)
        if order == .held { try stage.arrive() }
        for who in ["A1", "province"] { try await stage.world.sync(who) }
        #expect(try stage.cases().count == 1)
        try stage.world.restore("province", .home)
        try await stage.world.settle()
        let (open, above) = (try stage.cases(), try stage.cases("ministry"))
        #expect(open.map(\.kind) == ["rule"] && above.isEmpty, "\(open) \(above)")
        #expect(Set(open.flatMap(\.candidates).map(\.values)) == [Self.theirs, Self.mine])
        _ = try stage.decide("province", Self.mine)
        try await stage.settleAndAgree(Self.mine)
    }
}
