#include "shelf.h"

#include "rig.h"
#include "runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WIDTH = SHELF_HEADS * SHELF_DIM };

const ba_origin shelf_origin = {.model = "model-a",
                                .adapter = "",
                                .dtype = "test",
                                .tokenizer = "words",
                                .layers = SHELF_LAYERS,
                                .kv_heads = SHELF_HEADS,
                                .head_dim = SHELF_DIM};

atomic_int shelf_remarks;
char shelf_remark[BA_ERR_LEN];

void shelf_remember(const char *line) {
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER; /* a store speaks from several threads */
    pthread_mutex_lock(&one);
    atomic_fetch_add(&shelf_remarks, 1);
    snprintf(shelf_remark, sizeof shelf_remark, "%s", line);
    pthread_mutex_unlock(&one);
}

void shelf_spec(const char *tiers, const char *folder, ba_store_spec *out) {
    char err[BA_ERR_LEN] = "", path[4096], text[5000];
    const char *at = strstr(tiers, "%s");
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), folder);
    snprintf(text, sizeof text, "%.*s%s%s", at ? (int)(at - tiers) : 0, tiers, at ? path : "", at ? at + 2 : tiers);
    int rc = ba_store_spec_parse(text, NULL, out, err);
    if (rc) {
        fprintf(stderr, "%s\n", err);
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

shelf shelf_open(const char *backend, const char *tiers, const char *folder) {
    return shelf_open_on(rig_backend(backend, 1, NULL), tiers, folder);
}

shelf shelf_open_on(ba_backend *be, const char *tiers, const char *folder) {
    shelf f = {.be = be};
    char err[BA_ERR_LEN] = "";
    shelf_remarks = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(be);
    shelf_spec(tiers, folder, &f.spec);
    if (ba_store_open(f.be, &f.spec, shelf_remember, &f.store, err)) {
        fprintf(stderr, "%s\n", err);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.store);
    return f;
}

void shelf_close(shelf *f) {
    ba_store_free(f->store);
    ba_store_spec_free(&f->spec);
    ba_backend_close(f->be);
}

/* Tokens of block b, and a KV that only it has. */
static void ids_of(int b, int32_t ids[SHELF_TOKENS]) {
    for (int i = 0; i < SHELF_TOKENS; i++) {
        ids[i] = 1000 * b + i;
    }
}

double shelf_value(int b, size_t layer, size_t i, bool key) {
    return (double)(((size_t)b * 7919 + layer * 31 + i * 7 + key) % 251) / 64.0;
}

static ba_kv *kv_of(const shelf *f, int b) {
    const ba_backend_ops *ops = f->be->ops;
    double rows[SHELF_TOKENS * WIDTH];
    ba_kv *kv = ops->kv_new(f->be, SHELF_LAYERS, SHELF_HEADS, SHELF_DIM, SHELF_TOKENS);
    ba_buf *k = ops->buf_new(f->be, SHELF_TOKENS, WIDTH), *v = ops->buf_new(f->be, SHELF_TOKENS, WIDTH);
    CU_ASSERT_FATAL(kv && k && v);
    for (size_t layer = 0; layer < SHELF_LAYERS; layer++) {
        for (int key = 0; key < 2; key++) {
            for (size_t i = 0; i < SHELF_TOKENS * WIDTH; i++) {
                rows[i] = shelf_value(b, layer, i, key);
            }
            ops->upload(f->be, (ba_view){key ? k : v, 0, 0}, SHELF_TOKENS, WIDTH, rows);
        }
        ops->kv_write(f->be, kv, layer, 0, NULL, SHELF_TOKENS, (ba_view){k, 0, 0}, (ba_view){v, 0, 0}, NULL, 0);
    }
    ops->buf_free(f->be, k);
    ops->buf_free(f->be, v);
    return kv;
}

void shelf_add(shelf *f, int b) {
    int32_t ids[SHELF_TOKENS];
    double aux[2] = {b, 0.5};
    ids_of(b, ids);
    size_t bytes = f->be->ops->kv_bytes(f->be, SHELF_LAYERS, SHELF_HEADS, SHELF_DIM, SHELF_TOKENS);
    ba_entry *e = ba_store_add(f->store, &shelf_origin, (ba_key){(uint64_t)b, 0}, ids, SHELF_TOKENS, kv_of(f, b), bytes,
                               aux, 2, 1);
    CU_ASSERT_PTR_NOT_NULL(e);
    ba_store_release(f->store, e);
}

ba_entry *shelf_find(shelf *f, const ba_origin *from, int b, uint64_t key, ba_finding *found) {
    int32_t ids[SHELF_TOKENS];
    ids_of(b, ids);
    const ba_wanted wanted = {{key, 0}, ids, SHELF_TOKENS, 2};
    ba_store_expect(f->store, from, &wanted, 1);
    return ba_store_find(f->store, from, &wanted, found);
}

ba_finding shelf_look(shelf *f, int b) {
    ba_finding found;
    ba_entry *e = shelf_find(f, &shelf_origin, b, (uint64_t)b, &found);
    CU_ASSERT_EQUAL(e != NULL, found.why == BA_HIT);
    double k[SHELF_TOKENS * WIDTH], v[SHELF_TOKENS * WIDTH];
    size_t n;
    for (size_t layer = 0; e && layer < SHELF_LAYERS; layer++) {
        f->be->ops->kv_read(f->be, ba_entry_kv(e), layer, 0, SHELF_TOKENS, k, v);
        size_t wrong = 0;
        for (size_t i = 0; i < SHELF_TOKENS * WIDTH; i++) {
            wrong += k[i] != shelf_value(b, layer, i, true) || v[i] != shelf_value(b, layer, i, false);
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
    if (e) {
        const double *aux = ba_entry_aux(e, &n);
        CU_ASSERT(n == 2 && aux[0] == b && aux[1] == 0.5);
    }
    ba_store_release(f->store, e);
    return found;
}

static int ready[2]; /* a pipe that the child closes */

void shelf_ready(void) {
    close(ready[1]);
}

int shelf_in_child(void (*body)(void), unsigned kill_after) {
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        unsigned failures = CU_get_number_of_failures();
        close(ready[0]);
        body();
        _exit(CU_get_number_of_failures() != failures);
    }
    char byte;
    int status = 0;
    close(ready[1]);
    while (read(ready[0], &byte, 1) > 0) {
    }
    close(ready[0]);
    if (kill_after) {
        usleep(kill_after);
        kill(child, SIGKILL);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void shelf_evicts_the_oldest(shelf *r) {
    CU_ASSERT_EQUAL(shelf_look(r, 1).place, 1); /* 2 is the oldest now */
    ba_store_flush(r->store);
    shelf_add(r, 4);
    ba_store_flush(r->store);
    CU_ASSERT_EQUAL(shelf_look(r, 2).by_place[1], BA_MISS_EVICTED);
    for (int b = 1; b <= 4; b++) {
        CU_ASSERT_EQUAL(shelf_look(r, b).why, b == 2 ? BA_MISS_EVICTED : BA_HIT);
    }
}

size_t shelf_bytes(const shelf *r) {
    return r->be->ops->kv_bytes(r->be, SHELF_LAYERS, SHELF_HEADS, SHELF_DIM, SHELF_TOKENS) + BA_BLOCK_HEAD +
           2 * sizeof(double) + SHELF_TOKENS * sizeof(int32_t);
}
