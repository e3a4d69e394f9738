/* What the readers of JSON files do with each field, as rows of a table: printed for the user, and kept next to the code
 * that obeys them. All texts are static.
 *
 * file: "tokenizer.json", "config.json", ...; field: its path, "model.ignore_merges"; verdict: "honoured", "refused" or
 * "harmless"; why: one phrase, "" where the verdict says enough. A list of rows ends with {NULL}. */
#ifndef BA_FIELDS_H
#define BA_FIELDS_H

typedef struct ba_field {
    const char *file, *field, *verdict, *why;
} ba_field;

#endif
