// hub conflicts: the operator's desk at the terminal.

import ArgumentParser
import Foundation
import Hub
import Shared

struct HubConflicts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts", abstract: "Cases: what two people disagree about.",
        subcommands: [
            ConflictsList.self, ConflictsShow.self, ConflictsTake.self, ConflictsSet.self, ConflictsMerge.self, ConflictsDistinct.self,
            ConflictsReturn.self, ConflictsBulk.self, ConflictsExport.self, ConflictsImport.self, ConflictsUndo.self, ConflictsJournal.self, ConflictsDecisions.self, ConflictsRehearse.self,
        ])
}

struct ConflictsList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the open cases.")
    @OptionGroup var options: Options
    @Option(help: "Only of this form.") var form: String?
    @Option(help: "Only of this school.") var school: String?
    @Option(help: "Only of this kind: cell, life, twins, owner, rule or clone.") var kind: String?
    @OptionGroup var filter: FilterOptions

    func run() throws {
        let home = try options.openHub()
        var words = filter.words
        for (key, value) in [("form", form), ("school", school), ("kind", kind)] {
            if let value { words.append("\(key)=\(value)") }
        }
        let cases = try OperatorDesk(home).cases(CaseFilter(words, catalogue: home.catalogue))
        if options.json { return Terminal.json(["cases": cases]) }
        for item in cases {
            Terminal.line(
                "\(item.number)\tversion \(item.version)\t\(item.kind)\t\(item.school)\t\(item.form) \(item.key)\t\(item.group.joined(separator: ","))\t\(item.sidesInWords)\(item.state)")
        }
        Terminal.line("\(cases.count) open cases.")
    }
}

extension CaseView {
    fileprivate var sidesInWords: String {
        switch kind {
        case "twins": "two rows"
        case "clone": "two machines"
        default: "\(candidates.count) candidates"
        }
    }
    /// What became of a return.
    fileprivate var state: String { isAnswered ? "\tanswered" : isReturned ? "\treturned" : "" }
}

struct ConflictsShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one case with its candidates.")
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64

    func run() throws {
        let home = try options.openHub()
        let item = try OperatorDesk(home).show(number)
        if options.json { return Terminal.json(item) }
        Terminal.line("Case \(item.number), \(item.kind), school \(item.school), \(item.form) \(item.key.onOneLine), version \(item.version)")
        if let closed = item.closedAt { Terminal.line("Closed at \(Terminal.time(closed))") }
        if item.kind == "twins", let other = item.otherRow { Terminal.line("The same key: row \(item.row) and row \(other) of school \(item.otherSchool ?? "?")") }
        let form = home.catalogue[item.form]
        func shown(_ values: [String: String]) -> String {
            values.sorted { $0.key < $1.key }.map { key, value in "\(form?.fields.first { $0.id == key }?.title ?? key)=\(value.onOneLine)" }
                .joined(separator: "  ")
        }
        for rule in item.breaks ?? [] { Terminal.line("Each side keeps the rule, the merged row breaks it: \(rule)") }
        if ["rule", "cell", "owner"].contains(item.kind), item.closedAt == nil { Terminal.line("  now  \(shown(item.shown))") }
        if item.kind == "life", !item.shown.isEmpty { Terminal.line("  whoever deleted it had not seen  \(shown(item.shown))") }
        if let base = item.base, !base.isEmpty { Terminal.line("  was  \(shown(base))") }
        if let survivor = item.survivor {
            Terminal.line("  First offer: `merge` applies the edit to row \(survivor.row), into which this one was merged")
            Terminal.line("     \(shown(survivor.edit)), instead of \(shown(survivor.present))")
        }
        for candidate in item.candidates {
            Terminal.line("  \(candidate.candidate)  \(shown(candidate.values))")
            Terminal.line("     by \(candidate.author.onOneLine) at \(Terminal.time(candidate.time)), from \(item.origin(of: candidate))\(candidate.answers ? ", in answer to the return" : "")")
        }
        for question in item.questions {
            Terminal.line("  Asked of the school: \(question.reason.onOneLine)")
            Terminal.line("     by \(question.who) at \(Terminal.time(question.at))")
        }
        for answer in item.confirmed {
            Terminal.line("  The school confirms \(shown(answer.confirmed)): \(answer.reason.onOneLine)")
            Terminal.line("     by \(answer.author.onOneLine) at \(Terminal.time(answer.at)), in answer to the return")
        }
        for row in item.rows ?? [] {
            Terminal.line("  row \(row.row) of school \(row.school)  \(row.values.isEmpty ? "equal in every field" : shown(row.values))")
            Terminal.line("     by \(row.author.onOneLine) at \(Terminal.time(row.time))")
        }
        if item.closedAt == nil, let merged = item.merged { Terminal.line("  `merge` would give: \(merged.told(form))") }
        if item.closedAt == nil { Terminal.line("To decide what is shown here, name it: --version \(item.version)") }
    }
}

