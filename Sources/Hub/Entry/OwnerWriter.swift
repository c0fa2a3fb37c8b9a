// An owner writes where it sits: rows of schools, at a hub, routed by school code. They are the hub's own writes: they go down at
// the schools' next pull and up by forward, and the merge judges them like anybody's.
//
// Two designs for a row whose key a school has typed already: write onto the school's row (no twin; but it overwrites unasked what
// somebody typed), or add the hub's own row beside it. The second, for a workbook: equal ones are merged by the system, others are a
// case of kind twins. `put` and `--update` name a row by its key to change it: they write onto the one that is there, and where two are
// there they are refused.

import Foundation
import GRDB
import Shared

/// A row for a school, from a workbook or the terminal.
package struct RoutedRow: Sendable {
    package var line: Int
    package var school: String
    /// Field index → value; only these are written.
    package var values: [Int: Value]
    /// Fields that could not be read: said once, where they were found.
    package var unread: Set<Int> = []
    package init(line: Int, school: String, values: [Int: Value], unread: Set<Int> = []) {
        self.line = line
        self.school = school
        self.values = values
        self.unread = unread
    }
}

package struct OwnerReport: Codable, Sendable {
    package var form: String
    package var rows: Int
    package var added = 0
    package var changed = 0
    package var equal = 0
    /// Rows in which nothing differs, but cells that others had typed are their owner's now.
    package var owned = 0
    /// Added beside a row of the same key that the school had typed: merged by the system where equal, else a case.
    package var twins = 0
    package var twinsMerged = 0
    /// Cells whose owner has written another value: it stands, and this one became a change request.
    package var requested: [CellCase] = []
    /// Cells with an open case.
    package var disputed: [CellCase] = []
    package var errors: [ImportProblem] = []
    package var warnings: [ImportProblem] = []
    /// Nothing was written: a dry run, or there are errors.
    package var isWritten = false
    /// Row ids of what was added.
    package var ids: [String] = []

    enum CodingKeys: String, CodingKey {
        case form, rows, added, changed, equal, owned, twins, requested, disputed, errors, warnings, ids, twinsMerged = "twins_merged", isWritten = "written"
    }
}

package struct OwnerWriter: Sendable {
    /// What becomes of a row whose key stands in its school already.
    package enum Existing: Sendable {
        /// One that a hub wrote is refused, one that the school typed gets a twin.
        case refuse
        /// Its filled fields are changed.
        case update
    }

    package let home: HubHome
    package init(_ home: HubHome) { self.home = home }

    /// Writes all rows, or none: every error is found in one pass.
    ///
    /// - Parameter author: as `Stamp.author(source:user:)` for a register.
    package func write(
        _ form: Form, _ rows: [RoutedRow], author: String, existing: Existing, dryRun: Bool = false,
        now: Int64? = nil
    ) throws(Failure) -> OwnerReport {
        do {
            let report = try home.database.write { db in
                var report = OwnerReport(form: form.id, rows: rows.count)
                report.errors = duplicates(form, rows)
                let now = try now ?? ReplicaDatabase.now(db)
                try db.inSavepoint {
                    for (school, rows) in Dictionary(grouping: rows, by: \.school).sorted(by: { $0.key < $1.key }) {
                        guard let scope = try HubHome.scope(db, school: school) else {
                            report.errors += rows.map { Self.unknown($0) }
                            continue
                        }
                        var batch = try ScopeBatch(db, home, form, scope: scope, author: author, now: now)
                        for row in rows { try batch.write(row, existing: existing, &report) }
                        try batch.finish(&report)
                    }
                    report.isWritten = !dryRun && report.errors.isEmpty
                    return report.isWritten ? .commit : .rollback
                }
                report.errors.sort { ($0.line, $0.place) < ($1.line, $1.place) }
                report.warnings.sort { ($0.line, $0.place) < ($1.line, $1.place) }
                if report.isWritten { KillPoint.reach("put.write", in: home.directory) }
                return report
            }
            if report.isWritten { KillPoint.reach("put.commit", in: home.directory) }
            return report
        } catch {
            throw storeFailure(error, path: HubHome.databasePath(home.directory))
        }
    }

    private static func unknown(_ row: RoutedRow) -> ImportProblem {
        ImportProblem(
            line: row.line, place: WorkbookRows.schoolColumn,
            message: row.school.isEmpty ? "没有写明是哪所学校" : "本枢纽没有标识码为“\(row.school)”的学校",
            fix: "请核对学校标识码（zzsync hub schools 列出全部）；新学校先用 zzsync hub invite 邀请", level: "error")
    }

    /// The same key twice for one school.
    private func duplicates(_ form: Form, _ rows: [RoutedRow]) -> [ImportProblem] {
        var first: [[String]: Int] = [:]
        return rows.compactMap { row in
            guard let key = form.keyValues(row.values) else { return nil }
            let words = [form.keyScope == .school ? row.school : ""] + key.map(\.shown)
            guard let line = first[words] else {
                first[words] = row.line
                return nil
            }
            return ImportProblem(
                line: row.line, place: form.fields[form.key[0]].title, message: "\(key.map(\.shown).joined(separator: " "))与第\(line)行重复",
                fix: "请删除重复的一行", level: "error")
        }
    }
}

