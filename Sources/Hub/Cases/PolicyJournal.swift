// Decisions of policies in the journal. Each is a case that was decided as it opened, so that an undo has its candidates; under
// `owner` the case stays open as a change request, which holds nothing and closes itself when the owner's value agrees.

import GRDB
import Shared

enum PolicyJournal {
    /// Who decides where a policy does.
    static let system = "zzsync"

    static func write(_ db: Database, _ home: HubHome, _ rulings: [RowRuling], store: inout SQLiteScopeStore) throws {
        guard !rulings.isEmpty else { return }
        let by = Provenance(writer: .hub, stamp: Stamp(origin: home.keys.site, author: system, time: rulings[0].ruling.at))
        var next = store.logEnd.next(inEpoch: home.epoch)
        var ids = RecordIDs(home, at: next, of: store.scope)
        var records: [MergeRow] = []
        for ruling in rulings {
            let id = ids.mint()
            let number = try write(db, ruling, record: id, store: &store)
            let record = try record(db, home, ruling, id, number)
            records.append(.record(SystemForms.decision, id, record.values, by: by, at: next))
            next = next.advanced(by: 1)
        }
        try store.save(records)
        try store.append(
            Extent(merged: nil, rows: records.map { (SystemForms.decision.number, $0.id) }), upTo: next.advanced(by: -1))
    }

