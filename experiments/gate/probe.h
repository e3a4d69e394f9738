/* Measures the inside of a mode, layer by layer: how far its hidden state is from that of full attention, the entropy of
 * its attention, and the share of attention on each segment. */
#ifndef BA_PROBE_H
#define BA_PROBE_H

#include "sim/engine/engine.h"
#include "sim/prompt/prompt.h"

typedef struct ba_probe {
    size_t layers, d_model, n_seg;
    double *hidden;  /* [layers, d_model] hidden state after each layer, of the prompt's last token */
    double *entropy; /* [layers] of the attention of the output node's rows, nats, mean over rows and heads */
    double *mass;    /* [layers, n_seg] attention on each segment of the prompt, mean over rows and heads; sums to 1 */
    double *kept;    /* [layers, n_seg] share of rows and heads that look at the segment at all: below 1 where a mode
                        selects */
    /* Choices of the run: rows of seen nodes that were refreshed; scores of paths, and which were kept. */
    size_t *row, n_row;
    double *path_score;
    uint8_t *path_kept;
    size_t n_path;
} ba_probe;

/* Runs a mode and measures it. "full" runs with one node per segment, so that the mass of each segment is known. Mass on
 * question and task counts as the question's; mass on segments that a mode encodes together (promptcache's scaffold)
 * counts as the first segment's. 0, -1 and err, or BA_INTERRUPTED. */
int ba_probe_make(ba_engine *e, const ba_prompt *prompt, const char *mode, const ba_engine_options *opt, ba_probe *out,
                  char err[BA_ERR_LEN]);
void ba_probe_free(ba_probe *in);

/* |b - a| / |a| of the hidden states after a layer; a is the reference. */
double ba_probe_departure(const ba_probe *a, const ba_probe *b, size_t layer);

#endif
