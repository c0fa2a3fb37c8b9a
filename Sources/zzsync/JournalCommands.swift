// hub conflicts journal: what was decided here.

import ArgumentParser
import Foundation
import Hub
import Shared

struct ConflictsJournal: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal", abstract: "Every decision made here, the newest last: who, when, why; a bulk is one line.")
    @OptionGroup var options: Options
    @Option(help: "The single decisions of this bulk.") var batch: Int64?
    @Option(help: "Only about this form.") var form: String?
    @Option(help: "Only about this school.") var school: String?
    @Option(help: "Only from this day on, as 2026-11-22 (by China's time).") var since: String?
    @Option(help: "Only so many of the newest.") var last: Int?

    func run() throws {
        let home = try options.openHub()
        var filter = JournalFilter()
        filter.form = try form.map { try home.catalogue.form(named: $0) }?.number
        filter.school = school
        filter.since = try since.map(Self.day)
        if let last, last < 1 { throw Failure(.usage, "--last \(last) is no number of entries.", next: "Write 1 or more.") }
        filter.last = last
        let entries = try OperatorDesk(home).journal(batch: batch, filter)
        if options.json { return Terminal.json(["journal": entries]) }
        for entry in entries {
            Terminal.line("\(entry.decision)\t\(entry.number == 0 ? "all" : "case \(entry.number)")\t\(Terminal.time(entry.at))\t\(entry.who)\t\(entry.kind): \(entry.taken)\t\(entry.value.onOneLine)\t\(entry.reason.onOneLine)\(entry.policy.map { "\t[\($0)]" } ?? "")")
        }
    }

    /// When a day begins in China.
    private static func day(_ text: String) throws(Failure) -> Int64 {
        guard text.wholeMatch(of: /\d{4}-\d{2}-\d{2}/) != nil, let start = try? Date("\(text)T00:00:00+08:00", strategy: .iso8601),
            // The 30th of February is read as the 2nd of March.
            start.addingTimeInterval(8 * 3_600).formatted(.iso8601.year().month().day()) == text
        else {
            throw Failure(.usage, "'\(text)' is no day.", next: "Write it as --since 2026-11-22.")
        }
        return Int64(start.timeIntervalSince1970)
    }
}
