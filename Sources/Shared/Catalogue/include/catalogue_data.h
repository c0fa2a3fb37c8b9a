// The catalogue's source files, embedded at compile time: forms/*.toml and codes/*.tsv.
#include <stddef.h>

struct zz_catalogue_file {
    const char *_Nonnull name;
    const unsigned char *_Nonnull bytes;
    size_t size;
};

int zz_catalogue_count(void);
struct zz_catalogue_file zz_catalogue_file(int index);

// The zstd dictionary of small segments.
const unsigned char *_Nonnull zz_small_dictionary(void);
size_t zz_small_dictionary_size(void);
