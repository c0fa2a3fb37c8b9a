// The hub's log as pages for its children: what was written or is shown after a position, as signed segments.
//
// A page ends where a merge transaction ended, never inside one, and shows a cell if either of its positions lies in it.

import Foundation
import GRDB
import Shared

struct LogPager {
    let catalogue: Catalogue
    let hub: SiteID
    let inbox: Inbox
    private static let rowsAtOnce = 250

    /// The page after `after`; nil when the log ends there.
    ///
    /// - Parameter bytesMax: soft cap in uncompressed bytes; one larger transaction is still shown whole.
    func page(_ db: Database, scope: ScopeID, after: Position, bytesMax: Int) throws -> SegmentBody? {
        var store = try SQLiteScopeStore(db, scope: scope)
        guard store.logEnd > after else { return nil }
        var limit = bytesMax
        while true {
            let span = try span(db, scope, after: after, bytesMax: limit)
            if let changes = try changes(span, after: after, store: &store, bytesMax: span.isOne ? .max : 2 * bytesMax) {
                return try page(db, scope, changes, after: after, upTo: span.upTo, store.logEnd)
            }
            // Heavier than it looked: fewer transactions, in the end one, which is shown whole.
            limit /= 4
        }
    }

    /// Rows that some transactions of the log moved.
    private struct Span {
        var rows: [FormNumber: Set<RowID>] = [:]
        var upTo: Position
        /// Nothing smaller can be shown.
        var isOne = true
    }

    private func span(_ db: Database, _ scope: ScopeID, after: Position, bytesMax: Int) throws -> Span {
        var span = Span(upTo: after)
        var estimate = 0
        let extents = try Row.fetchCursor(
            db.cachedStatement(sql: "SELECT last, rows FROM zz_extent WHERE scope = ? AND last > ? ORDER BY last"),
            arguments: [scope.key, after.rawValue])
        while let extent = try extents.next() {
            let moved = try ExtentRows.unpack(Array(extent["rows"] as Data))
            // A row of a form weighs about as much as its columns; the exact size is known only after encoding.
            estimate += moved.reduce(0) { $0 + 12 * (catalogue[number: $1.form]?.fields.count ?? 1) }
            if span.upTo > after {
                if estimate > bytesMax { break }
                span.isOne = false
            }
            for (form, row) in moved { span.rows[form, default: []].insert(row) }
            span.upTo = Position(extent["last"])
        }
        return span
    }

    /// - Returns: nil when they weigh more than `bytesMax`.
    private func changes(_ span: Span, after: Position, store: inout SQLiteScopeStore, bytesMax: Int) throws -> SegmentBody? {
        var builder = SegmentBuilder()
        for (number, ids) in span.rows.sorted(by: { $0.key < $1.key }) {
            guard let form = catalogue[number: number] else { continue }
            let ids = ids.sorted()
            // In pieces: a loaded row is ten times its part of the page, and three pages may be made at a time.
            for start in stride(from: 0, to: ids.count, by: Self.rowsAtOnce) {
                let piece = Array(ids[start..<min(start + Self.rowsAtOnce, ids.count)])
                let loaded = try store.load(form, piece)
                for id in piece {
                    if let row = loaded[id] { add(row, after: after, upTo: span.upTo, to: &builder) }
                }
                if builder.rawBytes > bytesMax { return nil }
            }
        }
        return builder.take() ?? SegmentBody()
    }

    private func page(
        _ db: Database, _ scope: ScopeID, _ changes: SegmentBody, after: Position, upTo: Position, _ logEnd: Position
    ) throws -> SegmentBody {
        var body = changes
        let merged = try merged(db, scope: scope, upTo: upTo)
        body.page = LogPageInfo(
            after: after, upTo: upTo, logEnd: logEnd, merged: merged,
            quarantined: try QuarantinedSeqs(db, inbox, scope: scope, upTo: upTo).ranges(ofAllAnd: merged.keys))
        return body
    }

    /// Up to where each child was merged as of `upTo`.
    private func merged(_ db: Database, scope: ScopeID, upTo: Position) throws -> [SiteID: ChainMark] {
        let rows = try Row.fetchAll(
            db.cachedStatement(
                sql: "SELECT site, max(last_seq) AS seq FROM zz_extent WHERE scope = ? AND site <> 0 AND last <= ? GROUP BY site"),
            arguments: [scope.key, upTo.rawValue])
        var merged = Dictionary(uniqueKeysWithValues: rows.map { (SiteID(key: $0["site"]), Seq($0["seq"] as Int64)) })
        for site in try Incarnations.all(db, scope: scope) where merged[site] == nil {
            merged[site] = try Incarnations.lastMerge(db, scope: scope, of: site, upTo: upTo).seq
        }
        return try merged.reduce(into: [:]) { marks, site in
            let line = try Incarnations.line(db, scope: scope, of: site.key, before: Seq(.max))
            marks[site.key] = ChainMark(seq: site.value, chain: try inbox.chain(scope, line, at: site.value))
        }
    }

    private func add(_ row: MergeRow, after: Position, upTo: Position, to builder: inout SegmentBuilder) {
        for cells in row.told(after: after, upTo: upTo, hub: hub) {
            builder.add(
                form: row.form, row: row.id, life: cells.life, mask: cells.mask, stamp: cells.stamp, placement: cells.placement
            ) { field, column in column.append(row.values[field]) }
        }
    }
}
