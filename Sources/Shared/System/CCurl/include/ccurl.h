// libcurl for Swift, which cannot call functions that take arguments of any kind (`...`): one typed function each.
#ifndef ZZ_CCURL_H
#define ZZ_CCURL_H

#include <curl/curl.h>

/// To be called once, before any thread uses libcurl.
CURLcode zz_curl_start(void);

CURLcode zz_curl_set_long(CURL *easy, CURLoption option, long value);
CURLcode zz_curl_set_size(CURL *easy, CURLoption option, curl_off_t value);
/// libcurl keeps a copy of the text.
CURLcode zz_curl_set_text(CURL *easy, CURLoption option, const char *value);
/// libcurl keeps the pointer: the memory must outlive the transfer.
CURLcode zz_curl_set_pointer(CURL *easy, CURLoption option, void *value);
/// For CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION.
CURLcode zz_curl_set_write(CURL *easy, CURLoption option, curl_write_callback callback);
CURLcode zz_curl_set_read(CURL *easy, curl_read_callback callback);
CURLcode zz_curl_set_seek(CURL *easy, curl_seek_callback callback);

/// 0 if libcurl does not know.
long zz_curl_get_long(CURL *easy, CURLINFO info);
curl_off_t zz_curl_get_size(CURL *easy, CURLINFO info);

/// The next transfer that has ended, with its result; NULL when there is none.
CURL *zz_curl_next_done(CURLM *multi, CURLcode *result);

#endif
