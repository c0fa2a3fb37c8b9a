// Where imported rows wait for review: a batch is one workbook, its rows are kept as read, with what was found wrong.

enum StageSchema {
    static let sql = """
        CREATE TABLE zz_batch (
          batch INTEGER PRIMARY KEY,
          form TEXT NOT NULL,
          file TEXT NOT NULL,
          author TEXT NOT NULL,
          staged_at INT NOT NULL,
          update_existing INT NOT NULL,         -- --update was said
          state TEXT NOT NULL,                  -- staged | accepted | rejected
          decided_by TEXT,
          decided_at INT
        ) STRICT;

        CREATE TABLE zz_staged_row (
          batch INT NOT NULL,
          line INT NOT NULL,                    -- row in the workbook, as the spreadsheet program counts
          field_values TEXT NOT NULL,           -- JSON object: column → value as stored
          present TEXT,                         -- what stood in these columns when the row was staged; NULL: there was no row
          PRIMARY KEY (batch, line)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE zz_staged_error (
          batch INT NOT NULL,
          line INT NOT NULL,
          place TEXT NOT NULL,                  -- cell or heading
          message TEXT NOT NULL,
          fix TEXT NOT NULL,
          level TEXT NOT NULL,
          of_file INT NOT NULL,                 -- 1: found in the file itself; 0: by the rules, which are asked again
          PRIMARY KEY (batch, line, place, message)
        ) STRICT, WITHOUT ROWID;
        """
}
