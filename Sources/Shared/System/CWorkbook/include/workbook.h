// The C libraries behind Node/Import: libzip and expat to read .xlsx files, libxlsxwriter to write them.
// Swift calls them directly; only what Swift cannot call is declared here.
#ifndef ZZ_WORKBOOK_H
#define ZZ_WORKBOOK_H

#include <expat.h>
#include <xlsxwriter.h>
#include <zip.h>

/// Writes `value` with 15 significant digits, as Excel and WPS show it (a stored 68.900000000000006 is shown as 68.9).
/// At least 32 bytes of room. `snprintf` is variadic, so Swift cannot call it.
void zz_number_shown(double value, char *out, size_t room);

#endif
