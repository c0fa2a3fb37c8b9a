import Foundation
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Multi-choice fields: one flag per choice, so that different choices never meet.
@Suite struct ChoiceTests {
    private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/Shared/Catalogue").path

    private static let field = """

        [[field]]
        number = 20
        id = "facilities"
        title = "校区设施"
        type = "flag"
        codes = "facilities"
        choices = { library = 20, gym = 21, clinic = 22 }
        policy = "union"
        status = "provisional"
        """

    /// The base forms, with a field of three choices in the campus form.
    private static func files(_ field: String = field) throws -> [CatalogueFile] {
        var files = [CatalogueFile(name: "codes/facilities.tsv", text: "code\tname\nlibrary\t图书馆\ngym\t体育馆\nclinic\t医务室\n")]
        for part in ["forms", "codes"] {
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(sources)/\(part)") {
                var text = try String(contentsOfFile: "\(sources)/\(part)/\(name)", encoding: .utf8)
                if name == "general.school.campus.toml" {
                    let rules = text.range(of: "[[rule]]")?.lowerBound ?? text.endIndex
                    text.insert(contentsOf: field + "\n\n", at: rules)
                }
                files.append(CatalogueFile(name: "\(part)/\(name)", text: text))
            }
        }
        return files
    }

    private static let catalogue = try! CatalogueLoader.compile(files())
    private static var form: Form { catalogue["general.school.campus"]! }

    @Test func aFieldOfChoicesIsAFlagAndAGroupForEach() throws {
        let choice = try #require(Self.form.choiceField(named: "校区设施"))
        #expect(choice.flags.map(\.name) == ["图书馆", "体育馆", "医务室"])
        #expect(choice.flags.map { Self.form.fields[$0.field].id } == ["facilities_library", "facilities_gym", "facilities_clinic"])
        for flag in choice.flags {
            let group = try #require(Self.form.groups.first { $0.fields.contains(flag.field) })
            #expect(group.fields == [flag.field] && group.policy == .union)
        }
        let numbers = Self.form.fields.map(\.number)
        #expect(numbers == numbers.sorted())
    }

    @Test func aListIsReadAndShownAsPeopleWriteIt() throws {
        let choice = try #require(Self.form.choiceField(named: "facilities"))
        for typed in ["图书馆、医务室", "library, clinic", "医务室；图书馆"] {
            let values = try choice.values(typed)
            var row = Array(repeating: Value.null, count: Self.form.fields.count)
            for (field, value) in values { row[field] = value }
            #expect(choice.shown(row) == "图书馆、医务室", "\(typed)")
        }
        #expect(try choice.values("").values.allSatisfy { $0 == .null })
        #expect { try choice.values("图书馆、游泳馆") } throws: { "\($0)".contains("没有“游泳馆”这个选项") && "\($0)".contains("图书馆、体育馆、医务室") }
    }

    /// The field and one of its flags, or the field by both of its names.
    @Test(arguments: [["facilities=图书馆", "facilities_gym=1"], ["校区设施：图书馆=1", "校区设施=体育馆"], ["facilities=", "校区设施=图书馆"]])
    func aChoiceIsNamedOnce(_ words: [String]) {
        #expect { try Self.form.assignments(words, catalogue: Self.catalogue) } throws: {
            ($0 as? Failure)?.kind == .usage && "\($0)".contains("is named twice: '\(words[0])' and '\(words[1])'")
        }
    }

    /// Two nodes that had not seen each other, each with the list as it sees it.
    @Test func differentChoicesNeverConflictAndRemovingWorks() async throws {
        let world = try await zzsync.World(catalogue: Self.catalogue, nodes: ["A1", "A2"])
        let (form, row) = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.school.campus"]!
        let choice = try #require(form.choiceField(named: "校区设施"))
        try await world.settle()
        func choose(_ name: String, _ typed: String) throws { try world.node(name).change(form, row, try choice.values(typed), author: name) }
        func expect(_ shown: String) async throws {
            try await world.settle()
            for name in ["A1", "A2"] { #expect(choice.shown(try #require(try world.node(name).values(form, row))) == shown, "\(name)") }
            #expect(choice.shown(try #require(try world.hub("ministry").values(form, row))) == shown)
            #expect(try OperatorDesk(world.hub("province")).cases().isEmpty)
        }
        try choose("A1", "图书馆")
        try choose("A2", "体育馆")
        try await expect("图书馆、体育馆")
        try choose("A1", "体育馆")                          // takes the library out
        try choose("A2", "图书馆、体育馆、医务室")            // adds the clinic, with the library as it was
        try await expect("体育馆、医务室")
        #expect(try OperatorDesk(world.hub("province")).journal().isEmpty, "nobody had to decide anything")
        try choose("A1", "")
        try await expect("")
    }

    @Test func aWorkbookHasOneColumnForThem() async throws {
        let world = try await zzsync.World(catalogue: Self.catalogue, nodes: ["A1"])
        let node = try world.node("A1")
        _ = try node.addExamples(author: "初始数据", school: "A")
        let file = NSTemporaryDirectory() + "zz-choice-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Self.form.writeTemplate(to: file, catalogue: Self.catalogue)
        let header = try #require(try WorkbookReader(path: file).nextRow()).cells.compactMap(\.shown)
        #expect(header.contains("校区设施") && !header.contains { $0.contains("图书馆") })
        let key = Self.form.example["campus_number"]!.shown
        let needed = Self.form.fields.indices.filter { Self.form.fields[$0].required || Self.form.key.contains($0) }.map { Self.form.fields[$0] }
        func imported(_ typed: String) throws -> ImportReport {
            let book = try WorkbookWriter(path: file, sheet: "校区信息", header: needed.map(\.title) + ["校区设施"])
            try book.append(needed.map { Self.form.example[$0.id]!.shown } + [typed])
            try book.close()
            let report = try node.stage(form: Self.form, path: file, author: "甲", update: true, dryRun: false)
            if let batch = report.batch, report.errors.isEmpty { _ = try node.accept(batch: batch, author: "甲") }
            return report
        }
        let place = WorkbookColumn.name(needed.count) + "2"
        #expect(try imported("图书馆、泳池").errors.contains { $0.place == place && $0.message.contains("泳池") })
        let report = try imported("图书馆、医务室")
        try #require(report.errors.isEmpty, "\(report.errors)")
        let choice = try #require(Self.form.choiceField(named: "校区设施"))
        #expect(choice.shown(try #require(try node.get(form: Self.form, key: [key])).values) == "图书馆、医务室")
        _ = try imported("体育馆")
        #expect(choice.shown(try #require(try node.get(form: Self.form, key: [key])).values) == "体育馆", "a list is the whole list")
    }

    @Test(arguments: [
        ("clinic = 22 }", "pool = 22 }", "must number every code of facilities once: library, gym, clinic"), ("number = 20", "number = 19", "smallest"),
        ("type = \"flag\"", "type = \"text\"", "is of type flag"), ("codes = \"facilities\"", "codes = \"facility\"", "need the code set"),
        ("gym = 21", "gym = 20", "must ascend"), ("policy = \"union\"", "policy = \"newest\"\ngroup = \"g\"", "has no group"),
    ])
    func aWrongBlockNamesItsLine(old: String, new: String, said: String) throws {
        #expect(Self.field.contains(old))
        #expect { try CatalogueLoader.compile(Self.files(Self.field.replacingOccurrences(of: old, with: new))) } throws: {
            "\($0)".contains("general.school.campus.toml, line") && "\($0)".contains(said)
        }
    }
}
