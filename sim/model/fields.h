/* What the readers of config.json and adapter_config.json do with each field: one row a field, obeyed by one general
 * reader. A field that changes what is computed is read or refused, a field that is known to be harmless is passed over,
 * and a field without a row is refused by name, because nobody knows what it changes. */
#ifndef BA_MODEL_FIELDS_H
#define BA_MODEL_FIELDS_H

#include "kernels/base/error.h"
#include "sim/base/fields.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum ba_field_use { BA_FIELD_READ, BA_FIELD_REFUSE, BA_FIELD_PASS } ba_field_use;

/* JSON types that a field may have; null may always stand in its place. */
enum {
    BA_JSON_WHOLE = 1,
    BA_JSON_REAL = 2,
    BA_JSON_BOOL = 4,
    BA_JSON_TEXT = 8,
    BA_JSON_OBJECT = 16,
    BA_JSON_LIST = 32
};

typedef struct ba_field_row {
    ba_field shown;
    const char *families; /* model types whose reference reads the field, separated by spaces; NULL: all. The others
                             ignore it, as the reference does */
    ba_field_use use;
    unsigned types;      /* read: BA_JSON_WHOLE, ... */
    size_t at;           /* read: offset of the `const cJSON *` in the caller's struct */
    const char *neutral; /* refused: values, as JSON, separated by |, that change nothing; null never does */
} ba_field_row;

/* Rows of a table, which ends with {0}. */
#define BA_ROW_READ(file, field, families, types, in, why)                                                             \
    { {file, field, "honoured", why}, families, BA_FIELD_READ, types, in, NULL }
#define BA_ROW_REFUSE(file, field, families, neutral, why)                                                             \
    { {file, field, "refused", why}, families, BA_FIELD_REFUSE, 0, 0, neutral }
#define BA_ROW_PASS(file, field, why)                                                                                  \
    { {file, field, "harmless", why}, NULL, BA_FIELD_PASS, 0, 0, NULL }

/* Applies the rows to the members of `object` (NULL: there are none). out: a struct of `const cJSON *`, zeroed by the
 * caller; a member that is absent stays NULL, one that is null points to the null. 0, or -1 and err naming file, field
 * and reason. */
int ba_fields_read(const ba_field_row *rows, const char *family, const cJSON *object, const char *path, void *out,
                   char err[BA_ERR_LEN]);

/* Rows of all tables of this folder, in the order in which they are printed; NULL past the last. */
const ba_field *ba_model_field_at(size_t i);

/* Values of members that ba_fields_read has checked; absent or null: otherwise. */
size_t ba_whole_or(const cJSON *item, size_t otherwise);
double ba_real_or(const cJSON *item, double otherwise);
bool ba_bool_or(const cJSON *item, bool otherwise);
const char *ba_text_or(const cJSON *item, const char *otherwise);
/* Whether it is there and not null. */
bool ba_is_set(const cJSON *item);

#endif