    /// - Returns: the case's number.
    private static func write(_ db: Database, _ entry: RowRuling, record: RowID, store: inout SQLiteScopeStore) throws -> Int64 {
        let ruling = entry.ruling
        let isRequest = ruling.policy.policy == .owner
        let number = try isRequest ? request(db, entry, store: &store) : closedCase(db, entry, store: &store)
        try db.cachedStatement(
            sql: """
                INSERT INTO zz_decision (number, kind, who, at, reason, taken, value, before, position, policy, record)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            number, ruling.policy.policy.rawValue, system, ruling.at, reason(ruling), taken(ruling),
            ValuesJSON.encode(ruling.candidates[0].values), ValuesJSON.encode(ruling.before), ruling.position.rawValue,
            ruling.policy.place, record.rawValue,
        ])
        if !isRequest {
            try db.cachedStatement(sql: "UPDATE zz_case SET closed_at = ?, record = ? WHERE number = ?")
                .execute(arguments: [ruling.at, record.rawValue, number])
        }
        return number
    }

    private static func record(
        _ db: Database, _ home: HubHome, _ entry: RowRuling, _ id: RowID, _ number: Int64
    ) throws -> DecisionRecord {
        let desk = OperatorDesk(home)
        let view = try desk.view(db, try desk.entry(db, number))
        let ruling = entry.ruling
        var record = DecisionRecord(
            id: id, hub: home.recordName, caseNumber: number, kind: ruling.policy.policy.rawValue, form: view.form, row: entry.row,
            key: view.key, author: system, at: ruling.at, reason: reason(ruling))
        (record.fields, record.candidates, record.base, record.taken) = (view.group, view.sides, view.base ?? [:], taken(ruling))
        record.result = Dictionary(uniqueKeysWithValues: zip(view.group, ruling.candidates[0].values.map(\.shown)))
        return record
    }

    private static func closedCase(_ db: Database, _ entry: RowRuling, store: inout SQLiteScopeStore) throws -> Int64 {
        let number = try insert(db, "cell", entry, scope: store.scope)
        try CaseStore.write(db, number, entry.ruling.candidates, stamps: &store.stamps)
        return number
    }

    /// One request a cell: what is asked for again joins it.
    private static func request(_ db: Database, _ entry: RowRuling, store: inout SQLiteScopeStore) throws -> Int64 {
        let known = try openRequest(db, store.scope, entry.form, entry.row, fields: entry.fields)
        let number = try known ?? insert(db, "owner", entry, scope: store.scope)
        let asked = OpenCase(number: number, candidates: Array(try CaseStore.candidates(db, number: number, stamps: &store.stamps).dropFirst()))
            .joined(by: entry.ruling.candidates[1])
        try CaseStore.write(db, number, [entry.ruling.candidates[0]] + asked.candidates, stamps: &store.stamps)
        if known != nil { try db.execute(sql: "UPDATE zz_case SET version = version + 1 WHERE number = ?", arguments: [number]) }
        return number
    }

    private static func insert(_ db: Database, _ kind: String, _ entry: RowRuling, scope: ScopeID) throws -> Int64 {
        try db.cachedStatement(sql: "INSERT INTO zz_case (kind, scope, form, id, field_group, opened_at) VALUES (?, ?, ?, ?, ?, ?)")
            .execute(arguments: [kind, scope.key, entry.form, entry.row.rawValue, entry.fields, entry.ruling.at])
        return db.lastInsertedRowID
    }

    private static func reason(_ ruling: PolicyRuling) -> String {
        let why =
            switch ruling.policy.policy {
            case .newest: "取最新：填写时间较晚的一个"
            case .owner: "一数一源：以\(ruling.policy.owner)的值为准，另一个转为变更申请"
            case .union: "多选取并集：有人选了就算选"
            case .manual: ""
            }
        return ruling.policy.reason.isEmpty ? why : "\(why)（\(ruling.policy.reason)）"
    }

    private static func taken(_ ruling: PolicyRuling) -> String {
        let said = ruling.candidates.map { $0.values.map(\.shown).joined(separator: " | ") }
        return "\(said[0]) stands, not \(said[1])"
    }

    // MARK: requests

    /// - Parameter fields: the group's number.
    static func openRequest(_ db: Database, _ scope: ScopeID, _ form: FormNumber, _ row: RowID, fields: Int) throws -> Int64? {
        try Int64.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT number FROM zz_case
                    WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND kind = 'owner' AND closed_at IS NULL
                    """), arguments: [scope.key, form, row.rawValue, fields])
    }

    /// The same person asks for the same here already: a workbook that is imported every night asks once.
    static func isAsked(
        _ db: Database, _ form: Form, _ row: RowID, _ group: Int, _ values: [Value], by: Provenance, store: inout SQLiteScopeStore
    ) throws -> Bool {
        guard let number = try openRequest(db, store.scope, form.number, row, fields: form.groups[group].number) else { return false }
        return try CaseStore.candidates(db, number: number, stamps: &store.stamps).dropFirst().contains {
            $0.values == values && $0.by.writer == by.writer && $0.by.stamp.author == by.stamp.author
        }
    }

    /// Keeps open requests in step with the value that they ask about: it is their first candidate, what it has come to agree with is
    /// asked no longer, and a request that asks nothing any more, or whose row is gone, is closed. It is open again when the row lives again.
    /// Called wherever rows move.
    ///
    /// - Parameter deciding: a case that is being decided: it closes by that.
    static func follow(
        _ db: Database, _ catalogue: Catalogue, store: inout some ScopeStore, moved: [(form: FormNumber, row: RowID)], deciding: Int64? = nil
    ) throws {
        let open = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number, form, id, field_group, 0 AS is_closed FROM zz_case WHERE scope = ?1 AND kind = 'owner' AND closed_at IS NULL
                    UNION ALL SELECT number, form, id, field_group, 1 FROM zz_case INDEXED BY zz_case_gone
                    WHERE scope = ?1 AND kind = 'owner' AND record IS NULL AND closed_at IS NOT NULL
                    """), arguments: [store.scope.key])
        guard !open.isEmpty else { return }
        let moved = Set(moved.map { MovedRow(form: $0.form, row: $0.row) })
        var stamps = Stamps(db)
        for entry in open where moved.contains(MovedRow(form: entry["form"], row: RowID(entry["id"]))) && entry["number"] != deciding {
            guard let form = catalogue[number: entry["form"]],
                let group = form.groups.firstIndex(where: { $0.number == entry["field_group"] as Int }),
                let row = try store.load(form, [RowID(entry["id"])])[RowID(entry["id"])]
            else { continue }
            if entry["is_closed"], try !reopen(db, entry["number"], store.scope, row, group, &stamps) { continue }
            try follow(db, entry["number"], row, group, &stamps)
        }
    }

    /// A request that closed because its row was gone: it asks what it asked. One that was met has nothing to ask.
    ///
    /// - Returns: whether it is open again.
    private static func reopen(
        _ db: Database, _ number: Int64, _ scope: ScopeID, _ row: MergeRow, _ group: Int, _ stamps: inout Stamps
    ) throws -> Bool {
        guard row.life == .alive else { return false }
        let known = try CaseStore.candidates(db, number: number, stamps: &stamps)
        let isMet = known.dropFirst().contains { $0.values == known[0].values }
        guard !isMet, try openRequest(db, scope, row.form.number, row.id, fields: row.form.groups[group].number) == nil
        else { return false }
        try db.execute(sql: "UPDATE zz_case SET closed_at = NULL, version = version + 1 WHERE number = ?", arguments: [number])
        return true
    }

    private static func follow(_ db: Database, _ number: Int64, _ row: MergeRow, _ group: Int, _ stamps: inout Stamps) throws {
        let close = "UPDATE zz_case SET closed_at = unixepoch() WHERE number = ?"
        if row.life == .dead { return try db.execute(sql: close, arguments: [number]) }
        // What stands there is asked about itself; its case's decision moves the row again.
        if row.cases[group] != nil { return }
        let known = try CaseStore.candidates(db, number: number, stamps: &stamps)
        let cell = row.cells[group]
        let present = Candidate(by: cell.by, values: row.groupValues(group), life: .unchanged, cursor: cell.written)
        let asked = known.dropFirst().filter { $0.values != present.values }
        if asked.isEmpty {
            try CaseStore.write(db, number, [present] + known.dropFirst(), stamps: &stamps)
            try db.execute(sql: close, arguments: [number])
        } else if known[0].values != present.values || asked.count < known.count - 1 {
            try CaseStore.write(db, number, [present] + asked, stamps: &stamps)
            try db.execute(sql: "UPDATE zz_case SET version = version + 1 WHERE number = ?", arguments: [number])
        }
    }

    private struct MovedRow: Hashable {
        let form: FormNumber
        let row: RowID
    }
}

extension OpenCase {
    fileprivate func joined(by candidate: Candidate) -> OpenCase {
        var open = self
        open.join(candidate)
        return open
    }
}
