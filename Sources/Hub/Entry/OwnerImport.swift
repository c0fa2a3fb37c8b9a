// An owner's workbook: written as its own rows, or only compared with what the hub has.

import Foundation
import GRDB
import Shared

package struct OwnerDifference: Codable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// The hub has no row of this key in this school.
        case missing
        case differs
        /// The workbook has no row of this key of the school.
        case extra
    }
    package var kind: Kind
    package var line: Int?
    package var school: String
    package var key: String
    /// The row's id, where several rows have this key: each is compared.
    package var row: String?
    package var field: String?
    package var here: String?
    package var theirs: String?
}

package struct OwnerComparison: Codable, Sendable {
    package var form: String
    package var rows: Int
    package var equal = 0
    package var differences: [OwnerDifference] = []
    /// What of the file could not be read or routed.
    package var errors: [ImportProblem] = []
}

extension OwnerWriter {
    /// - Parameters:
    ///   - source: the register that the workbook comes from.
    ///   - school: for workbooks without a column of school codes.
    /// - Throws: `Failure(.refused)` when the file as a whole cannot be used.
    package func importWorkbook(
        _ form: Form, path: String, source: String, user: String, school: String?, update: Bool, dryRun: Bool
    ) throws(Failure) -> OwnerReport {
        let (rows, problems) = try read(form, path, school)
        var report = try write(
            form, rows, author: Stamp.author(source: source, user: user), existing: update ? .update : .refuse,
            dryRun: dryRun || !problems.isEmpty)
        report.errors = (problems + report.errors).sorted { ($0.line, $0.place) < ($1.line, $1.place) }
        return report
    }

    /// Lists where the workbook and the hub differ; writes nothing.
    package func compare(_ form: Form, path: String, school: String?) throws(Failure) -> OwnerComparison {
        guard !form.key.isEmpty else {
            throw Failure(.refused, "\(form.path) has no natural key, so that no row of a file can be found here.", next: "Use `zzsync hub import --dry-run`.")
        }
        let (rows, problems) = try read(form, path, school)
        do {
            return try home.database.read { db in
                var comparison = OwnerComparison(form: form.id, rows: rows.count, errors: problems)
                for (code, rows) in Dictionary(grouping: rows, by: \.school).sorted(by: { $0.key < $1.key }) {
                    guard let scope = try HubHome.scope(db, school: code) else {
                        comparison.errors += rows.map {
                            ImportProblem(
                                line: $0.line, place: WorkbookRows.schoolColumn, message: "本枢纽没有标识码为“\(code)”的学校", fix: "请核对学校标识码",
                                level: "error")
                        }
                        continue
                    }
                    try compare(db, form, code, scope, rows, &comparison)
                }
                return comparison
            }
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    private func read(_ form: Form, _ path: String, _ school: String?) throws(Failure) -> ([RoutedRow], [ImportProblem]) {
        var book = WorkbookRows(form: form, catalogue: home.catalogue, isRouted: true)
        try book.read(path: path)
        let rows = book.rows.map { RoutedRow(line: $0.line, school: $0.school ?? school ?? "", values: $0.values, unread: $0.unread) }
        return (rows, book.problems)
    }

    private func compare(
        _ db: Database, _ form: Form, _ code: String, _ scope: ScopeID, _ rows: [RoutedRow], _ comparison: inout OwnerComparison
    ) throws {
        var store = try SQLiteScopeStore(db, scope: scope)
        var met: Set<RowID> = []
        for row in rows {
            guard let key = form.keyValues(row.values) else {
                comparison.differences.append(OwnerDifference(kind: .missing, line: row.line, school: code, key: "(no key)"))
                continue
            }
            let words = key.map(\.shown).joined(separator: " ")
            let ids = try KeyLookup.rows(db, form, scope: scope, key: key)
            let found = try store.load(form, ids).values.sorted { $0.id < $1.id }
            guard !found.isEmpty else {
                comparison.differences.append(OwnerDifference(kind: .missing, line: row.line, school: code, key: words))
                continue
            }
            met.formUnion(ids)
            let apart = found.flatMap { here in
                row.values.keys.sorted().filter { row.values[$0] != here.values[$0] }.map {
                    OwnerDifference(
                        kind: .differs, line: row.line, school: code, key: words, row: found.count > 1 ? here.id.description : nil,
                        field: form.fields[$0].title, here: here.values[$0].shown, theirs: row.values[$0]!.shown)
                }
            }
            if apart.isEmpty { comparison.equal += 1 }
            comparison.differences += apart
        }
        let key = form.key.map { "coalesce(\(form.fields[$0].id), '')" }.joined(separator: " || ' ' || ")
        let all = try Row.fetchAll(
            db, sql: "SELECT id, \(key) AS words FROM \(form.table) WHERE scope = ? AND _life = 1 ORDER BY words", arguments: [scope.key])
        for entry in all where !met.contains(RowID(entry["id"])) {
            comparison.differences.append(OwnerDifference(kind: .extra, school: code, key: entry["words"]))
        }
    }
}
