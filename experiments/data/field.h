/* What is wrong with data of other people, in words that say what was found. */
#ifndef BA_FIELD_H
#define BA_FIELD_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/* Always -1: field "answers" is missing (the fields that there are), or is something else than `needed` ("a text"). */
int ba_field_wrong(const cJSON *object, const char *field, const char *needed, char err[BA_ERR_LEN]);
/* A text, or NULL and err. */
const char *ba_field_text(const cJSON *object, const char *field, char err[BA_ERR_LEN]);
/* A list of at least one, or NULL and err; of: "documents". */
const cJSON *ba_field_list(const cJSON *object, const char *field, const char *of, char err[BA_ERR_LEN]);

/* 0 if text[0..n) is UTF-8 without NUL. Else -1 and err, which names the line, counted from `first`, and the byte in it. */
int ba_text_check(const char *text, size_t n, size_t first, char err[BA_ERR_LEN]);

#endif
