/* What a run reused, and why the rest was not, as a sentence. */
#include "compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 4))) add(char *out, size_t size, const char *format, ...) {
    size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, size - used, format, args);
    va_end(args);
}

/* Blocks that the store did not have although it was full: by reason. */
static void add_misses(const ba_run_stats *s, char *out, size_t size) {
    for (ba_lookup why = BA_HIT + 1; why < BA_LOOKUP_COUNT; why++) {
        size_t n = 0;
        for (size_t i = 0; i < s->n_lookup; i++) {
            n += s->lookup[i].found.why == why;
        }
        if (n) {
            add(out, size, "; %zu missed (%s)", n, ba_lookup_name(why));
        }
    }
}

void ba_compare_reuse(const ba_plan *plan, const ba_run_stats *warm, char *out, size_t size) {
    const ba_node *last = &plan->node[plan->n_node - 1];
    size_t hits = 0, stored = 0;
    *out = '\0';
    for (size_t i = 0; i < plan->n_node; i++) {
        stored += plan->node[i].stored;
    }
    for (size_t i = 0; i < warm->n_lookup; i++) {
        hits += warm->lookup[i].found.why == BA_HIT;
    }
    if (!stored) {
        add(out, size, "nothing: every token sees all before it, so no part is the same in another prompt");
        return;
    }
    add(out, size, "%zu of %zu tokens, in %zu block%s", warm->n_reused, warm->n_prompt, hits, hits == 1 ? "" : "s");
    add_misses(warm, out, size);
    size_t again = ba_node_refreshed(last);
    add(out, size, "; %zu rows computed", warm->n_computed);
    if (last->choice.on && ba_choice_by_attention(&last->choice)) {
        add(out, size, ", the %zu of the question twice, and the %zu reused ones that it attends to most", last->n,
            warm->n_chosen_row);
    } else if (last->choice.on) {
        add(out, size, ", the %zu of the question, the %zu reused ones that changed most, all %zu below layer %zu",
            last->n, warm->n_chosen_row, again, last->choice.layer);
    } else if (again) {
        add(out, size, ", the %zu of the question and again the first ones of blocks", last->n);
    } else if (plan->n_path) {
        add(out, size, ", with a copy of the question for each of %zu paths", plan->n_path);
    }
    if (last->select_k) {
        add(out, size, "; sees the best %zu blocks only", last->select_k);
    }
    if (plan->keep_paths) {
        add(out, size, "; sees the best %zu of %zu paths only", plan->keep_paths, plan->n_path);
    }
    if (plan->note[0]) {
        add(out, size, "; note: %s", plan->note);
    }
}
