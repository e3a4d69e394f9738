/* The inside of `blockattn reload`: what a sample is, and how rows of samples are printed. */
#ifndef BA_RELOAD_H
#define BA_RELOAD_H

#include "experiments/cli/cli.h"
#include "experiments/measure/distance.h"
#include "sim/engine/engine.h"

/* Where the blocks of a sample came from. A process takes the samples of one line, in this order. */
typedef enum ba_reload_state {
    BA_RELOAD_COLD,    /* encoded; tiers are off */
    BA_RELOAD_WRITING, /* encoded, and offered to the tiers */
    BA_RELOAD_BUSY,    /* from memory (a device's, if the backend keeps KV there), while they are being written */
    BA_RELOAD_MEMORY,  /* from memory, when that is over */
    BA_RELOAD_RAM,     /* from the machine's memory to the device */
    BA_RELOAD_DISK,    /* from the tier; its file is out of the page cache */
    BA_RELOAD_LOAD,    /* from the tier; its file is in the page cache, if it has one */
    BA_RELOAD_AGAIN,   /* from memory or the mapping once more, in the same process */
    BA_RELOAD_STATES
} ba_reload_state;

enum { BA_RELOAD_MOST = 100 }; /* repetitions */

typedef struct ba_reload_sample {
    bool absent; /* there is no such place; nothing else is set */
    double seconds, stage[BA_STAGE_COUNT];
    double copy_s; /* of copies to a device, beside the stages */
    uint64_t load_bytes;
    size_t computed, prompt;
    size_t vocab; /* logits that follow it in the pipe */
    bool same;    /* every logit is that of the cold run, to the bit */
    ba_logit_distance off;
} ba_reload_sample;

/* Samples of prompts of one length. */
typedef struct ba_reload_result {
    const char *mode;
    size_t length, question, block;
    ba_reload_sample (*taken)[BA_RELOAD_STATES]; /* [n] */
    size_t n;
    bool exact;       /* no tier keeps KV in 8 bits */
    bool has_file;    /* the tier has a file that the page cache can hold */
    double disk_rate; /* bytes a second that the disk gives of it, or NaN */
} ba_reload_result;

const char *ba_reload_state_name(ba_reload_state s);
/* The median over the samples of a state, which must have been taken. */
double ba_reload_loaded_bytes(const ba_reload_result *r, ba_reload_state s);
/* CSV's head; nothing in other formats. */
void ba_reload_begin(const ba_common *c);
/* One result. An exit status: a check did not hold if logits differ although KV is exact. */
int ba_reload_print(const ba_common *c, const ba_reload_result *r);

#endif
