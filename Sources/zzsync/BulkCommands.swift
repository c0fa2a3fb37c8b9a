// hub conflicts return, bulk, export, import: back to the school with a question; three hundred cases at once; cases as a workbook.

import ArgumentParser
import Hub
import Shared

struct ConflictsReturn: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "return", abstract: "Back to the school with a question: the case stays open, the school's answer is marked.")
    @OptionGroup var options: Options
    @Argument(help: "The case's number.") var number: Int64
    @OptionGroup var verdict: VerdictOptions

    func run() throws { try OperatorDesk(options.openHub()).handBack(number, verdict.verdict(options)).show(options) }
}

struct FilterOptions: ParsableArguments {
    @Option(
        name: .customLong("filter"),
        help: "KEY=VALUE, repeatable, all must hold: form, field, kind, school, key, old, new, author, site, import=CASE/CANDIDATE, returned=yes, answered=yes, case. Commas between alternatives (not in key, old, new), * for any text.")
    var words: [String] = []

    func filter(_ home: HubHome) throws(Failure) -> CaseFilter { try CaseFilter(words, catalogue: home.catalogue) }
}

struct ConflictsBulk: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bulk", abstract: "Decide many cases at once, with one entry in the journal and one undo.",
        discussion: """
            --take names a side: newest, oldest (by claimed time, no later than this hub received it), present (what is shown now),
            parent, hub, answer (what the school wrote after a return), site=LABEL or ID, author=NAME, value=TEXT; alive or dead for a
            row's life; merge or distinct for two rows of one key; return. Cases that refuse, or where several who differ are on that
            side, stay in the queue and are counted.
            """)
    @OptionGroup var options: Options
    @OptionGroup var filter: FilterOptions
    @Option(help: "Which side to take, see below.") var take: String
    @Option(help: "Why; the schools will read it.") var reason: String
    @Option(help: "Why results may break rules.") var explain: String?
    @Flag(help: "Only show what would happen.") var dryRun = false

    func run() throws {
        let home = try options.openHub()
        guard !filter.words.isEmpty else {
            throw Failure(.usage, "A bulk without a filter would decide every case.", next: "Name at least one --filter, for example --filter kind=cell.")
        }
        let verdict = Verdict(who: options.user, reason: reason, explanation: explain)
        try OperatorDesk(home).bulk(try filter.filter(home), take: Side(take), verdict, dryRun: dryRun).show(options, dryRun: dryRun)
    }
}

struct ConflictsExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write open cases to a workbook, to be decided there.")
    @OptionGroup var options: Options
    @OptionGroup var filter: FilterOptions
    @OptionGroup var file: OutputOptions

    func run() throws {
        let home = try options.openHub()
        let output = try file.path()
        let count = try CaseSheet(OperatorDesk(home)).export(try filter.filter(home), to: output)
        if options.json { return Terminal.json(["cases": JSONValue.number(Int64(count)), "file": .string(output)]) }
        Terminal.line("\(count) cases written to \(output): fill in 决定 (a candidate's number, 栏=值, 合并, 两行 or 退回) and 原因, then import it.")
    }
}

struct ConflictsImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Decide what a workbook says; lines that no longer are their case's, and cases that changed, are listed and left alone.")
    @OptionGroup var options: Options
    @Argument(help: "The workbook.") var file: String
    @Option(help: "The reason of lines that have none.") var reason = ""
    @Option(help: "Why results may break rules, of lines that have no 说明.") var explain: String?
    @Flag(help: "Only show what would happen.") var dryRun = false

    func run() throws {
        let verdict = Verdict(who: options.user, reason: reason, explanation: explain)
        try CaseSheet(OperatorDesk(options.openHub())).load(file, verdict, dryRun: dryRun).show(options, dryRun: dryRun, listing: true)
    }
}

extension BulkReport {
    /// - Parameter listing: names every case that stays.
    /// - Throws: `Failure(.refused)` when nothing could be decided.
    func show(_ options: Options, dryRun: Bool, listing: Bool = false) throws(Failure) {
        if options.json { Terminal.json(self) } else { tell(dryRun: dryRun, listing: listing) }
        guard decided > 0 || cases == 0 else {
            throw Failure(.refused, "None of the \(cases) cases can be decided so.", next: "Nothing was written; the reasons stand above.")
        }
    }

    private func tell(dryRun: Bool, listing: Bool) {
        Terminal.line("\(cases) cases: \(decided) \(dryRun ? "would be decided" : "decided"), \(cases - decided) stay in the queue.")
        for (reason, count) in left.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) { Terminal.line("  \(count)\t\(reason)") }
        if listing { for line in leftCases { tell(line) } }
        for line in sample { tell(line) }
        if decided > sample.count { Terminal.line("  … and \(decided - sample.count) more") }
        if let decision { Terminal.line("Journal entry \(decision); `zzsync hub conflicts undo \(decision)` takes all of it back.") }
    }

    private func tell(_ line: Line) {
        Terminal.line("  case \(line.number)\t\(line.school)\t\(line.form) \(line.key)\t\(line.outcome)")
    }
}
