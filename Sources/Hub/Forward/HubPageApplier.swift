// A parent's log page at a hub: each row of it is loaded, decided by the pure `RowPull` and saved.

import GRDB
import Shared

struct HubPageApplier {
    private let db: Database
    private let home: HubHome
    /// This hub as the parent knows it.
    private let site: SiteID
    private let scope: ScopeID
    private let merged: MergedSeqs
    private let reachesEnd: Bool
    private let context: JudgeContext
    private var store: SQLiteScopeStore
    private var summary = PullSummary()
    private var formerKeys: [FormNumber: Set<String>] = [:]
    private var rulings: [RowRuling] = []
    private var apart: [ApartChange] = []

    init(_ db: Database, hub home: HubHome, site: SiteID, scope: ScopeID, page: LogPageInfo, merged: MergedSeqs, now: Int64) throws {
        self.db = db
        self.home = home
        self.site = site
        self.scope = scope
        self.merged = merged
        reachesEnd = page.upTo == page.logEnd
        context = JudgeContext(hub: home.keys.site, now: now, policies: try home.policies(db, scope: scope, now: now))
        store = try SQLiteScopeStore(db, scope: scope)
    }

    mutating func apply(_ body: SegmentBody) throws -> PullSummary {
        try body.checkFits(home.catalogue)
        let catalogue = try home.versions.wide(db, for: body, make: HubSchema.makeForeign)
        store = try SQLiteScopeStore(db, scope: scope)
        var next = store.logEnd.next(inEpoch: home.epoch)
        var extent = Extent()
        let asked = try WholeRowCases(db, scope)
        for changes in body.forms {
            guard let form = catalogue[number: changes.form] else { preconditionFailure("room was made for it") }
            summary.disputed += changes.placements.count { $0.disputed }
            var index = 0
            while index < changes.count {
                var end = index + 1
                while end < changes.count, changes.rows[end] == changes.rows[index] { end += 1 }
                if try apply(form, changes, index..<end, stamps: body.stamps, at: next) {
                    extent.rows.append((form.number, changes.rows[index]))
                    next = next.advanced(by: 1)
                    summary.applied += end - index
                } else {
                    summary.passedOver += end - index
                }
                index = end
            }
        }
        guard !extent.rows.isEmpty else { return summary }
        try store.append(extent, upTo: next.advanced(by: -1))
        _ = try FindingsRefresher(rules: home.rules).refresh(
            db, store: &store, touched: extent.rows, formerKeys: formerKeys)
        try asked.note(moved: extent.rows)
        try RuleCase.open(db, home.rules, apart, store: &store)
        try PolicyJournal.write(db, home, rulings, store: &store)
        try ClaimKeeper(home: home).update(db, scope: scope)
        return summary
    }

    /// All changes of one row in the page.
    ///
    /// - Returns: whether the row moved.
    private mutating func apply(
        _ form: Form, _ changes: FormChanges, _ range: Range<Int>, stamps: [Stamp], at position: Position
    ) throws -> Bool {
        let id = changes.rows[range.lowerBound]
        var row = try store.load(form, [id])[id] ?? MergeRow(form: form, id: id)
        row.position = position
        let held = try Held.cells(db, scope: scope, form: form, row: id)
        let before = held.fields.isEmpty ? nil : row
        let pending = try Pending.load(db, scope: scope, form: form.number, row: id, merged: merged)
        var pull = RowPull(row: row, held: held, pending: pending, site: site, context: context, reachesEnd: reachesEnd)
        pull.apply(changes, range, stamps: stamps)
        if pull.held != held { try Held.store(db, scope: scope, form: form, row: id, pull.held, since: position) }
        if let before, let change = pull.apart(from: before, try Held.entries(db, scope, form, id)) { apart.append(change) }
        if pull.row.moved || pull.learned { try store.save([pull.row]) }
        formerKeys[form.number, default: []].formUnion(pull.row.formerKeys)
        rulings += pull.row.rulings.map { RowRuling(form: form, row: id, ruling: $0) }
        return pull.row.moved
    }
}
