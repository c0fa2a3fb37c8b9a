// Many cases at once: by filter and side, or from a workbook that an operator filled in.
//
// One transaction with a savepoint a case: a case that refuses (a rule broken, changed meanwhile, nobody on that side) stays in
// the queue and is counted with its reason, the others are decided. A trial run does the same and rolls back, so that its counts
// are true. The journal has one entry, which one undo takes back.

import Foundation
import GRDB
import Shared

/// How a bulk went, or would go.
package struct BulkReport: Codable, Sendable {
    package struct Line: Codable, Sendable {
        package var number: Int64
        package var school: String
        package var form: String
        package var key: String
        /// What it becomes, or why it stays.
        package var outcome: String

        enum CodingKeys: String, CodingKey { case number = "case", school, form, key, outcome }
    }

    package var cases = 0
    package var decided = 0
    /// Why cases stay in the queue → how many.
    package var left: [String: Int] = [:]
    /// Some of those that are decided.
    package var sample: [Line] = []
    /// Every one that stays.
    package var leftCases: [Line] = []
    /// The journal's entry; nil when nothing was written.
    package var decision: Int64?

    enum CodingKeys: String, CodingKey { case cases, decided, left, sample, leftCases = "left_cases", decision }

    static let sampleMax = 10
}

/// One case of a bulk.
struct BulkItem: Sendable {
    let view: CaseView
    let choice: Result<Choice, Failure>
    /// Of its own, where a workbook has one.
    var reason: String?
    var explanation: String?
}

extension OperatorDesk {
    /// Takes one side of every case that the filter finds.
    package func bulk(_ filter: CaseFilter, take side: Side, _ verdict: Verdict, dryRun: Bool) throws(Failure) -> BulkReport {
        let items = try cases(filter).map { item in
            BulkItem(view: item, choice: Result { () throws(Failure) in try side.choose(item) })
        }
        return try decideAll(items, kind: "bulk", verdict, dryRun: dryRun)
    }

