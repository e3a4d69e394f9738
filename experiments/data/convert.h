/* Data sets as their authors publish them, to RAG items (rag.h): one table row a format. Documents are put into
 * ascending order of score, the most relevant last; where a file has no scores, passages that a retriever listed best
 * first are turned round, and others are ordered by BM25. */
#ifndef BA_CONVERT_H
#define BA_CONVERT_H

#include "kernels/base/error.h"

#include <cjson/cJSON.h>
#include <stddef.h>

typedef struct ba_found {
    const char *title; /* borrowed from the record */
    char *text;        /* owned */
    double score;      /* NaN: there is none */
    int gold;          /* -1: unknown */
} ba_found;

typedef struct ba_record {
    const char *id, *question; /* id NULL: the record's number */
    const char **answer;       /* [n_answer], an owned list of borrowed texts */
    size_t n_answer;
    ba_found *doc; /* [n_doc] */
    size_t n_doc;
} ba_record;

typedef struct ba_format_row {
    const char *name, *about;
    int best_first; /* without scores: 1: a retriever's list; 0: in no order */
    int (*read)(const cJSON *record, ba_record *out, char err[BA_ERR_LEN]);
} ba_format_row;

/* Table; NULL past the last. */
const ba_format_row *ba_format_at(size_t i);
const ba_format_row *ba_format_by_name(const char *name);

/* One record as an item of our format, at most `most` documents of it (0: all; the best are kept). The caller deletes
 * it. NULL and err: malformed, without an answer, or out of memory. */
cJSON *ba_convert(const ba_format_row *format, const cJSON *record, size_t number, size_t most, char err[BA_ERR_LEN]);

#endif
