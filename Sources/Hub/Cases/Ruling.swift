// One decision under way, in one transaction: the row as it is, what is written, what the journal keeps.

import Foundation
import GRDB
import Shared

struct Ruling {
    private let db: Database
    private let home: HubHome
    private let entry: Row
    private let verdict: Verdict
    private let now: Int64
    private let errorsBefore: Set<String>
    private var store: SQLiteScopeStore
    private var next: Position
    private var touched: [(form: FormNumber, row: RowID)] = []
    private var formerKeys: [FormNumber: Set<String>] = [:]
    private var records = RecordIDs()
    private var value = ""
    /// The result as the record says it: column → value, or what became of the row.
    private var result: [String: String] = [:]
    /// What an undo puts back, as JSON.
    var before = ""
    /// The case as the operator saw it.
    let view: CaseView
    /// Cell cases that a deciding delete closes with the row's.
    private var closedToo: [Int64] = []
    private(set) var row: MergeRow
    /// The group that the case is about; nil for the row's life and for twins.
    let group: Int?

    init(_ db: Database, _ home: HubHome, case entry: Row, _ verdict: Verdict) throws {
        self.db = db
        self.home = home
        self.entry = entry
        self.verdict = verdict
        now = try ReplicaDatabase.now(db)
        store = try SQLiteScopeStore(db, scope: ScopeID(key: entry["scope"]))
        next = store.logEnd.next(inEpoch: home.epoch)
        guard let form = home.catalogue[number: entry["form"]],
            let row = try store.load(form, [RowID(entry["id"])])[RowID(entry["id"])]
        else {
            throw Failure(.damaged, "The row of case \(entry["number"] as Int64) is gone.", next: "Run `zzsync hub status`.")
        }
        self.row = row
        group = ["cell", "owner"].contains(entry["kind"] as String) ? form.groups.firstIndex { $0.number == entry["field_group"] as Int } : nil
        errorsBefore = try Self.errors(db, store.scope, form, row.id)
        view = try OperatorDesk(home).view(db, entry)
    }

    private var number: Int64 { entry["number"] }
    private var by: Provenance {
        Provenance(writer: .hub, stamp: Stamp(origin: home.keys.site, author: verdict.who, time: now))
    }

    private mutating func takePosition() -> Position {
        defer { next = next.advanced(by: 1) }
        return next
    }

    // MARK: a value or a life

    func openCase() throws -> OpenCase {
        if entry["kind"] as String == "owner" { return try changeRequest() }
        let open = entry["kind"] as String == "life" ? row.rowCase : group.flatMap { row.cases[$0] }
        guard let open else {
            throw Failure(
                .refused, "Case \(number) is about two rows of one key; it has no candidates to take.",
                next: "Use `merge` or `distinct`, or correct one of the rows at its school.")
        }
        return open
    }

    /// A change request holds nothing: its candidates stand in the store alone.
    private func changeRequest() throws -> OpenCase {
        guard let group, row.cases[group] == nil else {
            throw Failure(.refused, "The value that request \(number) asks for is disputed too.", next: "Decide that case first.")
        }
        var stamps = store.stamps
        return OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
    }

    mutating func answer(values: [Value], life: Life) throws {
        if let group {
            before = ValuesJSON.encode(row.groupValues(group))
            row.decide(group, values, by: by, at: takePosition())
            value = ValuesJSON.encode(values)
            result = Dictionary(uniqueKeysWithValues: zip(view.group, values.map(\.shown)))
        } else {
            before = "\"\(row.life)\""
            if life == .dead { closedToo = row.cases.values.compactMap(\.number) }
            row.decideLife(life, by: by, at: takePosition())
            value = "\"\(life)\""
            result = ["life": "\(life)"]
        }
        try save(row)
    }

    // MARK: two rows of one key

    func twins() throws -> TwinMerger.Pair {
        guard entry["kind"] as String == "twins", let otherID = entry["other_id"] as Int64? else {
            throw Failure(.refused, "Case \(number) is not about two rows.", next: "Take one of its candidates.")
        }
        guard entry["other_scope"] as Int64? == store.scope.key else {
            throw Failure(
                .refused, "The two rows of case \(number) belong to two schools; rows of two schools are never merged.",
                next: "Use `distinct`, or correct one of the rows at its school.")
        }
        var store = store
        guard let other = try store.load(row.form, [RowID(otherID)])[RowID(otherID)] else {
            throw Failure(.damaged, "The other row of case \(number) is gone.", next: "Run `zzsync hub status`.")
        }
        let pair = TwinMerger.Pair(row, other)
        guard pair.canMerge else {
            throw Failure(
                .refused, "One of the two rows has another open case, or does not live any more.", next: "Decide that case first.")
        }
        return pair
    }