    func decideAll(_ items: [BulkItem], kind: String, _ verdict: Verdict, dryRun: Bool) throws(Failure) -> BulkReport {
        try checkReason(verdict)
        var report = BulkReport()
        do {
            try home.database.writeInTransaction(.immediate) { db in
                report = try decideAll(db, items, kind: kind, verdict)
                if dryRun || report.decided == 0 { return .rollback }
                KillPoint.reach("decide.write", in: home.directory)
                return .commit
            }
            if !dryRun, report.decided > 0 { KillPoint.reach("decide.commit", in: home.directory) }
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
        if dryRun || report.decided == 0 { report.decision = nil }
        return report
    }

    private func decideAll(_ db: Database, _ items: [BulkItem], kind: String, _ verdict: Verdict) throws -> BulkReport {
        var report = BulkReport()
        var ids = try recordIDs(db)
        let batch = Verdict.Batch(decision: try head(db, kind, verdict, record: ids.mint()), record: ids.mint())
        // What the bulk itself moves in a row, its operator knows of.
        let asSeen = try Set(items.map(\.view).filter { try WholeRowCases.isAsSeen(db, $0) }.map(\.number))
        for item in items {
            report.cases += 1
            var own = verdict
            own.version = asSeen.contains(item.view.number) ? nil : item.view.version
            own.batch = batch
            own.reason = item.reason ?? verdict.reason
            own.explanation = item.explanation ?? verdict.explanation
            do {
                let choice = try item.choice.get()
                try db.inSavepoint {
                    let entry = try decide(db, item.view.number, choice, own)
                    report.decided += 1
                    if report.sample.count < BulkReport.sampleMax { report.sample.append(item.line(entry.told(item.view))) }
                    return .commit
                }
            } catch let failure as Failure where [.refused, .usage].contains(failure.kind) {
                let reason = failure.description.replacing("Case \(item.view.number)", with: "The case")
                report.left[Self.folded(reason), default: 0] += 1
                report.leftCases.append(item.line(reason))
            }
        }
        try db.execute(
            sql: "UPDATE zz_decision SET taken = ? WHERE decision = ?",
            arguments: ["\(report.decided) of \(report.cases) cases", batch.decision])
        report.decision = batch.decision
        return report
    }

    /// The reason without the numbers of cases, requests and rows in it: cases that stay for one reason are counted together.
    private static func folded(_ reason: String) -> String {
        var before = ""
        return reason.split(separator: " ", omittingEmptySubsequences: false).map { word in
            defer { before = word.lowercased().filter(\.isLetter) }
            let isNumber = ["case", "request", "row", "rows", "and", "show"].contains(before) && word.first?.isNumber == true
            return isNumber ? "N" + word.drop(while: \.isNumber) : String(word)
        }.joined(separator: " ")
    }

    /// The bulk's own entry in the journal: about no case.
    private func head(_ db: Database, _ kind: String, _ verdict: Verdict, record: RowID) throws -> Int64 {
        try db.execute(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, record)
                VALUES (0, ?, ?, ?, ?, '', '', '', 0, ?)
                """, arguments: [kind, verdict.who, try ReplicaDatabase.now(db), verdict.reason, record.rawValue])
        return db.lastInsertedRowID
    }

    /// A bulk has no row of its own: its records name it, wherever they are.
    private func recordIDs(_ db: Database) throws -> RecordIDs {
        let newest = try Int64.fetchOne(db, sql: "SELECT max(decision) FROM zz_decision") ?? 0
        return RecordIDs(home, at: Position(epoch: home.epoch, counter: 1 << 39 | newest + 1), of: nil)
    }

    /// A sentence as a part of another one.
    private static func clause(_ sentence: String?) -> String? { sentence.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 } }

    static func isBatch(_ decision: Row) -> Bool { decision["number"] as Int64 == 0 }

    /// Undoes what still can be, the last first; what was written again since stays and is counted.
    func undoBatch(_ db: Database, _ head: Row, _ verdict: Verdict) throws -> JournalEntry {
        let number: Int64 = head["decision"]
        let members = try Int64.fetchAll(
            db, sql: "SELECT decision FROM zz_decision WHERE batch = ? AND kind <> 'undo' AND undone_by IS NULL ORDER BY decision DESC",
            arguments: [number])
        var ids = try recordIDs(db)
        let undo = try self.head(db, "undo", verdict, record: ids.mint())
        var own = verdict
        own.batch = Verdict.Batch(decision: undo, record: ids.mint())
        var failures: [String] = []
        for member in members {
            do {
                try db.inSavepoint {
                    _ = try self.undo(db, member, own)
                    return .commit
                }
            } catch let failure as Failure where failure.kind == .refused {
                failures.append(failure.what)
            }
        }
        guard failures.count < members.count else {
            throw Failure(
                .refused, "None of the \(members.count) decisions of bulk \(number) can be undone: \(Self.clause(failures.first) ?? "they were undone one by one").",
                next: "Nothing was changed.")
        }
        let kept = failures.isEmpty ? "" : "; \(failures.count) stay: \(Self.clause(failures.first)!)"
        try db.execute(
            sql: "UPDATE zz_decision SET taken = ? WHERE decision = ?",
            arguments: ["\(members.count - failures.count) decisions of bulk \(number) undone\(kept)", undo])
        // What stays can be tried again.
        if failures.isEmpty { try db.execute(sql: "UPDATE zz_decision SET undone_by = ? WHERE decision = ?", arguments: [undo, number]) }
        return JournalEntry(try Row.fetchOne(db, sql: "SELECT * FROM zz_decision WHERE decision = ?", arguments: [undo])!)
    }
}

extension BulkItem {
    func line(_ outcome: String) -> BulkReport.Line {
        BulkReport.Line(number: view.number, school: view.school, form: view.form, key: view.key, outcome: outcome)
    }
}

extension JournalEntry {
    /// What the case becomes, for the sample.
    fileprivate func told(_ item: CaseView) -> String {
        guard kind == "take" || kind == "set" else { return taken }
        let texts = ValuesJSON.decode(value).map(\.shown)
        return texts.isEmpty ? value.trimmingCharacters(in: ["\""]) : zip(item.group, texts).map { "\($0)=\($1)" }.joined(separator: " ")
    }
}
