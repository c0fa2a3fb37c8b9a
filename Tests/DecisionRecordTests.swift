import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Decisions travel: down to the school with their reason, up to the ministry, as rows that nobody else writes.
@Suite struct DecisionRecordTests {
    private func verdict(_ reason: String) -> Verdict { Verdict(who: "操作员", reason: reason) }

    private func homeAddresses() async throws -> zzsync.World {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.student.attribute"]!
        try await world.settle()
        for (name, text) in [("A1", "示例路1号"), ("A2", "示例路2号")] {
            try world.node(name).change(row.form, row.row, [try row.form.field(named: "home_address"): .text(text)], author: name)
        }
        try await world.settle()
        return world
    }

    /// The records of school A as every replica has them.
    private func records(_ world: zzsync.World) throws -> [[DecisionRecord]] {
        var all = try ["A1", "A2"].map { try world.node($0).decisions(form: nil) }
        for name in ["province", "ministry"] {
            all.append(
                try OperatorDesk(try world.hub(name)).decisions().map { record in
                    var record = record
                    record.school = nil
                    return record
                })
        }
        return all
    }

    @Test func aDecisionReachesSchoolAndMinistryWithItsReason() async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        let open = try #require(try desk.cases().first)
        #expect(open.base == ["home_address": "河南省郑州市中原区示例街 1 号"], "what both had before them")
        let taken = try desk.take(open.number, candidate: 2, verdict("户口簿为准"))
        try await world.settle()
        let all = try records(world)
        #expect(Set(all).count == 1, "the same at every replica")
        let record = try #require(all[0].first)
        #expect(all[0].count == 1)
        #expect(record.id == taken.record && record.kind == "take" && record.reason == "户口簿为准" && record.author == "操作员")
        #expect(record.hub == "41 province" && record.caseNumber == open.number && record.fields == ["home_address"])
        #expect(record.candidates.map(\.author) == open.candidates.map(\.author))
        #expect(record.result == open.candidates[1].values && record.base == open.base)
        let steps = try world.node("A2").trace(form: Embedded.catalogue["general.student.attribute"]!, row: RowID(Int64(record.row)!))
        #expect(steps.contains { $0.step == "decided" && $0.detail.contains("户口簿为准") && $0.detail.contains("操作员") })

        _ = try desk.undo(taken.decision, verdict("看错了"))
        try await world.settle()
        let after = try records(world)
        #expect(Set(after).count == 1 && after[0].map(\.kind) == ["take", "undo"])
        #expect(after[0].first?.isUndone == true && after[0].last?.undoes == record.id)
    }

    @Test func aDecisionOfTheMinistryComesDown() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.student.attribute"]!
        try await world.settle()
        let field = try row.form.field(named: "home_address")
        try world.hub("ministry").change(row.form, row.row, [field: .text("部级路1号")], author: "部级", now: world.clock.now)
        try world.node("A1").change(row.form, row.row, [field: .text("示例路2号")], author: "业务员")
        try await world.sync("A1")
        try await world.push("province")
        let desk = OperatorDesk(try world.hub("ministry"))
        let open = try #require(try desk.cases().first)
        _ = try desk.take(open.number, candidate: 1, verdict("部级核定"))
        try await world.settle()
        #expect(try world.node("A1").decisions(form: row.form).map(\.reason) == ["部级核定"])
        #expect(try world.node("A1").decisions(form: Embedded.catalogue["general.class"]!).isEmpty)
        #expect(try OperatorDesk(try world.hub("province")).decisions().map(\.hub) == ["00 ministry"])
    }

    @Test(arguments: [
        "INSERT INTO system_decision (kind, reason) VALUES ('take', 'x')", "UPDATE system_decision SET reason = 'x'",
        "DELETE FROM system_decision",
    ]) func anotherProgramMayNotWriteThem(_ sql: String) async throws {
        let world = try await homeAddresses()
        let desk = OperatorDesk(try world.hub("province"))
        _ = try desk.take(try #require(try desk.cases().first).number, candidate: 1, verdict("核对"))
        try await world.settle()
        let node = try world.node("A1")
        #expect { try node.database.write { try $0.execute(sql: sql) } } throws: { "\($0)".contains("written by the hub alone") }
        #expect(try node.decisions(form: nil).map(\.reason) == ["核对"])
        #expect(try node.status().pendingRows == 0)
    }

    /// A program that sends what only hubs write is not believed: its segment waits in quarantine, the node's next one does not.
    @Test func aNodeThatSendsThemIsQuarantined() async throws {
        let world = try await homeAddresses()
        let node = try world.node("A1")
        let record = DecisionRecord(
            id: RowID(7), hub: "41 province", caseNumber: 1, kind: "take", form: "general.class", row: RowID(1), key: "", author: "谁",
            at: 0, reason: "伪造")
        let scope = try #require(try node.scope())
        let replica = try world.session("A1").replica
        try await node.database.write { db in
            var sealer = try Sealer(
                db, scope: scope, site: replica.keys.site, key: replica.keys.signing, catalogue: node.catalogue, now: 0)
            let form = SystemForms.decision
            try sealer.add(
                form: form, row: RowID(7), life: .alive, mask: form.allFields,
                stamp: Stamp(origin: replica.keys.site, author: "谁", time: 0)
            ) { $1.append(record.values[$0]) }
            try sealer.finish()
        }
        try await world.push("A1")
        let hub = try world.hub("province")
        #expect(try hub.inbox.quarantined().map { $0.reason.contains("written by hubs alone") } == [true])
        #expect(try OperatorDesk(hub).decisions().isEmpty)
    }

    @Test func distinctReachesTheMinistryWhichDoesNotAskAgain() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "B1"])
        let form = Embedded.catalogue["general.student.basic"]!
        for (name, person) in [("A1", "示例癸"), ("B1", "示例子")] {
            let values = ["id_document_type": "A", "id_number": "SL0001", "student_name": person, "sex": "1", "birth_date": "2008-11-05"]
            var set: [Int: Value] = [:]
            for (field, text) in values { set[try form.field(named: field)] = .text(text) }
            _ = try world.node(name).add(form, set, author: "业务员")
        }
        try await world.settle()
        let province = OperatorDesk(try world.hub("province")), ministry = OperatorDesk(try world.hub("ministry"))
        #expect(try province.cases().map(\.kind) == ["twins"])
        #expect(try ministry.cases().map(\.kind) == ["twins"])
        #expect(try province.cases()[0].rows?.map { $0.values["student_name"] ?? "" }.sorted() == ["示例子", "示例癸"])
        let marked = try province.distinct(try province.cases()[0].number, verdict("号段巧合"))
        try await world.settle()
        #expect(try ministry.cases().isEmpty, "the ministry is told, and does not ask again")
        for name in ["A1", "B1"] { #expect(try world.node(name).decisions(form: form).map(\.reason) == ["号段巧合"], "both schools read it") }
        _ = try province.undo(marked.decision, verdict("查错了"))
        try await world.settle()
        #expect(try province.cases().count == 1 && ministry.cases().count == 1, "both ask again")
        _ = try province.distinct(try province.cases()[0].number, verdict("还是两人"))
        try await world.settle()
        #expect(try province.cases().isEmpty && ministry.cases().isEmpty)
        let closed = try ministry.show(1)
        #expect { try ministry.distinct(closed.number, verdict("迟了")) } throws: {
            "\($0)".contains("操作员, 41 province") && "\($0)".contains("closed by")
        }
    }
}
