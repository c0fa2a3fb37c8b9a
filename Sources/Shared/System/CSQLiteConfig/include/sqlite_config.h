// sqlite3_db_config is variadic, which Swift cannot call.
#pragma once
typedef struct sqlite3 sqlite3;

/// Switches the triggers of one connection on or off; returns an SQLite result code.
int zz_sqlite_enable_triggers(sqlite3 *_Nonnull connection, int on);