    mutating func merge(_ pair: TwinMerger.Pair) throws {
        let (survivor, other) = pair.merged(by: by, positions: (takePosition(), takePosition()))
        value = "\"\(survivor.id)\""
        result = ["row": survivor.id.description]
        try save(survivor)
        try save(other)
    }

    /// The record says it; `ClaimKeeper` follows the records, here and at every hub that they reach.
    func markDistinct() throws {
        guard entry["kind"] as String == "twins" else {
            throw Failure(.refused, "Case \(number) is not about two rows.", next: "Take one of its candidates.")
        }
    }

    // MARK: undo

    mutating func undo(_ decision: Row) throws {
        switch decision["kind"] as String {
        case "distinct":
            try reopenCase()
        case "merge":
            try undoMerge(decision)
        default:
            let cell = group.map { row.cells[$0] } ?? row.lifeCell
            guard cell.written.rawValue == decision["position"] as Int64 else {
                let time = Date(timeIntervalSince1970: TimeInterval(cell.by.stamp.time)).formatted(.iso8601)
                throw Failure(
                    .refused, "What decision \(decision["decision"] as Int64) wrote was written again by \(cell.by.stamp.author) at \(time).",
                    next: "Nothing was changed; correct the value with an ordinary write.")
            }
            var stamps = store.stamps
            let open = OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
            row.reopen(group, open, by: by, at: takePosition())
            if group == nil { try reopenCells(closedBy: decision["record"], &stamps) }
            value = decision["before"]
            try save(row)
            try reopenCase()
        }
    }

    /// A delete that decided had closed the row's cell cases too: they are open again, each showing what it showed.
    private mutating func reopenCells(closedBy record: Int64, _ stamps: inout Stamps) throws {
        let closed = try Row.fetchAll(
            db, sql: "SELECT number, field_group FROM zz_case WHERE scope = ? AND form = ? AND id = ? AND record = ? AND kind = 'cell'",
            arguments: [store.scope.key, row.form.number, row.id.rawValue, record])
        for cell in closed {
            guard let index = row.form.groups.firstIndex(where: { $0.number == cell["field_group"] as Int }) else { continue }
            let number: Int64 = cell["number"]
            let open = OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
            row.reopen(index, open, by: by, at: row.position)
            try Self.reopen(db, number)
        }
    }

    private mutating func undoMerge(_ decision: Row) throws {
        guard let otherID = entry["other_id"] as Int64?,
            let other = try store.load(row.form, [RowID(otherID)])[RowID(otherID)]
        else { throw Failure(.damaged, "The other row of case \(number) is gone.", next: "Run `zzsync hub status`.") }
        var (survivor, gone) = row.id < other.id ? (row, other) : (other, row)
        let position: Int64 = decision["position"]
        guard gone.life == .dead, survivor.cells.allSatisfy({ $0.written.rawValue <= position + 1 }) else {
            throw Failure(
                .refused, "The merged row was written again since.", next: "Nothing was changed; add the other row again at the school.")
        }
        let old = ValuesJSON.decode(decision["before"])
        survivor.position = takePosition()
        for index in row.form.groups.indices {
            let values = row.form.groups[index].fields.map { old[$0] }
            if values != survivor.groupValues(index) { survivor.forceWrite(index, values, by: by) }
        }
        gone.decideLife(.alive, by: by, at: takePosition())
        try save(survivor)
        try save(gone)
        try reopenCase()
    }

    private func reopenCase() throws { try Self.reopen(db, number) }

    /// A change request that is open again is a question: the value is held until somebody answers.
    private static func reopen(_ db: Database, _ number: Int64) throws {
        try db.execute(
            sql: "UPDATE zz_case SET kind = iif(kind = 'owner', 'cell', kind), closed_at = NULL, record = NULL, version = version + 1 WHERE number = ?",
            arguments: [number])
    }

    // MARK: end

    private mutating func save(_ changed: MergeRow) throws {
        guard changed.moved else { return }
        try store.save([changed])
        touched.append((changed.form.number, changed.id))
        formerKeys[changed.form.number, default: []].formUnion(changed.formerKeys)
    }

