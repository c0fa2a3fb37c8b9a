// To seal: turn what was written into segments of the outbox. Encoding, chain, signature and bookkeeping are the same at a
// node and at a hub that forwards; what differs is only where the changes are read from.

import Crypto
import Foundation
import GRDB

package struct Sealer {
    package let scope: ScopeID
    package let site: SiteID
    package let key: Curve25519.Signing.PrivateKey
    package let catalogue: Catalogue
    /// Seconds since 1970.
    package let now: Int64
    /// zstd level. Measured on 5,000 students of 31 columns, prediction on, codec alone on one core: 163 kB in 22 ms at 9,
    /// 162 kB in 25 ms at 10, 159 kB in 42 ms at 12, 154 kB in 76 ms at 15.
    package static let level = 10

    private let db: Database
    private var builder = SegmentBuilder()
    private var link: ScopeLink
    private let predictors: Predictors
    package private(set) var rows = 0
    package private(set) var segments = 0
    /// UTF-8 bytes of all texts of the change that has most, of those that are sealed.
    package private(set) var heaviestTextBytes = 0

    package init(
        _ db: Database, scope: ScopeID, site: SiteID, key: Curve25519.Signing.PrivateKey, catalogue: Catalogue, now: Int64
    ) throws {
        guard let link = try ScopeLink.load(db, scope) else {
            throw Failure(.damaged, "Scope \(scope) has no link to a parent here.", next: "Run `zzsync doctor`.")
        }
        self.db = db
        self.scope = scope
        self.site = site
        self.key = key
        self.catalogue = catalogue
        self.now = now
        self.link = link
        predictors = try ParentPredictors.areOurs(db) ? catalogue.predictors : .none
    }

    /// Adds a change; a segment that is full goes to the outbox.
    package mutating func add(
        form: Form, row: RowID, life: Life, mask: FieldMask, stamp: Stamp, cell: (Int, inout CellColumn) -> Void
    ) throws {
        if builder.isFull { try flush() }
        builder.add(form: form, row: row, life: life, mask: mask, stamp: stamp, cell: cell)
        rows += 1
    }

    /// Seals what is left. Without this call the last changes are not in the outbox; the caller's transaction covers all.
    package mutating func finish() throws {
        try flush()
        try link.save(db)
    }

    private mutating func flush() throws {
        let cells = builder.cells
        heaviestTextBytes = max(heaviestTextBytes, builder.heaviestTextBytes)
        guard let body = builder.take() else { return }
        let first = link.nextSeq
        let last = first.advanced(by: body.changeCount - 1)
        let sealed = try SegmentCodec.seal(
            body: body, kind: .changes, scope: scope, site: site, firstSeq: first, lastSeq: last, cursor: link.cursor,
            epoch: link.epoch, previousHash: link.chain, catalogueHash: catalogue.hash,
            predictors: predictors, level: Self.level, signingKey: key)
        try db.cachedStatement(
            sql: "INSERT INTO zz_outbox (scope, first, last, sealed_at, cells, raw_bytes, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)"
        ).execute(arguments: [
            scope.key, first.rawValue, last.rawValue, now, cells, sealed.header.rawLength, Data(sealed.bytes),
        ])
        try Pending.record(db, scope: scope, body, first: first)
        link.nextSeq = last.advanced(by: 1)
        link.chain = sealed.hash
        segments += 1
    }
}

extension Pending {
    /// Notes what the changes of a segment say: it waits until the parent has merged it.
    static func record(_ db: Database, scope: ScopeID, _ body: SegmentBody, first: Seq) throws {
        let insert = try HotStatement(
            db,
            """
            INSERT OR IGNORE INTO zz_unsettled (scope, seq, form, id, fields_low, fields_high, life) VALUES (?, ?, ?, ?, ?, ?, ?)
            """)
        var seq = first.rawValue
        for form in body.forms {
            for index in 0..<form.count {
                insert.bind(1, scope.key)
                insert.bind(2, seq)
                insert.bind(3, Int64(form.form))
                insert.bind(4, form.rows[index].rawValue)
                insert.bind(5, form.masks[index].low)
                insert.bind(6, form.masks[index].high)
                insert.bind(7, Int64(form.life[index].rawValue))
                try insert.run()
                seq += 1
            }
        }
    }

