// decisions, confirm, hub conflicts decisions: what was decided or asked about a school's rows, at the school and at every hub.

import ArgumentParser
import Hub
import Node
import Shared

struct Decisions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What hubs decided about this school's rows, with reasons; also what was returned to the school.")
    @OptionGroup var options: Options
    @Argument(help: "Only of this form.") var form: String?

    func run() throws {
        let node = try options.openNode()
        let form = try form.map { try node.catalogue.form(named: $0) }
        try node.decisions(form: form).show(options, node.catalogue)
    }
}

struct Confirm: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer what a hub has returned to the school: the values as they stand are right.",
        discussion: """
            Nothing is written to the row; the answer goes up with the next sync, to whichever hub has asked. Another person, or the
            same one with another reason, may confirm it too: the hub shows every answer. To answer with another value, `put` it.
            """)
    @OptionGroup var options: Options
    @Argument(help: "Form id, path or template name.") var form: String
    @Argument(help: "The row's natural key, or its id.") var key: [String]
    @Option(help: "Only a question about this field; may be given several times.") var field: [String] = []
    @Option(help: "Why they are right; the hub's operator will read it.") var reason: String

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        let fields = try field.map { try form.field(named: $0) }
        let answers = try node.confirm(form: form, key: key, fields: fields, reason: reason, author: options.user)
        let (new, old) = (answers.filter { !$0.isRepeated }.map(\.answer), answers.filter(\.isRepeated).map(\.answer))
        if options.json { return Terminal.json(["answers": new, "confirmed_already": old]) }
        for (answer, word) in new.map({ ($0, "confirmed") }) + old.map({ ($0, "confirmed already, with this reason") }) {
            let said = answer.confirmed.sorted { $0.key < $1.key }.map { column, value in
                "\(form.fields.first { $0.id == column }?.title ?? column)=\(value)"
            }
            Terminal.line("\(form.title) \(answer.key)\t\(word): \(said.joined(separator: "  "))")
        }
        Terminal.line("\(new.count) answers; they go up with the next sync.")
    }
}

struct ConflictsDecisions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decisions", abstract: "Every decision about the schools of this hub, its own and those of other hubs.")
    @OptionGroup var options: Options
    @Option(help: "Only of this form.") var form: String?
    @Option(help: "Only of this school.") var school: String?

    func run() throws {
        let home = try options.openHub()
        let form = try form.map { try home.catalogue.form(named: $0) }
        try OperatorDesk(home).decisions(form: form, school: school).show(options, home.catalogue)
    }
}

extension [DecisionRecord] {
    fileprivate func show(_ options: Options, _ catalogue: Catalogue) {
        if options.json { return Terminal.json(["decisions": self]) }
        for record in self {
            let form = catalogue[record.form]
            let school = record.school.map { "\($0)\t" } ?? ""
            Terminal.line("\(school)\(form?.title ?? record.form) \(record.key)\t\(record.told(form).onOneLine)")
        }
        Terminal.line("\(count) decisions.")
    }
}
