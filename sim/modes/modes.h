/* Attention modes: each is a pure function from a prompt to a plan, and one table row. The comment above the function
 * says exactly what the mode does: one file per paper.
 *
 * Spelling: name[:key=value,...], e.g. "block", "block:n=4", "lego:k=16". */
#ifndef BA_MODES_H
#define BA_MODES_H

#include "sim/plan/plan.h"
#include "sim/prompt/prompt.h"

#define BA_MODE_MAX_PARAMS 8

/* As `choices` of a parameter: "all", "middle" (ba_layer_set), or layers of min .. max joined by +, each once. */
#define BA_LAYER_LIST "all|middle|a+b"
enum { BA_MOST_LISTED = 32 }; /* layers in a spelling */

typedef struct ba_mode_param {
    const char *key;
    const char *standard; /* default as text; for a number it may be a word ("all"), which is then a valid value too */
    const char *choices;  /* "a|b" for words, NULL for a number */
    double min, max;      /* of a number */
    bool integer;         /* only whole numbers */
    const char *help;
} ba_mode_param;

typedef struct ba_mode_args {
    double number[BA_MODE_MAX_PARAMS]; /* in the order of the row's parameters; 0 if the default is a word */
    size_t choice[BA_MODE_MAX_PARAMS]; /* index of the chosen word */
    ba_layer_set layers;               /* of the parameter that is a list of layers, of which a mode has at most one */
    bool given[BA_MODE_MAX_PARAMS];    /* differs from the default */
} ba_mode_args;

struct ba_draft; /* a plan that is being written: draft.h */

typedef struct ba_mode {
    const char *name, *summary, *source;         /* source: paper, section */
    ba_mode_param param[BA_MODE_MAX_PARAMS + 1]; /* ends with key NULL */
    int (*build)(struct ba_draft *draft, const ba_mode_args *args, char err[BA_ERR_LEN]);
    const char *holds;  /* what must hold of its results, for the reader of its page */
    const char *budget; /* key of the parameter that says how much is computed again; NULL: none */
} ba_mode;

/* Row i of the table; NULL after the last. */
const ba_mode *ba_mode_at(size_t i);

/* The mode that a spelling names, before its colon; NULL: none. */
const ba_mode *ba_mode_of(const char *spelling);

/* Parses the spelling and builds the plan, which is checked. 0, or -1 and err (for an unknown name: the known ones). */
int ba_mode_plan(const char *spelling, const ba_prompt *prompt, ba_plan **out, char err[BA_ERR_LEN]);

/* The nominal budget of a spelling, as key=value ("r=0.2"), its default if it is not given; "" if the mode has none. The
 * spelling must be a checked one. */
void ba_mode_budget(const char *spelling, char *out, size_t size);

/* Checks a spelling without a prompt, and writes its canonical form, without defaults. 0, or -1 and err. */
int ba_mode_check(const char *spelling, char *canonical, size_t size, char err[BA_ERR_LEN]);

#endif
