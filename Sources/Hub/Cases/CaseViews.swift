// What an operator sees of a case: the row, what stood there before, both sides with who and when.

import Foundation
import GRDB
import Shared

extension OperatorDesk {
    func view(_ db: Database, _ row: Row) throws -> CaseView {
        if CloneCase.isOne(row) { return try CloneCase.view(db, row) }
        var stamps = Stamps(db)
        let scope = ScopeID(key: row["scope"])
        let form = try home.versions.wide(db)[number: row["form"]]
        let cut = Self.fields(row["cut"], of: form)
        let places = cut != nil ? [] : form.map { form in CaseStore.groups(of: row, form).flatMap { form.groups[$0].fields } } ?? []
        let fields = cut ?? form.map { form in places.map { form.fields[$0].id } } ?? []
        let isRule = row["kind"] as String == RuleCase.kind
        let isLife = row["kind"] as String == "life"
        let candidates = try CaseStore.candidates(db, number: row["number"], stamps: &stamps)
        let returned = (row["returned"] as Int64?).map { Position($0) }
        let unseen = isLife ? try form.map { try unseenByTheDelete(db, $0, scope, RowID(row["id"]), candidates) } : nil
        let questions = try questions(db, row)
        let present = try unseen?.written ?? form.map { try shown(db, $0, fields, scope, row["id"]) } ?? [:]
        let before = try unseen?.before ?? base(db, row, form, candidates).map { Dictionary(uniqueKeysWithValues: zip(fields, $0.map(\.shown))) }
        let pair = row["kind"] as String == "twins" ? try form.map { try self.twins(db, row, $0) } : nil
        return CaseView(
            number: row["number"], kind: row["kind"], school: try HubHome.school(db, scope)?.code ?? scope.description,
            form: form?.id ?? "form \(row["form"] as Int)", row: String(row["id"] as Int64),
            key: try form.map { try key(db, $0, scope, row["id"]) } ?? "", group: fields, version: row["version"],
            openedAt: row["opened_at"], closedAt: row["closed_at"],
            otherSchool: try (row["other_scope"] as Int64?).flatMap { try HubHome.school(db, ScopeID(key: $0))?.code },
            otherRow: (row["other_id"] as Int64?).map(String.init),
            isReturned: returned != nil, questions: questions, shown: present, base: before,
            candidates: try candidates.enumerated().map { index, candidate in
                // What stood here when the row was deleted is signed with its newest edit, not with who added the row once.
                let by = index == 0 && candidate.life == .alive ? unseen?.by ?? candidate.by : candidate.by
                return CandidateView(
                    candidate: index + 1,
                    values: isLife
                        ? ["life": "\(candidate.life)"]
                        : Dictionary(uniqueKeysWithValues: zip(fields, (isRule ? places.map { candidate.values[$0] } : candidate.values).map(\.shown))),
                    author: by.stamp.author, time: by.stamp.time, site: by.stamp.origin.description, from: try label(db, by.writer),
                    child: child(by.writer), clamped: by.clamped, answers: candidate.answers(returned))
            },
            survivor: row["kind"] as String == "life" ? try form.flatMap { try survivor(db, $0, scope, RowID(row["id"])) } : nil,
            rows: pair?.rows, merged: pair?.merged,
            breaks: isRule ? form.map { form in form.rules.filter { RuleCase.ruleIDs(row).contains($0.id) }.map { "\($0.id) \($0.message)" } } : nil,
            confirmed: try questions.flatMap { try answers(db, row, to: Int64($0.record)!) })
    }

    /// What the school was asked about the case, as far as nobody has taken it back.
    private func questions(_ db: Database, _ entry: Row) throws -> [JournalEntry] {
        guard entry["returned"] as Int64? != nil else { return [] }
        return try Row.fetchAll(
            db.cachedStatement(sql: "SELECT * FROM zz_decision WHERE number = ? AND kind = 'return' AND undone_by IS NULL ORDER BY decision"),
            arguments: [entry["number"] as Int64]
        ).map(JournalEntry.init)
    }

