// Another version of the catalogue for a rehearsal or a simulation: the installed one with a few edits, made in the text of its
// files as a province would make them.

import Foundation
import Shared

/// One `[[version]]` block of a case file.
struct VersionEdits: Decodable, Sendable {
    struct AddedField: Decodable, Sendable {
        var form: String
        var number: Int
        var id: String
        var title: String
        var type: String?
    }
    struct JoinedFields: Decodable, Sendable {
        var form: String
        /// The group's name; fields of one name merge together.
        var name: String
        var fields: [String]
    }
    struct AddedForm: Decodable, Sendable {
        var number: Int
        var id: String
        var title: String
        /// "column heading", the first one the key.
        var columns: [String]
    }

    /// By which steps call it.
    var name: String
    /// Who works with it from the beginning.
    var sites: [String]?
    var fields: [AddedField]?
    var groups: [JoinedFields]?
    var forms: [AddedForm]?

    static let keys = ["name", "sites", "fields", "groups", "forms"]

    func compile(from installed: Catalogue) throws(Failure) -> Catalogue {
        var texts = Dictionary(uniqueKeysWithValues: installed.files.map { ($0.name, $0.text) })
        for edit in fields ?? [] {
            let file = Self.file(try installed.form(named: edit.form).id)
            texts[file]! += Self.block(number: edit.number, id: edit.id, title: edit.title, type: edit.type ?? "text")
        }
        for edit in groups ?? [] {
            let form = try installed.form(named: edit.form)
            let file = Self.file(form.id)
            for name in edit.fields {
                let line = "\nid = \"\(form.fields[try form.field(named: name)].id)\"\n"
                texts[file] = texts[file]!.replacing(line, with: line + "group = \"\(edit.name)\"\n")
            }
        }
        for form in forms ?? [] { texts[Self.file(form.id)] = Self.text(of: form) }
        return try CatalogueLoader.compile(texts.map { CatalogueFile(name: $0.key, text: $0.value) })
    }

    private static func file(_ form: String) -> String { "forms/\(form).toml" }

    private static func text(of form: AddedForm) -> String {
        let columns = form.columns.map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
        let example = columns.enumerated().map { "\($1[0]) = \"示例\($0 + 1)\"" }.joined(separator: "\n")
        let head = """
            id = "\(form.id)"
            number = \(form.number)
            module = "综合信息"
            section = "其他"
            title = "\(form.title)"
            period = "continuous"
            key = ["\(columns[0][0])"]
            prerequisites = []
            [levels]
            [example]
            \(example)

            """
        return head + columns.enumerated().map { block(number: $0 + 1, id: $1[0], title: $1.last!, type: "text") }.joined()
    }

    private static func block(number: Int, id: String, title: String, type: String) -> String {
        """

        [[field]]
        number = \(number)
        id = "\(id)"
        title = "\(title)"
        type = "\(type)"
        owner = "school"
        policy = "manual"
        privacy = "internal"
        status = "provisional"

        """
    }
}
