import Foundation
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// What a clerk or an operator types as field=value, and rows of which it is not clear which one is meant.
@Suite struct EntryTests {
    private static let form = Embedded.catalogue["general.class"]!

    // MARK: a field named twice

    @Test(arguments: [
        (["计划人数=60", "计划人数=61"], "计划人数 is named twice: '计划人数=60' and '计划人数=61'"),
        (["计划人数=60", "班号=1", "planned_size=60"], "计划人数 is named twice: '计划人数=60' and 'planned_size=60'"),
        (["计划人数=", "计划人数=61"], "计划人数 is named twice"),
    ])
    func aFieldIsNamedOnce(words: [String], said: String) throws {
        let failure = #expect(throws: Failure.self) { try Self.form.assignments(words, catalogue: Embedded.catalogue) }
        #expect(failure?.kind == .usage && failure?.what.contains(said) == true, "\(failure as Any)")
    }

    @Test func everyVerbRefusesAFieldNamedTwice() async throws {
        let (world, twin) = try await twins()
        let (node, province) = (try world.node("A1"), try world.hub("province"))
        let school = try world.schoolCode("A")
        let before = try node.get(form: Self.form, key: ["\(twin)"])?.values
        for words in [["put", "班级信息"], ["list", "班级信息", "--where"]] {
            let twice = words.last == "--where" ? ["计划人数=1", "--where", "planned_size=2"] : ["班号=20240101", "计划人数=1", "planned_size=2"]
            try await run(node.directory, words + twice).expect(2, "计划人数 is named twice", "Leave one of them")
        }
        try await run(province.directory, ["hub", "put", "班级信息", "--school", school, "班号=20240101", "计划人数=1", "planned_size=2"])
            .expect(2, "计划人数 is named twice")
        let item = try #require(try OperatorDesk(province).cases().first)
        try await run(province.directory, ["hub", "conflicts", "set", "\(item.number)", "计划人数=1", "计划人数=2", "--reason", "核实", "--version", "\(item.version)"])
            .expect(2, "计划人数 is named twice")
        #expect(try node.get(form: Self.form, key: ["\(twin)"])?.values == before)
    }

    // MARK: two rows of one key

    private func run(_ home: String, _ words: [String]) async throws -> Ended {
        try await Programs.run(Programs.zzsync, words + ["--home", home, "--as", "王芳"])
    }

    /// A1 and A2 have each typed the class T1; both are everywhere.
    ///
    /// - Returns: the row that A2 has typed.
    private func twins() async throws -> (world: zzsync.World, row: RowID) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let (number, name) = (try Self.form.field(named: "班号"), try Self.form.field(named: "班级名称"))
        _ = try world.node("A1").add(Self.form, [number: .text("T1"), name: .text("甲班")], author: "王芳")
        let row = try world.node("A2").add(Self.form, [number: .text("T1"), name: .text("乙班")], author: "李娜")
        try await world.settle()
        return (world, row)
    }

    @Test func ofTwoRowsOfAKeyNoneIsTakenUnasked() async throws {
        let (world, row) = try await twins()
        let node = try world.node("A1")
        let first = try #require(try node.get(form: Self.form, key: ["T1"]))
        let other = try #require(try node.twins(form: Self.form, of: first).first)
        let ids = [first.id, other.id].map(\.description)
        #expect(ids.contains(row.description))
        let digest = try node.digests().mapValues(\.digest)
        // Neither deletes, changes or traces one of them.
        for words in [["delete", "班级信息", "T1"], ["put", "班级信息", "班号=T1", "计划人数=33"], ["trace", "班级信息", "T1"]] {
            let ended = try await run(node.directory, words).expect(3, "has 2 rows with 班号 T1: \(ids.joined(separator: ", "))", "which is meant is not said")
            #expect(!ended.err.contains("--update"), "no option that the verb lacks: \(ended.err)")
        }
        #expect(try node.digests().mapValues(\.digest) == digest, "nothing was written")
        // Both are shown, by the key and by the id of either.
        for key in ["T1"] + ids {
            try await run(node.directory, ["get", "班级信息", key]).expect(0, "甲班", "乙班", "The same key, not decided yet", ids[0], ids[1])
        }
        let document = try await run(node.directory, ["get", "班级信息", "T1", "--json"]).expect(0).json()
        #expect(document["id"] as? String == ids[0] && (document["twins"] as? [[String: Any]])?.first?["id"] as? String == ids[1])
        let alone = try await run(node.directory, ["get", "班级信息", "20240101", "--json"]).expect(0).json()
        #expect(alone["twins"] == nil, "a row that is alone looks as before")
        // By its id a row is named.
        try await run(node.directory, ["trace", "班级信息", ids[1]]).expect(0, "merged")
        try await run(node.directory, ["delete", "班级信息", ids[1]]).expect(0, "row \(ids[1]) deleted")
        try await run(node.directory, ["put", "班级信息", "班号=T1", "计划人数=33"]).expect(0, "row \(ids[0]) changed")
        #expect(try node.twins(form: Self.form, of: first).isEmpty)
    }

    /// The school answers by the key it knows; which of the two rows the hub has asked about it need not know.
    @Test func aQuestionAboutTwinsIsAnsweredByTheKey() async throws {
        let (world, _) = try await twins()
        let desk = OperatorDesk(try world.hub("province"))
        let item = try #require(try desk.cases(kind: "twins").first)
        _ = try desk.handBack(item.number, Verdict(who: "操作员", reason: "是同一个班吗？"))
        try await world.settle()
        for node in ["A1", "A2"] {
            let given = try world.node(node).confirm(form: Self.form, key: ["T1"], fields: [], reason: "是两个班", author: node)
            #expect(given.map(\.isRepeated) == [false])
        }
        try await world.settle()
        #expect(Set(try desk.show(item.number).confirmed.map(\.author)) == ["A1", "A2"])
    }

    /// The rule's own advice stands wherever the rule is told, also where there is no --update.
    @Test func theRuleOfUniqueKeysNamesNoOption() {
        for form in Embedded.catalogue.forms {
            for rule in form.rules where rule.kind == .uniqueKey { #expect(!rule.fix.contains("--"), "\(rule.fix)") }
        }
    }
}
