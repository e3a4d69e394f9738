/* The paper's segmentation of a plain message (arXiv 2409.15355, released code). */
#include "prompt.h"

#include "sim/base/agenda.h"
#include "sim/base/grow.h"
#include <stdlib.h>
#include <string.h>

typedef struct block {
    size_t begin, n, chars; /* bytes [begin, begin + n); n = 0 once it is part of the one before */
    size_t prev, next;
} block;

typedef struct blocks {
    block *item;
    size_t n, cap;
} blocks;

typedef struct separator {
    const char *text;
    bool repeats; /* a longer run of its character is one separator, white space after it belongs to it */
} separator;

/* The first of these that occurs in the message is the one that cuts it. */
static const separator separators[] = {{"\n\n", true}, {"---", true}, {"===", true}, {"\n\t", false}, {"\n", true}};

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_blank(const char *s, size_t n) {
    while (n && is_space(s[n - 1])) {
        n--;
    }
    return n == 0;
}

static const separator *choose(const char *text, size_t len) {
    for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
        if (memmem(text, len, separators[i].text, strlen(separators[i].text))) {
            return &separators[i];
        }
    }
    return NULL;
}

static int add(blocks *b, const char *text, size_t begin, size_t end) {
    if (ba_grow(&b->item, &b->cap, b->n + 1, sizeof *b->item)) {
        return -1;
    }
    block *new = &b->item[b->n];
    *new = (block){.begin = begin, .n = end - begin, .prev = b->n - 1, .next = b->n + 1};
    for (size_t i = begin; i < end; i++) {
        new->chars += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    b->n++;
    return 0;
}

static int cut(const char *text, size_t len, blocks *b) {
    const separator *s = choose(text, len);
    size_t begin = 0, width = s ? strlen(s->text) : 0;
    const char *found;
    for (size_t from = 0; s && (found = memmem(text + from, len - from, s->text, width));) {
        size_t start = (size_t)(found - text), end = start + width;
        while (s->repeats && end < len && text[end] == s->text[0]) {
            end++;
        }
        while (s->repeats && end < len && is_space(text[end])) {
            end++;
        }
        if (end < len && !is_blank(text + begin, start - begin)) {
            if (add(b, text, begin, end)) {
                return -1;
            }
            begin = end;
        }
        from = end;
    }
    return add(b, text, begin, len);
}

static int push(ba_agenda *shortest, const block *b, size_t at) {
    return ba_agenda_push(shortest, (ba_candidate){.order = (double)b->chars, .at = at, .n = b->n});
}

/* Block i takes in the one after it. */
static void join(blocks *b, size_t i) {
    block *keep = &b->item[i], *gone = &b->item[keep->next];
    keep->n += gone->n;
    keep->chars += gone->chars;
    keep->next = gone->next;
    gone->n = 0;
    if (keep->next < b->n) {
        b->item[keep->next].prev = i;
    }
}

/* While there are too many, the shortest block joins the one before it (the first one takes in the second). */
static int merge(blocks *b, size_t most) {
    ba_agenda shortest = {0};
    ba_candidate c;
    int rc = -1;
    for (size_t i = 0; i < b->n; i++) {
        if (push(&shortest, &b->item[i], i) != 0) {
            goto done;
        }
    }
    for (size_t left = b->n; left > most && ba_agenda_pop(&shortest, &c);) {
        if (b->item[c.at].n != c.n) {
            continue; /* it has grown or gone since */
        }
        size_t i = c.at ? b->item[c.at].prev : 0;
        join(b, i);
        left--;
        if (push(&shortest, &b->item[i], i) != 0) {
            goto done;
        }
    }
    rc = 0;
done:
    free(shortest.item);
    return rc;
}

size_t ba_segment_message(const char *text, size_t len, size_t max_blocks, size_t *begin) {
    blocks b = {0};
    size_t n = 0;
    if (len && max_blocks && !cut(text, len, &b) && !merge(&b, max_blocks)) {
        for (size_t i = 0; i < b.n; i = b.item[i].next) {
            begin[n++] = b.item[i].begin;
        }
    }
    free(b.item);
    return n;
}

static int add_block(ba_prompt *p, const ba_tokenizer *tok, ba_role role, const char *text, size_t len, bool special,
                     char err[BA_ERR_LEN]) {
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = ba_tokenize(tok, text, len, special, &ids, &n, err);
    if (rc == 0 && n && ba_prompt_add(p, role, ids, n) != 0) {
        rc = ba_fail(err, "out of memory");
    }
    free(ids);
    return rc;
}

int ba_prompt_from_message(const char *text, size_t len, size_t max_blocks, bool special, const ba_tokenizer *tok,
                           ba_prompt **out, char err[BA_ERR_LEN]) {
    size_t *begin = calloc(max_blocks + 1, sizeof *begin), n = 0;
    ba_prompt *p = ba_prompt_new(tok);
    int rc = -1;
    *out = NULL;
    if (!begin || !p) {
        ba_fail(err, "out of memory");
        goto done;
    }
    n = ba_segment_message(text, len, max_blocks, begin);
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? begin[i + 1] : len;
        ba_role role = i + 1 < n ? BA_ROLE_PASSAGE : BA_ROLE_QUESTION;
        if (add_block(p, tok, role, text + begin[i], end - begin[i], special, err) != 0) {
            goto done;
        }
    }
    rc = p->n_seg ? 0 : ba_fail(err, "the message is empty");
done:
    free(begin);
    if (rc != 0) {
        ba_prompt_free(p);
        return -1;
    }
    *out = p;
    return 0;
}
