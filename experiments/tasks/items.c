/* Items of a task: read from a file line by line, or made from a seed. */
#include "experiments/data/lines.h"
#include "sim/base/grow.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void item_free(ba_task_item *item) {
    for (size_t i = 0; i < item->n_answer; i++) {
        free(item->answer[i]);
    }
    for (size_t i = 0; i < item->n_choice; i++) {
        free(item->choice[i]);
    }
    ba_parts_free(item->part, item->n_part);
    free(item->answer);
    free(item->choice);
    free(item->id);
    *item = (ba_task_item){0};
}

void ba_task_items_free(ba_task_items *items) {
    for (size_t i = 0; i < items->n; i++) {
        item_free(&items->item[i]);
    }
    free(items->item);
    *items = (ba_task_items){0};
}

/* FNV-1a over a text and its end. */
static uint64_t hash_text(uint64_t h, const char *s) {
    do {
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    } while (*s++);
    return h;
}

static uint64_t hash_item(const ba_task_item *item) {
    uint64_t h = hash_text(0xcbf29ce484222325u, item->id);
    for (size_t i = 0; i < item->n_part; i++) {
        h = hash_text(h, item->part[i].text);
    }
    for (size_t i = 0; i < item->n_answer; i++) {
        h = hash_text(h, item->answer[i]);
    }
    for (size_t i = 0; i < item->n_choice; i++) {
        h = hash_text(h, item->choice[i]);
    }
    return item->all ? hash_text(h, "all") : h;
}

static int keep(ba_task_items *out, size_t *cap, ba_task_item *item, char err[BA_ERR_LEN]) {
    if (ba_grow(&out->item, cap, out->n + 1, sizeof *out->item)) {
        item_free(item);
        return ba_fail(err, "out of memory");
    }
    item->hash = hash_item(item);
    out->item[out->n++] = *item;
    return 0;
}

/* A line that cannot be used: an error if lines must all be right, else reported and counted. */
static int pass_over(const ba_task_source *from, const char *path, size_t number, const char *why, ba_task_items *out,
                     char err[BA_ERR_LEN]) {
    char line[2 * BA_ERR_LEN];
    snprintf(line, sizeof line, "%s: line %zu: %s", path, number, why);
    if (from->strict) {
        return ba_fail(err, "%s", line);
    }
    out->n_bad++;
    if (from->report) {
        from->report(from->arg, line);
    }
    return 0;
}

static int read_file(const ba_task *t, const char *path, const ba_task_source *from, const ba_shots *shots,
                     ba_task_items *out, char err[BA_ERR_LEN]) {
    ba_lines *lines;
    if (ba_lines_open(path, &lines, err)) {
        return -1;
    }
    size_t cap = 0;
    int rc = 0, got;
    char why[BA_ERR_LEN];
    cJSON *o = NULL;
    while (!rc && (!from->limit || out->n < from->limit) && (got = ba_lines_next(lines, &o, why)) != 0) {
        ba_task_item item = {0};
        if (got < 0) {
            rc = ba_fail(err, "%s", why);
        } else if (got == BA_LINE_BAD || t->parse(from, shots, o, &item, why)) {
            rc = strcmp(why, "out of memory") ? pass_over(from, path, ba_lines_number(lines), why, out, err)
                                              : ba_fail(err, "%s", why);
            item_free(&item);
        } else {
            char number[32];
            snprintf(number, sizeof number, "%zu", ba_lines_number(lines) - 1);
            if (!item.id && !(item.id = strdup(number))) {
                item_free(&item);
                rc = ba_fail(err, "out of memory");
            } else {
                rc = keep(out, &cap, &item, err);
            }
        }
        cJSON_Delete(o);
        o = NULL;
    }
    ba_lines_close(lines);
    return rc || out->n ? rc : ba_fail(err, "%s: no items", path);
}

/* FOLDER/FILE, or FOLDER/FILE.gz; malloc'ed. NULL and err. */
static char *find_file(const ba_task *t, const char *folder, const char *file, char err[BA_ERR_LEN]) {
    char *path = NULL;
    static const char *const end[] = {"", ".gz"};
    for (size_t i = 0; i < 2; i++) {
        if (asprintf(&path, "%s/%s%s", folder, file, end[i]) < 0) {
            ba_fail(err, "out of memory");
            return NULL;
        }
        if (access(path, R_OK) == 0) {
            return path;
        }
        free(path);
    }
    ba_fail(err,
            "task %s: there is no %s (or .gz) in the data folder %s; give --data DIR or $BLOCKATTN_DATA; the set is "
            "published at %s",
            t->name, file, folder, t->origin);
    return NULL;
}

