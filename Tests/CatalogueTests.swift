import Foundation
import GRDB
import Testing

@testable import Node
@testable import Shared

/// The catalogue as data: it compiles, its examples are valid, and every rule is broken by the row that says it breaks it.
@Suite struct CatalogueTests {
    static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/Shared/Catalogue").path

    @Test func embeddedFilesAreThoseOfTheFolder() throws {
        let folder = try CatalogueLoader.load(directory: Self.sources)
        #expect(folder.hash == Embedded.catalogue.hash, "run `make catalogue-index`, then build again")
        #expect(Embedded.catalogue.forms.count == 11)
    }

    @Test func importOrderRespectsReferences() throws {
        let order = Dictionary(uniqueKeysWithValues: Embedded.catalogue.importable.map { ($0.id, $0.importOrder!) })
        for form in Embedded.catalogue.importable {
            for field in form.fields {
                guard let target = field.references?.form, let before = order[target], target != form.id else { continue }
                #expect(before < order[form.id]!, "\(form.id).\(field.id) refers to \(target), which is imported later")
            }
        }
    }

    /// A node with every form's example in it.
    private func school() throws -> (NodeHome, String) {
        let folder = NSTemporaryDirectory() + "zz-catalogue-\(UInt64.random(in: 0...UInt64.max))"
        let node = try NodeHome.create(
            folder, catalogue: Embedded.catalogue,
            school: SchoolInfo(code: "3641000001", name: "示例", type: "vocational_continuing", region: nil))
        try node.database.write { db in
            for form in Embedded.catalogue.forms { _ = try node.write(db, form, Self.example(form), onto: nil) }
        }
        return (node, folder)
    }

    private static func example(_ form: Form) -> [Int: Value] {
        Dictionary(uniqueKeysWithValues: form.example.map { (form.fieldIndex(id: $0.key)!, $0.value) })
    }

    @Test func examplesBreakNoRule() throws {
        let (node, folder) = try school()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let findings = try node.check(forms: Embedded.catalogue.forms)
        #expect(findings.isEmpty, "\(findings.map { "\($0.rule): \($0.message)" })")
    }

    @Test func everyRuleIsBrokenByItsRow() throws {
        let (node, folder) = try school()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for form in Embedded.catalogue.forms {
            for rule in form.rules where !rule.breaks.isEmpty {
                try node.database.write { db in
                    try db.inSavepoint {
                        var values: [Int: Value] = [:]
                        for (name, value) in rule.breaks {
                            let index = try #require(form.fieldIndex(id: name), "\(rule.id) breaks unknown field \(name)")
                            values[index] = value == .text("") ? .null : value
                        }
                        let number = try Int64.fetchOne(db, sql: "SELECT id FROM \(form.table)")
                        let id = RowID(try #require(number))
                        let sets = values.keys.map { "\(form.fields[$0].id) = ?" }.joined(separator: ", ")
                        let update = try HotStatement(db, "UPDATE \(form.table) SET \(sets) WHERE id = ?")
                        for (place, key) in values.keys.enumerated() { update.bind(place + 1, values[key]!) }
                        update.bind(values.count + 1, id.rawValue)
                        try update.run()
                        let broken = try node.rules.findings(db, form: form, rows: [id], scope: .node).map(\.rule)
                        #expect(broken.contains(rule.id), "\(rule.id) is not broken by \(rule.breaks); broken: \(broken)")
                        return .rollback
                    }
                }
            }
        }
    }

    @Test func aSecondRowOfOneKeyBreaksTheUniqueRule() throws {
        let (node, folder) = try school()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for form in Embedded.catalogue.forms where !form.key.isEmpty {
            try node.database.write { db in
                let twin = try node.write(db, form, Self.example(form), onto: nil)
                let broken = try node.rules.findings(db, form: form, rows: [twin], scope: .node).map(\.rule)
                #expect(broken.contains(form.id + ".unique"), "\(form.id)")
            }
        }
    }

    @Test(arguments: [
        ("forms/a.toml", "id = \"a\"\nnumber = 1\nnonsense = 3\n", "forms/a.toml"),
        ("forms/a.toml", "id = \"a\nnumber = 1\n", "line 1"),
    ])
    func badFilesNameTheirPlace(_ name: String, _ text: String, _ place: String) {
        #expect {
            try CatalogueLoader.compile([CatalogueFile(name: name, text: text)])
        } throws: { "\($0)".contains(place) }
    }

    @Test func aBrokenReferenceNamesFileAndLine() throws {
        let path = Self.sources + "/forms/general.class.toml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
            .replacing("references = \"general.major.major_number\"", with: "references = \"general.nowhere.number\"")
        #expect {
            try CatalogueLoader.compile([CatalogueFile(name: "forms/general.class.toml", text: text)])
        } throws: { "\($0)".contains("forms/general.class.toml, line") }
    }

    @Test(arguments: [
        ("11010519491231002X", true), ("440524188001010014", true), ("34052419800101001X", true),
        ("11010519491231002Y", false), ("110105194912310021", false), ("11010519491331002X", false), ("", false),
        ("1101051949123100", false), ("11010519491231002x", false),
    ])
    func citizenNumbers(_ text: String, _ isValid: Bool) {
        let bytes = Array(text.utf8)
        #expect(bytes.withUnsafeBufferPointer { CitizenNumber.isValid($0) } == isValid)
    }

    @Test(arguments: [("91350100M000100Y43", true), ("91350100M000100Y44", false), ("D2143569X", true), ("D21435690", false)])
    func creditCodes(_ text: String, _ isValid: Bool) {
        let bytes = Array(text.utf8)
        #expect(bytes.withUnsafeBufferPointer { CreditCode.isValid($0) } == isValid)
    }
}
