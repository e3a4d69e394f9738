/* Races between programs: turns, samples, what is skipped and why, and going on where one stopped. */
#include "experiments/versus/race.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] = "test-race-1";
static const size_t size[3] = {8, 4, 2};

static char shell[] = "/bin/sh", dash_c[] = "-c";
/* Answers every line with the seconds 1.5 and token 7, but "fall" with its end and "odd" with a refusal. */
static char answers[] =
    "echo hello there; while read -r what rest; do case $what in fall) exit;; odd) echo skip cannot;; "
    "*) echo time 1.5 $WORTH;; esac; done";
static char refuses[] = "echo skip no such library";
static char silent[] = "exit 3";
static char quick[] = "exit 0";

static ba_entrant entrant(const char *name, char *script) {
    ba_entrant e = {.argv = {shell, dash_c, script}, .setting = "WORTH=7"};
    snprintf(e.name, sizeof e.name, "%s", name);
    return e;
}

static void paths(char *trace, char *log, const char *name) {
    snprintf(trace, 512, "%s/race-%s.h5", ba_test_dir(), name);
    snprintf(log, 512, "%s/race-%s.log", ba_test_dir(), name);
}

static void test_turns(void) {
    char trace[512], log[512];
    double out[3];
    paths(trace, log, "turns");
    ba_race race = {.seed = 1, .min_time = 0.1, .quiet = true};
    ba_entrant e[] = {entrant("a", answers), entrant("b", answers), entrant("none", refuses), entrant("dead", silent),
                      entrant("command", quick)};
    e[4].command = true;
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL_FATAL(ba_race_add(&race, &e[i], "m", "case", "full", size, i == 1 ? 1 : 3), 0);
    }
    CU_ASSERT_EQUAL_FATAL(ba_race_add(&race, &e[0], "m", "strange", "odd", size, 3), 0);
    CU_ASSERT_EQUAL_FATAL(ba_race_open(&race, trace, schema, false), 0);
    CU_ASSERT_EQUAL(ba_race_run(&race, 0, e, 5, "test", log), 0);
    CU_ASSERT_EQUAL(ba_race_visits(&race, &race.lane[0], out), 3);
    CU_ASSERT(out[0] == 1.5 && out[1] == 1.5 && out[2] == 1.5);
    CU_ASSERT_EQUAL(ba_race_visits(&race, &race.lane[1], out), 1);
    CU_ASSERT_STRING_EQUAL(e[0].program, "there");
    CU_ASSERT(e[2].skipped && !strcmp(race.lane[2].note, "no such library"));
    CU_ASSERT(e[3].skipped && ba_race_visits(&race, &race.lane[3], out) == 0 && isnan(out[0]));
    CU_ASSERT(ba_race_visits(&race, &race.lane[4], out) == 3 && out[0] < 1);
    CU_ASSERT(!e[0].skipped && !strcmp(race.lane[5].note, "skip cannot"));
    size_t counted = 0;
    for (size_t i = 0; i < race.n_sample; i++) {
        CU_ASSERT_EQUAL(race.sample[i].order, i);
        counted += race.sample[i].item == 0 && race.sample[i].token == 7;
    }
    CU_ASSERT_EQUAL(counted, 3);
    CU_ASSERT_PTR_EQUAL(ba_race_find(&race, "m", "case", "b", NULL), &race.lane[1]);
    CU_ASSERT_PTR_NULL(ba_race_find(&race, "m", "case", "b", "block"));
    ba_race_close(&race);
}

/* The first entrant falls over; a second call takes only what is missing. */
static void test_goes_on(void) {
    char trace[512], log[512];
    double out[2];
    paths(trace, log, "on");
    for (size_t turn = 0; turn < 2; turn++) {
        ba_race race = {.seed = 1, .min_time = 0.1, .quiet = true};
        ba_entrant e[] = {entrant("a", turn == 0 ? refuses : answers), entrant("b", answers)};
        for (size_t i = 0; i < 2; i++) {
            CU_ASSERT_EQUAL_FATAL(ba_race_add(&race, &e[i], "m", "case", "full", size, 2), 0);
        }
        CU_ASSERT_EQUAL_FATAL(ba_race_open(&race, trace, schema, turn == 1), 0);
        size_t before = race.n_sample;
        CU_ASSERT_EQUAL(before, turn == 0 ? 0 : 2);
        CU_ASSERT_EQUAL(ba_race_run(&race, 0, e, 2, "test", log), 0);
        CU_ASSERT_EQUAL(race.n_sample, before + 2);
        CU_ASSERT_EQUAL(ba_race_visits(&race, &race.lane[0], out), turn == 0 ? 0 : 2);
        CU_ASSERT_EQUAL(ba_race_visits(&race, &race.lane[1], out), 2);
        ba_race_close(&race);
    }
}

static void test_falls(void) {
    char trace[512], log[512];
    double out[2];
    paths(trace, log, "falls");
    ba_race race = {.seed = 1, .min_time = 0.1, .quiet = true};
    ba_entrant e[] = {entrant("a", answers), entrant("b", answers)};
    CU_ASSERT_EQUAL_FATAL(ba_race_add(&race, &e[0], "m", "case", "fall", size, 2), 0);
    CU_ASSERT_EQUAL_FATAL(ba_race_add(&race, &e[1], "m", "case", "full", size, 2), 0);
    CU_ASSERT_EQUAL_FATAL(ba_race_open(&race, trace, schema, false), 0);
    CU_ASSERT_EQUAL(ba_race_run(&race, 0, e, 2, "test", log), 0);
    CU_ASSERT(e[0].skipped && *race.lane[0].note && !e[1].skipped);
    CU_ASSERT_EQUAL(ba_race_visits(&race, &race.lane[1], out), 2);
    ba_race_close(&race);
}

int ba_suite_race(void) {
    CU_pSuite suite = CU_add_suite("race", NULL, NULL);
    return !suite || !CU_add_test(suite, "every lane gets its turns, and what cannot run says why", test_turns) ||
           !CU_add_test(suite, "a race goes on where it stopped", test_goes_on) ||
           !CU_add_test(suite, "one that falls over does not end the race", test_falls);
}