extension Form {
    /// The natural key, if all of it is there.
    func keyValues(_ values: [Int: Value]) -> [Value]? {
        let found = key.compactMap { values[$0] }.filter { $0 != .null }
        return key.isEmpty || found.count < key.count ? nil : found
    }

    fileprivate func title(of group: Int) -> String { groups[group].fields.map { fields[$0].title }.joined(separator: "、") }
}

/// The rows of one school in one transaction.
private struct ScopeBatch {
    private let db: Database
    private let home: HubHome
    private let form: Form
    private let by: Provenance
    private var store: SQLiteScopeStore
    private var next: Position
    private let seen: Position
    private var ids: RecordIDs
    private var touched: [(row: RowID, source: RoutedRow, isNew: Bool)] = []
    private var added: Set<RowID> = []
    private var rulings: [RowRuling] = []
    private var requested: [(row: RowID, group: Int, told: CellCase)] = []
    private let context: JudgeContext
    private var formerKeys: Set<String> = []
    private var errorsBefore: [RowID: Set<String>] = [:]
    private let asked: WholeRowCases

    init(_ db: Database, _ home: HubHome, _ form: Form, scope: ScopeID, author: String, now: Int64) throws {
        self.db = db
        self.home = home
        self.form = form
        by = Provenance(writer: .hub, stamp: Stamp(origin: home.keys.site, author: author, time: now))
        store = try SQLiteScopeStore(db, scope: scope)
        seen = store.logEnd
        next = seen.next(inEpoch: home.epoch)
        ids = RecordIDs(home, at: next, of: scope)
        asked = try WholeRowCases(db, scope)
        context = JudgeContext(hub: home.keys.site, now: now, policies: try home.policies(db, scope: scope, now: now))
    }

    mutating func write(_ row: RoutedRow, existing: OwnerWriter.Existing, _ report: inout OwnerReport) throws {
        let present = try form.keyValues(row.values).map { try KeyLookup.rows(db, form, scope: store.scope, key: $0) } ?? []
        // A line that repeats another one of this file is told by itself.
        let found = try store.load(form, present).values.filter { !added.contains($0.id) }.sorted { $0.id < $1.id }
        if let problem = try choice(among: found, existing, row) { return report.errors.append(problem) }
        switch existing {
        case .update:
            if let first = found.first { return try change(first, row, &report) }
        case .refuse:
            if let own = found.first(where: { $0.lifeCell.by.writer == .hub || $0.lifeCell.by.writer == .parent }) {
                let key = form.key.map { own.values[$0].shown }.joined(separator: " ")
                report.errors.append(
                    ImportProblem(
                        line: row.line, place: form.fields[form.key[0]].title,
                        message: "枢纽已写过这一行：\(form.path) \(key)（记录号 \(own.id)）", fix: "如需修改已有记录，请使用 --update；否则请删除这一行",
                        level: "error"))
                return
            }
            if !found.isEmpty { report.twins += 1 }
        }
        try add(row, &report)
    }

