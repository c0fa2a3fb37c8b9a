import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// A desk is not alone: another operator decides beside it, the school goes on writing, the server goes on merging.
@Suite struct DeskBesideTests {
    private static let form = Embedded.catalogue["general.class"]!
    private static func field(_ title: String) throws -> Int { try form.field(named: title) }

    private func verdict(_ version: Int? = nil) -> Verdict { Verdict(who: "操作员", reason: "核实", version: version) }
    private func desk(_ world: zzsync.World) throws -> OperatorDesk { OperatorDesk(try world.hub("province")) }

    private func write(_ world: zzsync.World, _ node: String, _ row: RowID, _ title: String, _ value: Value) throws {
        try world.node(node).change(Self.form, row, [Self.field(title): value], author: node)
    }

    private func world(_ nodes: [String]) async throws -> (zzsync.World, RowID) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        try await world.settle()
        return (world, row)
    }

    /// Two rows of one class number, which the school takes for two until the hub asks.
    private func twins() async throws -> (world: zzsync.World, item: CaseView, rows: [RowID]) {
        let (world, _) = try await world(["A1", "A2"])
        for (node, size) in [("A1", 31), ("A2", 32)] {
            _ = try world.node(node).add(
                Self.form, [Self.field("class_number"): .text("20249801"), Self.field("计划人数"): .integer(Int64(size))], author: node)
        }
        try await world.settle()
        let item = try #require(try desk(world).cases().first)
        return (world, item, [item.row, item.otherRow ?? ""].compactMap { Int64($0) }.sorted().map { RowID($0) })
    }

    // MARK: two operators

    /// What is disputed in the row was decided by one operator: the other, who lets the row die, has not seen the value.
    @Test func aDecisionOnACellMakesTheRowsCaseAnother() async throws {
        let (world, row) = try await world(["A1", "A2", "A3"])
        try write(world, "A1", row, "班级名称", .text("东楼班"))
        try write(world, "A2", row, "班级名称", .text("西楼班"))
        try world.node("A3").remove(Self.form, row, author: "A3")
        try await world.settle()
        let desk = try desk(world), open = try desk.cases()
        let life = try #require(open.first { $0.kind == "life" }), cell = try #require(open.first { $0.kind == "cell" })
        _ = try desk.take(cell.number, candidate: 2, verdict(cell.version))
        let dead = try #require(life.candidates.first { $0.values["life"] == "dead" }).candidate
        #expect { try desk.take(life.number, candidate: dead, verdict(life.version)) } throws: { "\($0)".contains("has changed") }
        // In one bulk both are the same operator's, who saw both.
        _ = try desk.undo(try #require(try desk.journal().last).decision, verdict())
        let now = try desk.cases()
        let report = try desk.bulk(CaseFilter(), take: .newest, verdict(), dryRun: true)
        #expect(report.decided == now.count && report.left.isEmpty, "\(report)")
    }

    /// A late edit of a row that was merged away, in a cell that is disputed itself: which of the two goes to the survivor nobody has said.
    @Test func anEditThatIsDisputedIsNotAppliedToTheSurvivor() async throws {
        let (world, item, rows) = try await twins()
        let desk = try desk(world)
        _ = try desk.merge(item.number, verdict())
        try write(world, "A1", rows[1], "计划人数", .integer(61))
        try write(world, "A2", rows[1], "计划人数", .integer(62))
        for node in ["A1", "A2"] { try await world.push(node) }
        let open = try desk.cases()
        let life = try #require(open.first { $0.kind == "life" }), cell = try #require(open.first { $0.kind == "cell" })
        #expect(life.survivor == nil)
        #expect { try desk.merge(life.number, verdict()) } throws: { "\($0)".contains("another open case: \(cell.number)") }
        _ = try desk.take(cell.number, candidate: 2, verdict())
        #expect(try desk.merge(life.number, verdict()).kind == "apply")
    }

    /// Who lets a row die is told what else goes with it.
    @Test func aDeathNamesTheCasesThatItCloses() async throws {
        let (world, row) = try await world(["A1", "A2", "A3"])
        try write(world, "A1", row, "班级名称", .text("东楼班"))
        try write(world, "A2", row, "班级名称", .text("西楼班"))
        try world.node("A3").remove(Self.form, row, author: "A3")
        try await world.settle()
        let desk = try desk(world), open = try desk.cases()
        let life = try #require(open.first { $0.kind == "life" }), cell = try #require(open.first { $0.kind == "cell" })
        let dead = try #require(life.candidates.first { $0.values["life"] == "dead" }).candidate
        #expect(try desk.take(life.number, candidate: dead, verdict()).taken.contains("open cases ask (\(cell.number)) goes with it"))
    }

    // MARK: a week later

    @Test func aMergeWhoseRowWasDeletedSinceStays() async throws {
        let (world, item, rows) = try await twins()
        let desk = try desk(world)
        let merged = try desk.merge(item.number, verdict())
        try await world.settle()
        try world.node("A1").remove(Self.form, rows[0], author: "A1")
        try await world.settle()
        #expect { try desk.undo(merged.decision, verdict()) } throws: { "\($0)".contains("was deleted since") }
        for row in rows { #expect(try world.node("A2").values(Self.form, row) == nil) }
    }

    /// Of two questions the first is taken back: the second stands, and its answer is seen.
    @Test func aLaterQuestionStandsWhenAnEarlierOneIsTakenBack() async throws {
        let (world, row) = try await world(["A1", "A2"])
        try write(world, "A1", row, "班级名称", .text("东楼班"))
        try write(world, "A2", row, "班级名称", .text("西楼班"))
        try await world.settle()
        let desk = try desk(world)
        let item = try #require(try desk.cases().first)
        let questions = try ["哪一个？", "以谁为准？"].map { try desk.handBack(item.number, Verdict(who: "操作员", reason: $0)) }
        _ = try desk.undo(questions[0].decision, verdict())
        #expect(try desk.show(item.number).isReturned)
        try await world.settle()
        _ = try world.node("A1").confirm(form: Self.form, key: ["20240101"], fields: [], reason: "看过", author: "A1")
        try await world.settle()
        #expect(try desk.show(item.number).confirmed.map(\.reason) == ["看过"])
        _ = try desk.undo(questions[1].decision, verdict())
        #expect(try !desk.show(item.number).isReturned)
    }

    /// A question about a change request is answered like any other.
    @Test func aRequestThatWasReturnedCanBeConfirmed() async throws {
        let policies = try PolicyFile.parse(
            "[[policy]]\nform = \"班级信息\"\nfields = [\"备注\"]\npolicy = \"owner\"\nsource = \"教室系统\"\n", path: "policies/a.toml",
            catalogue: Embedded.catalogue)
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"], policies: PolicyBook(rules: policies))
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        try await world.settle()
        let province = try world.hub("province"), desk = try desk(world)
        let author = Stamp.author(source: "教室系统", user: "赵六")
        try province.change(Self.form, row, [Self.field("备注"): .text("101")], author: author, now: world.clock.now)
        try await world.settle()
        try write(world, "A1", row, "备注", .text("404"))
        try await world.settle()
        let request = try #require(try desk.requests().first)
        _ = try desk.handBack(request.number, Verdict(who: "操作员", reason: "为什么改？"))
        try await world.settle()
        #expect(try world.node("A1").confirm(form: Self.form, key: ["20240101"], fields: [], reason: "教室没换", author: "A1").count == 1)
        try await world.settle()
        #expect(try desk.show(request.number).confirmed.map(\.reason) == ["教室没换"])
        // The row goes: nobody has agreed to anything.
        try world.node("A1").remove(Self.form, row, author: "A1")
        try await world.settle()
        #expect(try desk.requests(all: true).map(\.state) == [.gone])
    }

    // MARK: a server beside

    /// Whoever opens a hub while it serves sees a merge half noted: that is no sign of a hub that was put back.
    @Test func aHubThatMergesWhileItIsOpenedWasNotPutBack() async throws {
        let (world, row) = try await world(["A1"])
        try write(world, "A1", row, "备注", .text("东楼"))
        try await world.push("A1")
        let province = try world.hub("province")
        let scope = try #require(try await province.database.read { try Int64.fetchOne($0, sql: "SELECT scope FROM zz_scope") })
        // Between the two files that are read, the server commits a merge and notes it.
        KillPoint.watch(province.directory) { point in
            guard point == "open.look" else { return }
            try? province.database.writeWithoutTransaction { try $0.execute(sql: "UPDATE zz_scope SET log_end = log_end + 1 WHERE scope = ?", arguments: [scope]) }
            let end = try? province.database.read { try Int64.fetchOne($0, sql: "SELECT log_end FROM zz_scope WHERE scope = ?", arguments: [scope]) }
            try? province.inbox.noteServed(ScopeID(key: scope), Position(end ?? 0))
        }
        defer { KillPoint.watch(province.directory, nil) }
        #expect(try HubHome.open(province.directory, catalogue: Embedded.catalogue).epoch == 1)
        #expect(try province.isBehindInbox() == false)
    }

    /// Another program wrote bytes that are no text, or too much of it: the sentence names the row, and once it is mended all goes up.
    @Test(arguments: [("CAST(X'BBA4C0ED' AS TEXT)", "is not UTF-8"), ("printf('%.*c', 1048577, 'x')", "has 1048577 bytes")])
    func aTextThatCannotBeSentIsNamed(text: String, said: String) async throws {
        let (world, row) = try await world(["A1"])
        let node = try world.node("A1")
        try await node.database.write { try $0.execute(sql: "UPDATE general_class SET class_name = \(text) WHERE id = ?", arguments: [row.rawValue]) }
        await #expect { try await world.sync("A1") } throws: { "\($0)".contains("Row \(row) of") && "\($0)".contains("general_class.class_name") && "\($0)".contains(said) }
        #expect(try node.status().pendingRows == 1)
        try write(world, "A1", row, "班级名称", .text("东楼班"))
        try await world.settle()
        #expect(try world.hub("province").values(Self.form, row)?[Self.field("班级名称")] == .text("东楼班"))
    }

    /// Each text is short enough, all of a row together are not.
    @Test func aRowThatCannotBeSentIsNamed() async throws {
        let (world, row) = try await world(["A1"])
        let node = try world.node("A1")
        let texts = Self.form.fields.filter { $0.sqlType == "TEXT" }.prefix(5).map(\.id)
        let set = texts.map { "\($0) = printf('%.*c', 900000, 'x')" }.joined(separator: ", ")
        try await node.database.write { try $0.execute(sql: "UPDATE general_class SET \(set) WHERE id = ?", arguments: [row.rawValue]) }
        await #expect { try await world.sync("A1") } throws: { "\($0)".contains("Row \(row) of") && "\($0)".contains("its texts have 45000") }
        #expect(try node.status().pendingRows == 1)
    }

    /// Rows at the full lengths of their fields weigh ten times what a page's estimate takes them for.
    @Test func aPageIsCutByWhatItWeighs() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        let form = try #require(Embedded.catalogue["general.major"])
        let remark = try form.field(named: "remark"), name = try form.field(named: "major_name")
        let code = form.key[0]
        for batch in 0..<6 {
            try world.node("A1").addMany(
                form, (0..<400).map { [code: .text("\(100_000 + batch * 400 + $0)"), name: .text(String(repeating: "专", count: 60)), remark: .text(String(repeating: "注", count: 200))] },
                author: "A1")
            try await world.push("A1")
        }
        let province = try world.hub("province"), bytesMax = 256 << 10
        let (count, heaviest) = try await province.database.read { db in
            let scope = ScopeID(key: try Int64.fetchOne(db, sql: "SELECT scope FROM zz_scope")!)
            let pager = LogPager(catalogue: province.catalogue, hub: province.keys.site, inbox: province.inbox)
            var (after, count, heaviest) = (Position.none, 0, 0)
            while let body = try pager.page(db, scope: scope, after: after, bytesMax: bytesMax) {
                after = body.page!.upTo
                count += 1
                heaviest = max(heaviest, try BodyCodec.encode(body, predictors: .none).bytes.count)
            }
            return (count, heaviest)
        }
        #expect(count >= 6 && heaviest < 3 * bytesMax, "\(count) pages, the heaviest of \(heaviest) bytes")
    }
}
