// What a hub remembers of logs that it has lost and children handed back: which cells it took, and what those cover.

import GRDB
import Shared

extension SQLiteScopeStore {
    func merge(at position: Position) throws -> (site: SiteID, upTo: Seq)? {
        let extent = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT site, last_seq FROM zz_extent WHERE scope = ? AND last >= ? ORDER BY last LIMIT 1"),
            arguments: [scope.key, position.rawValue])
        guard let extent, extent["site"] as Int64 != 0 else { return nil }
        return (SiteID(key: extent["site"]), Seq(extent["last_seq"] as Int64))
    }

    func taken(_ form: Form, _ row: RowID, epoch: Int) throws -> [Int: [TakenCell]] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT field_group, was, at, disputed FROM zz_taken WHERE scope = ? AND form = ? AND id = ? AND epoch = ?"),
            arguments: [scope.key, form.number, row.rawValue, epoch])
        return Dictionary(grouping: rows) { $0["field_group"] }.mapValues { rows in
            rows.map { TakenCell(was: Position($0["was"] as Int64), at: Position($0["at"] as Int64), isDisputed: $0["disputed"] as Int != 0) }
        }
    }

    func note(_ cell: TakenCell, _ form: Form, _ row: RowID, group: Int, epoch: Int) throws {
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO zz_taken VALUES (?, ?, ?, ?, ?, ?, ?, ?)").execute(arguments: [
            scope.key, form.number, row.rawValue, group, epoch, cell.was.rawValue, cell.at.rawValue, cell.isDisputed ? 1 : 0,
        ])
    }

    func cover(_ form: Form, _ row: RowID, groups: [Int], by site: SiteID, upTo mark: ChainMark) throws {
        for group in groups {
            try db.cachedStatement(
                sql: """
                    INSERT INTO zz_cover VALUES (?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (scope, form, id, field_group, site) DO UPDATE SET seq = excluded.seq, chain = excluded.chain WHERE excluded.seq > seq
                    """
            ).execute(arguments: [
                scope.key, form.number, row.rawValue, group, site.key, mark.seq.rawValue, Int64(bitPattern: mark.chain),
            ])
        }
    }

    func covered(_ form: Form, _ row: RowID, by site: SiteID) throws -> [Int: ChainMark] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT field_group, seq, chain FROM zz_cover WHERE scope = ? AND form = ? AND id = ? AND site = ?"),
            arguments: [scope.key, form.number, row.rawValue, site.key])
        return Dictionary(
            uniqueKeysWithValues: rows.map { ($0["field_group"] as Int, ChainMark(seq: Seq($0["seq"]), chain: UInt64(bitPattern: $0["chain"]))) })
    }
}
