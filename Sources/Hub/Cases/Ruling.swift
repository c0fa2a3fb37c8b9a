// One decision under way, in one transaction: the row as it is, what is written, what the journal keeps.

import Foundation
import GRDB
import Shared

struct Ruling {
    let db: Database
    let home: HubHome
    let entry: Row
    let verdict: Verdict
    private let now: Int64
    private let errorsBefore: Set<String>
    var store: SQLiteScopeStore
    private var next: Position
    private var touched: [(form: FormNumber, row: RowID)] = []
    private var formerKeys: [FormNumber: Set<String>] = [:]
    private var records: RecordIDs
    var value = ""
    /// The result as the record says it: column → value, or what became of the row.
    var result: [String: String] = [:]
    /// What an undo puts back, as JSON.
    var before = ""
    /// The case as the operator saw it.
    let view: CaseView
    /// Cell cases that a deciding delete closes with the row's.
    private var closedToo: [Int64] = []
    /// The row that took what was to be kept of one that died.
    private var survivor: RowID?
    private var watched: (row: RowID, errorsBefore: Set<String>)?
    var row: MergeRow
    /// The groups that the case is about: one for a value, those that a broken rule reads, none for the row's life and for twins.
    let groups: [Int]
    /// The group of a case about one value.
    var group: Int? { isRule ? nil : groups.first }
    private var isRule: Bool { entry["kind"] as String == RuleCase.kind }

    init(_ db: Database, _ home: HubHome, case entry: Row, _ verdict: Verdict) throws {
        self.db = db
        self.home = home
        self.entry = entry
        self.verdict = verdict
        now = try ReplicaDatabase.now(db)
        store = try SQLiteScopeStore(db, scope: ScopeID(key: entry["scope"]))
        next = store.logEnd.next(inEpoch: home.epoch)
        records = RecordIDs(home, at: next, of: store.scope)
        guard let form = try home.versions.wide(db)[number: entry["form"]],
            let row = try store.load(form, [RowID(entry["id"])])[RowID(entry["id"])]
        else {
            throw Failure(.damaged, "The row of case \(entry["number"] as Int64) is gone.", next: "Run `zzsync hub status`.")
        }
        self.row = row
        groups = CaseStore.groups(of: entry, form)
        errorsBefore = try Self.errors(db, store.scope, form, row.id)
        view = try OperatorDesk(home).view(db, entry)
    }

    var number: Int64 { entry["number"] }
    var by: Provenance {
        Provenance(writer: .hub, stamp: Stamp(origin: home.keys.site, author: verdict.who, time: now))
    }

    mutating func takePosition() -> Position {
        defer { next = next.advanced(by: 1) }
        return next
    }

