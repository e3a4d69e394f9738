/* A small, strict evaluator of the Jinja that chat templates are written in: text, {{ expressions }}, if, for, set, and
 * the filters, tests and methods that published templates use, with the white-space rules of transformers (trim_blocks,
 * lstrip_blocks). What it does not know is an error, never a guess; so what it renders is what Jinja renders. Work and
 * output are bounded, because templates come out of files. */
#ifndef BA_JINJA_H
#define BA_JINJA_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>

/* The template with the members of the object `context` as variables. *out is malloc'ed. 0, or -1 and err: raised by the
 * template itself, something unknown, or out of memory. */
int ba_jinja_render(const char *source, const cJSON *context, char **out, char err[BA_ERR_LEN]);

#endif
