import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Every kind of decision undone and made again.
extension BulkTests {
    enum Kind: String, CaseIterable, Sendable { case take, set, alive, dead, merge, distinct, handBack, rule, fields, answer, apply }

    private func disagreements(_ count: Int, _ kind: Kind) async throws -> zzsync.World {
        switch kind {
        case .take, .set, .handBack: try await rooms(count).world
        case .alive, .dead: try await lives(count)
        case .merge, .distinct: try await classes(count, twins: true).world
        case .rule, .fields: try await years(count)
        case .answer: try await requests(count)
        case .apply: try await offers(count)
        }
    }

    private func choice(_ kind: Kind, _ index: Int, _ item: CaseView) throws -> Choice {
        switch kind {
        case .take, .rule, .answer: .candidate(index % 2 + 1)
        case .fields: index % 2 == 0 ? .fields([try field("结束年月")], of: 1) : .fields([try field("建班年月")], of: 2)
        case .set: .values([try field("班级名称"): .text("另定\(index)")])
        case .alive, .dead: try (kind == .alive ? Side.alive : .dead).choose(item)
        case .merge, .apply: .merge
        case .distinct: .distinct
        case .handBack: .handBack
        }
    }

    /// While a row that was merged lives again, the two rows of one key are a case besides.
    private func asked(_ desk: OperatorDesk, _ kind: Kind) throws -> [CaseView] {
        try desk.cases().filter { kind != .apply || $0.kind == "life" }
    }

    @Test(arguments: Kind.allCases) func twentyDecisionsUndoneAndRedone(_ kind: Kind) async throws {
        let count = 20
        let world = try await disagreements(count, kind)
        let desk = OperatorDesk(try world.hub("province"))
        let open = try asked(desk, kind)
        #expect(open.count == count)
        for (index, item) in open.enumerated() {
            let choice = try choice(kind, index, item)
            let before = try digests(world)
            let decision = try desk.decide(item.number, choice, verdict())
            let after = try digests(world)
            _ = try desk.undo(decision.decision, verdict("看错了"))
            #expect(try digests(world) == before, "\(kind) \(index) undone")
            #expect(try desk.show(item.number).closedAt == nil, "case \(item.number) is open again")
            _ = try desk.decide(item.number, choice, verdict())
            #expect(try digests(world) == after, "\(kind) \(index) redone")
        }
        #expect(try desk.cases().count == (kind == .handBack ? count : 0))
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == (kind == .handBack ? 2 : 1), "everybody holds the result")
    }

    /// The same when schools and ministry have each heard of the decision before it is taken back, and of that before it is made again.
    @Test(arguments: Kind.allCases) func decisionsThatHaveTravelledAreUndoneAndRedone(_ kind: Kind) async throws {
        let count = 5
        let world = try await disagreements(count, kind)
        let desk = OperatorDesk(try world.hub("province"))
        let open = try asked(desk, kind)
        func decide() async throws -> (made: [Int64], after: [String: String]) {
            let made = try open.enumerated().map { try desk.decide($1.number, choice(kind, $0, $1), verdict()).decision }
            try await world.settle()
            return (made, try digests(world))
        }
        let before = try digests(world)
        let first = try await decide()
        for decision in first.made.reversed() { _ = try desk.undo(decision, verdict("看错了")) }
        try await world.settle()
        #expect(try digests(world) == before && asked(desk, kind).map(\.number) == open.map(\.number), "undone")
        #expect(try await decide().after == first.after, "redone")
        #expect(Set(try world.digests(school: "A").values).count == (kind == .handBack ? 2 : 1), "everybody holds the result")
    }

    @Test func aDeleteThatClosedCellCasesOpensThemAgain() async throws {
        let (world, rows) = try await rooms(1)
        let desk = OperatorDesk(try world.hub("province"))
        try world.node("A2").remove(Self.form, rows[0], author: "李娜")
        try await world.settle()
        let open = try desk.cases()
        #expect(open.map(\.kind).sorted() == ["cell", "life"])
        let before = try digests(world)
        let life = try #require(open.first { $0.kind == "life" })
        let decision = try desk.decide(life.number, try Side.dead.choose(life), verdict())
        #expect(try desk.cases().isEmpty)
        let cell = try #require(open.first { $0.kind == "cell" })
        #expect { try desk.decide(cell.number, .candidate(1), verdict()) } throws: { "\($0)".contains("closed by 操作员") }
        _ = try desk.undo(decision.decision, verdict("看错了"))
        #expect(try desk.cases().map(\.number).sorted() == open.map(\.number).sorted(), "both are open again")
        #expect(try desk.show(cell.number).candidates.map(\.values) == cell.candidates.map(\.values))
        #expect(try digests(world) == before)
    }

    @Test func aLateEditOfAMergedRowGoesToTheSurvivor() async throws {
        let (world, _) = try await classes(1, twins: true)
        let desk = OperatorDesk(try world.hub("province"))
        let twins = try #require(try desk.cases().first)
        let ids = [twins.row, twins.otherRow ?? ""].compactMap { Int64($0) }.sorted().map { RowID($0) }
        _ = try desk.merge(twins.number, verdict("是同一个班"))
        // A2 has not heard of it, and corrects the row that is gone.
        try write(world.node("A2"), ids[1], "计划人数", .integer(33), by: "李娜")
        try await world.sync("A2")
        let open = try #require(try desk.cases().first { $0.kind == "life" })
        #expect(open.survivor?.row == ids[0].description)
        #expect(open.survivor?.edit == ["planned_size": "33"] && open.survivor?.present == ["planned_size": "40"])
        let before = try digests(world)
        let applied = try desk.merge(open.number, verdict("改在留下的一行上"))
        #expect(try applied.kind == "apply" && desk.cases().isEmpty)
        let after = try digests(world)
        _ = try desk.undo(applied.decision, verdict("看错了"))
        #expect(try digests(world) == before)
        // The two rows of one key are a case again as well, as they were.
        #expect(try desk.cases().filter { $0.kind == "life" }.map(\.number) == [open.number])
        #expect(try desk.show(open.number).survivor?.edit == open.survivor?.edit)
        _ = try desk.merge(open.number, verdict("改在留下的一行上"))
        #expect(try digests(world) == after)
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
        #expect(try world.node("A1").values(Self.form, ids[0])?[try field("计划人数")] == .integer(33), "no write is lost")
        #expect(try world.node("A1").values(Self.form, ids[1]) == nil)
    }
}
