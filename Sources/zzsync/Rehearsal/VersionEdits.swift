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
    static let partKeys = [
        "fields": ["form", "number", "id", "title", "type"], "groups": ["form", "name", "fields"], "forms": ["number", "id", "title", "columns"],
    ]
    /// Types that need nothing more than their name.
    private static let types = ["text", "integer", "decimal", "date", "year_month", "phone", "region", "flag", "id_number"]

    /// A mistake in the block, and under which of its keys it stands.
    struct Trouble {
        let key: String, what: String, next: String
    }

    /// What no catalogue can be made of; nil where one can be tried.
    func trouble(_ installed: Catalogue) -> Trouble? {
        do throws(Failure) {
            for edit in fields ?? [] { if let trouble = trouble(edit, try installed.form(named: edit.form)) { return trouble } }
        } catch { return Trouble(key: "fields", what: error.what, next: error.next) }
        do throws(Failure) {
            for edit in groups ?? [] { if let trouble = try trouble(edit, installed.form(named: edit.form)) { return trouble } }
        } catch { return Trouble(key: "groups", what: error.what, next: error.next) }
        for form in forms ?? [] {
            if form.columns.isEmpty || form.columns.contains(where: { !Self.isColumn(String($0.prefix { $0 != " " })) || !$0.contains(" ") }) {
                return Trouble(key: "forms", what: "columns of '\(form.id)' are not \"column heading\"", next: "Write columns = [\"hobby_number 编号\", …], the key first.")
            }
            if !(1..<SystemForms.firstNumber).contains(form.number) || installed[number: form.number] != nil || installed[form.id] != nil {
                let taken = installed.forms.map { "\($0.number) \($0.id)" }.joined(separator: ", ")
                return Trouble(key: "forms", what: "number \(form.number) or id '\(form.id)' cannot be that of a new form", next: "Taken are \(taken).")
            }
        }
        return nil
    }

    private func trouble(_ edit: AddedField, _ form: Form) -> Trouble? {
        let last = form.fields.last?.number ?? 0
        guard last < edit.number, edit.number <= FieldMask.fieldNumberMax else {
            return Trouble(
                key: "fields", what: "\(edit.number) cannot be the number of a new field of \(form.title)",
                next: "Numbers go from \(last + 1) to \(FieldMask.fieldNumberMax).")
        }
        guard Self.isColumn(edit.id), form.fieldIndex(id: edit.id) == nil, !edit.title.isEmpty else {
            return Trouble(
                key: "fields", what: "'\(edit.id)' \(edit.title) cannot be a new field of \(form.title)",
                next: "The id is a column that is free, of small letters, digits and _; the title is not empty.")
        }
        guard Self.types.contains(edit.type ?? "text") else {
            return Trouble(key: "fields", what: "'\(edit.type ?? "")' is no type of a field", next: "Types are \(Self.types.joined(separator: ", ")).")
        }
        return nil
    }

    private func trouble(_ edit: JoinedFields, _ form: Form) throws(Failure) -> Trouble? {
        for name in edit.fields {
            let index = try form.field(named: name)
            guard form.groups.contains(where: { $0.fields == [index] }), !form.choiceFields.contains(where: { $0.flags.contains { $0.field == index } }) else {
                return Trouble(key: "groups", what: "'\(name)' of \(form.title) cannot join a group", next: "It has one already, or is a choice: name a field that is alone.")
            }
        }
        return nil
    }

    private static func isColumn(_ word: String) -> Bool {
        !word.isEmpty && word.utf8.first! >= 0x61 && word.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x5F }
    }

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
