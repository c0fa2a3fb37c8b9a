import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// A school that finds right what a hub has returned to it says so: a record of its own, which goes up to whoever asked and writes no cell.
@Suite struct ConfirmationTests {
    private static let form = Embedded.catalogue["general.class"]!
    private static let key = ["20240101"]

    private func verdict(_ reason: String) -> Verdict { Verdict(who: "操作员", reason: reason) }
    private func desk(_ world: zzsync.World, _ hub: String = "province") throws -> OperatorDesk { OperatorDesk(try world.hub(hub)) }

    /// Two sites disagree on the name of a class; who has both first has asked the school, which has read it.
    private func asked(_ asks: String = "province") async throws -> (world: zzsync.World, item: CaseView) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        try await world.settle()
        let name = try Self.form.field(named: "班级名称")
        try world.node("A1").change(Self.form, row, [name: .text("东楼班")], author: "王芳")
        if asks == "province" {
            try world.node("A2").change(Self.form, row, [name: .text("西楼班")], author: "李娜")
        } else {
            try world.hub("ministry").change(Self.form, row, [name: .text("西楼班")], author: "部级", now: world.clock.now)
        }
        for site in asks == "province" ? ["A1", "A2"] : ["A1"] { try await world.sync(site) }
        if asks != "province" { try await world.push("province") }
        let item = try #require(try desk(world, asks).cases().first)
        _ = try desk(world, asks).handBack(item.number, verdict("哪个对？"))
        try await world.settle()
        return (world, item)
    }

    private func confirm(_ node: NodeHome, _ reason: String = "课表如此", by author: String = "张主任") throws -> [AnswerRecord] {
        try node.confirm(form: Self.form, key: Self.key, fields: [], reason: reason, author: author).map(\.answer)
    }

    private func confirmed(_ world: zzsync.World, _ item: CaseView, _ hub: String = "province") throws -> [AnswerRecord] {
        try desk(world, hub).show(item.number).confirmed
    }

    @Test(arguments: ["province", "ministry"]) func itReachesWhoeverAskedAndWritesNothing(asks: String) async throws {
        let (world, item) = try await asked(asks)
        let node = try world.node("A1")
        let shown = try #require(try node.get(form: Self.form, key: Self.key)).values[try Self.form.field(named: "班级名称")].shown
        let before = try world.hub(asks).digests(school: "3641990001").mapValues(\.digest)
        let answer = try #require(try confirm(node).first)
        #expect(answer.confirmed == ["class_name": shown])
        #expect(try node.status().pendingRows == 1, "it waits like everything that is entered, line or no line")
        try await world.settle()
        let (seen, now) = (try confirmed(world, item, asks), try desk(world, asks).show(item.number))
        #expect(seen == [answer] && seen[0].author == "张主任" && seen[0].reason == "课表如此")
        #expect(now.candidates.map(\.values) == item.candidates.map(\.values) && now.closedAt == nil && now.isReturned, "the case is as it was")
        #expect(try world.hub(asks).digests(school: "3641990001").mapValues(\.digest) == before, "no cell was written")
        let filter = try CaseFilter(["answered=yes"], catalogue: Embedded.catalogue)
        #expect(try desk(world, asks).cases(filter).map(\.number) == [item.number])
        let report = try desk(world, asks).bulk(filter, take: .answer, verdict("按学校答复"), dryRun: false)
        #expect(report.decided == 1, "\(report)")
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
        for name in ["A1", "A2"] {
            #expect(try world.node(name).get(form: Self.form, key: Self.key)?.values[Self.form.field(named: "班级名称")] == .text(shown), "\(name)")
        }
        #expect { try confirm(node) } throws: { ($0 as? Failure)?.kind == .refused && "\($0)".contains("No hub waits for an answer") }
    }

    @Test func saidTwiceOrPutBackItIsThereOnce() async throws {
        let (world, item) = try await asked()
        let first = try confirm(world.node("A1"))
        #expect(try confirm(world.node("A1")) == first, "it was said already")
        // Sealed and not sent, then the home is put back to before it left.
        try world.backup("A1")
        try await world.push("A1")
        #expect(try confirmed(world, item) == first)
        try world.restore("A1", .home)
        try await world.settle()
        #expect(try confirmed(world, item) == first && world.node("A1").status().pendingRows == 0)
        for name in ["A1", "A2"] {
            let count = try await world.node(name).database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM system_answer") }
            #expect(count == 1, "\(name)")
        }
    }

    /// What the first said must not silence the second: the operator decides by all of it.
    @Test func anotherPersonOrAnotherReasonIsAnotherAnswer() async throws {
        let (world, item) = try await asked()
        let node = try world.node("A1")
        let said = [("王芳", "初看"), ("李校长", "看过纸质档案"), ("王芳", "又核对了一遍")]
        for (author, reason) in said { _ = try confirm(node, reason, by: author) }
        let again = try node.confirm(form: Self.form, key: Self.key, fields: [], reason: "初看", author: "王芳")
        #expect(again.map(\.isRepeated) == [true], "the same person, the same reason")
        try await world.settle()
        let seen = try confirmed(world, item)
        #expect(Set(seen.map { "\($0.author) \($0.reason)" }) == Set(said.map { "\($0.0) \($0.1)" }) && seen.count == 3, "\(seen)")
        let filter = try CaseFilter(["answered=yes"], catalogue: Embedded.catalogue)
        let report = try desk(world).bulk(filter, take: .answer, verdict("按学校答复"), dryRun: false)
        #expect(report.decided == 1, "three who say the same are one answer: \(report)")
    }

    /// The hub is put back to before the answer came.
    @Test func aHubThatWasPutBackHearsItAgain() async throws {
        let (world, item) = try await asked()
        try world.backup("province")
        let answer = try confirm(world.node("A1"))
        try await world.sync("A1")
        #expect(try confirmed(world, item) == answer)
        try world.restore("province", .home)
        #expect(try confirmed(world, item).isEmpty)
        try await world.settle()
        #expect(try confirmed(world, item) == answer)
    }

    @Test func twoAnswersThatDisagreeAreAPersons() async throws {
        let (world, item) = try await asked()
        let row = RowID(try #require(Int64(item.row)))
        _ = try confirm(world.node("A1"))
        try world.node("A2").change(Self.form, row, [try Self.form.field(named: "班级名称"): .text("实训班")], author: "李娜")
        try await world.settle()
        let filter = try CaseFilter(["answered=yes"], catalogue: Embedded.catalogue)
        let report = try desk(world).bulk(filter, take: .answer, verdict("按学校答复"), dryRun: false)
        #expect(report.decided == 0 && report.left.keys.first?.contains("More than one candidate") == true, "\(report)")
    }

    @Test func whereNobodyAsksThereIsNothingToAnswer() async throws {
        let (world, item) = try await asked()
        let node = try world.node("A1")
        let other = try Self.form.field(named: "计划人数")
        #expect { try node.confirm(form: Self.form, key: Self.key, fields: [other], reason: "对", author: "张") } throws: {
            ($0 as? Failure)?.kind == .refused && "\($0)".contains("No hub waits")
        }
        for blank in ["", "   ", "\u{3000}\n"] { #expect { try confirm(node, blank) } throws: { ($0 as? Failure)?.kind == .usage } }
        #expect { try node.confirm(form: Self.form, key: ["1"], fields: [], reason: "对", author: "张") } throws: { ($0 as? Failure)?.kind == .refused }
        let returned = try #require(try desk(world).journal().last { $0.kind == "return" })
        _ = try desk(world).undo(returned.decision, verdict("不必问"))
        try await world.settle()
        #expect { try confirm(node) } throws: { "\($0)".contains("No hub waits") }
        #expect(try confirmed(world, item).isEmpty)
    }

    @Test(arguments: [
        "INSERT INTO system_answer (decision, reason) VALUES (1, 'x')", "UPDATE system_answer SET reason = 'x'", "DELETE FROM system_answer",
    ]) func anotherProgramMayNotWriteThem(_ sql: String) async throws {
        let (world, _) = try await asked()
        let node = try world.node("A1")
        let answer = try confirm(node)
        #expect { try node.database.write { try $0.execute(sql: sql) } } throws: { "\($0)".contains("written by zzsync confirm alone") }
        #expect(try await node.database.read { try AnswerRecord.list($0, scope: nil, to: Int64(answer[0].decision)!) } == answer)
    }

    @Test func atTheTerminal() async throws {
        let (world, item) = try await asked()
        let (node, province) = (try world.node("A1"), try world.hub("province"))
        try await Programs.run(
            Programs.zzsync, ["confirm", "班级信息", Self.key[0], "--field", "班级名称", "--reason", "课表如此", "--home", node.directory, "--as", "张主任"]
        ).expect(0, "confirmed: 班级名称=", "1 answers; they go up with the next sync")
        try await Programs.run(
            Programs.zzsync, ["confirm", "班级信息", Self.key[0], "--field", "计划人数", "--reason", "课表如此", "--home", node.directory]
        ).expect(3, "No hub waits for an answer", "zzsync decisions")
        func confirmName(_ author: String, _ reason: String) async throws -> Ended {
            try await Programs.run(
                Programs.zzsync, ["confirm", "班级信息", Self.key[0], "--reason", reason, "--home", node.directory, "--as", author])
        }
        try await confirmName("张主任", "课表如此").expect(0, "confirmed already, with this reason: 班级名称=", "0 answers")
        try await confirmName("李校长", "看过档案").expect(0, "\tconfirmed: 班级名称=", "1 answers")
        try await confirmName("李校长", "  ").expect(2, "An answer needs a reason")
        try await world.sync("A1")
        try await Programs.run(Programs.zzsync, ["hub", "conflicts", "list", "--home", province.directory]).expect(0, "answered")
        try await Programs.run(Programs.zzsync, ["hub", "conflicts", "show", "\(item.number)", "--home", province.directory])
            .expect(0, "The school confirms 班级名称=", "课表如此", "by 张主任", "看过档案", "by 李校长", "in answer to the return")
    }
}
