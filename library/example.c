/* Full attention and block attention on one question about two documents.
 *   cc example.c $(pkg-config --cflags --libs blockattn) -o example && ./example MODEL.gguf */
#include <blockattn.h>
#include <inttypes.h>
#include <stdio.h>

static int show(blockattn_model *model, const blockattn_request *request, const char *mode, char *err) {
    blockattn_plan *plan = NULL;
    blockattn_run *run = NULL;
    const double *logits = NULL;
    blockattn_counts counts;
    if (blockattn_plan_new(request, mode, &plan, err) == 0 && blockattn_run_new(model, plan, 0, &run, err) == 0 &&
        (logits = blockattn_run_logits(run, err))) {
        size_t best = 0;
        for (size_t i = 1; i < blockattn_model_vocab(model); i++) {
            best = logits[i] > logits[best] ? i : best;
        }
        char text[64];
        blockattn_model_text(model, &(int32_t){(int32_t)best}, 1, text, sizeof text);
        blockattn_run_counts(run, &counts);
        printf("%s: logit %.17g of id %zu '%s'; %" PRIu64 " FLOPs, %" PRIu64 " of %" PRIu64 " tokens reused\n",
               blockattn_plan_mode(plan), logits[best], best, text, counts.flops, counts.reused, counts.tokens);
    }
    blockattn_run_free(run);
    blockattn_plan_free(plan);
    return logits ? 0 : -1;
}

int main(int argc, char **argv) {
    const char *documents[] = {"Bern is the capital of Switzerland.", "The river Aare flows through Bern."};
    char err[BLOCKATTN_ERR_LEN] = "usage: example MODEL";
    blockattn_model *model = NULL;
    blockattn_request *request = NULL;
    int failed = argc != 2 || blockattn_model_open(argv[1], NULL, &model, err) ||
                 blockattn_request_ask(model, "Which river flows through Bern?", documents, 2, &request, err) ||
                 show(model, request, "full", err) || show(model, request, "block", err) ||
                 show(model, request, "block", err);
    blockattn_request_free(request);
    blockattn_model_close(model);
    return failed ? fprintf(stderr, "%s\n", err), 1 : 0;
}
