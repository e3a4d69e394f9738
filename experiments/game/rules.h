/* Rules that cut a state into blocks, as data:
 *
 *   {"about": "free text", "max_tokens": 256,
 *    "rules": [{"at": "/players", "max_tokens": 64}, {"at": "/log", "key": "id"}]}
 *
 * "at" is a JSON pointer (RFC 6901); the reference token "*" matches any name. "max_tokens" limits a block (default: that
 * of the file, else none). "key" names the member that identifies an element of an array instead of its index. */
#ifndef BA_RULES_H
#define BA_RULES_H

#include "kernels/base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { BA_MAX_RULES = 64 };

typedef struct ba_rule {
    char **part; /* [n_part] reference tokens, unescaped; NULL matches any */
    size_t n_part;
    size_t max_tokens; /* SIZE_MAX: no limit */
    char *key;         /* NULL: the index */
} ba_rule;

typedef struct ba_rules {
    ba_rule rule[BA_MAX_RULES];
    size_t n;
    size_t max_tokens; /* of parts that no rule names; SIZE_MAX: no limit */
} ba_rules;

/* 0, or -1 and err, which begins with `name`. */
int ba_rules_parse(const char *text, size_t len, const char *name, ba_rules *out, char err[BA_ERR_LEN]);
void ba_rules_free(ba_rules *rules);

#endif
