/* Text on its way through the steps of a tokenizer: bytes, and for each byte whether it comes from the very beginning of
 * the input. Metaspace with the scheme "first" asks for that, however much the steps before it changed the text. */
#ifndef BA_LINE_H
#define BA_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ba_line {
    char *s;            /* [n], valid UTF-8, owned */
    unsigned char *top; /* [n] 1: comes from the first character of the input; owned */
    size_t n, cap, cap_top;
    size_t most;     /* bytes that it may hold; 0: any number */
    bool over;       /* more was asked for */
    const char *why; /* another reason why the step that wrote it failed, or NULL; static */
} ba_line;

/* Appends bytes that all come, or do not come, from the beginning. 0, or -1: out of memory, or more than `most`. */
int ba_line_put(ba_line *l, const char *s, size_t n, bool top);
int ba_line_put_code(ba_line *l, int32_t code, bool top);
/* Appends from[at .. at + n) with what each byte is. */
int ba_line_copy(ba_line *l, const ba_line *from, size_t at, size_t n);
void ba_line_clear(ba_line *l); /* keeps the memory */
void ba_line_free(ba_line *l);

/* Walks a line by characters: the code point at `at` and its length in bytes; 0 at the end. */
size_t ba_line_next(const ba_line *l, size_t at, int32_t *code);

#endif
