/* Data sets as their authors publish them, and tables of anybody, to RAG items (rag.h): one table row a format. Documents
 * are put into ascending order of score, the most relevant last; where a file has no scores, passages that a retriever
 * listed best first are turned round, and others are ordered by BM25. Documents of a table stay in the table's order unless
 * another one is asked for. */
#ifndef BA_CONVERT_H
#define BA_CONVERT_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* How documents without scores are put in order. */
typedef enum ba_found_order { BA_FOUND_AS_IS, BA_FOUND_BEST_FIRST, BA_FOUND_BM25 } ba_found_order;

typedef struct ba_found {
    const char *title; /* borrowed from the record; NULL: none */
    char *text;        /* owned */
    double score;      /* NaN: there is none */
    int gold;          /* -1: unknown */
} ba_found;

typedef struct ba_record {
    size_t part;               /* which of the record's items is read */
    const char *id, *question; /* id NULL: the record's number */
    const char **answer;       /* [n_answer], an owned list of borrowed texts */
    size_t n_answer;
    ba_found *doc; /* [n_doc] */
    size_t n_doc;
    ba_found_order order;
    bool all;       /* every answer is asked for; else any of them is right */
    cJSON *scratch; /* owned: texts that were made while reading, borrowed above; or NULL */
} ba_record;

/* Which columns of a table mean what. A name with dots leads into objects: "answers.text". Borrowed. */
typedef struct ba_columns {
    const char *question;
    const char *answers, *documents,
        *titles;           /* names, with commas between; titles: one for each of documents; or NULL */
    const char *id;        /* NULL: "id", if there is one */
    const char *separator; /* cuts cells of answers and documents; or NULL */
    ba_found_order order;
} ba_columns;

typedef struct ba_format_row {
    const char *name, *about;
    bool table; /* columns are needed; no other format reads them */
    bool csv;   /* the file is CSV; else JSON */
    int (*read)(const cJSON *record, const ba_columns *columns, ba_record *out, char err[BA_ERR_LEN]);
    size_t (*parts)(const cJSON *record); /* items of a record that holds several; NULL: one */
} ba_format_row;

/* Table; NULL past the last. */
const ba_format_row *ba_format_at(size_t i);
const ba_format_row *ba_format_by_name(const char *name);

/* Items that a record holds: at least 1. */
size_t ba_convert_parts(const ba_format_row *format, const cJSON *record);
/* One of them as an item of our format, at most `most` documents of it (0: all; the best are kept). The caller deletes
 * it. NULL and err: malformed, without an answer, or out of memory. */
cJSON *ba_convert_part(const ba_format_row *format, const ba_columns *columns, const cJSON *record, size_t number,
                       size_t part, size_t most, char err[BA_ERR_LEN]);
/* The first, or only one. */
cJSON *ba_convert(const ba_format_row *format, const ba_columns *columns, const cJSON *record, size_t number,
                  size_t most, char err[BA_ERR_LEN]);

/* For readers of formats. 0, or -1 and err: out of memory, or an answer that is no text. text: owned from here on; NULL is
 * a failure. */
int ba_record_answer(ba_record *r, const char *answer, char err[BA_ERR_LEN]);
int ba_record_answers(ba_record *r, const cJSON *list, const char *field, char err[BA_ERR_LEN]);
int ba_record_document(ba_record *r, const char *title, char *text, double score, int gold, char err[BA_ERR_LEN]);
/* text[0..n) as a text that lives as long as the record. NULL: out of memory. */
const char *ba_record_keep(ba_record *r, const char *text, size_t n);

/* table.c */
int ba_read_table(const cJSON *record, const ba_columns *columns, ba_record *out, char err[BA_ERR_LEN]);
/* long_text.c */
int ba_read_longbench(const cJSON *record, const ba_columns *columns, ba_record *out, char err[BA_ERR_LEN]);
int ba_read_ruler(const cJSON *record, const ba_columns *columns, ba_record *out, char err[BA_ERR_LEN]);
/* conversation.c */
int ba_read_locomo(const cJSON *record, const ba_columns *columns, ba_record *out, char err[BA_ERR_LEN]);
size_t ba_locomo_parts(const cJSON *record);

#endif
