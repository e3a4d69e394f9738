/* A body becomes a request, a plan, a run of the engine and an answer, just as in `generate`. */
#include "server.h"

#include "experiments/cli/decode.h"
#include "experiments/cli/json.h"
#include "experiments/data/request.h"
#include "kernels/base/clock.h"
#include "sim/base/json_read.h"
#include "sim/modes/modes.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_STOPS = 16 };

/* One request while it is answered. */
typedef struct work {
    ba_server *server;
    ba_job *job;
    cJSON *body;
    ba_asked asked;
    ba_run *run;
    ba_decoded text;
    const char *mode;
    const char *stop[MOST_STOPS + 1];
    size_t max_tokens, seed;
    double temperature, until, ttft;
} work;

void ba_server_refuse(ba_job *job, int status, const char *message) {
    cJSON *o = cJSON_CreateObject();
    if (job->form == BA_FORM_OFFICIAL) {
        cJSON_AddNumberToObject(o, "ret", 1);
        cJSON_AddStringToObject(o, "generated", "");
        ba_json_add_bytes(o, "message", message, strlen(message));
    }
    cJSON *error = cJSON_AddObjectToObject(o, "error");
    ba_json_add_bytes(error, "message", message, strlen(message));
    cJSON_AddStringToObject(error, "type", status < 500 ? "invalid_request_error" : "server_error");
    cJSON_AddNumberToObject(error, "code", status);
    free(job->answer);
    job->answer = cJSON_PrintUnformatted(o);
    job->status = status;
    cJSON_Delete(o);
}

/* Fields of the OpenAI forms that would change the answer, and that this server does not honour unless they say what it
 * does anyway. */
static int refuse_fields(const cJSON *body, char err[BA_ERR_LEN]) {
    static const char *const off[] = {"stream",
                                      "echo",
                                      "logprobs",
                                      "top_logprobs",
                                      "suffix",
                                      "tools",
                                      "ignore_eos",
                                      "logit_bias",
                                      "presence_penalty",
                                      "frequency_penalty",
                                      "repetition_penalty",
                                      "top_k",
                                      "min_p",
                                      "response_format"};
    static const char *const one[] = {"n", "best_of", "top_p"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const cJSON *item = ba_json_get(body, off[i]);
        bool empty = (cJSON_IsObject(item) || cJSON_IsArray(item)) && !item->child;
        if (item && !cJSON_IsFalse(item) && !empty && !(cJSON_IsNumber(item) && item->valuedouble == 0)) {
            return ba_fail(err, "\"%s\" is not supported by this server; leave it out", off[i]);
        }
    }
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        const cJSON *item = ba_json_get(body, one[i]);
        if (item && !(cJSON_IsNumber(item) && item->valuedouble == 1)) {
            return ba_fail(err, "\"%s\" is not supported by this server except as 1; leave it out", one[i]);
        }
    }
    return 0;
}

static int read_stop(work *w, char err[BA_ERR_LEN]) {
    const cJSON *stop = ba_json_get(w->body, "stop"), *item;
    size_t n = 0;
    if (cJSON_IsString(stop)) {
        w->stop[n++] = stop->valuestring;
    } else if (cJSON_IsArray(stop)) {
        cJSON_ArrayForEach(item, stop) {
            if (!cJSON_IsString(item) || n == MOST_STOPS) {
                return ba_fail(err, "\"stop\" must be a text or a list of at most %d texts", MOST_STOPS);
            }
            w->stop[n++] = item->valuestring;
        }
    } else if (stop) {
        return ba_fail(err, "\"stop\" must be a text or a list of texts");
    }
    for (size_t i = 0; i < n; i++) {
        if (!*w->stop[i]) {
            return ba_fail(err, "\"stop\": a text is empty");
        }
    }
    return 0;
}

static int read_settings(work *w, char err[BA_ERR_LEN]) {
    const ba_server *s = w->server;
    w->mode = s->common->mode;
    w->seed = s->common->seed;
    w->max_tokens = s->max_tokens < 200 ? s->max_tokens : 200;
    if (refuse_fields(w->body, err) || read_stop(w, err) || ba_json_string(w->body, "mode", &w->mode, "request", err) ||
        ba_json_size(w->body, "max_tokens", &w->max_tokens, "request", err) ||
        ba_json_size(w->body, "max_completion_tokens", &w->max_tokens, "request", err) ||
        ba_json_size(w->body, "seed", &w->seed, "request", err) ||
        ba_json_real(w->body, "temperature", &w->temperature, "request", err)) {
        return -1;
    }
    if (w->max_tokens < 1 || w->max_tokens > s->max_tokens) {
        return ba_fail(err, "\"max_tokens\" is %zu; this server gives 1 to %zu", w->max_tokens, (size_t)s->max_tokens);
    }
    if (!(w->temperature >= 0 && w->temperature <= 100)) {
        return ba_fail(err, "\"temperature\" must be 0 to 100");
    }
    return 0;
}

