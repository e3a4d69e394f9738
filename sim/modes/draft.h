/* Helpers with which modes write plans: the parts of a prompt in the terms of the papers, and the few steps that plans
 * are built from. A mode's file defines its row, `const ba_mode ba_mode_NAME`; the table in modes.c lists it.
 *
 * Out of memory is noted in the draft and all later steps do nothing, so that a mode's function can be read like the
 * method in the paper. */
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
    ba_node spare_node; /* returned when out of memory, so that callers may write to it */
    ba_edge spare_edge;
} ba_draft;

/* A prompt as prefix (system text), contexts (passages, demonstrations, links) and question. A task after the question
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

/* The same for any order of segments: the prefix is segment 0 if that is the system text, all other segments before the
 * last block are contexts. */
void ba_draft_loose_parts(const ba_draft *d, ba_parts *parts);

/* First segment of the last block, for modes that allow any order of segments: the last segment; if that is a task, the
 * question before it. */
size_t ba_draft_last_block(const ba_draft *d);
size_t ba_prompt_last_block(const ba_prompt *prompt);

/* Tokens of a segment; tokens before it. */
size_t ba_draft_len(const ba_draft *d, size_t seg);
size_t ba_draft_place(const ba_draft *d, size_t seg);

#define BA_NO_NODE SIZE_MAX

/* Appends a node at pos: n_head times the token `head`, inserted by the mode, then segments [seg, seg + n_seg). Returns
 * its index. */
size_t ba_draft_node(ba_draft *d, size_t seg, size_t n_seg, int32_t head, size_t n_head, double pos);
/* Appends a node of these tokens, which need not be the prompt's, at pos. */
size_t ba_draft_run(ba_draft *d, const int32_t *ids, size_t n, double pos);
/* Appends a stored node of segment seg alone, at pos. */
size_t ba_draft_stored(ba_draft *d, size_t seg, double pos);
/* Appends a stored node of the prefix, at 0; BA_NO_NODE if there is no prefix. */
size_t ba_draft_prefix(ba_draft *d, const ba_parts *parts);
/* viewer sees all of `seen`, whose key 0 has position `at`. Does nothing if seen is BA_NO_NODE. The edge is valid until
 * the viewer gets its next one. */
ba_edge *ba_draft_see(ba_draft *d, size_t viewer, size_t seen, double at);
ba_node *ba_draft_at(ba_draft *d, size_t node);
/* n log-sum-exp groups for a node: the scales [n], to be filled in; NULL: out of memory. */
double *ba_draft_groups(ba_draft *d, size_t node, size_t n);

/* Block-Attention's plan: the first `local` segments encoded alone, the others as one last node that sees them at their
 * positions in the prompt (no_places: at 0). Returns the last node. */
size_t ba_draft_blocks(ba_draft *d, size_t local, bool no_places);

/* Block-Attention's plan over all parts, whose last node chooses rows of the contexts by a score, none of the prefix;
 * without contexts it chooses nothing. Returns the last node, for the rest of its choice. */
ba_node *ba_draft_choosing(ba_draft *d, const ba_parts *parts, ba_score score);
/* A share of n tokens, rounded down or up; 0.29 of 100 is 29 and 0.07 of 100 is 7, although their doubles are not. */
size_t ba_draft_floor(double share, size_t n);
size_t ba_draft_ceil(double share, size_t n);

/* Parallel contexts: all begin right after the prefix and, if see_prefix, see it; the question begins after the longest
 * and sees the prefix, then the contexts in order. Returns the question's node; its last n_ctx edges are the contexts'.
 */
size_t ba_draft_parallel(ba_draft *d, const ba_parts *parts, bool see_prefix);

#endif
