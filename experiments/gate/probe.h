/* What happens inside a mode, layer by layer: where its hidden state leaves that of full attention, how spread its
 * attention is, and on which segments it lies. */
#ifndef BA_PROBE_H
#define BA_PROBE_H

#include "sim/engine/engine.h"
#include "sim/prompt/prompt.h"

typedef struct ba_probe {
    size_t layers, d_model, n_seg;
    double *hidden;  /* [layers, d_model] behind each layer, of the prompt's last token */
    double *entropy; /* [layers] of the attention of the output node's rows, nats, mean over rows and heads */
    double *mass;    /* [layers, n_seg] attention on each segment of the prompt, mean over rows and heads; sums to 1 */
    double *kept;    /* [layers, n_seg] share of rows and heads that look at the segment at all: below 1 where a mode
                        selects */
    /* What was chosen on the way: rows of the seen nodes that were refreshed by choice; scores of paths, and which
     * stayed. */
    size_t *row, n_row;
    double *path_score;
    uint8_t *path_kept;
    size_t n_path;
} ba_probe;

/* Runs a mode and watches it; "full" is run with a node per segment, so that its mass can be told apart; what lies on
 * question and task counts as the question's, and on segments that a mode encodes as one (promptcache's scaffold) as
 * the first one's. 0, -1 and err, or BA_INTERRUPTED. */
int ba_probe_make(ba_engine *e, const ba_prompt *prompt, const char *mode, const ba_engine_options *opt, ba_probe *out,
                  char err[BA_ERR_LEN]);
void ba_probe_free(ba_probe *in);

/* |b - a| / |a| of the hidden states behind a layer; a is the reference. */
double ba_probe_departure(const ba_probe *a, const ba_probe *b, size_t layer);

#endif