/* "prompt" of a completion: a text is one block, a list of ids is one, and several prompts are refused by name. */
static int add_prompt(const cJSON *body, cJSON *request, char err[BA_ERR_LEN]) {
    cJSON *prompt = cJSON_GetObjectItemCaseSensitive(body, "prompt");
    if (cJSON_IsArray(prompt) && cJSON_GetArraySize(prompt) == 1 && !cJSON_IsNumber(prompt->child)) {
        prompt = prompt->child;
    }
    bool ids = cJSON_IsArray(prompt) && cJSON_IsNumber(prompt->child);
    if (!ids && !cJSON_IsString(prompt)) {
        return ba_fail(err, cJSON_IsArray(prompt) ? "\"prompt\": one prompt a request; several are not supported"
                                                  : "\"prompt\" must be a text or a list of ids");
    }
    cJSON *list = cJSON_AddArrayToObject(request, ids ? "ids" : "blocks");
    return list && cJSON_AddItemReferenceToArray(list, prompt) ? 0 : ba_fail(err, "out of memory");
}

/* The fields of the body that are the prompt, as a request of `generate`. */
static int add_fields(const work *w, cJSON *request, char err[BA_ERR_LEN]) {
    static const char *const taken[] = {"blocks", "ids",      "question", "documents", "num_local_attention_blocks",
                                        "roles",  "messages", "special"};
    bool some = false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        cJSON *item = cJSON_GetObjectItemCaseSensitive(w->body, taken[i]);
        if (item && !cJSON_IsNull(item)) {
            some |= i < 3 || !strcmp(taken[i], "messages");
            if (!cJSON_AddItemReferenceToObject(request, taken[i], item)) {
                return ba_fail(err, "out of memory");
            }
        }
    }
    if (w->job->form == BA_FORM_CHAT && !cJSON_GetObjectItem(request, "messages")) {
        return ba_fail(err, "\"messages\" is missing");
    }
    if (w->job->form == BA_FORM_OFFICIAL && !cJSON_GetObjectItem(request, "blocks")) {
        return ba_fail(err, "\"blocks\" is missing");
    }
    return some ? 0 : add_prompt(w->body, request, err);
}

static int read_prompt(work *w, char err[BA_ERR_LEN]) {
    const ba_session *b = w->server->session;
    cJSON *request = cJSON_CreateObject();
    char *text = NULL;
    ba_request parsed = {0};
    double start = ba_now();
    int rc = add_fields(w, request, err);
    if (rc == 0 && !(text = cJSON_PrintUnformatted(request))) {
        rc = ba_fail(err, "out of memory");
    }
    if (rc == 0) {
        rc = ba_request_parse(text, strlen(text), b->tok, ba_model_shape(b->model)->vocab, &parsed, err);
    }
    w->asked.prompt = parsed.prompt;
    w->asked.answer = parsed.answer;
    w->asked.tokenize_s = ba_now() - start;
    free(text);
    cJSON_Delete(request);
    return rc;
}

/* 0, or -1 and err: the prompt and its answer would not fit into the context that the model was trained with. */
static int check_context(const work *w, char err[BA_ERR_LEN]) {
    size_t ctx = ba_model_shape(w->server->session->model)->ctx, n = w->asked.plan->n_tokens;
    return ctx && (n > ctx || w->max_tokens > ctx - n)
               ? ba_fail(err, "the prompt has %zu tokens and the answer up to %zu, but the model's context is %zu", n,
                         w->max_tokens, ctx)
               : 0;
}

/* The client closed its connection. */
static bool has_left(const ba_job *job) {
    struct pollfd p = {.fd = job->socket, .events = POLLRDHUP};
    return job->socket >= 0 && poll(&p, 1, 0) > 0 && p.revents;
}

static int stop_early(void *arg, ba_stage stage, uint64_t done, uint64_t total) {
    const work *w = arg;
    (void)stage, (void)done, (void)total;
    return atomic_load(&w->server->abandon) || ba_now() > w->until || has_left(w->job);
}

/* 0, -1 and err, or BA_INTERRUPTED. */
static int compute(work *w, char err[BA_ERR_LEN]) {
    const ba_session *b = w->server->session;
    ba_engine_options opt = ba_run_options(w->server->common);
    opt.progress = stop_early;
    opt.arg = w;
    w->until = ba_now() + w->server->seconds;
    if (stop_early(w, BA_STAGE_TOKENIZE, 0, 0)) {
        return BA_INTERRUPTED;
    }
    int rc = ba_engine_run(b->engine, w->asked.plan, &opt, w->max_tokens, &w->run, err);
    if (rc) {
        return rc;
    }
    ba_run_logits(w->run);
    w->ttft = w->asked.tokenize_s;
    for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
        w->ttft += ba_run_get_stats(w->run)->stage[i];
    }
    const ba_decode_options how = {
        .max_tokens = w->max_tokens, .temperature = w->temperature, .seed = w->seed, .stop = w->stop};
    return ba_decode(b->engine, b->tok, w->run, &how, &w->text, err);
}