    /// Several rows have the key: that the first of them is meant would be a guess.
    private func choice(among found: [MergeRow], _ existing: OwnerWriter.Existing, _ row: RoutedRow) throws -> ImportProblem? {
        guard found.count > 1 else { return nil }
        let open = try KeyLookup.openTwins(db, form, scope: store.scope, found.map(\.id))
        if existing == .refuse, open.isEmpty { return nil }         // marked as two for good: one more is asked about
        let key = form.key.map { found[0].values[$0].shown }.joined(separator: " "), first = open.first.map(String.init) ?? ""
        return ImportProblem(
            line: row.line, place: form.fields[form.key[0]].title,
            message: "这所学校有\(found.count)行用同一编号：\(form.path) \(key)（记录号 \(found.map(\.id.description).joined(separator: "、"))）"
                + (open.isEmpty ? "，已标为两行" : "，见案 \(open.map(String.init).joined(separator: "、"))"),
            fix: open.isEmpty
                ? "请在学校按记录号修改其中一行" : "请先用 zzsync hub conflicts show \(first) 看双方，用 merge \(first) 合为一行或用 distinct \(first) 标为两行，然后再写", level: "error")
    }

    private mutating func add(_ row: RoutedRow, _ report: inout OwnerReport) throws {
        var new = MergeRow(form: form, id: ids.mint())
        new.position = take()
        new.put(life: .alive, by: by)
        for (index, group) in form.groups.enumerated() { new.put(index, group.fields.map { row.values[$0] ?? .null }, by: by) }
        try store.save([new])
        try fill(new.id)
        touched.append((new.id, row, true))
        added.insert(new.id)
        report.added += 1
        report.ids.append(new.id.description)
    }

    /// What follows from other fields and was left empty.
    private func fill(_ id: RowID) throws {
        for field in form.fields {
            guard let fill = field.fill else { continue }
            try db.cachedStatement(
                sql: """
                    UPDATE \(form.table) AS this SET \(field.id) = (\(fill))
                    WHERE scope = ? AND id = ? AND \(field.id) IS NULL AND (\(fill)) IS NOT NULL
                    """
            ).execute(arguments: [store.scope.key, id.rawValue])
        }
    }

    private mutating func change(_ present: MergeRow, _ row: RoutedRow, _ report: inout OwnerReport) throws {
        var changed = present
        changed.position = next
        let done = try changed.write(row.values, by: by, seen: seen, context) { group, wanted in
            try PolicyJournal.isAsked(db, form, present.id, group, wanted, by: by, store: &store)
        }
        report.disputed += done.disputed.map { group, candidate in
            CellCase(line: row.line, field: form.title(of: group), number: present.cases[group]!.number!, candidate: candidate)
        }
        requested += done.requested.map { group in
            let policy = context.policies[form, group]
            let told = CellCase(
                line: row.line, field: form.title(of: group), number: 0, owner: policy.owner.description, policy: policy.place,
                stands: present.groupValues(group).map(\.shown).joined(separator: " | "))
            return (present.id, group, told)
        }
        if !done.changed.isEmpty { report.changed += 1 } else if !done.owned.isEmpty { report.owned += 1 }
        guard changed.moved else {
            if done.disputed.isEmpty, done.requested.isEmpty { report.equal += 1 }
            return
        }
        errorsBefore[present.id] = Set(
            try String.fetchAll(
                db, sql: "SELECT message FROM zz_finding WHERE scope = ? AND form = ? AND id = ? AND level = 'error'",
                arguments: [store.scope.key, form.number, present.id.rawValue]))
        _ = take()
        formerKeys.formUnion(changed.formerKeys)
        try store.save([changed])
        rulings += changed.rulings.map { RowRuling(form: form, row: changed.id, ruling: $0) }
        touched.append((changed.id, row, false))
    }

    private mutating func take() -> Position {
        defer { next = next.advanced(by: 1) }
        return next
    }

    /// Log, findings, requests, twins; what the rules say of the rows goes into the report.
    mutating func finish(_ report: inout OwnerReport) throws {
        try conclude(&report)
        report.requested += try requested.map { row, group, told in
            var told = told
            told.number = try PolicyJournal.openRequest(db, store.scope, form.number, row, fields: form.groups[group].number)!
            return told
        }
    }

