/* What the files of modes write plans with: the parts of a prompt in the words of the papers, and the few moves that
 * plans are made of. A mode's file defines its row, `const ba_mode ba_mode_NAME`; the table in modes.c lists it.
 *
 * Running out of memory is remembered in the draft, and all later moves do nothing, so a mode reads like its method. */
#ifndef BA_MODE_DRAFT_H
#define BA_MODE_DRAFT_H

#include "modes.h"

typedef struct ba_draft {
    const ba_prompt *prompt; /* at least one segment, none empty */
    const size_t *place;     /* [n_seg + 1] tokens before each segment, and in all */
    ba_plan *plan;
    const char *mode;
    size_t inserted; /* tokens of the result that the request does not have: BOS kept, sinks */
    bool no_memory;
    ba_node spare_node; /* what is handed out then */
    ba_edge spare_edge;
} ba_draft;

/* A prompt as prefix (system text), contexts (passages, demonstrations, links) and question. A task behind the question
 * belongs to it. */
typedef struct ba_parts {
    bool has_prefix;       /* then it is segment 0 */
    size_t context, n_ctx; /* segments [context, context + n_ctx) */
    size_t question, n_q;  /* segments [question, question + n_q) */
    size_t prefix_len;     /* Lp, tokens; 0 without a prefix */
    size_t longest;        /* tokens of the longest context; 0 without contexts */
    size_t place;          /* of the question: tokens before it */
} ba_parts;

/* 0, or -1 and err if the segments are not [system] passages.. question [task]. */
int ba_draft_parts(const ba_draft *d, ba_parts *parts, char err[BA_ERR_LEN]);

/* First segment of the last block, for modes that ask for no order: the last segment, with the question before it if it
 * is a task. */
size_t ba_draft_last_block(const ba_draft *d);

/* Tokens of segment i; tokens before it. */
size_t ba_draft_len(const ba_draft *d, size_t seg);
size_t ba_draft_place(const ba_draft *d, size_t seg);

#define BA_NO_NODE SIZE_MAX

/* Node over segments [seg, seg + n_seg) behind n_head tokens `head` of the mode's own, at pos. */
size_t ba_draft_node(ba_draft *d, size_t seg, size_t n_seg, int32_t head, size_t n_head, double pos);
/* Segment seg as it stands, for the store, at pos. */
size_t ba_draft_stored(ba_draft *d, size_t seg, double pos);
/* The prefix, for the store, at 0; BA_NO_NODE if there is none. */
size_t ba_draft_prefix(ba_draft *d, const ba_parts *parts);
/* viewer sees all of `seen`, whose key 0 stands at `at`. Nothing happens if seen is BA_NO_NODE. The edge is valid until
 * the viewer gets the next one. */
ba_edge *ba_draft_see(ba_draft *d, size_t viewer, size_t seen, double at);
ba_node *ba_draft_at(ba_draft *d, size_t node);
/* n log-sum-exp groups for a node: the scales, to be filled in; NULL when out of memory. */
double *ba_draft_groups(ba_draft *d, size_t node, size_t n);

/* Block-Attention's plan: the first `local` segments encoded alone, each at its place, the others as one last node that
 * sees them there (no_places: at 0). Returns the last node. */
size_t ba_draft_blocks(ba_draft *d, size_t local, bool no_places);

/* Parallel contexts: all begin behind the prefix and, if they may, see it; the question begins behind the longest and
 * sees the prefix, then the contexts in order. Returns the question's node; its last n_ctx edges are the contexts'. */
size_t ba_draft_parallel(ba_draft *d, const ba_parts *parts, bool see_prefix);

#endif
