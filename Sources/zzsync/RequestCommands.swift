// hub requests: what schools asked for against its owner's value.

import ArgumentParser
import Hub
import Shared

struct HubRequests: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "requests", abstract: "Change requests: values that schools asked for and their owners have not agreed to.",
        discussion: "A request closes itself when the owner's value agrees; `hub conflicts take REQUEST CANDIDATE` answers one.",
        subcommands: [RequestsList.self, RequestsShow.self, RequestsExport.self])
}

/// Which requests.
struct RequestFilter: ParsableArguments {
    @Option(help: "Only of this form.") var form: String?
    @Option(help: "Only of this school.") var school: String?
    @Flag(help: "Those that are closed too.") var all = false

    func requests(_ home: HubHome) throws -> [ChangeRequest] {
        try OperatorDesk(home).requests(form: try form.map { try home.catalogue.form(named: $0) }, school: school, all: all)
    }
}

extension ChangeRequest {
    fileprivate func titled(_ values: [String: String], _ catalogue: Catalogue) -> String {
        values.sorted { $0.key < $1.key }.map { key, value in
            "\(catalogue[form]?.fields.first { $0.id == key }?.title ?? key)=\(value)"
        }.joined(separator: " ")
    }
}

struct RequestsList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the open requests.")
    @OptionGroup var options: Options
    @OptionGroup var filter: RequestFilter

    func run() throws {
        let home = try options.openHub()
        let requests = try filter.requests(home)
        if options.json { return Terminal.json(["requests": requests]) }
        for request in requests {
            let asked = request.asked.map { request.titled($0.values, home.catalogue) }.joined(separator: " | ")
            Terminal.line(
                "\(request.number)\t\(request.state.rawValue)\t\(request.school)\t\(request.form) \(request.key)\t\(request.titled(request.stands, home.catalogue)) → \(asked)")
        }
        Terminal.line("\(requests.count) requests.")
    }
}

struct RequestsShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one request.")
    @OptionGroup var options: Options
    @Argument(help: "The request's number.") var number: Int64

    func run() throws {
        let home = try options.openHub()
        let request = try OperatorDesk(home).request(number)
        if options.json { return Terminal.json(request) }
        Terminal.line("Request \(number), \(request.state.rawValue), school \(request.school), \(request.form) \(request.key)")
        Terminal.line("  stands  \(request.titled(request.stands, home.catalogue)), by \(request.standsBy)")
        Terminal.line("     asked for because: \(request.reason) [\(request.policy)]")
        for asked in request.asked {
            Terminal.line("  asked   \(request.titled(asked.values, home.catalogue))  by \(asked.author) at \(Terminal.time(asked.time)), from \(asked.from)")
        }
        if let closed = request.closedAt { Terminal.line("  closed  \(Terminal.time(closed))  \(request.answer)") }
    }
}

struct RequestsExport: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "export", abstract: "Write the requests as a workbook for their owners.")
    @OptionGroup var options: Options
    @OptionGroup var filter: RequestFilter
    @OptionGroup var file: OutputOptions

    func run() throws {
        let home = try options.openHub()
        let output = try file.path()
        let count = try OperatorDesk(home).exportRequests(try filter.requests(home), to: output)
        if options.json { return Terminal.json(["file": output, "rows": "\(count)"]) }
        Terminal.line("\(count) asked-for values written to \(output).")
    }
}