    /// Looks a row up; call with what the page calls merged, before that is settled.
    package static func load(
        _ db: Database, scope: ScopeID, form: FormNumber, row: RowID, merged: MergedSeqs
    ) throws -> Pending {
        var pending = Pending()
        let statement = try HotStatement(
            db,
            // Without the hint the planner takes the primary key and reads all that waits, for every row.
            """
            SELECT seq, fields_low, fields_high, life FROM zz_unsettled INDEXED BY zz_unsettled_row
            WHERE scope = ? AND form = ? AND id = ? AND seq > ? ORDER BY seq
            """)
        defer { statement.reset() }
        statement.bind(1, scope.key)
        statement.bind(2, Int64(form))
        statement.bind(3, row.rawValue)
        statement.bind(4, merged.floor.rawValue)
        while try statement.step() {
            let fields = FieldMask(low: statement.integer(1), high: statement.integer(2))
            let life = Life(rawValue: UInt8(statement.integer(3))) ?? .unchanged
            if merged.contains(Seq(statement.integer(0))) {
                pending.settle(fields: fields, life: life)
            } else {
                pending.add(fields: fields, life: life)
            }
        }
        return pending
    }

    /// Changes that wait below what the parent calls merged: it holds them and cannot read them yet.
    package static func quarantined(_ db: Database, _ scope: ScopeID, upTo merged: Seq) throws -> Int {
        try Int.fetchOne(
            db.cachedStatement(sql: "SELECT count(*) FROM zz_unsettled WHERE scope = ? AND seq <= ?"), arguments: [scope.key, merged.rawValue])!
    }

    /// Forgets what the parent has merged. A delete stays until it is known to be judged, which is believed only from a page that reaches
    /// the log's end: its row, should it live again here, is not sealed before that (`HubReplica`).
    package static func settle(_ db: Database, scope: ScopeID, merged: MergedSeqs, reachesEnd: Bool) throws {
        if merged.floor < merged.upTo { try settleOverwritten(db, scope: scope, merged) }
        for range in merged.ranges {
            try db.cachedStatement(
                sql: "DELETE FROM zz_unsettled WHERE scope = ? AND seq BETWEEN ? AND ? AND (life <> \(Life.dead.rawValue) OR ?)"
            ).execute(arguments: [scope.key, range.lowerBound.rawValue, range.upperBound.rawValue, reachesEnd])
        }
    }

    /// Of what lies in quarantine above, the cells that a later change, which is merged, has written again wait no more.
    private static func settleOverwritten(_ db: Database, scope: ScopeID, _ merged: MergedSeqs) throws {
        for range in merged.ranges where range.lowerBound > merged.floor {
            let later = try Row.fetchAll(
                db.cachedStatement(sql: "SELECT * FROM zz_unsettled WHERE scope = ? AND seq BETWEEN ? AND ?"),
                arguments: [scope.key, range.lowerBound.rawValue, range.upperBound.rawValue])
            for change in later {
                // Who deletes a row has no more to say of any of its cells (`Pending.settle`).
                let isDelete = change["life"] as Int64 == Int64(Life.dead.rawValue)
                for waiting in merged.quarantined where waiting.upperBound < range.lowerBound {
                    try db.cachedStatement(
                        sql: """
                            UPDATE zz_unsettled SET fields_low = fields_low & ~?, fields_high = fields_high & ~?, life = iif(?, life, 0)
                            WHERE scope = ? AND form = ? AND id = ? AND seq BETWEEN ? AND ?
                            """
                    ).execute(arguments: [
                        isDelete ? -1 : change["fields_low"] as Int64, isDelete ? -1 : change["fields_high"] as Int64,
                        change["life"] as Int64 == 0, scope.key, change["form"] as Int64, change["id"] as Int64, waiting.lowerBound.rawValue,
                        waiting.upperBound.rawValue,
                    ])
                }
            }
        }
        for waiting in merged.quarantined {
            try db.cachedStatement(
                sql: "DELETE FROM zz_unsettled WHERE scope = ? AND seq BETWEEN ? AND ? AND fields_low = 0 AND fields_high = 0 AND life = 0"
            ).execute(arguments: [scope.key, waiting.lowerBound.rawValue, waiting.upperBound.rawValue])
        }
    }
}
