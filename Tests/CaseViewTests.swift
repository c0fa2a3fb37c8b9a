import Foundation
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// What an operator is shown of a case is what he decides on: nothing of it moves unsaid.
@Suite struct CaseViewTests {
    typealias Stage = RestoreTests.Stage

    private func verdict(_ version: Int? = nil) -> Verdict { Verdict(who: "操作员", reason: "核实", version: version) }

    private func refusal(_ body: () throws -> Void) throws -> String {
        do { try body() } catch let failure as Failure {
            #expect(failure.kind == .refused)
            return "\(failure.what) \(failure.next)"
        }
        Issue.record("nothing was refused")
        return ""
    }

    @Test func whoMovedItIsNamed() async throws {
        let stage = try await Stage()
        try await stage.disputeAddress()
        let desk = OperatorDesk(try stage.world.hub("province"))
        let seen = try #require(try desk.cases().first)
        try stage.world.node("A2").change(stage.form, stage.row, [stage.form.field(named: "home_address"): .text("乙又写的")], author: "示例丑")
        try await stage.world.push("A2")
        let told = try refusal { _ = try desk.take(seen.number, candidate: 1, verdict(seen.version)) }
        let now = try #require(try desk.cases().first)
        let newest = try #require(now.candidates.last)
        let time = Date(timeIntervalSince1970: TimeInterval(newest.time)).formatted(.iso8601)
        #expect(told.contains("at version \(now.version), you saw \(seen.version); the last word is 示例丑's, of \(time)"), "\(told)")

        _ = try desk.handBack(seen.number, Verdict(who: "另一个操作员", reason: "哪个对？", version: now.version))
        #expect(try refusal { _ = try desk.take(seen.number, candidate: 1, verdict(now.version)) }.contains("另一个操作员's"))
    }

    /// A school mends one of two rows of one key by itself; the operator who comes later is told who did.
    @Test func whoClosedItByAWriteIsNamed() async throws {
        let stage = try await Stage()
        let form = try #require(Embedded.catalogue["general.class"])
        let number = try form.field(named: "class_number")
        let rows = try ["A1", "A2"].map { node in
            try stage.world.node(node).add(form, [number: .text("20249801"), form.field(named: "remark"): .text(node)], author: node)
        }
        for name in ["A1", "A2"] { try await stage.world.sync(name) }
        let desk = OperatorDesk(try stage.world.hub("province"))
        let seen = try #require(try desk.cases().first)
        #expect(seen.kind == "twins")
        try stage.world.node("A2").change(form, rows[1], [number: .text("20249802")], author: "示例丑")
        try await stage.world.sync("A2")
        #expect(try desk.cases().isEmpty)
        let told = try refusal { _ = try desk.distinct(seen.number, verdict(seen.version)) }
        #expect(told.contains("by a later write of 示例丑 at") && told.contains("conflicts show \(seen.number)"), "\(told)")
    }

    /// A word that is said again moves to the end of the list: the number that an operator read is another word's then.
    @Test func numbersOfCandidatesDoNotMoveUnsaid() async throws {
        let stage = try await Stage()
        try await stage.disputeAddress()
        let desk = OperatorDesk(try stage.world.hub("province"))
        func say(_ text: String) async throws -> CaseView {
            try stage.write("A2", "home_address", text)
            try await stage.world.push("A2")
            return try #require(try desk.cases().first)
        }
        func words(_ item: CaseView) -> [String?] { item.candidates.map { $0.values["home_address"] } }
        let seen = try await say("乙又写的")
        #expect(words(seen) == ["甲写的", "乙写的", "乙又写的"])
        let now = try await say("乙写的")
        #expect(words(now) == ["甲写的", "乙又写的", "乙写的"])
        #expect(now.version > seen.version)
        #expect(try refusal { _ = try desk.take(seen.number, candidate: 2, verdict(seen.version)) }.contains("has changed"))
    }

    /// Who decides whether a row lives decides on what was written in it.
    @Test func aRowsLifeIsShownWithWhatTheDeleterHadNotSeen() async throws {
        let stage = try await Stage()
        let before = try #require(try stage.value("A1", "home_address"))
        try stage.write("A1", "home_address", "删者没见过的")
        try stage.world.node("A2").remove(stage.form, stage.row, author: "A2")
        for name in ["A1", "A2"] { try await stage.world.sync(name) }
        let open = try #require(try OperatorDesk(try stage.world.hub("province")).cases().first)
        #expect(open.kind == "life")
        #expect(open.shown == ["home_address": "删者没见过的"] && open.base == ["home_address": before], "\(open)")
        // The ministry hears of the delete from the province, and of what stood against it.
        _ = try OperatorDesk(try stage.world.hub("province")).take(open.number, candidate: 1, verdict())
        try await stage.settleAndAgree()
    }

    @Test func someFieldsOfACandidateAreTaken() async throws {
        let stage = try await Stage()
        let form = try #require(Embedded.catalogue["general.student.basic"])
        var row: RowID?
        try stage.world.node("A1").list(form: form, limit: 1) { row = $0.id }
        let student = try #require(row)
        for (node, name, birth) in [("A1", "示例癸", "2008-10-21"), ("A2", "示例子", "2008-10-22")] {
            try stage.world.node(node).change(
                form, student, [form.field(named: "student_name"): .text(name), form.field(named: "birth_date"): .text(birth)], author: node)
            try await stage.world.sync(node)
        }
        let desk = OperatorDesk(try stage.world.hub("province"))
        let open = try #require(try desk.cases().first)
        #expect(Set(open.group).isSuperset(of: ["student_name", "birth_date"]), "one group, one case")
        let other = try #require(open.candidates.first { $0.values != open.shown })
        #expect(throws: Failure.self) { try desk.take(open.number, candidate: other.candidate, fields: ["nation"], verdict()) }
        let why = Verdict(who: "操作员", reason: "核实", version: open.version, explanation: "证件上的日期有误")
        let taken = try desk.take(open.number, candidate: other.candidate, fields: ["姓名"], why)
        #expect(taken.taken == "candidate \(other.candidate) in student_name")
        let values = try #require(try stage.world.hub("province").values(form, student))
        #expect(values[try form.field(named: "student_name")].shown == other.values["student_name"])
        #expect(values[try form.field(named: "birth_date")].shown == open.shown["birth_date"])
        _ = try desk.undo(taken.decision, verdict())
        #expect(try desk.cases().map(\.shown) == [open.shown])
    }

    @Test(arguments: ["", "  ", "\n\t", "　"]) func aBlankReasonIsNone(reason: String) async throws {
        let stage = try await Stage()
        try await stage.disputeAddress()
        let desk = OperatorDesk(try stage.world.hub("province"))
        let open = try #require(try desk.cases().first)
        let blank = Verdict(who: "操作员", reason: reason)
        #expect(throws: Failure.self) { try desk.take(open.number, candidate: 1, blank) }
        #expect(throws: Failure.self) { try desk.handBack(open.number, blank) }
        #expect(throws: Failure.self) { try desk.bulk(CaseFilter(), take: .newest, blank, dryRun: true) }
        #expect(try desk.journal().isEmpty && desk.cases().map(\.number) == [open.number])
    }
}
