// Cases as a workbook, for people who prefer that: exported with both sides, decided in two columns, imported again as one bulk.
// Each line names the version of its case: what changed or was closed since is listed and left alone.
//
// Between the two an operator sorts, filters, copies and pastes, so a number alone proves nothing: a column sorted by itself would decide
// other people's cases. Two designs: lock the exported columns (every spreadsheet program unlocks them, and pasting goes around it), or
// believe a line only as far as all that was exported still stands in it, which is done here. The hub's own mark is in every line, because
// lines of two hubs may be pasted together; it holds the epoch, because a hub put back from a backup gives numbers out again.

import Foundation
import Shared

package struct CaseSheet {
    package static let header = ["案号", "版本", "学校", "表", "编号", "栏", "类别", "原值", "候选", "决定", "原因", "说明", "枢纽"]
    private enum Column: Int { case number, version, school, form, key, field, kind, base, candidates, decision, reason, explanation, hub }
    /// A cell holds 32,767 characters.
    private static let textMax = 32_000
    /// Lines of one workbook that are read.
    private static let linesMax = 20_000

    private let desk: OperatorDesk
    private var catalogue: Catalogue { desk.home.catalogue }
    /// As each line names this hub.
    private var hub: String { "\(desk.home.recordName) \(desk.home.keys.site)-\(desk.home.epoch)" }
    package init(_ desk: OperatorDesk) { self.desk = desk }

    // MARK: export

    /// - Returns: how many cases were written.
    package func export(_ filter: CaseFilter, to path: String) throws(Failure) -> Int {
        let cases = try desk.cases(filter)
        do {
            let writer = try WorkbookWriter(path: path, sheet: "案", header: Self.header)
            for item in cases { try writer.append(line(item)) }
            try writer.close()
        } catch {
            throw error.failure
        }
        return cases.count
    }

    private func line(_ item: CaseView) -> [String] {
        let form = catalogue[item.form]
        func shown(_ values: [String: String]) -> String {
            values.sorted { $0.key < $1.key }.map { key, value in "\(form?.fields.first { $0.id == key }?.title ?? key)=\(value)" }
                .joined(separator: "；")
        }
        let origins = item.candidates.map(item.origin) + (item.rows ?? []).map { "学校 \($0.school)" }
        let sides = zip(item.sides, origins).enumerated().map { index, side in
            "\(index + 1)) \(shown(side.0.values))（\(side.0.author)，\(shownTime(side.0.time))，\(side.1)）"
        }
        // Which of the two is right depends on what they break together.
        let broken = (item.breaks ?? []).map { "违反 \($0)" } + (item.kind == "life" && !item.shown.isEmpty ? ["删者未见 \(shown(item.shown))"] : [])
        let confirmed = item.confirmed.map { "学校确认 \(shown($0.confirmed))：\($0.reason)（\($0.author)）" }
        let fields = item.group.map { column in form?.fields.first { $0.id == column }?.title ?? column }
        return [
            "\(item.number)", "\(item.version)", item.school, form?.title ?? item.form, item.key, fields.joined(separator: "；"), item.kind,
            shown(item.base ?? [:]), String((broken + sides + confirmed).joined(separator: "\n").prefix(Self.textMax)), "", "", "", hub,
        ]
    }

    // MARK: import

    /// Decides what the workbook's two columns say, as one bulk.
    ///
    /// - Throws: `Failure` when the workbook cannot be read or is none of cases; nothing is decided then.
    package func load(_ path: String, _ verdict: Verdict, dryRun: Bool) throws(Failure) -> BulkReport {
        var items: [(line: Int, item: BulkItem)] = []
        do {
            let reader = try WorkbookReader(path: path)
            let columns = try columns(try reader.nextRow(), path)
            while let row = try reader.nextRow() {
                guard items.count < Self.linesMax else { throw Failure(.refused, "\(path) has more than \(Self.linesMax) lines.", next: "Split it.") }
                if let item = try item(row, columns, verdict, path) { items.append((row.number, item)) }
            }
        } catch let error as WorkbookError {
            throw error.failure
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.damaged, "\(path): \(error)", next: "Save it anew and import that.")
        }
        guard !items.isEmpty else {
            throw Failure(.refused, "\(path) decides nothing.", next: "Fill in the columns 决定 and 原因.")
        }
        var head = verdict
        if head.reason.isEmpty { head.reason = "按工作簿 \((path as NSString).lastPathComponent) 决定" }
        return try desk.decideAll(onePerCase(items), kind: "import", head, dryRun: dryRun)
    }

    /// Nobody can tell which of two lines for one case is meant: neither is applied.
    private func onePerCase(_ items: [(line: Int, item: BulkItem)]) -> [BulkItem] {
        let lines = Dictionary(grouping: items, by: \.item.view.number).mapValues { $0.map(\.line) }
        return items.compactMap { line, item in
            guard let lines = lines[item.view.number], lines.count > 1 else { return item }
            if line != lines[0] { return nil }
            let failure = Failure(
                .refused, "Case \(item.view.number) is decided in lines \(lines.map(String.init).joined(separator: ", ")).",
                next: "Leave 决定 filled in in one of them.")
            return BulkItem(view: item.view, choice: .failure(failure))
        }
    }

    private func columns(_ header: WorkbookRow?, _ path: String) throws(Failure) -> [Int: Int] {
        var columns: [Int: Int] = [:]
        for (place, cell) in (header?.cells ?? []).enumerated() {
            guard let known = Self.header.firstIndex(of: Self.text(cell)) else { continue }
            guard columns.updateValue(place, forKey: known) == nil else {
                throw Failure(.refused, "\(path) has two columns \(Self.header[known]).", next: "Remove the one that is not meant, and import it again.")
            }
        }
        for column in [Column.number, .version, .school, .form, .key, .field, .candidates, .decision, .hub] where columns[column.rawValue] == nil {
            throw Failure(
                .refused, "\(path) has no column \(Self.header[column.rawValue]) in its first line.",
                next: "Export the cases anew with `zzsync hub conflicts export`, and keep all of its columns.")
        }
        return columns
    }

    private static func text(_ cell: WorkbookCell) -> String { (cell.shown ?? "").trimmingCharacters(in: .whitespacesAndNewlines) }

    /// - Returns: nil for a line that decides nothing.
    private func item(_ row: WorkbookRow, _ columns: [Int: Int], _ verdict: Verdict, _ path: String) throws(Failure) -> BulkItem? {
        func text(_ column: Column) -> String { columns[column.rawValue].map { Self.text(row[$0]) } ?? "" }
        if let place = columns[Column.decision.rawValue], row[place].shown == nil {
            throw Failure(
                .refused, "\(path), line \(row.number): 决定 is an error, or a formula whose result the file does not hold.",
                next: "Write the decision itself there; nothing was decided.")
        }
        guard !text(.decision).isEmpty else { return nil }
        guard let number = Int64(text(.number)), let version = Int(text(.version)) else {
            throw Failure(
                .refused, "\(path), line \(row.number): 案号 and 版本 must be numbers.", next: "Leave these columns as they were exported.")
        }
        var view: CaseView
        do throws(Failure) {
            guard text(.hub) == hub else { throw otherHub(text(.hub)) }
            view = try desk.show(number)
        } catch {
            return BulkItem(view: .unknown(number), choice: .failure(Failure(.refused, error.what, next: error.next)))
        }
        if let moved = moved(view, version, text) { return BulkItem(view: view, choice: .failure(moved)) }
        view.version = version
        let reason = text(.reason).isEmpty ? verdict.reason : text(.reason)
        guard !reason.isEmpty else {
            return BulkItem(view: view, choice: .failure(Failure(.refused, "No reason is given.", next: "Fill in the column 原因.")))
        }
        let choice = Result { () throws(Failure) in try self.choice(text(.decision), view) }
        let explanation = text(.explanation)
        return BulkItem(view: view, choice: choice, reason: reason, explanation: explanation.isEmpty ? nil : explanation)
    }

    private func otherHub(_ name: String) -> Failure {
        let what = name.isEmpty ? "The line names no hub" : "The line was exported by \(name), this is \(hub)"
        return Failure(.refused, "\(what).", next: "Export the cases here, and decide them in that workbook.")
    }

    /// The first column whose text is not that of the line's case: a column was sorted or pasted by itself.
    ///
    /// - Returns: nil too where the case has changed since; the version tells that better.
    private func moved(_ view: CaseView, _ version: Int, _ text: (Column) -> String) -> Failure? {
        // Spreadsheet programs have their own ideas of blanks and ends of lines.
        func words(_ text: String) -> String { text.filter { !$0.isWhitespace } }
        let exported = line(view)
        // What a clone's line says of its two machines (when each was seen last) changes by the hour.
        let isSame = view.version == version && view.closedAt == nil && view.kind != CloneCase.kind
        let columns: [Column] = isSame ? [.school, .form, .key, .field, .candidates] : [.school, .form]
        guard let column = columns.first(where: { words(text($0)) != words(exported[$0.rawValue]) }) else { return nil }
        let differ = column == .candidates ? "" : ": it says \(text(column)), the case's is \(exported[column.rawValue])"
        return Failure(
            .refused, "The line's \(Self.header[column.rawValue]) is not that of case \(view.number)\(differ).",
            next: "Columns were sorted apart, or the case's row has moved on: export the cases anew.")
    }

    /// A candidate's number, "栏=值" (several with ；), 合并, 两行 or 退回.
    private func choice(_ word: String, _ view: CaseView) throws(Failure) -> Choice {
        switch word {
        case "合并", "merge": return .merge
        case "两行", "distinct": return .distinct
        case "退回", "return": return .handBack
        default: break
        }
        if let ordinal = Int(word) { return .candidate(ordinal) }
        guard word.contains("="), let form = catalogue[view.form] else {
            throw Failure(
                .refused, "'\(word)' is no decision.", next: "Write a candidate's number, 栏=值, 合并, 两行 or 退回.")
        }
        let parts = word.split { "；;\n".contains($0) }.map { part in
            part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "=")
        }
        do throws(Failure) {
            return .values(try form.assignments(parts.filter { !$0.isEmpty }, catalogue: catalogue))
        } catch {
            throw error.kind == .usage ? error : Failure(.refused, error.what, next: "Mend the column 决定.")
        }
    }
}

extension CaseView {
    /// A number that no case has, for the list of what was not decided.
    fileprivate static func unknown(_ number: Int64) -> CaseView {
        CaseView(
            number: number, kind: "", school: "", form: "", row: "", key: "", group: [], version: 0, openedAt: 0, closedAt: nil,
            otherSchool: nil, otherRow: nil, candidates: [])
    }
}
