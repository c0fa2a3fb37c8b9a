// Two people changed different cells of one row, neither having seen the other; each of their rows kept the rule, the merged
// one breaks it. Nobody erred alone, so nobody would find it alone: an operator is asked.
//
// Two designs. One: the judge of cells treats a rule's columns as one group, so that such edits are disputed like a cell
// (simple; and every two edits of a wide rule's columns are asked about, though most keep it). The other: cells merge as
// always, then the rule is run on the merged row, on the row as it stood here and on the row as the other side had it; only
// a rule that holds for both and not for the two together is a question. The second: it asks about what is really broken.
// The other sides are tried in a savepoint that is rolled back, so that the rule's own SQL judges them.
//
// One of the two may be the parent. What has gone up to it, or is on its way, it judges itself, and asks where it must: this hub
// asks only about what it holds back, of which the parent never hears while the rule is broken. So one of them asks, whatever came first.
//
// The case holds nothing by itself: the finding of the same rule holds the row. It closes itself when that finding goes. A row that died
// breaks nothing; should it live again as it was, the case is open again, or it would be held without anybody being asked.

import GRDB
import Shared

/// A change that came to stand beside cells which its author had not seen: a child's segment, or the parent's page.
struct ApartChange {
    let form: Form
    let row: RowID
    /// The row as it stood here before.
    let before: [Value]
    /// Groups (by index) of which the author had seen what stood here at a position, and nothing later of this hub's or its other children's.
    let unseen: [Int: Position]
    let by: Provenance
    /// What the author had seen; of the parent, where it wrote.
    let cursor: Position
    /// Who wrote the newest of what he had not seen.
    let other: Provenance
}

enum RuleCase {
    static let kind = "rule"

    /// Opens a case for each row that a rule finds broken only as merged; a side that comes to an open case joins it.
    ///
    /// - Parameter apart: in the order of the merge. The rows' findings are those of now.
    static func open(_ db: Database, _ rules: RuleEngine, _ apart: [ApartChange], store: inout SQLiteScopeStore) throws {
        for change in apart {
            let broken = try brokenNow(db, store.scope, change)
            guard !broken.isEmpty, let row = try store.load(change.form, [change.row])[change.row] else { continue }
            let theirs = try seen(db, store.scope, change, merged: row.values)
            let theirsBreak = try self.broken(db, rules, store.scope, change, values: theirs)
            let side = Candidate(by: change.by, values: theirs, life: .unchanged, cursor: change.cursor)
            var combined = try broken.subtracting(theirsBreak)
                .subtracting(self.broken(db, rules, store.scope, change, values: change.before))
            // A disputed cell is a question already; its answer is held to the rules by itself.
            if groups(change.form, combined).contains(where: { row.cases[$0] != nil }) { combined = [] }
            if let known = try openCase(db, store.scope, change.form, change.row) {
                if theirsBreak.isDisjoint(with: known.rules) {
                    try join(db, change.form, known, known.rules.union(combined), side, store: &store)
                }
                continue
            }
            if combined.isEmpty { continue }
            let here = Candidate(by: change.other, values: change.before, life: .unchanged, cursor: row.position)
            try insert(db, change, combined, [here, side], store: &store)
        }
    }

