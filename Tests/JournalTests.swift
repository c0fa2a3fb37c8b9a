import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// The journal as an operator reads it after a year.
@Suite struct JournalTests {
    private static let form = Embedded.catalogue["general.class"]!
    private let verdict = Verdict(who: "操作员", reason: "核对名册")

    /// The same list pasted on two nodes of a school, one merge: `count` pairs of equal rows.
    private func pasted(_ count: Int, _ world: zzsync.World) async throws {
        let number = try Self.form.field(named: "班号")
        for node in ["A1", "A2"] {
            for index in 0..<count { _ = try world.node(node).add(Self.form, [number: .text("2024\(5_000 + index)")], author: node) }
        }
        try await world.settle()
    }

    private func world(_ nodes: [String] = ["A1", "A2"]) async throws -> zzsync.World {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        if nodes.contains("B1") { _ = try world.node("B1").addExamples(author: "初始数据", school: "B") }
        try await world.settle()
        return world
    }

    @Test func equalTwinsOfOneMergeAreOneEntryAndOneUndo() async throws {
        let world = try await world()
        let desk = OperatorDesk(try world.hub("province"))
        try await pasted(6, world)
        let before = try world.rows("province", Self.form)
        let entry = try #require(try desk.journal().first)
        #expect(try desk.journal().count == 1 && entry.number == 0 && entry.who == "zzsync" && entry.taken == "6 pairs of equal rows merged")
        let members = try desk.journal(batch: entry.decision)
        #expect(members.count == 6 && members.allSatisfy { $0.kind == "merge" && $0.batch == entry.decision })
        let read = try world.node("A1").decisions(form: Self.form)
        #expect(read.count == 6 && Set(read.map(\.batch)).count == 1 && read[0].batch != nil, "the school reads that they belong together")

        let undo = try desk.undo(entry.decision, verdict)
        #expect(undo.taken.hasPrefix("6 decisions"))
        #expect(try world.rows("province", Self.form) == before + 6 && desk.cases().count == 6, "two rows and a question each, as before")
        try await world.sync("A1")
        #expect(try desk.cases().count == 6, "what was taken back is not merged again by the system")
        #expect(try desk.bulk(CaseFilter(["kind=twins"], catalogue: Embedded.catalogue), take: .choice(.merge), verdict, dryRun: false).decided == 6)
        try await world.settle()
        for name in ["A1", "A2", "province", "ministry"] { #expect(try world.rows(name, Self.form) == before, "\(name)") }
        let digests = try world.digests(school: "A")
        #expect(Set(digests.values).count == 1, "\(digests)")
    }

    @Test func filtersFindEntriesAndBulks() async throws {
        let world = try await world(["A1", "A2", "B1"])
        let desk = OperatorDesk(try world.hub("province"))
        try await pasted(3, world)
        // Forty days ago.
        try await world.hub("province").database.write { try $0.execute(sql: "UPDATE zz_decision SET at = at - 40 * 86400") }
        let number = try Self.form.field(named: "班号"), name = try Self.form.field(named: "班级名称")
        for (node, text) in [("A1", "甲"), ("A2", "乙")] {
            _ = try world.node(node).add(Self.form, [number: .text("20249999"), name: .text(text)], author: node)
        }
        try await world.settle()
        let twins = try #require(try desk.cases().first)
        let later = try desk.merge(twins.number, verdict)
        func found(_ edit: (inout JournalFilter) -> Void) throws -> [String] {
            var filter = JournalFilter()
            edit(&filter)
            return try desk.journal(filter).map(\.taken)
        }
        let bulk = "3 pairs of equal rows merged"
        #expect(try found { _ in } == [bulk, later.taken])
        #expect(try found { $0.form = Self.form.number; $0.school = "3641990001" } == [bulk, later.taken])
        #expect(try found { $0.school = "3641990002" } == [])
        #expect(try found { $0.form = Embedded.catalogue["general.major"]!.number } == [])
        #expect(try found { $0.since = world.clock.now - 86_400 } == [later.taken])
        #expect(try found { $0.last = 1 } == [later.taken])
        #expect { try found { $0.school = "9999999999" } } throws: { ($0 as? Failure)?.kind == .usage && "\($0)".contains("no school with code 9999999999") }
        for batch in [later.decision, 99] {
            #expect { try desk.journal(batch: batch) } throws: { ($0 as? Failure)?.kind == .usage && "\($0)".contains("There is no bulk \(batch).") }
        }
    }
}
