import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Decisions of every kind, undone and redone, leave the digests as they were.
@Suite struct DecisionTests {
    /// Two nodes of one school, apart; `prepare` makes them disagree.
    private func disagreement(
        _ prepare: (NodeHome, NodeHome, [String: (form: Form, row: RowID)]) throws -> Void
    ) async throws -> zzsync.World {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let rows = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        try prepare(world.node("A1"), world.node("A2"), rows)
        try await world.settle()
        return world
    }

    private func change(_ node: NodeHome, _ row: (form: Form, row: RowID), _ field: String, _ text: String) throws {
        try node.change(row.form, row.row, [try row.form.field(named: field): .text(text)], author: "业务员", years: 0)
    }

    private func digests(_ world: zzsync.World) throws -> [String: String] {
        try world.hub("province").digests(school: "3641990001").mapValues(\.digest)
    }

    private func verdict(_ reason: String = "核对原件") -> Verdict { Verdict(who: "操作员", reason: reason) }

    /// Decides, undoes, decides again; the digests must be those of the case open, and of the decision, again.
    private func undoAndRedo(_ world: zzsync.World, _ decide: (OperatorDesk, CaseView) throws -> JournalEntry) async throws {
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        let before = try digests(world)
        let decision = try decide(desk, open)
        #expect(try desk.cases().isEmpty)
        let after = try digests(world)
        _ = try desk.undo(decision.decision, verdict("看错了"))
        #expect(try desk.cases().map(\.number) == [open.number], "the case is open again")
        #expect(try digests(world) == before)
        _ = try decide(desk, open)
        #expect(try digests(world) == after)
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1, "everybody holds the result")
        #expect(try desk.journal().count == 3)
    }

    private func homeAddresses() async throws -> zzsync.World {
        try await disagreement { a, b, rows in
            try change(a, rows["general.student.attribute"]!, "home_address", "示例路1号")
            try change(b, rows["general.student.attribute"]!, "home_address", "示例路2号")
        }
    }

    @Test(arguments: [1, 2]) func takeACandidate(_ ordinal: Int) async throws {
        try await undoAndRedo(homeAddresses()) { try $0.take($1.number, candidate: ordinal, verdict()) }
    }

    @Test func setAnotherValue() async throws {
        let field = try Embedded.catalogue["general.student.attribute"]!.field(named: "home_address")
        try await undoAndRedo(homeAddresses()) { try $0.set($1.number, [field: .text("示例路3号")], verdict()) }
    }

    @Test(arguments: ["alive", "dead"]) func decideARowsLife(_ life: String) async throws {
        let world = try await disagreement { a, b, rows in
            try change(a, rows["general.school.campus"]!, "contact_name", "示例丙")
            try b.remove(rows["general.school.campus"]!.form, rows["general.school.campus"]!.row, author: "业务员")
        }
        try await undoAndRedo(world) { desk, open in
            let candidate = try #require(open.candidates.first { $0.values["life"] == life })
            return try desk.take(open.number, candidate: candidate.candidate, verdict())
        }
    }

    private func twins() async throws -> zzsync.World {
        try await disagreement { a, b, rows in
            let form = rows["general.class"]!.form
            let number = try form.field(named: "class_number")
            _ = try a.add(form, [number: .text("20249801")], author: "业务员")
            _ = try b.add(form, [number: .text("20249801"), try form.field(named: "remark"): .text("另一个")], author: "业务员")
        }
    }

    @Test func mergeTwins() async throws {
        try await undoAndRedo(twins()) { try $0.merge($1.number, verdict()) }
    }

    /// References name a row by its key, and the survivor has the key: whoever referred to either of the two refers to it, here and at the school.
    @Test func referencesFollowTheKeyOfMergedRows() async throws {
        let world = try await twins()
        let enrolment = try #require(Embedded.catalogue["general.student.enrolment"])
        let classes = try #require(Embedded.catalogue["general.class"])
        let number = try enrolment.field(named: "class_number")
        var row: RowID?
        try world.node("A2").list(form: enrolment, limit: 1) { row = $0.id }
        let student = try #require(row)
        try world.node("A2").change(enrolment, student, [number: .text("20249801")], author: "业务员")
        try await world.settle()
        let province = try world.hub("province")
        func dangling() throws -> Int {
            try province.database.read { db in
                try Int.fetchOne(
                    db, sql: "SELECT count(*) FROM zz_finding WHERE form = ? AND id = ? AND target = ?",
                    arguments: [enrolment.number, student.rawValue, classes.number])!
            }
        }
        let desk = OperatorDesk(province)
        _ = try desk.merge(try #require(try desk.cases(kind: "twins").first).number, verdict())
        try await world.settle()
        #expect(try dangling() == 0)
        for node in ["A1", "A2"] {
            #expect(try world.node(node).values(enrolment, student)?[number] == .text("20249801"))
            var found = 0
            try world.node(node).list(form: classes, limit: 100) { if $0.values.contains(.text("20249801")) { found += 1 } }
            #expect(found == 1, "one row has the key")
        }
        // It would be noticed.
        try world.node("A2").change(enrolment, student, [number: .text("20249899")], author: "业务员")
        try await world.settle()
        #expect(try dangling() == 1)
    }

    @Test func markTwinsDistinct() async throws {
        try await undoAndRedo(twins()) { try $0.distinct($1.number, verdict()) }
    }

    @Test func theSecondOperatorIsToldWhoWasFirst() async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        _ = try desk.take(open.number, candidate: 1, Verdict(who: "操作员甲", reason: "先到"))
        #expect { try desk.take(open.number, candidate: 2, Verdict(who: "操作员乙", reason: "后到")) } throws: {
            ($0 as? Failure)?.kind == .refused && "\($0)".contains("操作员甲") && "\($0)".contains("先到")
        }
    }

    @Test func aCaseThatGrewIsNotDecidedUnseen() async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        let seen = try #require(try desk.cases().first)
        let form = Embedded.catalogue["general.student.attribute"]!
        var row: RowID?
        try world.node("A1").list(form: form, limit: 1) { row = $0.id }
        try change(try world.node("A1"), (form, try #require(row)), "home_address", "示例路9号")
        try await world.settle()
        #expect { try desk.take(seen.number, candidate: 1, Verdict(who: "操作员", reason: "r", version: seen.version)) } throws: {
            "\($0)".contains("has changed")
        }
        #expect(try desk.cases().first?.candidates.count == 3, "rule 3: a case only grows")
    }

    /// What is disputed again shows the decided value first: an undo took the whole case back, and the newer entry with it.
    @Test func anUndoDoesNotTakeALaterCaseWithIt() async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        let decision = try desk.take(try #require(try desk.cases().first).number, candidate: 1, verdict())
        let form = Embedded.catalogue["general.student.attribute"]!
        var row: RowID?
        try world.node("A2").list(form: form, limit: 1) { row = $0.id }
        try change(try world.node("A2"), (form, try #require(row)), "home_address", "示例路9号")
        try await world.push("A2")
        let later = try #require(try desk.cases().first)
        #expect { try desk.undo(decision.decision, verdict("看错了")) } throws: { "\($0)".contains("case \(later.number) is open") }
        #expect(try desk.cases().flatMap(\.candidates).contains { $0.values["home_address"] == "示例路9号" })
    }

    @Test func aResultThatBreaksARuleNeedsAnExplanation() async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        let field = try Embedded.catalogue["general.student.attribute"]!.field(named: "home_address")
        let before = try digests(world)
        #expect { try desk.set(open.number, [field: .null], verdict()) } throws: { "\($0)".contains("breaks a rule") }
        #expect(try digests(world) == before)
        var explained = verdict()
        explained.explanation = "住址待核"
        #expect(try desk.set(open.number, [field: .null], explained).reason.contains("住址待核"))
    }

    @Test func equalTwinsAreMergedByTheSystem() async throws {
        let world = try await disagreement { a, b, rows in
            let form = rows["general.class"]!.form
            let number = try form.field(named: "class_number")
            for node in [a, b] {
                for index in 1...20 { _ = try node.add(form, [number: .text("202498\(10 + index)")], author: "业务员") }
            }
        }
        let desk = OperatorDesk(try world.hub("province"))
        #expect(try desk.cases().isEmpty)
        let entry = try #require(try desk.journal().first)
        #expect(try desk.journal().count == 1 && desk.journal(batch: entry.decision).count == 20, "every merge is in the journal")
        #expect(Set(try world.digests(school: "A").values).count == 1)
        #expect(try world.hub("ministry").digests(school: "3641990001")["general.class"]?.rows == 21)
    }
}