static void add_usage(const work *w, cJSON *o) {
    const ba_run_stats *s = ba_run_get_stats(w->run);
    cJSON *usage = cJSON_AddObjectToObject(o, "usage");
    cJSON_AddNumberToObject(usage, "prompt_tokens", (double)s->n_prompt);
    cJSON_AddNumberToObject(usage, "completion_tokens", (double)w->text.n);
    cJSON_AddNumberToObject(usage, "total_tokens", (double)(s->n_prompt + w->text.n));
    cJSON *details = cJSON_AddObjectToObject(usage, "prompt_tokens_details");
    cJSON_AddNumberToObject(details, "cached_tokens", (double)s->n_reused);
    cJSON *timings = cJSON_AddObjectToObject(o, "timings");
    cJSON_AddStringToObject(timings, "mode", w->asked.plan->mode);
    cJSON_AddNumberToObject(timings, "ttft_s", w->ttft);
    for (ba_stage i = 0; i < BA_STAGE_COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s_s", ba_stage_name(i));
        cJSON_AddNumberToObject(timings, name, i == BA_STAGE_TOKENIZE ? w->asked.tokenize_s : s->stage[i]);
    }
    cJSON *blocks = cJSON_AddArrayToObject(timings, "blocks");
    for (size_t i = 0; i < s->n_lookup; i++) {
        cJSON *block = cJSON_CreateObject();
        cJSON_AddNumberToObject(block, "tokens", (double)s->lookup[i].tokens);
        cJSON_AddStringToObject(block, "lookup", ba_lookup_name(s->lookup[i].found.why));
        cJSON_AddItemToArray(blocks, block);
    }
}

static void add_choice(const work *w, cJSON *o) {
    bool chat = w->job->form == BA_FORM_CHAT;
    char id[48];
    snprintf(id, sizeof id, "%s-%llu", chat ? "chatcmpl" : "cmpl", (unsigned long long)w->server->answered);
    cJSON_AddStringToObject(o, "id", id);
    cJSON_AddStringToObject(o, "object", chat ? "chat.completion" : "text_completion");
    cJSON_AddNumberToObject(o, "created", (double)time(NULL));
    cJSON_AddStringToObject(o, "model", ba_model_name(w->server->session->model));
    cJSON *choice = cJSON_CreateObject();
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "choices"), choice);
    cJSON_AddNumberToObject(choice, "index", 0);
    if (chat) {
        cJSON *message = cJSON_AddObjectToObject(choice, "message");
        cJSON_AddStringToObject(message, "role", "assistant");
        ba_json_add_bytes(message, "content", w->text.text, w->text.len);
    } else {
        ba_json_add_bytes(choice, "text", w->text.text, w->text.len);
    }
    cJSON_AddNullToObject(choice, "logprobs");
    cJSON_AddStringToObject(choice, "finish_reason", strcmp(w->text.stop, "length") ? "stop" : "length");
}

static void write_answer(work *w) {
    cJSON *o = cJSON_CreateObject();
    w->server->answered++;
    if (w->job->form == BA_FORM_OFFICIAL) {
        cJSON_AddNumberToObject(o, "ret", 0);
        ba_json_add_bytes(o, "generated", w->text.text, w->text.len);
        cJSON_AddStringToObject(o, "message", "");
    } else {
        add_choice(w, o);
    }
    add_usage(w, o);
    w->job->answer = cJSON_PrintUnformatted(o);
    w->job->status = 200;
    cJSON_Delete(o);
}

/* Status of HTTP for what the engine returned. */
static int status_of(const work *w, int rc, char err[BA_ERR_LEN]) {
    if (rc == BA_INTERRUPTED) {
        ba_fail(err, atomic_load(&w->server->abandon) ? "the server is stopping" : "the request took too long");
        return atomic_load(&w->server->abandon) ? 503 : 504;
    }
    return strstr(err, "out of memory") || strstr(err, BA_DEVICE_FAILED) ? 500 : 400;
}

void ba_server_answer(ba_server *s, ba_job *job) {
    work w = {.server = s, .job = job};
    char err[BA_ERR_LEN] = "";
    int rc = ba_json_parse(job->body ? job->body : "", job->len, &w.body, err);
    if (rc == 0 && !cJSON_IsObject(w.body)) {
        rc = ba_fail(err, "the body must be a JSON object");
    }
    if (rc == 0 && !(rc = read_settings(&w, err)) && !(rc = read_prompt(&w, err)) &&
        !(rc = ba_mode_plan(w.mode, w.asked.prompt, &w.asked.plan, err)) && !(rc = check_context(&w, err))) {
        rc = compute(&w, err);
    }
    if (rc) {
        ba_server_refuse(job, status_of(&w, rc, err), err);
    } else {
        write_answer(&w);
    }
    ba_run_free(w.run);
    ba_decoded_free(&w.text);
    ba_asked_free(&w.asked);
    cJSON_Delete(w.body);
}