    /// A question about rows of two schools goes to both.
    private func answers(_ db: Database, _ entry: Row, to question: Int64) throws -> [AnswerRecord] {
        let schools = Set([entry["scope"] as Int64, entry["other_scope"] as Int64?].compactMap { $0 })
        return try schools.flatMap { try AnswerRecord.list(db, scope: ScopeID(key: $0), to: question) }.sorted { ($0.at, $0.id) < ($1.at, $1.id) }
    }

    /// The columns that a case was about whose group is cut differently now.
    private static func fields(_ cut: String?, of form: Form?) -> [String]? {
        guard let cut, let form, let numbers = WireJSON.decode([Int].self, from: Array(cut.utf8)) else { return nil }
        return numbers.map { number in form.fields.first { $0.number == number }?.id ?? "_f\(number)" }
    }

    private func shown(_ db: Database, _ form: Form, _ fields: [String], _ scope: ScopeID, _ id: Int64) throws -> [String: String] {
        guard !fields.isEmpty else { return [:] }
        let select = try HotStatement(db, "SELECT \(fields.joined(separator: ", ")) FROM \(form.table) WHERE scope = ? AND id = ?")
        defer { select.reset() }
        select.bind(1, scope.key)
        select.bind(2, id)
        guard try select.step() else { return [:] }
        return Dictionary(uniqueKeysWithValues: fields.enumerated().map { ($1, select.value($0).shown) })
    }

    private func survivor(_ db: Database, _ form: Form, _ scope: ScopeID, _ id: RowID) throws -> SurvivorView? {
        var store = try SQLiteScopeStore(db, scope: scope)
        return try store.load(form, [id])[id].flatMap { row in
            try SurvivorOffer.find(db, row, store: &store)?.view(of: row)
        }
    }

    /// What stood in the group where the first of the sides had not seen another: the value at its cursor.
    private func base(_ db: Database, _ row: Row, _ form: Form?, _ candidates: [Candidate]) throws -> [Value]? {
        guard ["cell", "owner"].contains(row["kind"] as String) else { return nil }
        // The one that stood here names where it was written: the first, but of what a policy decided for the word that came. A parent's
        // position belongs to another log.
        let before = try String.fetchOne(
            db.cachedStatement(sql: "SELECT before FROM zz_decision WHERE number = ? AND policy IS NOT NULL ORDER BY decision LIMIT 1"),
            arguments: [row["number"] as Int64])
        let stood = row["kind"] as String == "cell" && candidates.count > 1 && before == ValuesJSON.encode(candidates[1].values) ? 1 : 0
        let seen = candidates.enumerated().filter { $0.offset == stood || $0.element.by.writer != .parent }
            .map { $0.offset == stood ? $0.element.cursor.advanced(by: -1) : $0.element.cursor }
        guard let cursor = seen.min() else { return nil }
        return try form.flatMap { try value(db, ScopeID(key: row["scope"]), $0, RowID(row["id"]), row["field_group"], at: cursor) }
    }

