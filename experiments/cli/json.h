/* JSON on standard output, and text in it that need not be valid UTF-8. */
#ifndef BA_JSON_H
#define BA_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>

/* Adds bytes as a string; what is not valid UTF-8 becomes U+FFFD. */
void ba_json_add_bytes(cJSON *object, const char *key, const char *bytes, size_t n);

/* Adds a number; null if it is not finite. */
void ba_json_add_number(cJSON *object, const char *key, double x);

/* Prints one line and frees the object. Returns an exit status. */
int ba_json_print(cJSON *object);

#endif