static int read_task(const ba_task *t, const ba_task_source *from, ba_task_items *out, char err[BA_ERR_LEN]) {
    ba_shots shots = {0};
    char *shots_path = NULL, *path = find_file(t, from->folder, t->file, err);
    int rc = path ? 0 : -1;
    if (!rc && t->shots_file) {
        shots_path = find_file(t, from->folder, t->shots_file, err);
        rc = shots_path ? t->shots(from, shots_path, &shots, err) : -1;
    }
    rc = rc ? rc : read_file(t, path, from, &shots, out, err);
    ba_shots_free(&shots);
    free(shots_path);
    free(path);
    return rc;
}

static int make_items(const ba_task *t, const ba_task_source *from, ba_task_items *out, char err[BA_ERR_LEN]) {
    size_t cap = 0, n = from->limit ? from->limit : 100;
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        ba_task_item item = {0};
        rc = t->make(from, i, &item, err);
        if (rc) {
            item_free(&item);
        } else {
            rc = keep(out, &cap, &item, err);
        }
    }
    return rc;
}

static int unknown(const char *name, char err[BA_ERR_LEN]) {
    char list[BA_ERR_LEN] = "";
    size_t used = 0;
    for (const ba_task *t = ba_task_at(0); t->name && used < sizeof list; t++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", t->name);
    }
    return ba_fail(err, "--task %s: neither a file nor a task; there is %s", name, list);
}

int ba_task_read(const char *name, const ba_task_source *from, const ba_task **task, ba_task_items *out,
                 char err[BA_ERR_LEN]) {
    *out = (ba_task_items){0};
    *task = ba_task_by_name(name);
    int rc;
    if (*task) {
        rc = (*task)->file ? read_task(*task, from, out, err) : make_items(*task, from, out, err);
    } else if (access(name, F_OK) == 0) {
        *task = ba_task_rag_file();
        rc = read_file(*task, name, from, NULL, out, err);
    } else {
        rc = unknown(name, err);
    }
    if (rc) {
        ba_task_items_free(out);
    }
    return rc;
}

/* ---- generated items of a length -------------------------------------------------------------------------------- */

size_t ba_task_tokens(const ba_task_item *item, const ba_tokenizer *tok, char err[BA_ERR_LEN]) {
    ba_prompt *p = ba_parts_prompt(item->part, item->n_part, tok, err);
    size_t n = p ? ba_prompt_tokens(p) : 0;
    ba_prompt_free(p);
    return n;
}

/* Tokens of item 0 with that many passages; 0 and err. */
static size_t tokens_with(const ba_task *task, const ba_task_source *from, size_t passages, const ba_tokenizer *tok,
                          char err[BA_ERR_LEN]) {
    ba_task_source some = *from;
    ba_task_item item = {0};
    some.passages = passages;
    size_t n = task->make(&some, 0, &item, err) ? 0 : ba_task_tokens(&item, tok, err);
    item_free(&item);
    return n;
}

int ba_task_fit(const ba_task *task, ba_task_source *from, const ba_tokenizer *tok, size_t length,
                char err[BA_ERR_LEN]) {
    size_t least = from->hops ? 2 * (from->hops + 1) : 2, most = least;
    size_t n = tokens_with(task, from, least, tok, err);
    if (!n || n > length) {
        return n ? ba_fail(err, "task %s: %zu passages of %zu words are %zu tokens already, over a length of %zu",
                           task->name, least, from->words, n, length)
                 : -1;
    }
    while (n && n <= length) { /* least fits, most does not */
        least = most;
        most *= 2;
        n = tokens_with(task, from, most, tok, err);
    }
    while (n && most - least > 1) {
        size_t middle = least + (most - least) / 2;
        n = tokens_with(task, from, middle, tok, err);
        *(n <= length ? &least : &most) = middle;
    }
    from->passages = least;
    return n ? 0 : -1;
}
