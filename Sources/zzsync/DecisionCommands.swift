// decisions, hub conflicts decisions: what was decided about a school's rows, at the school and at every hub.

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
            Terminal.line("\(school)\(form?.title ?? record.form) \(record.key)\t\(record.told(form))")
        }
        Terminal.line("\(count) decisions.")
    }
}
