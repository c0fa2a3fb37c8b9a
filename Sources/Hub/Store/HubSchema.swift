// The hub's tables. Every one is keyed by scope first, so that it can be a distributed table in another store.
//
// Where a row's metadata stands was weighed: a clock table beside the form (clean; a second b-tree, the key stored twice,
// one more lookup a row), or three columns in the form's own table. The second: a row that nobody else touched costs a
// position, a stamp number and a life bit, about 10 bytes; exceptions are packed into one blob that is else NULL.

import GRDB
import Shared

package enum HubSchema {
    /// As `NodeSchema.version`.
    static let version = 2

    package static func create(_ db: Database, _ catalogue: Catalogue) throws {
        try db.execute(sql: UplinkSchema.sql)
        try db.execute(sql: tables)
        for form in catalogue.storedForms {
            try db.execute(sql: table(form))
        }
        try db.execute(sql: "ANALYZE")
        for form in catalogue.storedForms { try index(db, form) }
        try db.execute(sql: "ANALYZE sqlite_schema")
        try CatalogueVersions.keep(db, catalogue)
    }

    /// A form's index, and what tells SQLite's planner what the table will look like. Without it it takes the scope alone to be as
    /// selective as scope and key together, and a reference rule reads the whole school for each row (measured: 25 times slower).
    static func index(_ db: Database, _ form: Form) throws {
        try db.execute(sql: "DELETE FROM sqlite_stat1 WHERE tbl = ?", arguments: [form.table])
        try db.execute(sql: "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?1, ?1, '3000000 5000 1')", arguments: [form.table])
        if form.number == SystemForms.decision.number { try indexDecisions(db) }
        guard let index = keyIndex(form) else { return }
        try db.execute(sql: index)
        let ones = Array(repeating: "1", count: form.key.count).joined(separator: " ")
        try db.execute(
            sql: "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)",
            arguments: [form.table, "zz_key_\(form.table)", "3000000 5000 \(ones)"])
    }

    /// Records are asked for by what they take back, and merges by the row that went: a list pasted twice makes thousands of them.
    private static func indexDecisions(_ db: Database) throws {
        let table = SystemForms.decision.table
        try db.execute(
            sql: """
                CREATE INDEX zz_decision_undoes ON \(table) (scope, undoes) WHERE undoes IS NOT NULL;
                CREATE INDEX zz_decision_gone ON \(table) (scope, max(row_id, other_row)) WHERE kind = 'merge';
                """)
    }

    static func table(_ form: Form) -> String {
        let columns = form.fields.map { "  \($0.id) \($0.sqlType),\n" }.joined()
        return """
            CREATE TABLE \(form.table) (
              scope INT NOT NULL,
              id INT NOT NULL,
              _life INT NOT NULL,           -- 1 alive, 2 dead (the values stay, hidden)
              _at INT NOT NULL,             -- position at which most cells were written
              _by INT NOT NULL,             -- their stamp in zz_stamp
              _x BLOB,                      -- cells that differ: RowMeta
            \(columns)  PRIMARY KEY (scope, id)
            ) STRICT, WITHOUT ROWID
            """
    }

    /// A table, or a column of it, of another version of the catalogue.
    static func makeForeign(_ db: Database, _ form: Form, _ field: Field?) throws {
        guard let field else { return try db.execute(sql: table(form)) }
        try db.execute(sql: "ALTER TABLE \(form.table) ADD COLUMN \(field.id) \(field.sqlType)")
    }

    /// References inside a school are looked up by the natural key.
    static func keyIndex(_ form: Form) -> String? {
        guard !form.key.isEmpty else { return nil }
        return "CREATE INDEX zz_key_\(form.table) ON \(form.table) (scope, "
            + form.key.map { form.fields[$0].id }.joined(separator: ", ") + ")"
    }

    private static let tables = """
        -- A school as this hub knows it.
        CREATE TABLE zz_scope (
          scope INT PRIMARY KEY NOT NULL,
          school TEXT NOT NULL,                 -- SchoolInfo as JSON
          via INT,                              -- the child hub that it comes through; NULL when its nodes talk to us
          log_end INT NOT NULL DEFAULT 0,       -- newest position
          sealed INT NOT NULL DEFAULT 0,        -- own changes up to here were looked at for forwarding
          claimed INT NOT NULL DEFAULT 0        -- natural keys up to here stand in zz_claim
        ) STRICT, WITHOUT ROWID;

        -- A direct child: a node of one school, or a hub.
        CREATE TABLE zz_site (
          site INT PRIMARY KEY NOT NULL,
          scope INT,                            -- the one scope of a node; NULL for a hub
          label TEXT NOT NULL,
          signing_key BLOB NOT NULL,
          agreement_key BLOB NOT NULL,
          enrolled_at INT NOT NULL,
          returned_at INT,                      -- enrolled again by its own statement: this hub had been put back to before it joined
          remark TEXT,                          -- what was found then
          revoked_at INT,
          last_seen INT
        ) STRICT, WITHOUT ROWID;

        -- Incarnations of one replica, in order of birth; a site that never was put back stands in no family.
        CREATE TABLE zz_family (
          site INT PRIMARY KEY NOT NULL,
          family INT NOT NULL,                  -- the first of them
          parent INT,                           -- the one whose changes its database held; NULL for the first
          born INTEGER NOT NULL                 -- 0, 1, 2 …
        ) STRICT, WITHOUT ROWID;

        -- Up to which seq an incarnation's changes are those of its parent.
        CREATE TABLE zz_inherited (
          scope INT NOT NULL,
          site INT NOT NULL,
          parent INT NOT NULL,
          seq INT NOT NULL,
          chain BLOB NOT NULL,
          PRIMARY KEY (scope, site)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE zz_invite (
          token_hash BLOB PRIMARY KEY NOT NULL, -- SHA-256: the file alone opens the door
          scope INT,                            -- NULL invites a hub
          label TEXT NOT NULL,
          expires INT NOT NULL,
          used_at INT,
          used_by INT
        ) STRICT, WITHOUT ROWID;

        -- Who brought and who typed: each combination once.
        CREATE TABLE zz_stamp (
          stamp INTEGER PRIMARY KEY,
          writer INT NOT NULL,                  -- a child's site; 0 this hub, 1 the parent
          origin INT NOT NULL,
          author TEXT NOT NULL,
          time INT NOT NULL,                    -- as claimed
          clamped INT,                          -- the time that orders it, where the claimed one lay ahead of our clock
          UNIQUE (writer, origin, author, time)
        ) STRICT;

        -- One entry a merge transaction: the log. Pages end where one of these ends.
        CREATE TABLE zz_extent (
          scope INT NOT NULL,
          last INT NOT NULL,                    -- newest position of the transaction
          site INT NOT NULL,                    -- the child whose segment was merged; 0 for everything else
          last_seq INT NOT NULL,                -- up to here that child is merged
          rows BLOB NOT NULL,                   -- (form, row id) of every row that moved
          mark INT NOT NULL DEFAULT (random()), -- no other log has it, though its positions be the same
          PRIMARY KEY (scope, last)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX zz_extent_site ON zz_extent (scope, site, last);

        -- Which of these transactions merged a segment that came out of quarantine, after later ones of its site.
        CREATE TABLE zz_released (
          scope INT NOT NULL,
          last INT NOT NULL,
          site INT NOT NULL,
          last_seq INT NOT NULL,
          PRIMARY KEY (scope, last)
        ) STRICT, WITHOUT ROWID;

        -- Which of a child's changes are merged.
        CREATE TABLE zz_child (
          scope INT NOT NULL,
          site INT NOT NULL,
          merged INT NOT NULL,
          sent INT NOT NULL DEFAULT 0,          -- cells: sent = merged_cells + equal + disputed + overtaken
          merged_cells INT NOT NULL DEFAULT 0,
          equal INT NOT NULL DEFAULT 0,
          disputed INT NOT NULL DEFAULT 0,
          overtaken INT NOT NULL DEFAULT 0,
          PRIMARY KEY (scope, site)
        ) STRICT, WITHOUT ROWID;

        -- Cells of a lost log that children handed back: where they were written in it, and where they were written here.
        CREATE TABLE zz_taken (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          field_group INT NOT NULL,             -- group number; 0 for the row's life
          epoch INT NOT NULL,                   -- of the lost log
          was INT NOT NULL,
          at INT NOT NULL,                      -- 0: nothing was written for it
          disputed INT NOT NULL,
          PRIMARY KEY (scope, form, id, field_group, epoch, was)
        ) STRICT, WITHOUT ROWID;

        -- Up to which of a child's changes what was taken back covers a cell; as group -1, all that a delete covers.
        CREATE TABLE zz_cover (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          field_group INT NOT NULL,
          site INT NOT NULL,
          seq INT NOT NULL,
          chain INT NOT NULL,                   -- of the site at that seq
          PRIMARY KEY (scope, form, id, field_group, site)
        ) STRICT, WITHOUT ROWID;

        -- Every value that was overwritten.
        CREATE TABLE zz_history (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          field_group INT NOT NULL,             -- group number; 0 for the row's life
          replaced INT NOT NULL,                -- position of the write that replaced it
          written INT NOT NULL,
          stamp INT NOT NULL,
          life INT NOT NULL,
          old TEXT NOT NULL,                    -- JSON: the group's values
          cut TEXT,                             -- JSON: the fields' numbers, where groups have been cut differently since
          PRIMARY KEY (scope, form, id, field_group, replaced, written)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE zz_case (
          number INTEGER PRIMARY KEY AUTOINCREMENT,
          kind TEXT NOT NULL,                   -- cell | life | twins | rule | clone | owner (a change request: holds nothing)
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          field_group INT NOT NULL,
          rules TEXT,                           -- rule: what the merged row breaks, though each side kept it
          other_scope INT,                      -- twins: the other row
          other_id INT,
          opened_at INT NOT NULL,
          version INT NOT NULL DEFAULT 1,       -- grows with every candidate, and of a whole row's case with every write to the row: a decision names the one it saw
          closed_at INT,
          record INT,                           -- the decision that closed it: a row of system_decision
          cut TEXT,                             -- closed under groups that are cut differently now: JSON, its fields' numbers
          returned INT                          -- position at which it went back to the school with a question
        ) STRICT;
        CREATE INDEX zz_case_open ON zz_case (scope, form, id, field_group) WHERE closed_at IS NULL;
        CREATE INDEX zz_case_open_other ON zz_case (other_scope, other_id) WHERE closed_at IS NULL AND other_scope IS NOT NULL;

        -- Twins that nobody decided: one of the two took another key, or died.
        CREATE INDEX zz_case_parted ON zz_case (form, id, other_id) WHERE kind = 'twins' AND record IS NULL AND closed_at IS NOT NULL;
        CREATE INDEX zz_case_died ON zz_case (scope) WHERE kind = 'rule' AND record = 0;
        -- Change requests that nobody answered: closed with their row, or met.
        CREATE INDEX zz_case_gone ON zz_case (scope) WHERE kind = 'owner' AND record IS NULL AND closed_at IS NOT NULL;

        CREATE TABLE zz_candidate (
          number INT NOT NULL,
          ordinal INT NOT NULL,
          stamp INT NOT NULL,
          life INT NOT NULL,
          cursor INT NOT NULL,
          value TEXT NOT NULL,                  -- JSON: the group's values; for kind rule those of the whole row
          PRIMARY KEY (number, ordinal)
        ) STRICT, WITHOUT ROWID;

        -- The journal of what was decided here, and what an undo needs.
        CREATE TABLE zz_decision (
          decision INTEGER PRIMARY KEY AUTOINCREMENT,
          number INT NOT NULL,
          kind TEXT NOT NULL,                   -- take | set | merge | distinct | undo; newest | owner | union by the system
          who TEXT NOT NULL,
          at INT NOT NULL,
          reason TEXT NOT NULL,
          taken TEXT NOT NULL,                  -- what was chosen, in words
          value TEXT NOT NULL,                  -- JSON: the result
          before TEXT NOT NULL,                 -- JSON: what an undo puts back
          position INT NOT NULL,
          policy TEXT,                          -- by the system: "catalogue", or file and line of the policy
          batch INT,                            -- the bulk that it belongs to: that one's number here
          record INT NOT NULL,                  -- what of it travels: a row of system_decision
          undone_by INT
        ) STRICT;
        CREATE INDEX zz_decision_case ON zz_decision (number);
        CREATE INDEX zz_decision_position ON zz_decision (position);

        -- Words of children that were a decision's own, by people who had not seen that: it cannot be taken back without them.
        CREATE TABLE zz_same (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          field_group INT NOT NULL,             -- group number; 0 for the row's life
          written INT NOT NULL,                 -- where the decision's word stands
          stamp INT NOT NULL,
          PRIMARY KEY (scope, form, id, field_group, written, stamp)
        ) STRICT, WITHOUT ROWID;

        -- Rows of one key that an operator marked as two for good, here or at another hub: follows system_decision.
        CREATE TABLE zz_distinct (
          form INT NOT NULL,
          scope INT NOT NULL,
          id INT NOT NULL,
          other_scope INT NOT NULL,
          other_id INT NOT NULL,
          PRIMARY KEY (form, scope, id, other_scope, other_id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE zz_finding (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          rule TEXT NOT NULL,
          level TEXT NOT NULL,
          message TEXT NOT NULL,
          fix TEXT NOT NULL,
          target INT,                           -- a missing reference: the form that is waited for
          PRIMARY KEY (scope, form, id, rule)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX zz_finding_target ON zz_finding (scope, target) WHERE target IS NOT NULL;

        -- Looked at for forwarding and held: which cells of the row still have to go up.
        CREATE TABLE zz_held (
          scope INT NOT NULL,
          form INT NOT NULL,
          id INT NOT NULL,
          since INT NOT NULL,                   -- position up to which everything of these cells had gone up when the hold began
          fields_low INT NOT NULL,
          fields_high INT NOT NULL,
          life INT NOT NULL,                    -- 1: the row's life has to go up too
          PRIMARY KEY (scope, form, id, since)
        ) STRICT, WITHOUT ROWID;

        -- Natural keys over all schools, kept apart from the merge: added in sorted batches.
        CREATE TABLE zz_claim (
          form INT NOT NULL,
          key TEXT NOT NULL,
          scope INT NOT NULL,
          id INT NOT NULL,
          PRIMARY KEY (form, key, scope, id)
        ) STRICT, WITHOUT ROWID;

        -- The same by row: which key a row claims now.
        CREATE TABLE zz_claim_row (
          form INT NOT NULL,
          scope INT NOT NULL,
          id INT NOT NULL,
          key TEXT NOT NULL,
          PRIMARY KEY (form, scope, id)
        ) STRICT, WITHOUT ROWID;
        """
}
