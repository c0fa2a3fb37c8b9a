// The tables of a child, the same at a node and at a hub that has a parent: where each scope stands with the parent, the
// segments that were sealed, and which cells wait for the parent's judgement.

import Foundation
import GRDB

package enum UplinkSchema {
    package static let sql = """
        CREATE TABLE zz_meta (
          key TEXT PRIMARY KEY NOT NULL,
          value ANY
        ) STRICT, WITHOUT ROWID;

        -- What others have written of versions of the catalogue that are not this home's: it has a column, or a table, of its own.
        CREATE TABLE zz_foreign (
          number INTEGER PRIMARY KEY,           -- in order of first sight
          form INT NOT NULL,
          field INT NOT NULL,                   -- 0: the form itself
          mark INT NOT NULL DEFAULT (random()),
          UNIQUE (form, field)
        ) STRICT;

        -- The source files of every version of the catalogue that this home has had: older segments need their predictors.
        CREATE TABLE zz_catalogue (
          hash BLOB PRIMARY KEY NOT NULL,
          raw_bytes INT NOT NULL,
          files BLOB NOT NULL                   -- JSON, zstd
        ) STRICT, WITHOUT ROWID;

        -- One row a scope. Seq, chain, cursor and merged belong to (site, scope), so that scopes never wait for each other.
        CREATE TABLE zz_link (
          scope INT PRIMARY KEY NOT NULL,
          next_seq INT NOT NULL DEFAULT 1,      -- the next change sealed gets this
          chain BLOB NOT NULL,                  -- hash of the newest segment sealed, 32 zero bytes before the first
          cursor INT NOT NULL DEFAULT 0,        -- the parent's log is held up to here
          epoch INT NOT NULL DEFAULT 0,         -- the parent's epoch in which both last agreed on that; 0 before the first hello
          received INT NOT NULL DEFAULT 0,      -- the parent holds our changes up to this seq
          merged INT NOT NULL DEFAULT 0,        -- the parent has merged them up to here, as of the cursor, but for what lies in quarantine there
          last_sync INT,                        -- seconds since 1970
          school TEXT                           -- SchoolInfo as JSON
        ) STRICT, WITHOUT ROWID;

        -- The log is the outbox. Payloads stay until the parent calls them safe.
        CREATE TABLE zz_outbox (
          scope INT NOT NULL,
          first INT NOT NULL,
          last INT NOT NULL,
          sealed_at INT NOT NULL,
          cells INT NOT NULL,
          raw_bytes INT NOT NULL,
          cut INT,                              -- a parent that was put back: its authors had seen no more than this
          bytes BLOB NOT NULL,
          PRIMARY KEY (scope, first)
        ) STRICT, WITHOUT ROWID;

        -- The parent's log pages as they came, for a parent that loses them.
        CREATE TABLE zz_page (
          number INTEGER PRIMARY KEY,
          scope INT NOT NULL,
          up_to INT NOT NULL,                   -- the cursor that it gave
          made INT NOT NULL,                    -- where the parent's log ended when it was made
          mark BLOB NOT NULL,                   -- which transaction that was
          bytes BLOB NOT NULL
        ) STRICT;
        CREATE INDEX zz_page_scope ON zz_page (scope, number);

        -- Pages that a parent which was put back has lost: handed back at every hello until what is in them has come down again, and once
        -- more when the parent loses that too.
        CREATE TABLE zz_returned (
          number INTEGER PRIMARY KEY,
          scope INT NOT NULL,
          down INT,                             -- the page of zz_page with which all of it had come down; NULL: not yet
          bytes BLOB NOT NULL
        ) STRICT;
        CREATE INDEX zz_returned_waiting ON zz_returned (scope, number) WHERE down IS NULL;

        -- A row that waits: which fields of it went up with which seq. Settled rows stand nowhere.
        CREATE TABLE zz_unsettled (
          scope INT NOT NULL,
          seq INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          fields_low INT NOT NULL,              -- bits of fields 1 to 63
          fields_high INT NOT NULL,             -- bits of fields 64 to 126
          life INT NOT NULL,
          PRIMARY KEY (scope, seq)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX zz_unsettled_row ON zz_unsettled (scope, form, id);
        """
}

/// Where a scope stands with the parent.
package struct ScopeLink: Sendable {
    package let scope: ScopeID
    package var nextSeq: Seq
    package var chain: ContentHash
    package var cursor: Position
    package var epoch: Int
    package var received: Seq
    package var merged: Seq
    package var lastSync: Int64?

    /// The last seq that was sealed.
    package var sealed: Seq { nextSeq.advanced(by: -1) }

    package static func load(_ db: Database, _ scope: ScopeID) throws -> ScopeLink? {
        guard let row = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT * FROM zz_link WHERE scope = ?"), arguments: [scope.key])
        else { return nil }
        return ScopeLink(
            scope: scope, nextSeq: Seq(row["next_seq"]), chain: ContentHash(bytes: row["chain"] as Data) ?? .none, cursor: Position(row["cursor"]), epoch: row["epoch"],
            received: Seq(row["received"]), merged: Seq(row["merged"]), lastSync: row["last_sync"])
    }

    package static func all(_ db: Database) throws -> [ScopeID] {
        try Int64.fetchAll(db, sql: "SELECT scope FROM zz_link ORDER BY scope").map { ScopeID(key: $0) }
    }

    package static func create(_ db: Database, _ scope: ScopeID) throws {
        try db.execute(
            sql: "INSERT OR IGNORE INTO zz_link (scope, chain) VALUES (?, ?)", arguments: [scope.key, Data(ContentHash.none.bytes)])
    }

    package func save(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                UPDATE zz_link SET next_seq = ?, chain = ?, cursor = ?, epoch = ?, received = ?, merged = ?, last_sync = ?
                WHERE scope = ?
                """
        ).execute(arguments: [
            nextSeq.rawValue, Data(chain.bytes), cursor.rawValue, epoch, received.rawValue, merged.rawValue, lastSync,
            scope.key,
        ])
    }
}

extension ScopeID {
    /// As stored in SQLite, whose integers are signed.
    package var key: Int64 { Int64(bitPattern: rawValue) }
    package init(key: Int64) { self.init(UInt64(bitPattern: key)) }
}

extension SiteID {
    package var key: Int64 { Int64(bitPattern: rawValue) }
    package init(key: Int64) { self.init(UInt64(bitPattern: key)) }
}

extension FieldMask {
    /// As two SQLite integers of 63 bits each.
    package var low: Int64 { Int64(truncatingIfNeeded: bits & Self.half) }
    package var high: Int64 { Int64(truncatingIfNeeded: bits >> 63 & Self.half) }
    package init(low: Int64, high: Int64) { self.init(UInt128(UInt64(low)) | UInt128(UInt64(high)) << 63) }
    private static let half = UInt128(1) << 63 - 1
}

/// The small facts of a replica that live in its database.
package enum Meta {
    package static func text(_ db: Database, _ key: String) throws -> String? {
        try String.fetchOne(db.cachedStatement(sql: "SELECT value FROM zz_meta WHERE key = ?"), arguments: [key])
    }
    package static func integer(_ db: Database, _ key: String) throws -> Int64? {
        try Int64.fetchOne(db.cachedStatement(sql: "SELECT value FROM zz_meta WHERE key = ?"), arguments: [key])
    }
    package static func set(_ db: Database, _ key: String, _ value: (any DatabaseValueConvertible)?) throws {
        try db.execute(
            sql: "INSERT INTO zz_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            arguments: [key, value])
    }
}
