/* Fields of tokenizer.json outside the steps, as a table that the reader obeys. */
#ifndef BA_RECIPE_FIELDS_H
#define BA_RECIPE_FIELDS_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>

/* 0 if the table knows every member of the object, whose place in the file is `prefix` ("", "model.", ...). A member
 * that it refuses may be there only without effect: null, false, 0 or empty. Else -1 and err. */
int ba_recipe_check_members(const cJSON *object, const char *prefix, char err[BA_ERR_LEN]);

#endif