    /// Closes the cases of rows that no longer break what they were opened for, and opens those again whose rows had died. Called wherever
    /// rules were run.
    static func follow(_ db: Database, _ catalogue: Catalogue, scope: ScopeID, rows: [FormNumber: [RowID]]) throws {
        let cases = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, form, id, rules, 0 AS has_died FROM zz_case WHERE scope = ?1 AND kind = 'rule' AND closed_at IS NULL
                    UNION ALL SELECT number, form, id, rules, 1 FROM zz_case WHERE scope = ?1 AND kind = 'rule' AND record = \(closedWithItsRow)
                    """), arguments: [scope.key])
        guard !cases.isEmpty else { return }
        let rows = rows.mapValues(Set.init)
        for entry in cases where rows[entry["form"]]?.contains(RowID(entry["id"])) == true {
            guard let form = catalogue[number: entry["form"]] else { continue }
            let number: Int64 = entry["number"], id = RowID(entry["id"])
            let isBroken = try !findings(db, scope, form.number, id).isDisjoint(with: ruleIDs(entry))
            let isAlive = try Bool.fetchOne(
                db, sql: "SELECT _life = 1 FROM \(form.table) WHERE scope = ? AND id = ?", arguments: [scope.key, id.rawValue]) ?? false
            if !(entry["has_died"] as Bool) {
                guard !isBroken else { continue }
                try db.execute(
                    sql: "UPDATE zz_case SET closed_at = unixepoch(), record = ? WHERE number = ?",
                    arguments: [isAlive ? nil : closedWithItsRow, number])
            } else if isAlive {
                let asks = try isBroken && openCase(db, scope, form, id) == nil
                try db.execute(
                    sql: "UPDATE zz_case SET closed_at = iif(?1, NULL, closed_at), record = NULL, version = version + ?1 WHERE number = ?2",
                    arguments: [asks, number])
            }
        }
    }

    /// In the place of a decision's record: nobody decided, the row died.
    private static let closedWithItsRow: Int64 = 0

    static func ruleIDs(_ entry: Row) -> Set<String> { Set((entry["rules"] as String).split(separator: ",").map(String.init)) }

    /// The groups whose values the rules read: what the case is about, and what a decision may write.
    static func groups(_ form: Form, _ rules: Set<String>) -> [Int] {
        let read = form.rules.filter { rules.contains($0.id) }.reduce(into: Set<String>()) { $0.formUnion(columns($1)) }
        return form.groups.indices.filter { form.groups[$0].fields.contains { read.contains(form.fields[$0].id) } }
    }

    private static func columns(_ rule: Rule) -> Set<String> {
        // Text literals hold no columns; a word that is no column of the form matches none.
        let code = rule.condition.split(separator: "'", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset.isMultiple(of: 2) }.map(\.element).joined(separator: " ")
        let words = code.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
        return Set(rule.fields).union(words)
    }

    // MARK: what each side breaks

    private static func isOfOneRow(_ rule: Rule) -> Bool { rule.level == .error && [.authored, .field].contains(rule.kind) }

    private static func brokenNow(_ db: Database, _ scope: ScopeID, _ change: ApartChange) throws -> Set<String> {
        try findings(db, scope, change.form.number, change.row)
            .intersection(change.form.rules.filter(isOfOneRow).map(\.id))
    }

    private static func findings(_ db: Database, _ scope: ScopeID, _ form: FormNumber, _ row: RowID) throws -> Set<String> {
        Set(
            try String.fetchAll(
                db.cachedStatement(sql: "SELECT rule FROM zz_finding WHERE scope = ? AND form = ? AND id = ? AND level = 'error'"),
                arguments: [scope.key, form, row.rawValue]))
    }

    /// What the row would break with these values.
    private static func broken(
        _ db: Database, _ rules: RuleEngine, _ scope: ScopeID, _ change: ApartChange, values: [Value]
    ) throws -> Set<String> {
        var broken: Set<String> = []
        try db.inSavepoint {
            let sets = change.form.fields.map { "\($0.id) = ?" }.joined(separator: ", ")
            let update = try HotStatement(db, "UPDATE \(change.form.table) SET \(sets) WHERE scope = ? AND id = ?")
            defer { update.reset() }
            for (index, value) in values.enumerated() { update.bind(index + 1, value) }
            update.bind(values.count + 1, scope.key)
            update.bind(values.count + 2, change.row.rawValue)
            _ = try update.step()
            broken = Set(
                try rules.findings(db, form: change.form, rows: [change.row], scope: .hub(scope), where: isOfOneRow).map(\.rule))
            return .rollback
        }
        return broken
    }

    /// The row as the change's author had it: what he had not seen is as he had seen it last.
    private static func seen(_ db: Database, _ scope: ScopeID, _ change: ApartChange, merged: [Value]) throws -> [Value] {
        var values = merged
        for (index, position) in change.unseen {
            let group = change.form.groups[index]
            let old = try String.fetchOne(
                db.cachedStatement(sql: change.by.writer == .parent ? parentsOld : standingAt),
                arguments: [scope.key, change.form.number, change.row.rawValue, group.number, position.rawValue]
            ).map(ValuesJSON.decode)
            for (place, field) in group.fields.enumerated() { values[field] = old?[place] ?? .null }
        }
        return values
    }

    private static let standingAt = """
        SELECT old FROM zz_history WHERE scope = ?1 AND form = ?2 AND id = ?3 AND field_group = ?4 AND cut IS NULL
          AND written <= ?5 AND replaced > ?5 ORDER BY replaced LIMIT 1
        """
    /// What the parent had been told by then, or has said itself since.
    private static let parentsOld = """
        SELECT old FROM zz_history WHERE scope = ?1 AND form = ?2 AND id = ?3 AND field_group = ?4 AND cut IS NULL AND replaced > ?5
          AND (written <= ?5 OR stamp IN (SELECT stamp FROM zz_stamp WHERE writer = 1)) ORDER BY written DESC LIMIT 1
        """

    // MARK: store

    private static func openCase(
        _ db: Database, _ scope: ScopeID, _ form: Form, _ row: RowID
    ) throws -> (number: Int64, rules: Set<String>)? {
        try Row.fetchOne(
            db.cachedStatement(
                sql: "SELECT number, rules FROM zz_case WHERE scope = ? AND form = ? AND id = ? AND kind = 'rule' AND closed_at IS NULL"),
            arguments: [scope.key, form.number, row.rawValue]
        ).map { ($0["number"], ruleIDs($0)) }
    }

    private static func insert(
        _ db: Database, _ change: ApartChange, _ rules: Set<String>, _ sides: [Candidate], store: inout SQLiteScopeStore
    ) throws {
        try db.execute(
            sql: "INSERT INTO zz_case (kind, scope, form, id, field_group, rules, opened_at) VALUES ('rule', ?, ?, ?, 0, ?, unixepoch())",
            arguments: [store.scope.key, change.form.number, change.row.rawValue, rules.sorted().joined(separator: ",")])
        try CaseStore.write(db, db.lastInsertedRowID, sides, stamps: &store.stamps)
    }

    /// As `OpenCase.join`, by what the rules read of the rows.
    private static func join(
        _ db: Database, _ form: Form, _ known: (number: Int64, rules: Set<String>), _ rules: Set<String>, _ side: Candidate, store: inout SQLiteScopeStore
    ) throws {
        let fields = groups(form, rules).flatMap { form.groups[$0].fields }
        var sides = try CaseStore.candidates(db, number: known.number, stamps: &store.stamps)
        sides.removeAll { other in other.by.writer == side.by.writer && fields.allSatisfy { other.values[$0] == side.values[$0] } }
        try CaseStore.write(db, known.number, sides + [side], stamps: &store.stamps)
        try db.execute(
            sql: "UPDATE zz_case SET rules = ?, version = version + 1 WHERE number = ?",
            arguments: [rules.sorted().joined(separator: ","), known.number])
    }
}

extension Ruling {
    /// The sides of a broken rule are whole rows; a decision writes the groups that the rule reads, in one change.
    mutating func answerRule(_ whole: [Value]) throws {
        let open = groups.first { row.cases[$0] != nil }
        if let open {
            let titles = row.form.groups[open].fields.map { row.form.fields[$0].id }.joined(separator: ", ")
            throw Failure(.refused, "\(titles) of this row is disputed too.", next: "Decide that case first.")
        }
        before = ValuesJSON.encode(row.values)
        let differing = groups.filter { group in row.form.groups[group].fields.contains { row.values[$0] != whole[$0] } }
        let position = takePosition()
        // Kept as it is, with an explanation: a write all the same, so that it covers what both sides wrote.
        for group in differing.isEmpty ? groups : differing {
            row.decide(group, row.form.groups[group].fields.map { whole[$0] }, by: by, at: position)
        }
        let fields = groups.flatMap { row.form.groups[$0].fields }
        value = ValuesJSON.encode(fields.map { whole[$0] })
        for field in fields { result[row.form.fields[field].id] = whole[field].shown }
        try save(row)
    }

    mutating func undoRule(_ decision: Row) throws {
        let position: Int64 = decision["position"]
        if let later = groups.map({ row.cells[$0] }).first(where: { $0.written.rawValue > position }) {
            throw writtenAgain(decision, later)
        }
        if let later = groups.compactMap({ row.cases[$0] }).first { throw isDisputed(decision, later) }
        for group in groups where row.cells[group].written.rawValue == position { try checkSame(decision, row, group) }
        let old = ValuesJSON.decode(decision["before"])
        row.position = takePosition()
        let unsent = try unsent(position)
        for group in groups where row.cells[group].written.rawValue == position {
            let isParents = try unsent.isSuperset(of: row.form.groups[group].mask) ? parents(group, writtenOverAt: position) : nil
            row.forceWrite(group, row.form.groups[group].fields.map { old[$0] }, by: isParents ?? by)
        }
        value = ValuesJSON.encode(groups.flatMap { row.form.groups[$0].fields }.map { old[$0] })
        try save(row)
        try reopenCase()
    }

    /// The row's fields of which the parent has not been told what was written here at a position.
    func unsent(_ position: Int64) throws -> FieldMask {
        let sealed = try Int64.fetchOne(db, sql: "SELECT sealed FROM zz_scope WHERE scope = ?", arguments: [store.scope.key])!
        return position > sealed ? row.form.allFields : try Held.cells(db, scope: store.scope, form: row.form, row: row.id).fields
    }

    /// Who the parent had it from, where a write has replaced the parent's word: put back, it is the parent's word again and no write of ours.
    private func parents(_ group: Int, writtenOverAt position: Int64) throws -> Provenance? {
        try provenance(group, writtenOverAt: position).flatMap { $0.writer == .parent ? $0 : nil }
    }

    /// Of what a write at a position has replaced.
    func provenance(_ group: Int, writtenOverAt position: Int64) throws -> Provenance? {
        let stamp = try Int64.fetchOne(
            db, sql: "SELECT stamp FROM zz_history WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND replaced = ?",
            arguments: [store.scope.key, row.form.number, row.id.rawValue, row.form.groups[group].number, position])
        var stamps = store.stamps
        return try stamp.map { try stamps.provenance($0) }
    }
}
