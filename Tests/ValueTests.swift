import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Texts that look alike, or begin with what nobody sees, are what was typed, byte for byte.
@Suite struct ValueTests {
    private static let form = Embedded.catalogue["general.class"]!
    /// A compatibility ideograph and the unified one, which Unicode calls canonically equal; é in its two spellings.
    private static let alike = [("\u{F9DC}山", "\u{9686}山"), ("cafe\u{301}", "caf\u{E9}")]

    @Test func alikeIsNotEqual() {
        for (a, b) in Self.alike {
            #expect(a == b, "or the test would show nothing")
            #expect(Value.text(a) != .text(b) && Set([Value.text(a), .text(b)]).count == 2)
        }
        let equal = [Value.null, .integer(7), .real(0.5), .text(""), .text(String(repeating: "隆", count: 40))]
        for (index, value) in equal.enumerated() {
            #expect(equal.firstIndex(of: value) == index && value.hashValue == equal[index].hashValue)
        }
    }

    /// The correction of a character by its look-alike arrives; two who type one of each apart are asked about.
    @Test(arguments: alike) func aCorrectionBetweenThemIsOne(_ typed: String, _ corrected: String) async throws {
        let name = try Self.form.field(named: "班级名称")
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        for text in [typed, corrected] {
            try world.node("A1").change(Self.form, row, [name: .text(text)], author: "A1")
            try await world.settle()
            for hub in ["province", "ministry"] {
                let value = try world.hub(hub).values(Self.form, row)?[name]
                #expect(value.map { Array($0.shown.utf8) } == Array(text.utf8), "\(hub)")
            }
            #expect(Set(try world.digests(school: "A").values).count == 1)
        }
        try world.node("A1").change(Self.form, row, [name: .text("另名")], author: "A1")
        try await world.settle()
        for (node, text) in [("A1", typed), ("A2", corrected)] {
            try world.node(node).change(Self.form, row, [name: .text(text)], author: node)
            try await world.push(node)
        }
        let open = try OperatorDesk(world.hub("province")).cases()
        #expect(open.map { $0.candidates.map { Array($0.values["class_name"]!.utf8) } } == [[Array(typed.utf8), Array(corrected.utf8)]], "\(open)")
    }

    /// What history, cases and staged rows keep as JSON is what was typed.
    @Test func whatIsKeptAsJSONComesBack() throws {
        let texts = [
            "\u{FEFF}甲", "甲\u{FEFF}", "a\"\u{FEFF}b", "a\n\u{FEFF}b", "\\\u{FEFF}", "\u{FEFF}", "，（\u{1F600}）", "a\u{0}b", "\u{2028}", "", "  甲 ", "null", "[1]",
        ] + Self.alike.flatMap { [$0, $1] }
        let values = texts.map { Value.text($0) } + [.null, .integer(.max), .integer(.min), .real(0.1)]
        #expect(ValuesJSON.decode(ValuesJSON.encode(values)) == values)
        for value in values {
            let name = try Self.form.field(named: "班级名称")
            #expect(try StagedValues.decode(Self.form, StagedValues.encode(Self.form, [name: value])) == [name: value])
        }
    }

    /// What says more than a date is kept as it was typed, for the rules to find: a part of it would be another word.
    @Test(arguments: [
        ("2023年9月", "2023-09"), ("2023.9", "2023-09"), ("202309", "2023-09"), ("2023-09-15", "2023-09"), ("２０２３／９", "2023-09"),
        ("2023年9月至2024年6月", nil), ("约2023.9（待核）", nil), ("2023-09-15 12", nil), ("不详", nil),
    ]) func aMonthIsReadWhereNothingElseIsSaid(_ typed: String, _ month: String?) throws {
        let field = Self.form.fields[try Self.form.field(named: "建班年月")]
        #expect(try Normaliser(catalogue: Embedded.catalogue).value(typed, for: field) == .text(month ?? typed))
    }
}
