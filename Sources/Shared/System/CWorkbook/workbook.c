#include "workbook.h"

#include <stdio.h>

// Node/Import takes expat's text for UTF-8: a build of expat with wide characters must not link.
_Static_assert(sizeof(XML_Char) == 1, "expat built with wide characters");

void zz_number_shown(double value, char *out, size_t room) {
    snprintf(out, room, "%.15g", value);
}
