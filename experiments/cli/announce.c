#include "announce.h"

#include "experiments/measure/costing.h"
#include "experiments/measure/peak.h"
#include "sim/modes/modes.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MANY = 50, LONG = 120 };

void ba_announce(size_t n, const char *what, double seconds, bool kept, bool quiet) {
    bool known = seconds >= 0; /* false for NaN */
    if (quiet || !(n > MANY || (known && seconds > LONG))) {
        return;
    }
    char time[32] = "";
    if (known) {
        ba_print_seconds(time, sizeof time, seconds);
    }
    fprintf(stderr, "%s: %zu %s%s%s%s\n", program_invocation_short_name, n, what, known ? ", about " : "", time,
            kept ? "; Ctrl-C keeps what is finished" : "");
}

void ba_announce_work(const ba_session *b, const ba_common *c, size_t n, const char *what, double flops, bool kept) {
    static const double surely_short = LONG * 8e9; /* on any processor */
    ba_peak peak;
    if (c->quiet || (n <= MANY && flops < surely_short)) {
        return;
    }
    bool known = strcmp(b->be->ops->name, "cuda") != 0 && ba_peak_measure(c->threads, &peak) == 0;
    ba_announce(n, what, known ? 1.5 * flops / peak.flops : (double)NAN, kept, false);
}

double ba_prompt_flops(const ba_session *b, const ba_prompt *prompt, const char *mode) {
    char err[BA_ERR_LEN];
    ba_plan *plan = NULL;
    ba_cost cost = {0};
    int rc = ba_mode_plan(mode, prompt, &plan, err);
    rc = rc ? rc : ba_cost_of_run(b->engine, plan, false, NULL, &cost, err);
    ba_plan_free(plan);
    return rc ? 0 : (double)cost.flops_exact;
}
