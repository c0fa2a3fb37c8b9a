// template, import, review: workbooks in.

import ArgumentParser
import Foundation
import Node
import Shared

struct Template: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write the import template of a form.")
    @OptionGroup var options: Options
    @Argument var form: String
    @OptionGroup var file: OutputOptions

    func run() throws {
        let catalogue = try options.loadCatalogue()
        let form = try catalogue.form(named: form)
        let output = try file.path()
        try form.writeTemplate(to: output, catalogue: catalogue)
        if options.json { return Terminal.json(["file": output]) }
        Terminal.line("Template of \(form.path) written to \(output): red columns are required.")
    }
}

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stage a workbook with all its errors in one pass; --accept makes it formal at once.")
    @OptionGroup var options: Options
    @Argument(help: "Form id, path or template name.") var form: String
    @Argument(help: "The xlsx file.") var file: String
    @Flag(help: "Only check; keep nothing.") var dryRun = false
    @Flag(help: "Change rows whose key exists (filled cells only) instead of refusing them.") var update = false
    @Flag(help: "Make the rows formal at once if there is no error.") var accept = false

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        guard form.template != nil else {
            throw Failure(
                .refused, "\(form.path) has no import template; its rows are typed one by one.", next: "Use `zzsync put \(form.id) ...`.")
        }
        var report = try node.stage(form: form, path: file, author: options.user, update: update, dryRun: dryRun)
        if report.errors.isEmpty, accept, let batch = report.batch {
            report = try node.accept(batch: batch, author: options.user)
            report.batch = batch
        }
        if options.json { Terminal.json(report) } else { show(report, form) }
        if !report.errors.isEmpty { throw ExitCode(Failure.Kind.refused.rawValue) }
    }

    private func show(_ report: ImportReport, _ form: Form) {
        for problem in report.errors.prefix(200) + report.warnings.prefix(50) { Terminal.line(problem.sentence) }
        if report.errors.count > 200 { Terminal.line("… and \(report.errors.count - 200) more errors") }
        let head = "\(form.path): \(report.rows) rows read, \(report.errors.count) errors, \(report.warnings.count) warnings."
        switch (report.batch, report.errors.isEmpty) {
        case (nil, _): Terminal.line("\(head) Dry run: nothing was kept.")
        case (let batch?, true) where report.accepted > 0:
            Terminal.line("\(head) Batch \(batch) accepted: \(report.accepted) rows are formal.")
        case (let batch?, true): Terminal.line("\(head) Staged as batch \(batch); `zzsync review accept \(batch)` makes it formal.")
        case (let batch?, false):
            Terminal.line("\(head) Staged as batch \(batch), which cannot be accepted: mend the workbook and import it again.")
        }
    }
}

extension ImportProblem {
    var sentence: String {
        let found = line == 0 ? "整个文件" : place.hasPrefix("第") ? place : "第\(line)行 \(place)"
        return "\(found)\t\(level)\t\(message)（\(fix)）"
    }
}

struct Review: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Review staged batches.", subcommands: [ReviewList.self, ReviewShow.self, ReviewAccept.self, ReviewReject.self])
}

struct ReviewList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the batches.")
    @OptionGroup var options: Options

    func run() throws {
        let batches = try options.openNode().batches()
        if options.json { return Terminal.json(["batches": batches]) }
        for batch in batches {
            Terminal.line("\(batch.batch)\t\(batch.state)\t\(batch.form)\t\(batch.rows) rows\t\(batch.errors) errors\t\(batch.file)")
        }
        if batches.isEmpty { Terminal.line("No batches.") }
    }
}

struct ReviewShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show what was found in a batch.")
    @OptionGroup var options: Options
    @Argument var batch: Int64

    func run() throws {
        let node = try options.openNode()
        guard let info = try node.batches().first(where: { $0.batch == batch }) else {
            throw Failure(.usage, "There is no batch \(batch).", next: "`zzsync review list` shows the batches.")
        }
        let problems = try node.problems(batch: batch)
        if options.json { return Terminal.json(problems) }
        Terminal.line("Batch \(batch): \(info.rows) rows of \(info.form) from \(info.file), \(info.state), staged by \(info.author).")
        for problem in problems { Terminal.line(problem.sentence) }
    }
}

struct ReviewAccept: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "accept", abstract: "Make a batch formal: all its rows or none.")
    @OptionGroup var options: Options
    @Argument var batch: Int64

    func run() throws {
        var report = try options.openNode().accept(batch: batch, author: options.user)
        report.batch = batch
        if options.json { return Terminal.json(report) }
        Terminal.line("Batch \(batch): \(report.accepted) rows are formal.")
    }
}

struct ReviewReject: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "reject", abstract: "Set a batch aside; its rows never become formal.")
    @OptionGroup var options: Options
    @Argument var batch: Int64

    func run() throws {
        try options.openNode().reject(batch: batch, author: options.user)
        if options.json { return Terminal.json(["batch": batch]) }
        Terminal.line("Batch \(batch) rejected.")
    }
}
