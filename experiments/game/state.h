/* A game's state: JSON text as a tree whose printed form is canonical. Equal values give equal text for any white space
 * and order of members in the input, and a number keeps its spelling (1.50 stays 1.50, integers of any length stay
 * exact), because the model reads the text and a block is identified by it. */
#ifndef BA_STATE_H
#define BA_STATE_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

enum { BA_STATE_DEPTH = 256, BA_STATE_NUMBER = 63 }; /* levels of nesting; characters of a number */

/* Parses text [len] (untrusted). Numbers become raw items, members are sorted by name. Refused, in one line that begins
 * with `name`: what is not JSON, a name that occurs twice in one object, deeper nesting, a NUL character, longer
 * numbers. The caller frees *out with cJSON_Delete. 0, or -1 and err. */
int ba_state_parse(const char *text, size_t len, const char *name, cJSON **out, char err[BA_ERR_LEN]);

#endif
