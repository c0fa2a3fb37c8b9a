// hub put, import, compare: an owner writes where it sits.

import ArgumentParser
import Foundation
import Hub
import Shared

struct HubPut: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Write one row of a school here: change the row with its key, or add it.",
        usage: "zzsync hub put FORM --school CODE field=value ...",
        discussion: """
            The row with this key is changed in place, whoever has typed it; only the given fields. Under the policy `owner` a value that \
            differs from its owner's becomes a change request (`zzsync hub requests list`); of a disputed cell, a candidate of its case. A key \
            with two rows is refused.
            """)
    @OptionGroup var options: Options
    @Argument var form: String
    @Option(help: "The school's code.") var school: String
    @Option(help: "The register that the value comes from (一数一源).") var source: String?
    @Argument(help: "field=value; field is a column or a Chinese heading.") var values: [String]

    func run() throws {
        let home = try options.openHub()
        let form = try home.catalogue.form(named: form)
        let values = try form.assignments(values, catalogue: home.catalogue)
        guard !values.isEmpty else { throw Failure(.usage, "No field=value is given.", next: "`zzsync forms \(form.id)` lists the fields.") }
        _ = try home.scope(school: school)
        let author = try source.map { Stamp.author(source: try register($0), user: options.user) } ?? options.user
        let report = try OwnerWriter(home).write(form, [RoutedRow(line: 0, school: school, values: values)], author: author, existing: .update)
        if options.json { Terminal.json(report) }
        guard report.isWritten else {
            let said = report.errors.map { "\($0.message)（\($0.fix)）" }.joined(separator: "; ")
            throw Failure(.refused, "The row is refused: \(said).", next: "Mend it and repeat; nothing was written.")
        }
        if options.json { return }
        let done =
            report.added > 0 ? "the row added. It goes down at the school's next sync."
            : report.changed > 0 ? "the row changed. It goes down at the school's next sync."
            : report.owned > 0 ? "the row is so already; its cells are their owner's now."
            : report.equal > 0 ? "the row is so already; nothing was written." : "nothing takes effect yet."
        Terminal.line("\(form.path), school \(school): \(done)")
        for item in report.requested + report.disputed { Terminal.line("  \(item.sentence(isWritten: true))") }
        for warning in report.warnings { Terminal.line("  \(warning.level): \(warning.message)（\(warning.fix)）") }
    }
}

/// - Throws: `Failure(.usage)` for a blank name, which would be nobody's.
private func register(_ name: String) throws(Failure) -> String {
    let name = name.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !name.isEmpty else { throw Failure(.usage, "--source names no register.", next: "Name the register whose values these are, such as 学籍系统.") }
    return name
}

extension CellCase {
    /// What became of a cell that did not simply take the value.
    fileprivate func sentence(isWritten: Bool) -> String {
        let at = isWritten ? "case \(number)" : "a case"
        if let owner, let stands {
            return "\(field) is asked for, as \(at): \(owner) owns this cell, \(stands) stands [\(policy ?? "")]. "
                + (isWritten ? "`zzsync hub requests show \(number)` shows it; the owner writes with \(Owner(owner).way)." : "")
        }
        let what = candidate.map { "what was written is candidate \($0)" } ?? "it shows this value meanwhile"
        return "\(field) is disputed, case \(number): \(what). It stands when the case is decided: `zzsync hub conflicts show \(number)`."
    }
}

extension Owner {
    /// How to write as this owner.
    fileprivate var way: String {
        switch self {
        case .source(let name): "--source \(name)"
        case .tier(let tier): "`put` at the \(tier.rawValue)"
        }
    }
}

struct HubImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Write a workbook of schools' rows here, in the name of the register that it comes from.",
        discussion: """
            The form's template with one column more, 学校标识码, or --school for all rows. All rows are written or none. A row whose key \
            the school has typed itself gets a twin: merged by the system if equal, else a case. With --update it is changed in place, as \
            `put` does.
            """)
    @OptionGroup var options: Options
    @Argument(help: "Form id, path or template name.") var form: String
    @Argument(help: "The xlsx file.") var file: String
    @Option(help: "The register that it comes from.") var source: String
    @Option(help: "The school of rows that name none.") var school: String?
    @Flag(help: "Only check; write nothing.") var dryRun = false
    @Flag(help: "Change rows whose key exists (filled cells only).") var update = false

    func run() throws {
        let home = try options.openHub()
        let form = try home.catalogue.form(named: form)
        let report = try OwnerWriter(home).importWorkbook(
            form, path: file, source: register(source), user: options.user, school: school, update: update, dryRun: dryRun)
        if options.json { Terminal.json(report) } else { show(report, form) }
        if !report.errors.isEmpty { throw ExitCode(Failure.Kind.refused.rawValue) }
    }

    private func show(_ report: OwnerReport, _ form: Form) {
        for problem in report.errors.prefix(200) + report.warnings.prefix(50) { Terminal.line(problem.sentence) }
        if report.errors.count > 200 { Terminal.line("… and \(report.errors.count - 200) more errors") }
        Terminal.line("\(form.path): \(report.rows) rows read, \(report.errors.count) errors, \(report.warnings.count) warnings.")
        for item in (report.requested + report.disputed).prefix(50) { Terminal.line("第\(item.line)行 \(item.sentence(isWritten: report.isWritten))") }
        let inCases = "\(report.requested.count) cells asked for of their owner, \(report.disputed.count) in open cases"
        let counts = "\(report.added) added, \(report.changed) changed, \(report.equal + report.owned) equal\(report.owned > 0 ? " (\(report.owned) of which are their owner's now)" : ""); \(inCases); \(report.twins) beside a row that the school typed (\(report.twinsMerged) merged, the rest are cases)"
        Terminal.line(report.isWritten ? "Written: \(counts)." : report.errors.isEmpty ? "Dry run, nothing was written: \(counts)." : "Nothing was written.")
    }
}

struct HubCompare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "List where a workbook of schools' rows and this hub differ; write nothing.")
    @OptionGroup var options: Options
    @Argument(help: "Form id, path or template name.") var form: String
    @Argument(help: "The xlsx file.") var file: String
    @Option(help: "The register that it comes from.") var source: String
    @Option(help: "The school of rows that name none.") var school: String?

    func run() throws {
        let home = try options.openHub()
        let form = try home.catalogue.form(named: form)
        let source = try register(source)
        let comparison = try OwnerWriter(home).compare(form, path: file, school: school)
        if options.json {
            Terminal.json(comparison)
        } else {
            for problem in comparison.errors { Terminal.line(problem.sentence) }
            for item in comparison.differences {
                let place = "\(item.school)\t\(item.key)"
                switch item.kind {
                case .missing: Terminal.line("missing\t\(place)\t第\(item.line ?? 0)行\tnot at this hub")
                case .extra: Terminal.line("extra\t\(place)\t\tnot in the file of \(source)")
                case .differs: Terminal.line("differs\t\(place)\t第\(item.line ?? 0)行\t\(item.field ?? "")：\(source) \(item.theirs ?? "")，here \(item.here ?? "")\(item.row.map { " in row \($0), one of several of this key" } ?? "")")
                }
            }
            Terminal.line("\(form.path): \(comparison.rows) rows read, \(comparison.equal) equal, \(comparison.differences.count) differences.")
        }
        if !comparison.errors.isEmpty { throw ExitCode(Failure.Kind.refused.rawValue) }
    }
}
