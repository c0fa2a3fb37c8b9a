import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// A case about a whole row is another version of itself once one of its rows was written: who saw it before has not seen that.
@Suite struct WholeRowCaseTests {
    typealias Place = (form: Form, row: RowID)

    /// What an operator saw cannot be decided once `write` came, though it is nobody's candidate; as it is shown now it can.
    private func expectAnotherVersion(
        of kind: String, in world: zzsync.World, since write: () async throws -> Void,
        _ decide: (OperatorDesk, Int64, Verdict) throws -> JournalEntry
    ) async throws {
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        let seen = try #require(try desk.cases().first)
        #expect(seen.kind == kind)
        func verdict(_ version: Int) -> Verdict { Verdict(who: "操作员", reason: "核实", version: version) }
        try await write()
        try await world.settle()
        let now = try #require(try desk.cases().first)
        #expect(now.number == seen.number && now.version > seen.version)
        #expect { _ = try decide(desk, seen.number, verdict(seen.version)) } throws: { "\($0)".contains("has changed") }
        #expect(try desk.journal().isEmpty)
        _ = try decide(desk, seen.number, verdict(now.version))
        #expect(try desk.cases().isEmpty)
    }

    private func change(_ node: NodeHome, _ place: Place, _ field: String, _ text: String) throws {
        try node.change(place.form, place.row, [place.form.field(named: field): .text(text)], author: "业务员")
    }

    @Test(arguments: ["alive", "dead"]) func ofARowsLife(_ life: String) async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let campus = try #require(try world.node("A1").addExamples(author: "初始数据", school: "A")["general.school.campus"])
        try await world.settle()
        try change(world.node("A1"), campus, "contact_name", "示例丙")
        try world.node("A2").remove(campus.form, campus.row, author: "业务员")
        try await expectAnotherVersion(of: "life", in: world) {
            try change(world.node("A1"), campus, "contact_phone", "0371-00000009")
        } _: { desk, number, verdict in
            let candidate = try #require(try desk.cases().first?.candidates.first { $0.values["life"] == life })
            return try desk.take(number, candidate: candidate.candidate, verdict)
        }
    }

    /// In one school, and in two: there the case stands at one of them.
    @Test(arguments: [["A1", "A2"], ["A1", "B1"]], [0, 1]) func ofTwins(nodes: [String], writer: Int) async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        let form = try #require(Embedded.catalogue["general.student.basic"])
        var rows: [RowID] = []
        for (name, person) in zip(nodes, ["示例癸", "示例子"]) {
            let values = ["id_document_type": "A", "id_number": "SL0001", "student_name": person, "sex": "1", "birth_date": "2008-11-05"]
            rows.append(try world.node(name).add(form, values.reduce(into: [:]) { $0[try form.field(named: $1.key)] = .text($1.value) }, author: "业务员"))
        }
        try await expectAnotherVersion(of: "twins", in: world) {
            try change(world.node(nodes[writer]), (form, rows[writer]), "student_name", "示例丑")
        } _: { desk, number, verdict in try desk.distinct(number, verdict) }
    }
}
