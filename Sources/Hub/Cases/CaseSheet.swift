// Cases as a workbook, for people who prefer that: exported with both sides, decided in two columns, imported again as one bulk.
// Each line names the version of its case: what changed or was closed since is listed and left alone.

import Foundation
import Shared

package struct CaseSheet {
    package static let header = ["案号", "版本", "学校", "表", "编号", "栏", "类别", "原值", "候选", "决定", "原因", "说明"]
    private enum Column: Int { case number, version, school, form, key, field, kind, base, candidates, decision, reason, explanation }
    /// A cell holds 32,767 characters.
    private static let textMax = 32_000
    /// Lines of one workbook that are read.
    private static let linesMax = 20_000

    private let desk: OperatorDesk
    private var catalogue: Catalogue { desk.home.catalogue }
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
        let sides = item.sides.enumerated().map { index, side in
            let time = Date(timeIntervalSince1970: TimeInterval(side.time)).formatted(.iso8601)
            return "\(index + 1)) \(shown(side.values))（\(side.author)，\(time)）"
        }
        // Which of the two is right depends on what they break together.
        let broken = (item.breaks ?? []).map { "违反 \($0)" } + (item.kind == "life" && !item.shown.isEmpty ? ["删者未见 \(shown(item.shown))"] : [])
        let confirmed = item.confirmed.map { "学校确认 \(shown($0.confirmed))：\($0.reason)（\($0.author)）" }
        let fields = item.group.map { column in form?.fields.first { $0.id == column }?.title ?? column }
        return [
            "\(item.number)", "\(item.version)", item.school, form?.title ?? item.form, item.key, fields.joined(separator: "；"), item.kind,
            shown(item.base ?? [:]), String((broken + sides + confirmed).joined(separator: "\n").prefix(Self.textMax)), "", "", "",
        ]
    }

    // MARK: import

    /// Decides what the workbook's two columns say, as one bulk.
    ///
    /// - Throws: `Failure` when the workbook cannot be read or is none of cases; nothing is decided then.
    package func load(_ path: String, _ verdict: Verdict, dryRun: Bool) throws(Failure) -> BulkReport {
        var items: [BulkItem] = []
        do {
            let reader = try WorkbookReader(path: path)
            let columns = try columns(try reader.nextRow(), path)
            while let row = try reader.nextRow() {
                guard items.count < Self.linesMax else { throw Failure(.refused, "\(path) has more than \(Self.linesMax) lines.", next: "Split it.") }
                if let item = try item(row, columns, verdict, path) { items.append(item) }
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
        return try desk.decideAll(items, kind: "import", head, dryRun: dryRun)
    }

    private func columns(_ header: WorkbookRow?, _ path: String) throws(Failure) -> [Int: Int] {
        var columns: [Int: Int] = [:]
        for (place, cell) in (header?.cells ?? []).enumerated() {
            if let known = Self.header.firstIndex(of: Self.text(cell)) { columns[known] = place }
        }
        for column in [Column.number, .version, .decision] where columns[column.rawValue] == nil {
            throw Failure(
                .refused, "\(path) has no column \(Self.header[column.rawValue]) in its first line.",
                next: "Import a workbook that `zzsync hub conflicts export` wrote.")
        }
        return columns
    }

    private static func text(_ cell: WorkbookCell) -> String { (cell.shown ?? "").trimmingCharacters(in: .whitespacesAndNewlines) }

    /// - Returns: nil for a line that decides nothing.
    private func item(_ row: WorkbookRow, _ columns: [Int: Int], _ verdict: Verdict, _ path: String) throws(Failure) -> BulkItem? {
        func text(_ column: Column) -> String { columns[column.rawValue].map { Self.text(row[$0]) } ?? "" }
        guard !text(.decision).isEmpty else { return nil }
        guard let number = Int64(text(.number)), let version = Int(text(.version)) else {
            throw Failure(
                .refused, "\(path), line \(row.number): 案号 and 版本 must be numbers.", next: "Leave these columns as they were exported.")
        }
        var view: CaseView
        do { view = try desk.show(number) } catch {
            return BulkItem(view: .unknown(number), choice: .failure(Failure(.refused, error.what, next: error.next)))
        }
        view.version = version
        let reason = text(.reason).isEmpty ? verdict.reason : text(.reason)
        guard !reason.isEmpty else {
            return BulkItem(view: view, choice: .failure(Failure(.refused, "No reason is given.", next: "Fill in the column 原因.")))
        }
        let choice = Result { () throws(Failure) in try self.choice(text(.decision), view) }
        let explanation = text(.explanation)
        return BulkItem(view: view, choice: choice, reason: reason, explanation: explanation.isEmpty ? nil : explanation)
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
