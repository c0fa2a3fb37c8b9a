// libzstd, as Debian ships it: compression and dictionary training.
#include <zdict.h>
#include <zstd.h>
