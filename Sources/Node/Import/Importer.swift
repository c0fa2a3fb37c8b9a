// import: a workbook is staged with all its errors in one pass; review makes it formal, in one transaction.
//
// Checks run on the real tables: the rows are written inside a savepoint, the rules run on them as on any other row, and the
// savepoint is rolled back. So import, put and check cannot disagree.

import Foundation
import GRDB
import Shared

package struct ImportReport: Codable, Sendable {
    /// nil for a dry run.
    package var batch: Int64?
    package var form: String
    package var rows: Int
    package var accepted: Int
    package var errors: [ImportProblem]
    package var warnings: [ImportProblem]
}

package struct BatchInfo: Codable, Sendable {
    package var batch: Int64
    package var form: String
    package var file: String
    package var author: String
    package var rows: Int
    package var errors: Int
    package var state: String
}

extension NodeHome {
    /// Reads and checks a workbook; unless `dryRun`, keeps it as a batch to review.
    ///
    /// - Parameter update: rows whose key exists are changed (filled cells only) instead of refused.
    /// - Throws: `Failure(.refused)` when the file as a whole cannot be used; nothing is staged then.
    package func stage(
        form: Form, path: String, author: String, update: Bool, dryRun: Bool
    ) throws(Failure) -> ImportReport {
        var book = WorkbookRows(form: form, catalogue: catalogue)
        try book.read(path: path)
        let rows = book.rows
        let ofFile = book.problems
        do {
            let report = try database.write { db in
                let byRules = try problemsOf(db, form, rows, update: update, author: author)
                let batch = dryRun ? nil : try keep(db, form, path, author, update, rows, ofFile: ofFile, byRules: byRules)
                let problems = (ofFile + byRules).sorted { ($0.line, $0.place, $0.message) < ($1.line, $1.place, $1.message) }
                return ImportReport(
                    batch: batch, form: form.id, rows: rows.count, accepted: 0,
                    errors: problems.filter { $0.level == "error" }, warnings: problems.filter { $0.level != "error" })
            }
            if !dryRun { KillPoint.reach("import.stage", in: directory) }
            return report
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Makes a staged batch formal: all its rows or none. Checked again, for the data may have changed since.
    ///
    /// - Throws: `Failure(.refused)` when the batch has errors or was decided already; nothing is written then.
    package func accept(batch: Int64, author: String) throws(Failure) -> ImportReport {
        do {
            let report = try database.write { db in
                let (form, update) = try openBatch(db, batch)
                let rows = try stagedRows(db, form, batch)
                let ofFile = try Row.fetchAll(
                    db, sql: "SELECT * FROM zz_staged_error WHERE batch = ? AND of_file = 1", arguments: [batch]
                ).map(Self.problem)
                let problems = try ofFile + problemsOf(db, form, rows, update: update, author: author) + (update ? movedSince(db, form, batch, rows) : [])
                let errors = Set(problems.filter { $0.level == "error" })
                guard errors.isEmpty else {
                    let first = errors.min { ($0.line, $0.place) < ($1.line, $1.place) }!
                    throw Failure(
                        .refused,
                        "Batch \(batch) has \(errors.count) errors, the first in row \(first.line) \(first.place): \(first.message)（\(first.fix)）.",
                        next: "Mend the workbook and import it again; nothing was written.")
                }
                _ = try authored(db, by: author) { try writeAll(db, form, rows, update: update) }
                try db.execute(
                    sql: "UPDATE zz_batch SET state = 'accepted', decided_by = ?, decided_at = unixepoch() WHERE batch = ?",
                    arguments: [author, batch])
                KillPoint.reach("import.write", in: directory)
                return ImportReport(
                    batch: batch, form: form.id, rows: rows.count, accepted: rows.count, errors: [],
                    warnings: problems.filter { $0.level != "error" })
            }
            KillPoint.reach("import.commit", in: directory)
            return report
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func reject(batch: Int64, author: String) throws(Failure) {
        do {
            try database.write { db in
                _ = try openBatch(db, batch)
                try db.execute(
                    sql: "UPDATE zz_batch SET state = 'rejected', decided_by = ?, decided_at = unixepoch() WHERE batch = ?",
                    arguments: [author, batch])
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func batches() throws(Failure) -> [BatchInfo] {
        do {
            return try database.read { db in
                try Row.fetchAll(
                    db,
                    sql: """
                        SELECT b.*, (SELECT count(*) FROM zz_staged_row r WHERE r.batch = b.batch) AS rows,
                          (SELECT count(*) FROM zz_staged_error e WHERE e.batch = b.batch AND e.level = 'error') AS errors
                        FROM zz_batch b ORDER BY b.batch
                        """
                ).map {
                    BatchInfo(
                        batch: $0["batch"], form: $0["form"], file: $0["file"], author: $0["author"], rows: $0["rows"],
                        errors: $0["errors"], state: $0["state"])
                }
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    package func problems(batch: Int64) throws(Failure) -> [ImportProblem] {
        do {
            return try database.read { db in
                try Row.fetchAll(db, sql: "SELECT * FROM zz_staged_error WHERE batch = ? ORDER BY line, place", arguments: [batch])
                    .map(Self.problem)
            }
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    // MARK: checking

    /// Duplicate keys and everything that the rules say, with the rows in place and taken out again.
    private func problemsOf(
        _ db: Database, _ form: Form, _ rows: [ImportedRow], update: Bool, author: String
    ) throws -> [ImportProblem] {
        var problems = duplicates(form, rows)
        try db.inSavepoint {
            let written = try authored(db, by: author) {
                try writeAll(db, form, rows, update: update) { line, row in
                    problems.append(existing(form, line, row))
                }
            }
            let lines = Dictionary(written.map { ($0.row, $0.line) }, uniquingKeysWith: { first, _ in first })
            let findings = try rules.findings(db, form: form, rows: written.map(\.row), scope: .node)
            let unread = Dictionary(rows.map { ($0.line, $0.unread) }, uniquingKeysWith: { first, _ in first })
            for finding in findings where finding.rule != form.id + ".unique" {
                let line = lines[finding.row] ?? 0
                let fields = finding.fields.compactMap { form.fieldIndex(id: $0) }
                guard unread[line, default: []].isDisjoint(with: fields) else { continue }
                problems.append(
                    ImportProblem(
                        line: line, place: fields.map { form.fields[$0].title }.joined(separator: "、"), message: finding.message,
                        fix: finding.fix, level: finding.level.rawValue))
            }
            return .rollback
        }
        return problems
    }

    /// The same key twice in one workbook.
    private func duplicates(_ form: Form, _ rows: [ImportedRow]) -> [ImportProblem] {
        var first: [[Value]: Int] = [:]
        var problems: [ImportProblem] = []
        for row in rows {
            guard let key = keyOf(form, row.values) else { continue }
            if let line = first[key] {
                let words = key.map(\.shown).joined(separator: " ")
                problems.append(
                    ImportProblem(
                        line: row.line, place: form.fields[form.key[0]].title, message: "\(words)与第\(line)行重复",
                        fix: "请删除重复的一行", level: "error"))
            } else {
                first[key] = row.line
            }
        }
        return problems
    }

    private func existing(_ form: Form, _ line: Int, _ row: StoredRow) -> ImportProblem {
        let key = form.key.map { row.values[$0].shown }.joined(separator: " ")
        return ImportProblem(
            line: line, place: form.fields[form.key[0]].title,
            message: "数据库已存在记录：\(form.path) \(key)（记录号 \(row.id)）", fix: "如需修改已有记录，请使用 --update；否则请删除这一行",
            level: "error")
    }

    /// Writes rows; a row whose key exists is updated or, without `update`, reported and left out.
    private func writeAll(
        _ db: Database, _ form: Form, _ rows: [ImportedRow], update: Bool,
        refused: (Int, StoredRow) -> Void = { _, _ in }
    ) throws -> [(line: Int, row: RowID)] {
        var written: [(line: Int, row: RowID)] = []
        var own: Set<RowID> = []
        for row in rows {
            let present = try keyOf(form, row.values).flatMap { try find(db, form, key: $0) }
            if let present {
                if own.contains(present.id) { continue }       // the same key twice in the workbook: said elsewhere
                if !update {
                    refused(row.line, present)
                    continue
                }
            }
            let id = try write(db, form, row.values, onto: present?.id)
            own.insert(id)
            written.append((row.line, id))
        }
        return written
    }

    // MARK: staging

    private func keep(
        _ db: Database, _ form: Form, _ path: String, _ author: String, _ update: Bool, _ rows: [ImportedRow],
        ofFile: [ImportProblem], byRules: [ImportProblem]
    ) throws -> Int64 {
        try db.execute(
            sql: """
                INSERT INTO zz_batch (form, file, author, staged_at, update_existing, state)
                VALUES (?, ?, ?, unixepoch(), ?, 'staged')
                """, arguments: [form.id, path, author, update ? 1 : 0])
        let batch = db.lastInsertedRowID
        for row in rows {
            try db.cachedStatement(sql: "INSERT INTO zz_staged_row VALUES (?, ?, ?, ?)").execute(arguments: [
                batch, row.line, StagedValues.encode(form, row.values), try present(db, form, row).map { StagedValues.encode(form, $0) },
            ])
        }
        for (problem, origin) in ofFile.map({ ($0, 1) }) + byRules.map({ ($0, 0) }) {
            try db.cachedStatement(sql: "INSERT OR IGNORE INTO zz_staged_error VALUES (?, ?, ?, ?, ?, ?, ?)").execute(
                arguments: [batch, problem.line, problem.place, problem.message, problem.fix, problem.level, origin])
        }
        return batch
    }

    /// What stands in the fields that a line writes; nil when no row has its key.
    private func present(_ db: Database, _ form: Form, _ row: ImportedRow) throws -> [Int: Value]? {
        guard let key = keyOf(form, row.values), let stored = try find(db, form, key: key) else { return nil }
        return Dictionary(uniqueKeysWithValues: row.values.keys.map { ($0, stored.values[$0]) })
    }

    /// What was written between staging and review by somebody whom the workbook's author had not read: it would be written over unseen.
    private func movedSince(_ db: Database, _ form: Form, _ batch: Int64, _ rows: [ImportedRow]) throws -> [ImportProblem] {
        let staged = try Row.fetchAll(db, sql: "SELECT line, present FROM zz_staged_row WHERE batch = ?", arguments: [batch])
        let texts = Dictionary(uniqueKeysWithValues: staged.map { ($0["line"] as Int, $0["present"] as String?) })
        return try rows.compactMap { row in
            let then = try texts[row.line]?.map { try StagedValues.decode(form, $0) }, now = try present(db, form, row)
            let moved = row.values.keys.sorted().filter { then?[$0] != now?[$0] && row.values[$0] != now?[$0] }
            guard let first = moved.first, then != nil || now != nil else { return nil }
            let message = then == nil ? "暂存之后有人添加了这一行" : now == nil ? "暂存之后有人删除了这一行" : "暂存之后有人改过：原为\(then![first]!.shown)，现为\(now![first]!.shown)"
            return ImportProblem(
                line: row.line, place: moved.map { form.fields[$0].title }.joined(separator: "、"), message: message, fix: "请核对后重新导入", level: "error")
        }
    }

    private func openBatch(_ db: Database, _ batch: Int64) throws -> (Form, update: Bool) {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM zz_batch WHERE batch = ?", arguments: [batch]) else {
            throw Failure(.usage, "There is no batch \(batch).", next: "`zzsync review list` shows the batches.")
        }
        guard row["state"] as String == "staged" else {
            throw Failure(
                .refused, "Batch \(batch) was \(row["state"] as String) by \(row["decided_by"] as String? ?? "someone") already.",
                next: "`zzsync review list` shows what is open.")
        }
        return (try catalogue.form(named: row["form"]), row["update_existing"] as Int64 != 0)
    }

    private func stagedRows(_ db: Database, _ form: Form, _ batch: Int64) throws -> [ImportedRow] {
        try Row.fetchAll(db, sql: "SELECT line, field_values FROM zz_staged_row WHERE batch = ? ORDER BY line", arguments: [batch])
            .map { ImportedRow(line: $0["line"], values: try StagedValues.decode(form, $0["field_values"])) }
    }

    private static func problem(_ row: Row) -> ImportProblem {
        ImportProblem(
            line: row["line"], place: row["place"], message: row["message"], fix: row["fix"], level: row["level"])
    }
}

/// Staged values as JSON, column → value: read by reviewers with the sqlite3 program, and back by us.
enum StagedValues {
    static func encode(_ form: Form, _ values: [Int: Value]) -> String {
        var object: [String: Any] = [:]
        for (field, value) in values {
            switch value {
            case .null: object[form.fields[field].id] = NSNull()        // a choice that is not made
            case .integer(let value): object[form.fields[field].id] = NSNumber(value: value)
            case .real(let value): object[form.fields[field].id] = ["real": "\(value)"]
            case .text(let value): object[form.fields[field].id] = value
            }
        }
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        var json = ""
        for scalar in String(decoding: data ?? Data("{}".utf8), as: UTF8.self).unicodeScalars {
            // Bare at the start of a text, or behind an escape, `JSONSerialization` drops it when it reads.
            if scalar == "\u{FEFF}" { json += "\\ufeff" } else { json.unicodeScalars.append(scalar) }
        }
        return json
    }

    /// - Throws: `Failure(.refused)` for a value of a field that this version of the catalogue does not have.
    static func decode(_ form: Form, _ text: String) throws(Failure) -> [Int: Value] {
        let object = (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
        var values: [Int: Value] = [:]
        for (name, part) in object {
            guard let field = form.fieldIndex(id: name) else {
                if part is NSNull { continue }
                throw Failure(
                    .refused, "The batch holds values of \(name) (\(form.path)), which this version of the catalogue does not know.",
                    next: "Review it with the version under which it was imported (--catalogue); nothing was changed.")
            }
            switch part {
            case let text as String: values[field] = .text(text)
            case let real as [String: String]: values[field] = .real(Double(real["real"] ?? "") ?? 0)
            case let number as NSNumber: values[field] = .integer(number.int64Value)
            case is NSNull: values[field] = .null
            default: break
            }
        }
        return values
    }
}
