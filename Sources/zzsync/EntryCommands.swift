// init, forms, put, get, list, delete, check: a clerk or administrator at a node.

import ArgumentParser
import Foundation
import GRDB
import Node
import Shared

struct Init: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a node that works at once, before any hub knows it.")
    @OptionGroup var options: Options
    @Option(help: "The school's 10-digit code.") var school: String
    @Option(help: "vocational_continuing, vocational_resumed, attached_classes or other_institution.") var type: String
    @Option(help: "The school's name.") var name: String
    @Option(help: "Region, six digits (GB/T 2260).") var region: String?

    func run() throws {
        let catalogue = try options.loadCatalogue()
        guard let types = catalogue.codeSets["school_type"], types.name(of: type) != nil else {
            throw Failure(
                .usage, "'\(type)' is no type of school.",
                next: "Use one of \(catalogue.codeSets["school_type"]?.entries.map(\.code).joined(separator: ", ") ?? "").")
        }
        guard school.utf8.count == 10, school.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
            throw Failure(.usage, "'\(school)' is no school code.", next: "A school code (学校标识码) has 10 digits.")
        }
        let info = SchoolInfo(code: school, name: name, type: type, region: region)
        let node = try NodeHome.create(try options.directory(), catalogue: catalogue, school: info)
        if options.json { return Terminal.json(["home": node.directory, "school": school]) }
        Terminal.line("Node for \(name) (\(school)) made in \(node.directory). Enter data now; join a hub when you have an invite.")
    }
}

struct Forms: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the forms, or the fields of one.")
    @OptionGroup var options: Options
    @Argument(help: "Form id, path or template name.") var form: String?

    func run() throws {
        let catalogue = try options.loadCatalogue()
        guard let form else {
            if options.json {
                return Terminal.json(catalogue.forms.map { ["id": $0.id, "path": $0.path, "template": $0.template ?? ""] })
            }
            for form in catalogue.forms {
                Terminal.line("\(form.id)\t\(form.path)\(form.template.map { "\t模板 \($0)" } ?? "")")
            }
            return
        }
        let found = try catalogue.form(named: form)
        if options.json {
            return Terminal.json(found.fields.map {
                ["id": $0.id, "title": $0.title, "type": $0.type.rawValue, "required": $0.required ? "yes" : "no"]
            })
        }
        Terminal.line("\(found.path)  (\(found.id), table \(found.table))")
        for (index, field) in found.fields.enumerated() {
            let marks = (found.key.contains(index) ? " key" : "") + (field.required ? " required" : "")
            Terminal.line("  \(field.id)\t\(field.title)\t\(field.type.rawValue)\(field.codes.map { " \($0)" } ?? "")\(marks)")
        }
    }
}

struct Put: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write one row: change the row with its key, or add it.", usage: "zzsync put FORM field=value ...",
        discussion: "A field may be named once. A key that two rows have is refused until one of them is gone or the two are decided.")
    @OptionGroup var options: Options
    @Argument var form: String
    @Argument(help: "field=value; field is a column or a Chinese heading.") var values: [String]

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        let values = try form.assignments(values, catalogue: node.catalogue)
        guard !values.isEmpty else { throw Failure(.usage, "No field=value is given.", next: "`zzsync forms \(form.id)` lists the fields.") }
        let result = try node.put(form: form, values: values, author: options.user)
        if options.json { return Terminal.json(form.json(result.row)) }
        Terminal.line("\(form.path): row \(result.row.id) \(result.created ? "added" : "changed").")
        for finding in result.findings { Terminal.line("  \(finding.level.rawValue): \(finding.message)（\(finding.fix)）") }
    }
}

struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show one row by its natural key or id, and any other row of its key.")
    @OptionGroup var options: Options
    @Argument var form: String
    @Argument(help: "The natural key's values, or the row's id.") var key: [String]

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        guard let row = try node.get(form: form, key: key) else { throw node.noSuchRow(form, key) }
        let twins = try node.twins(form: form, of: row)
        if options.json { return Terminal.json(form.json(row, twins: twins)) }
        show(row, form, node.catalogue)
        for twin in twins {
            Terminal.line("The same key, not decided yet:")
            show(twin, form, node.catalogue)
        }
    }

    private func show(_ row: StoredRow, _ form: Form, _ catalogue: Catalogue) {
        Terminal.line("\(form.path)  row \(row.id)")
        let flags = Set(form.choiceFields.flatMap { $0.flags.map(\.field) })
        for (index, (field, value)) in zip(form.fields, row.values).enumerated() where value != .null && !flags.contains(index) {
            let name = field.codes.flatMap { catalogue.codeSets[$0]?.name(of: value.shown) }
            Terminal.line("  \(field.title) (\(field.id)): \(value.shown)\(name.map { " \($0)" } ?? "")")
        }
        for choice in form.choiceFields { Terminal.line("  \(choice.title) (\(choice.id)): \(choice.shown(row.values))") }
    }
}

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the rows of a form.")
    @OptionGroup var options: Options
    @Argument var form: String
    @Option(name: .customLong("where"), help: "field=value; may be given more than once.") var filters: [String] = []
    @Option(help: "At most so many rows.") var limit: Int?

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        let filters = try form.assignments(filters, catalogue: node.catalogue).map { (field: $0.key, value: $0.value) }
        var rows: [JSONValue] = []
        try node.list(form: form, filters: filters, limit: limit) { row in
            if options.json {
                rows.append(form.json(row))
            } else {
                let shown = form.fields.indices.prefix(6).map { row.values[$0].shown }
                Terminal.line("\(row.id)\t\(shown.joined(separator: "\t"))")
            }
        }
        if options.json { Terminal.json(JSONValue.array(rows)) }
    }
}

struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Delete one row; the hub keeps what it was.",
        discussion: "Where two rows have the key, name the one by its id; `get` shows both.")
    @OptionGroup var options: Options
    @Argument var form: String
    @Argument(help: "The natural key's values, or the row's id.") var key: [String]

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        let row = try node.delete(form: form, key: key, author: options.user)
        if options.json { return Terminal.json(form.json(row)) }
        Terminal.line("\(form.path): row \(row.id) deleted.")
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the rules on one form or on all.")
    @OptionGroup var options: Options
    @Argument var form: String?

    struct Row: Encodable {
        let form: String, row: String, rule: String, level: String, message: String, fix: String
    }

    func run() throws {
        let node = try options.openNode()
        let forms = try form.map { [try node.catalogue.form(named: $0)] } ?? node.catalogue.forms
        let findings = try node.check(forms: forms)
        if options.json {
            return Terminal.json([
                "findings": findings.map {
                    Row(
                        form: $0.form, row: $0.row.description, rule: $0.rule, level: $0.level.rawValue, message: $0.message,
                        fix: $0.fix)
                }
            ])
        }
        for finding in findings {
            Terminal.line("\(finding.level.rawValue)\t\(finding.form) \(finding.row)\t\(finding.message)（\(finding.fix)）")
        }
        Terminal.line("\(findings.count) findings in \(forms.count) forms.")
    }
}