    private mutating func conclude(_ report: inout OwnerReport) throws {
        guard !touched.isEmpty else { return }
        let moved = touched.map { (form: form.number, row: $0.row) }
        try store.append(Extent(merged: nil, rows: moved), upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(
            db, store: &store, touched: moved, formerKeys: [form.number: formerKeys])
        try asked.note(moved: moved)
        try PolicyJournal.write(db, home, rulings, store: &store)
        try judge(&report)
        try ClaimKeeper(home: home).update(db, scope: store.scope)
        let added: StatementArguments = [
            store.scope.key, form.number, "[" + touched.filter(\.isNew).map(\.row.description).joined(separator: ",") + "]",
        ]
        // The smaller id survives: of an equal pair, one is dead now.
        report.twinsMerged += try Int.fetchOne(
            db,
            sql: """
                SELECT count(*) FROM zz_case WHERE kind = 'twins' AND scope = ?1 AND form = ?2 AND closed_at IS NOT NULL
                  AND (id IN (SELECT value FROM json_each(?3)) OR other_id IN (SELECT value FROM json_each(?3)))
                """, arguments: added)!
        // Those of this school were counted as they were added.
        report.twins += try Int.fetchOne(
            db,
            sql: """
                SELECT count(*) FROM zz_case WHERE kind = 'twins' AND form = ?2 AND closed_at IS NULL AND scope <> other_scope
                  AND ((scope = ?1 AND id IN (SELECT value FROM json_each(?3))) OR (other_scope = ?1 AND other_id IN (SELECT value FROM json_each(?3))))
                """, arguments: added)!
    }

    /// What the refreshed findings say of the rows.
    private func judge(_ report: inout OwnerReport) throws {
        let rows = Dictionary(touched.map { ($0.row, $0.source) }, uniquingKeysWith: { first, _ in first })
        let ids = "[" + rows.keys.map(\.description).joined(separator: ",") + "]"
        let findings = try Row.fetchAll(
            db, sql: "SELECT * FROM zz_finding WHERE scope = ? AND form = ? AND id IN (SELECT value FROM json_each(?))",
            arguments: [store.scope.key, form.number, ids])
        for finding in findings {
            let (id, message) = (RowID(finding["id"]), finding["message"] as String)
            guard let source = rows[id] else { continue }
            let rule = form.rules.first { $0.id == finding["rule"] as String }
            let fields = (rule?.fields ?? []).compactMap { form.fieldIndex(id: $0) }
            guard source.unread.isDisjoint(with: fields) else { continue }
            // A row that is referred to may be on its way: the finding clears itself when it comes. And what the row broke before
            // is said, but does not bar a write that leaves it so.
            let isError = finding["level"] as String == RuleLevel.error.rawValue && finding["target"] as Int64? == nil
                && errorsBefore[id]?.contains(message) != true
            let problem = ImportProblem(
                line: source.line, place: fields.map { form.fields[$0].title }.joined(separator: "、"), message: message,
                fix: finding["fix"], level: isError ? "error" : "warn")
            if isError { report.errors.append(problem) } else { report.warnings.append(problem) }
        }
    }
}

/// Rows by natural key.
enum KeyLookup {
    /// Living rows of a scope that have a key.
    static func rows(_ db: Database, _ form: Form, scope: ScopeID, key: [Value]) throws -> [RowID] {
        let filter = form.key.map { "\(form.fields[$0].id) = ?" }.joined(separator: " AND ")
        let select = try HotStatement(db, "SELECT id FROM \(form.table) WHERE scope = ? AND \(filter) AND _life = 1 ORDER BY id")
        defer { select.reset() }
        select.bind(1, scope.key)
        for (index, value) in key.enumerated() { select.bind(index + 2, value) }
        var found: [RowID] = []
        while try select.step() { found.append(RowID(select.integer(0))) }
        return found
    }

    /// Open cases of twins between rows of a scope.
    static func openTwins(_ db: Database, _ form: Form, scope: ScopeID, _ rows: [RowID]) throws -> [Int64] {
        try Int64.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT number FROM zz_case WHERE scope = ?1 AND form = ?2 AND id IN (SELECT value FROM json_each(?3)) AND closed_at IS NULL
                      AND kind = 'twins' AND other_scope = ?1 AND other_id IN (SELECT value FROM json_each(?3)) ORDER BY number
                    """), arguments: [scope.key, form.number, "[" + rows.map(\.description).joined(separator: ",") + "]"])
    }
}
