#include "golden_tokens.h"
#include "runner.h"

#include "experiments/cli/cli.h"
#include "sim/base/grow.h"
#include <stdlib.h>
#include <string.h>

/* Undoes \\ and \xNN in place. */
static ba_span unescape(char *s) {
    char *out = s, *in = s;
    while (*in) {
        if (in[0] == '\\' && in[1] == 'x') {
            char digits[3] = {in[2], in[2] ? in[3] : '\0', '\0'};
            *out++ = (char)strtol(digits, NULL, 16);
            in += 4;
        } else {
            in += in[0] == '\\';
            *out++ = *in++;
        }
    }
    return (ba_span){s, (size_t)(out - s)};
}

/* "TYPE SCORE TEXT" */
static int read_token(ba_golden_tokens *g, char *line) {
    ba_vocab *v = &g->vocab;
    char *end;
    long type = strtol(line, &end, 10);
    float score = strtof(end, &end);
    if (*end != ' ' || ba_grow(&v->token, &g->cap_token, v->n + 1, sizeof *v->token) ||
        ba_grow(&v->score, &g->cap_score, v->n + 1, sizeof *v->score) ||
        ba_grow(&v->type, &g->cap_type, v->n + 1, sizeof *v->type)) {
        return -1;
    }
    v->type[v->n] = (uint8_t)type;
    v->score[v->n] = score;
    v->token[v->n++] = unescape(end + 1);
    return 0;
}

static int read_merge(ba_golden_tokens *g, char *line) {
    ba_vocab *v = &g->vocab;
    if (ba_grow(&v->merge, &g->cap_merge, v->n_merge + 1, sizeof *v->merge)) {
        return -1;
    }
    v->merge[v->n_merge++] = unescape(line);
    return 0;
}

/* "IDS|TEXT" */
static int read_case(ba_golden_tokens *g, char *line, bool special, size_t number) {
    size_t most = strlen(line);
    if (ba_grow(&g->item, &g->cap_item, g->n + 1, sizeof *g->item)) {
        return -1;
    }
    ba_golden_case *c = &g->item[g->n];
    *c = (ba_golden_case){.special = special, .line = number, .ids = malloc((most + 1) * sizeof *c->ids)};
    if (!c->ids) {
        return -1;
    }
    g->n++;
    while (*line && *line != '|') {
        c->ids[c->n++] = (int32_t)strtol(line, &line, 10);
        line += *line == ' ';
    }
    c->text = unescape(line + (*line == '|'));
    return 0;
}

static int read_line(ba_golden_tokens *g, char *line, size_t number) {
    if (!strncmp(line, "pre ", 4)) {
        g->vocab.pre = line + 4;
        g->vocab.kind = BA_VOCAB_BPE;
        return 0;
    }
    if (!strcmp(line, "prefix")) {
        g->vocab.add_space_prefix = true;
        return 0;
    }
    if (!strncmp(line, "unk ", 4)) {
        g->vocab.unk = (int32_t)strtol(line + 4, NULL, 10);
        return 0;
    }
    switch (line[0]) {
    case 'v':
        return read_token(g, line + 2);
    case 'm':
        return read_merge(g, line + 2);
    case 't':
    case 's':
        return read_case(g, line + 2, line[0] == 's', number);
    default:
        return -1;
    }
}

ba_golden_tokens *ba_golden_tokens_open(const char *name) {
    ba_golden_tokens *g = calloc(1, sizeof *g);
    char err[BA_ERR_LEN];
    size_t len;
    if (!g) {
        return NULL;
    }
    g->vocab = (ba_vocab){.kind = BA_VOCAB_SPM, .pre = "", .bos = -1, .eos = -1, .unk = -1, .pad = -1};
    char file[256];
    snprintf(file, sizeof file, "tokenizer/%s.txt", name);
    ba_test_golden(file, g->path, sizeof g->path);
    if (ba_read_file(g->path, 16u << 20, &g->file, &len, err)) {
        printf("         %s\n", err);
        ba_golden_tokens_close(g);
        return NULL;
    }
    size_t number = 1;
    for (char *line = g->file, *end; (end = strchr(line, '\n')); line = end + 1, number++) {
        *end = '\0';
        if (read_line(g, line, number)) {
            printf("         %s:%zu: not understood\n", g->path, number);
            ba_golden_tokens_close(g);
            return NULL;
        }
    }
    return g;
}

void ba_golden_tokens_close(ba_golden_tokens *g) {
    if (!g) {
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        free(g->item[i].ids);
    }
    free(g->item);
    free(g->vocab.token);
    free(g->vocab.score);
    free(g->vocab.type);
    free(g->vocab.merge);
    free(g->file);
    free(g);
}