extension String {
    /// For lists, where a line is an entry.
    var onOneLine: String { split(whereSeparator: \.isNewline).joined(separator: " ") }
}

/// Options of every decision.
struct VerdictOptions: ParsableArguments {
    @Option(help: "Why; the school will read it.") var reason: String
    @Option(help: "The case's version that you saw, as `list` and `show` say: a case that changed since is refused.") var version: Int
    @Option(help: "Why the result may break a rule.") var explain: String?

    func verdict(_ options: Options) -> Verdict {
        Verdict(who: options.user, reason: reason, version: version, explanation: explain)
    }
}

extension JournalEntry {
    func show(_ options: Options) {
        if options.json { return Terminal.json(self) }
        Terminal.line("Case \(number): \(taken). Journal entry \(decision); `zzsync hub conflicts undo \(decision)` takes it back.")
    }
}

struct ConflictsTake: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "take", abstract: "Decide: take one candidate, or some of its fields, with a reason.")
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64
    @Argument(help: "The candidate's number.") var candidate: Int
    @Option(name: .customLong("field"), help: "This field alone, repeatable; the others that the case is about keep what it shows.") var fields: [String] = []
    @OptionGroup var verdict: VerdictOptions

    func run() throws {
        try OperatorDesk(options.openHub()).take(number, candidate: candidate, fields: fields, verdict.verdict(options)).show(options)
    }
}

struct ConflictsSet: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Decide: set another value, with a reason.")
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64
    @Argument(help: "field=value, fields of the case's group.") var values: [String]
    @OptionGroup var verdict: VerdictOptions

    func run() throws {
        let home = try options.openHub()
        let desk = OperatorDesk(home)
        let form = try desk.form(of: number)
        let values = try form.assignments(values, catalogue: home.catalogue)
        try desk.set(number, values, verdict.verdict(options)).show(options)
    }
}

struct ConflictsMerge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Decide: two rows of one key are one; or apply a late edit to the row's survivor.",
        discussion: """
            The row with the smaller id stays with its values; only groups that it has left empty are filled from the other, which goes. \
            `show` says beforehand what comes of it; to have another value, set it afterwards (`zzsync hub put`), or take the merge back with `undo`.
            """)
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64
    @OptionGroup var verdict: VerdictOptions

    func run() throws { try OperatorDesk(options.openHub()).merge(number, verdict.verdict(options)).show(options) }
}

struct ConflictsDistinct: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "distinct", abstract: "Decide: two rows of one key, or two machines of one copy, are two for good.")
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64
    @OptionGroup var verdict: VerdictOptions

    func run() throws { try OperatorDesk(options.openHub()).distinct(number, verdict.verdict(options)).show(options) }
}

struct ConflictsUndo: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "undo", abstract: "Take a decision back; its case is open again.")
    @OptionGroup var options: Options
    @Argument(help: "The decision's number, from the journal.") var decision: Int64
    @Option(help: "Why; the school will read it.") var reason: String

    func run() throws {
        let desk = OperatorDesk(try options.openHub())
        let entry = try desk.undo(decision, Verdict(who: options.user, reason: reason))
        if options.json { return Terminal.json(entry) }
        if entry.number == 0 { return Terminal.line("\(entry.taken).") }
        let isOpen = try desk.show(entry.number).closedAt == nil
        Terminal.line("Decision \(decision) undone; case \(entry.number) is \(isOpen ? "open again" : "closed all the same: what it asked is so no more").")
    }
}

struct ConflictsRehearse: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rehearse", abstract: "Play a worked conflict (conflicts/cases/*.toml) against the real merge.",
        discussion: "Exit code 1: it went otherwise than the file says; 2: the file has a mistake, named with its line. Nothing real is touched.")
    @OptionGroup var options: Options
    @Argument(help: "The case file.") var file: String

    func run() async throws {
        let json = options.json
        let catalogue = try options.loadCatalogue()
        var rehearsal = try await Rehearsal(CaseFile.load(file, catalogue: catalogue), catalogue: catalogue) { line in
            if !json { Terminal.line(line) }
        }
        try await rehearsal.play()
        if json { Terminal.json(["file": file, "result": "as expected"]) }
    }
}
