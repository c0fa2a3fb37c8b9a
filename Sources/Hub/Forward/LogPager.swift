// The hub's log as pages for its children: what was written or is shown after a position, as signed segments.
//
// A page ends where a merge transaction ended, never inside one, and shows a cell if either of its positions lies in it.

import Foundation
import GRDB
import Shared

struct LogPager {
    let catalogue: Catalogue
    let hub: SiteID

    /// The page after `after`; nil when the log ends there.
    ///
    /// - Parameter bytesMax: soft cap in uncompressed bytes; one larger transaction is still shown whole.
    func page(_ db: Database, scope: ScopeID, after: Position, bytesMax: Int) throws -> SegmentBody? {
        var store = try SQLiteScopeStore(db, scope: scope)
        guard store.logEnd > after else { return nil }
        var rows: [FormNumber: Set<RowID>] = [:]
        var upTo = after
        var estimate = 0
        let extents = try Row.fetchCursor(
            db.cachedStatement(sql: "SELECT last, rows FROM zz_extent WHERE scope = ? AND last > ? ORDER BY last"),
            arguments: [scope.key, after.rawValue])
        while let extent = try extents.next() {
            let moved = try ExtentRows.unpack(Array(extent["rows"] as Data))
            // A row of a form weighs about as much as its columns; the exact size is known only after encoding.
            estimate += moved.reduce(0) { $0 + 12 * (catalogue[number: $1.form]?.fields.count ?? 1) }
            if upTo > after && estimate > bytesMax { break }
            for (form, row) in moved { rows[form, default: []].insert(row) }
            upTo = Position(extent["last"])
        }
        var builder = SegmentBuilder()
        for (number, ids) in rows.sorted(by: { $0.key < $1.key }) {
            guard let form = catalogue[number: number] else { continue }
            let loaded = try store.load(form, Array(ids))
            for id in ids.sorted() {
                if let row = loaded[id] { add(row, after: after, upTo: upTo, to: &builder) }
            }
        }
        var body = builder.take() ?? SegmentBody()
        body.page = LogPageInfo(
            after: after, upTo: upTo, logEnd: store.logEnd, merged: try merged(db, scope: scope, upTo: upTo))
        return body
    }

    /// Up to which seq each child was merged as of `upTo`.
    func merged(_ db: Database, scope: ScopeID, upTo: Position) throws -> [SiteID: Seq] {
        let rows = try Row.fetchAll(
            db.cachedStatement(
                sql: "SELECT site, max(last_seq) AS seq FROM zz_extent WHERE scope = ? AND site <> 0 AND last <= ? GROUP BY site"),
            arguments: [scope.key, upTo.rawValue])
        return Dictionary(uniqueKeysWithValues: rows.map { (SiteID(key: $0["site"]), Seq($0["seq"])) })
    }

    /// The row's cells that the page shows, one change for each place where they stand; the one with the life first.
    private func add(_ row: MergeRow, after: Position, upTo: Position, to builder: inout SegmentBuilder) {
        func told(_ cell: Cell) -> Bool {
            (cell.shown > after && cell.shown <= upTo) || (cell.written > after && cell.written <= upTo)
        }
        struct Place: Hashable {
            let written: Position
            let shown: Position
            let by: Provenance
            let disputed: Bool
        }
        var order: [Place] = []
        var masks: [Place: (mask: FieldMask, life: Life)] = [:]
        func note(_ cell: Cell, disputed: Bool, mask: FieldMask, life: Life) {
            let place = Place(written: cell.written, shown: cell.shown, by: cell.by, disputed: disputed)
            if masks[place] == nil { order.append(place) }
            let before = masks[place] ?? (FieldMask(), .unchanged)
            masks[place] = (before.mask | mask, life == .unchanged ? before.life : life)
        }
        if row.lifeCell.isWritten, told(row.lifeCell) {
            note(row.lifeCell, disputed: row.rowCase != nil, mask: FieldMask(), life: row.life)
        }
        if row.life != .dead {
            for (index, cell) in row.cells.enumerated() where cell.isWritten && told(cell) {
                note(cell, disputed: row.cases[index] != nil, mask: row.form.groups[index].mask, life: .unchanged)
            }
        }
        for place in order {
            let (mask, life) = masks[place]!
            builder.add(
                form: row.form, row: row.id, life: life, mask: mask, stamp: place.by.stamp,
                placement: Placement(
                    written: place.written, shown: place.shown, writer: writer(place.by.writer), disputed: place.disputed)
            ) { field, cells in cells.append(row.values[field]) }
        }
    }

    private func writer(_ writer: Provenance.Writer) -> SiteID {
        if case .child(let site) = writer { return site }
        return hub
    }
}