    /// What stood in a group at a position and was written over since; nil where that is not known.
    private func value(_ db: Database, _ scope: ScopeID, _ form: Form, _ id: RowID, _ group: Int, at position: Position) throws -> [Value]? {
        try String.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT old FROM zz_history WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND cut IS NULL
                      AND written <= ? AND replaced > ? ORDER BY replaced LIMIT 1
                    """),
            arguments: [scope.key, form.number, id.rawValue, group, position.rawValue, position.rawValue]
        ).map(ValuesJSON.decode)
    }

    /// What stands in a row that somebody deleted without having seen it, and what he saw instead: who decides on the row's life decides on that.
    /// Of what a parent has seen this hub's positions say nothing: there it is what the row's editors have written.
    private func unseenByTheDelete(
        _ db: Database, _ form: Form, _ scope: ScopeID, _ id: RowID, _ candidates: [Candidate]
    ) throws -> (written: [String: String], before: [String: String], by: Provenance?) {
        var store = try SQLiteScopeStore(db, scope: scope)
        guard let row = try store.load(form, [id])[id] else { return ([:], [:], nil) }
        let deletes = candidates.filter { $0.life == .dead && $0.by.writer != .parent }.map(\.cursor)
        let editors = Set(candidates.filter { $0.life == .alive }.map(\.by.stamp.author))
        var (written, before): ([String: String], [String: String]) = ([:], [:])
        var newest: Provenance?
        for (index, group) in form.groups.enumerated() where row.cells[index].isWritten {
            let cell = row.cells[index]
            guard let seen = deletes.min() else {
                if editors.contains(cell.by.stamp.author) { for field in group.fields { written[form.fields[field].id] = row.values[field].shown } }
                continue
            }
            guard cell.written > seen else { continue }
            // By the time claimed: what an undo shows again stands at a new place, and is no newer for that.
            if newest == nil || newest!.ordering < cell.by.ordering { newest = cell.by }
            let old = try value(db, scope, form, id, group.number, at: seen)
            for (place, field) in group.fields.enumerated() {
                written[form.fields[field].id] = row.values[field].shown
                before[form.fields[field].id] = old?[place].shown
            }
        }
        return (written, before, newest)
    }

    private func twins(_ db: Database, _ entry: Row, _ form: Form) throws -> (rows: [TwinView], merged: MergeOutcome?) {
        let sides: [(scope: ScopeID, id: Int64)] = [
            (ScopeID(key: entry["scope"]), entry["id"]), (ScopeID(key: entry["other_scope"]), entry["other_id"]),
        ]
        let rows = try sides.compactMap { scope, id in
            var store = try SQLiteScopeStore(db, scope: scope)
            return try store.load(form, [RowID(id)])[RowID(id)].map { (scope, $0) }
        }
        guard rows.count == 2 else { return ([], nil) }
        let apart = form.fields.indices.filter { rows[0].1.values[$0] != rows[1].1.values[$0] }
        let views = try rows.map { scope, row in
            TwinView(
                school: try HubHome.school(db, scope)?.code ?? scope.description, row: row.id.description,
                values: Dictionary(uniqueKeysWithValues: apart.map { (form.fields[$0].id, row.values[$0].shown) }),
                author: row.lifeCell.by.stamp.author, time: row.lifeCell.by.stamp.time, site: row.lifeCell.by.stamp.origin.description)
        }
        return (views, rows[0].0 == rows[1].0 ? TwinMerger.Pair(rows[0].1, rows[1].1).outcome : nil)
    }

    private func key(_ db: Database, _ form: Form, _ scope: ScopeID, _ id: Int64) throws -> String {
        guard !form.key.isEmpty else { return "" }
        let columns = form.key.map { "coalesce(\(form.fields[$0].id), '')" }.joined(separator: " || ' ' || ")
        return try String.fetchOne(
            db, sql: "SELECT \(columns) FROM \(form.table) WHERE scope = ? AND id = ?", arguments: [scope.key, id]) ?? ""
    }

    private func label(_ db: Database, _ writer: Provenance.Writer) throws -> String {
        switch writer {
        case .hub: "this hub"
        case .parent: "parent"
        case .child(let site):
            try String.fetchOne(db, sql: "SELECT label FROM zz_site WHERE site = ?", arguments: [site.key]) ?? site.description
        }
    }

    private func child(_ writer: Provenance.Writer) -> String? {
        if case .child(let site) = writer { site.description } else { nil }
    }
}

extension CaseView {
    /// Where a candidate came from, as people tell the sides apart: two sites of one label by their ids.
    package func origin(of candidate: CandidateView) -> String {
        guard let child = candidate.child, candidates.contains(where: { $0.from == candidate.from && $0.child != child }) else { return candidate.from }
        return "\(candidate.from) (site \(child))"
    }
}

extension Candidate {
    /// Written by a child that had read the hub's question.
    fileprivate func answers(_ returned: Position?) -> Bool {
        guard let returned, case .child = by.writer else { return false }
        return cursor >= returned
    }
}