    /// Writes record, log, findings and journal.
    ///
    /// - Parameter undoes: the record that is taken back.
    /// - Throws: `Failure(.refused)` when the result breaks a rule that held before and no explanation is given.
    mutating func finish(kind: String, taken: String, undoes: Int64? = nil) throws -> JournalEntry {
        let position = next.advanced(by: -1)
        let record = try writeRecord(kind, taken, undoes: undoes)
        try store.append(Extent(merged: nil, rows: touched + [(SystemForms.decision.number, record)]), upTo: next.advanced(by: -1))
        if !touched.isEmpty { try checkRules(kind) }
        let reason = verdict.reason + (verdict.explanation.map { "（说明：\($0)）" } ?? "")
        try db.execute(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, batch, record)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                number, kind, verdict.who, now, reason, taken, value, before, position.rawValue, verdict.batch, record.rawValue,
            ])
        let decision = db.lastInsertedRowID
        if kind != "undo" { try close(record) }
        // A decision can make twins, or unmake them.
        try ClaimKeeper(home: home).update(db, scope: store.scope)
        return JournalEntry(try Row.fetchOne(db, sql: "SELECT * FROM zz_decision WHERE decision = ?", arguments: [decision])!)
    }

    private func close(_ record: RowID) throws {
        for closed in [number] + closedToo {
            try db.execute(
                sql: "UPDATE zz_case SET closed_at = ?, record = ? WHERE number = ?", arguments: [now, record.rawValue, closed])
        }
    }

    private mutating func checkRules(_ kind: String) throws {
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: touched, formerKeys: formerKeys)
        let broken = try brokenByTheResult()
        guard broken.isEmpty || verdict.explanation != nil || kind == "undo" else {
            throw Failure(
                .refused, "The result breaks a rule: \(broken.sorted().joined(separator: "; ")).",
                next: "Choose another value, or add --explain \"...\"; nothing was written.")
        }
    }

    // MARK: record

    /// What school and parent will read; a decision about two schools stands in the log of both.
    private mutating func writeRecord(_ kind: String, _ taken: String, undoes: Int64?) throws -> RowID {
        let id = records.mint()
        var record = DecisionRecord(
            id: id, hub: home.recordName, caseNumber: number, kind: kind, form: row.form.id, row: row.id, key: view.key,
            author: verdict.who, at: now, reason: verdict.reason)
        record.explanation = verdict.explanation
        record.fields = view.group
        record.otherSchool = view.otherSchool
        record.otherScope = (entry["other_scope"] as Int64?).map { ScopeID(key: $0).description }
        record.otherRow = view.otherRow
        record.base = view.base ?? [:]
        record.candidates = view.sides
        record.result = result
        record.taken = taken
        record.undoes = undoes.map(String.init)
        try store.save([.record(SystemForms.decision, id, record.values, by: by, at: takePosition())])
        if let other = entry["other_scope"] as Int64?, other != store.scope.key {
            try home.write(db, record.turned(school: view.school, scope: store.scope), id, to: ScopeID(key: other))
        }
        return id
    }

    /// What the row breaks now: by the fields that were decided, or what it did not break before.
    private func brokenByTheResult() throws -> Set<String> {
        let now = try Self.errors(db, store.scope, row.form, row.id)
        guard let group else { return now.subtracting(errorsBefore) }
        let decided = Set(row.form.groups[group].fields.map { row.form.fields[$0].id })
        let about = Set(row.form.rules.filter { !decided.isDisjoint(with: $0.fields) }.map(\.message))
        return now.filter { about.contains($0) || !errorsBefore.contains($0) }
    }

    private static func errors(_ db: Database, _ scope: ScopeID, _ form: Form, _ row: RowID) throws -> Set<String> {
        Set(
            try String.fetchAll(
                db, sql: "SELECT message FROM zz_finding WHERE scope = ? AND form = ? AND id = ? AND level = 'error'",
                arguments: [scope.key, form.number, row.rawValue]))
    }
}

extension MergeRow {
    /// A case that was decided is open again: what it shows is shown.
    mutating func reopen(_ group: Int?, _ open: OpenCase, by: Provenance, at position: Position) {
        self.position = position
        if let group {
            cases[group] = open
            forceWrite(group, open.shown.values, by: open.shown.by)
        } else {
            decideLife(.alive, by: by, at: position)
            rowCase = open
        }
    }
}