    /// - Returns: the decision's kind, and what was chosen in words.
    mutating func apply(_ choice: Choice) throws -> (kind: String, taken: String) {
        switch choice {
        case .candidate(let ordinal):
            try take(ordinal)
            let others = closedToo.map(String.init).joined(separator: ", ")
            return ("take", "candidate \(ordinal)\(others.isEmpty ? "" : "; what the row's open cases ask (\(others)) goes with it")")
        case .fields(let fields, let ordinal):
            try take(fields, of: ordinal)
            return ("take", "candidate \(ordinal) in \(fields.map { row.form.fields[$0].id }.joined(separator: ", "))")
        case .values(let values):
            try set(values)
            return ("set", "another value")
        case .merge where entry["kind"] as String == "life":
            return try applyToSurvivor()
        case .merge:
            let pair = try twins()
            before = ValuesJSON.encode(pair.survivor.values)
            try merge(pair)
            return ("merge", pair.outcome.told(row.form))
        case .distinct:
            try checkTwins()
            return ("distinct", "two rows for good")
        case .handBack:
            return ("return", "back to the school")
        }
    }

    // MARK: a value or a life

    private func candidate(_ ordinal: Int) throws -> Candidate {
        let open = try openCase()
        guard open.candidates.indices.contains(ordinal - 1) else {
            throw Failure(
                .usage, "Case \(number) has no candidate \(ordinal).", next: "`zzsync hub conflicts show \(number)` lists them.")
        }
        return open.candidates[ordinal - 1]
    }

    private mutating func take(_ fields: [Int], of ordinal: Int) throws {
        let chosen = try candidate(ordinal)
        let about = groups.flatMap { row.form.groups[$0].fields }
        // The sides of a broken rule are whole rows.
        let values = isRule ? chosen.values.indices.map { ($0, chosen.values[$0]) } : Array(zip(about, chosen.values))
        let all = Dictionary(uniqueKeysWithValues: values)
        try set(fields.reduce(into: [:]) { $0[$1] = .some(all[$1] ?? .null) })
    }

    private mutating func take(_ ordinal: Int) throws {
        let chosen = try candidate(ordinal)
        if isRule { return try answerRule(chosen.values) }
        try answer(values: chosen.values, life: chosen.life)
    }

    private mutating func set(_ values: [Int: Value]) throws {
        guard !groups.isEmpty else {
            let isOfTwins = entry["kind"] as String == "twins"
            throw Failure(
                .refused, "Case \(number) is not about a value but about \(isOfTwins ? "two rows of one key" : "whether a row lives").",
                next: isOfTwins ? "Use `merge` or `distinct`, or correct one of the rows at its school." : "Take one of its candidates.")
        }
        let fields = groups.flatMap { row.form.groups[$0].fields }
        guard values.keys.allSatisfy(fields.contains) else {
            let names = fields.map { row.form.fields[$0].id }.joined(separator: ", ")
            throw Failure(.usage, "Case \(number) is about \(names) alone.", next: "Set these fields, or write others at the school.")
        }
        guard !fields.contains(where: { row.form.fields[$0].isForeign }) else {
            throw Failure(
                .refused, "Case \(number) is about a field of another version of the catalogue: what may stand there is not known here.",
                next: "Take one of its candidates.")
        }
        if isRule { return try answerRule(row.values.indices.map { values[$0] ?? row.values[$0] }) }
        try answer(values: fields.map { values[$0] ?? row.values[$0] }, life: .unchanged)
    }

    private func openCase() throws -> OpenCase {
        if entry["kind"] as String == "owner" { return try changeRequest() }
        if isRule { return try storedCase() }
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
        return try storedCase()
    }

    private func storedCase() throws -> OpenCase {
        var stamps = store.stamps
        return OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
    }

    private mutating func answer(values: [Value], life: Life) throws {
        if let group {
            before = ValuesJSON.encode(row.groupValues(group))
            row.decide(group, values, by: try voice(group, values), at: takePosition())
            value = ValuesJSON.encode(values)
            result = Dictionary(uniqueKeysWithValues: zip(view.group, values.map(\.shown)))
        } else {
            before = "\"\(row.life)\""
            if life == .dead { closedToo = row.cases.values.compactMap(\.number).sorted() }
            row.decideLife(life, by: by, at: takePosition())
            value = "\"\(life)\""
            result = ["life": "\(life)"]
        }
        try save(row)
    }

    /// Who says a decided value: the operator; but a request that is answered with the owner's own value leaves the cell its owner's, or
    /// whoever was told no would only have to write once more.
    private func voice(_ group: Int, _ values: [Value]) throws -> Provenance {
        guard entry["kind"] as String == "owner", values == row.groupValues(group) else { return by }
        let policies = try home.policies(db, scope: store.scope, now: now)
        let policy = policies[row.form, group]
        var owners = row.cells[group].by
        guard policy.policy == .owner, policies.isOwners(owners, policy.owner) else { return by }
        if owners.writer != .parent { owners.writer = .hub }
        return owners
    }

    /// The row dies by this decision, and its open cases with it; another has what was to be kept of it.
    mutating func letGo(into survivor: RowID, _ edit: [(field: Int, value: Value)]) {
        before = "\"\(row.life)\""
        closedToo = row.cases.values.compactMap(\.number).sorted()
        row.decideLife(.dead, by: by, at: takePosition())
        self.survivor = survivor
        value = "\"\(survivor)\""
        result = ["row": survivor.description]
        for (field, value) in edit { result[row.form.fields[field].id] = value.shown }
    }

    /// Another row that the decision writes to: it must pass the rules too.
    mutating func watch(_ other: RowID) throws {
        watched = (other, try Self.errors(db, store.scope, row.form, other))
    }

    // MARK: two rows of one key

    private func twins() throws -> TwinMerger.Pair {
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
        if let request = try TwinMerger.request(db, pair, store.scope) {
            throw Failure(
                .refused, "Row \(pair.other.id), which would go, has an open change request: case \(request).", next: "Decide that case first.")
        }
        return pair
    }

    private mutating func merge(_ pair: TwinMerger.Pair) throws {
        try watch(pair.survivor.id)
        let policies = try home.policies(db, scope: store.scope, now: now)
        let (survivor, other) = pair.merged(by: by, positions: (takePosition(), takePosition()), policies)
        value = "\"\(survivor.id)\""
        result = ["row": survivor.id.description].merging(pair.outcome.stays) { $1 }.merging(pair.outcome.fills) { $1 }
        try save(survivor)
        try save(other)
    }

    /// That they are two is said by the record alone; `ClaimKeeper` follows the records, here and at every hub that they reach.
    private func checkTwins() throws {
        guard entry["kind"] as String == "twins" else {
            throw Failure(.refused, "Case \(number) is not about two rows.", next: "Take one of its candidates.")
        }
    }

    // MARK: end

    mutating func save(_ changed: MergeRow) throws {
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
        if !touched.isEmpty {
            try checkRules(kind)
            try WholeRowCases.note(db, store.scope, moved: touched, deciding: number)
        }
        let reason = verdict.reason + (verdict.explanation.map { "（说明：\($0)）" } ?? "")
        try db.execute(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, batch, record)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                number, kind, verdict.who, now, reason, taken, value, before, position.rawValue, verdict.batch?.decision, record.rawValue,
            ])
        let decision = db.lastInsertedRowID
        if kind != "undo" { try close(record, store.logEnd, returned: kind == "return") }
        // A decision can make twins, or unmake them.
        try ClaimKeeper(home: home).update(db, scope: store.scope, batch: verdict.batch)
        return JournalEntry(try Row.fetchOne(db, sql: "SELECT * FROM zz_decision WHERE decision = ?", arguments: [decision])!)
    }

    private func close(_ record: RowID, _ position: Position, returned: Bool) throws {
        if returned {
            return try db.execute(
                sql: "UPDATE zz_case SET returned = ?, version = version + 1 WHERE number = ?", arguments: [position.rawValue, number])
        }
        for closed in [number] + closedToo {
            try db.execute(
                sql: "UPDATE zz_case SET closed_at = ?, record = ? WHERE number = ?", arguments: [now, record.rawValue, closed])
        }
    }

    private mutating func checkRules(_ kind: String) throws {
        _ = try FindingsRefresher(rules: home.rules).refresh(db, store: &store, touched: touched, formerKeys: formerKeys, deciding: number)
        var broken = try brokenByTheResult()
        if let watched { broken.formUnion(try Self.errors(db, store.scope, row.form, watched.row).subtracting(watched.errorsBefore)) }
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
        record.otherRow = view.otherRow ?? survivor?.description
        record.base = view.base ?? [:]
        record.candidates = view.sides
        record.result = result
        record.taken = taken
        record.undoes = undoes.map(String.init)
        record.batch = verdict.batch?.record.description
        try store.save([.record(SystemForms.decision, id, record.values, by: by, at: takePosition())])
        if let other = entry["other_scope"] as Int64?, other != store.scope.key {
            try home.write(db, record.turned(school: view.school, scope: store.scope), id, to: ScopeID(key: other))
        }
        return id
    }

    /// What the row breaks now: by the fields that were decided, or what it did not break before.
    private func brokenByTheResult() throws -> Set<String> {
        let now = try Self.errors(db, store.scope, row.form, row.id)
        let decided = Set(groups.flatMap { row.form.groups[$0].fields }.map { row.form.fields[$0].id })
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
