// What a hub has asked this school about and the school finds right as it is shown: said in a record of its own, no cell is written.

import Foundation
import GRDB
import Shared

package struct GivenAnswer: Hashable, Sendable {
    package let answer: AnswerRecord
    /// The same person has said the same before; nothing was written.
    package let isRepeated: Bool
}

extension NodeHome {
    /// Answers the open questions about a row: the values that stand here are right.
    ///
    /// - Parameter fields: only questions about one of these; none = every question about the row.
    /// - Parameter key: of twins, questions about either are answered.
    /// - Returns: an answer a question; what the same person has said with the same reason before is not said again.
    /// - Throws: `Failure(.refused)` when there is no such row, or nobody has asked about it.
    package func confirm(form: Form, key: [String], fields: [Int], reason: String, author: String) throws(Failure) -> [GivenAnswer] {
        guard reason.contains(where: { !$0.isWhitespace }) else {
            throw Failure(.usage, "An answer needs a reason.", next: "Add --reason \"...\"; the hub's operator will read it.")
        }
        do {
            let answers = try database.write { db in
                let rows = try lookUp(db, form, key: key)
                guard !rows.isEmpty else { throw noSuchRow(form, key) }
                let columns = Set(fields.map { form.fields[$0].id })
                let asked = try rows.flatMap { row in
                    try questions(db, form, row.id).filter { columns.isEmpty || !columns.isDisjoint(with: $0.fields) }
                        .filter { question in question.row == row.id.description || !rows.contains { $0.id.description == question.row } }   // one about both, once
                        .map { (row, $0) }
                }
                guard !asked.isEmpty else {
                    throw Failure(
                        .refused, "No hub waits for an answer about \(form.path) \(key.joined(separator: " ")).",
                        next: "`zzsync decisions \(form.id)` shows what was returned to the school, after a sync.")
                }
                let answers = try asked.map { row, question in try answer(question, form, row, reason: reason, author: author, db) }
                KillPoint.reach("entry.write", in: directory)
                return answers
            }
            KillPoint.reach("entry.commit", in: directory)
            return answers
        } catch {
            throw storeFailure(error, path: Self.databasePath(directory))
        }
    }

    /// Returns that nobody has taken back and whose case nobody has decided, the newest of each case. A change request is no decision.
    private func questions(_ db: Database, _ form: Form, _ row: RowID) throws -> [DecisionRecord] {
        let told = try DecisionRecord.list(db, scope: nil, form: form, row: row).filter { !$0.isUndone && $0.kind != "undo" }
        let cases = Dictionary(grouping: told) { [$0.hub, String($0.caseNumber)] }
        return cases.values.map { records in records.filter { $0.kind != Policy.owner.rawValue } }
            .filter { records in records.allSatisfy { $0.kind == "return" } }.compactMap(\.last).sorted { $0.id < $1.id }
    }

    private func answer(
        _ question: DecisionRecord, _ form: Form, _ row: StoredRow, reason: String, author: String, _ db: Database
    ) throws -> GivenAnswer {
        var confirmed: [String: String] = question.fields.isEmpty ? ["life": "alive"] : [:]
        for column in question.fields {
            guard let field = form.fieldIndex(id: column) else {
                throw Failure(
                    .refused, "The question is about \(column), which this school's version of the catalogue does not know.",
                    next: "Confirm it at a node with the newer version, or tell the hub's operator.")
            }
            confirmed[column] = row.values[field].shown
        }
        // Another person, or another reason, is more than was said: the first to answer must not silence the second.
        let said = try AnswerRecord.list(db, scope: nil, to: Int64(question.id) ?? 0)
        if let same = said.first(where: { ($0.confirmed, $0.author, $0.reason) == (confirmed, author, reason) }) {
            return GivenAnswer(answer: same, isRepeated: true)
        }
        var answer = AnswerRecord(question, confirmed: confirmed, reason: reason, author: author, at: try ReplicaDatabase.now(db))
        let values = Dictionary(uniqueKeysWithValues: answer.values.enumerated().map { ($0.offset, $0.element) })
        answer.id = try authored(db, by: author) { try write(db, SystemForms.answer, values, onto: nil) }.description
        return GivenAnswer(answer: answer, isRepeated: false)
    }
}
