/* Contamination: what a donor's prompt tells must reach no answer of a mode that takes nothing from donors, and must be
 * found where it can. */
#include "experiments/gate/planted.h"
#include "sim/modes/modes.h"
#include "tests/support/program.h"
#include "tests/support/runner.h"
#include "tests/support/tiny.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ba_document documents[] = {
    {.title = "Bern", .text = "Bern lies on the Aare."},
    {.text = "Nobody is sure when the bridge was built, and the letters that might tell were lost "
             "when the archive of the town burnt down."},
    {.title = "Thun", .text = "The Aare leaves the lake at Thun."}};
static char *answers[] = {"Aare"};
static const ba_item item = {.id = "river",
                             .question = "Which river flows through Bern?",
                             .answers = answers,
                             .n_answer = 1,
                             .doc = documents,
                             .n_doc = 3};

/* The tiny model, opened. */
typedef struct fixture {
    ba_model *model;
    ba_tokenizer *tok;
    ba_backend *be;
    ba_planted p;
} fixture;

static fixture open_all(void) {
    fixture f = {.p = {.max_tokens = 4, .seed = 5}};
    char path[4096], err[BA_ERR_LEN];
    program_tiny();
    CU_ASSERT_EQUAL_FATAL(ba_model_open(program_path("tiny.gguf", path), true, &f.model, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_tokenizer_new(ba_model_vocab(f.model), &f.tok, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("auto", &(ba_backend_config){.threads = 1}, &f.be, err), 0);
    f.p.store = ba_store_new(f.be, UINT64_C(1) << 30);
    f.p.tok = f.tok;
    CU_ASSERT_EQUAL_FATAL(ba_engine_new(f.model, f.be, f.p.store, NULL, &f.p.engine, err), 0);
    return f;
}

static void close_all(fixture *f) {
    ba_engine_free(f->p.engine);
    ba_store_free(f->p.store);
    ba_backend_close(f->be);
    ba_tokenizer_free(f->tok);
    ba_model_close(f->model);
}

static bool takes_from_donors(const char *mode) {
    return strcmp(mode, "splice") == 0 || strcmp(mode, "promptcache") == 0;
}

/* Every mode of the table by its name. */
static void clean_modes_give_the_same_bits(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN];
    const ba_mode *m;
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        ba_planted_row row[2];
        char *name = (char *)m->name;
        CU_ASSERT_EQUAL_FATAL(ba_planted_measure(&f.p, &item, 3, &name, 1, row, err), 0);
        CU_ASSERT_STRING_EQUAL(row[0].secret_in, "prompt");
        CU_ASSERT_NOT_EQUAL(row[0].nll, row[0].nll_without);
        CU_ASSERT_STRING_EQUAL(row[1].mode, m->name);
        CU_ASSERT(row[1].n_secret > 0 && isfinite(row[1].nll) && row[1].leaks == 0);
        CU_ASSERT_STRING_EQUAL(row[1].same, takes_from_donors(m->name) ? "-" : "ok");
        CU_ASSERT_EQUAL(row[1].nll == row[1].nll_without, !takes_from_donors(m->name));
    }
    close_all(&f);
}

/* Each passage encoded alone takes nothing from its neighbours. (The question comes after the longest passage, which is
 * not the planted one.) */
static void a_scaffold_of_its_own_tells_nothing(void) {
    fixture f = open_all();
    char err[BA_ERR_LEN], *modes[] = {"promptcache:scaffold=none", "splice:donor=self"};
    ba_planted_row row[3];
    CU_ASSERT_EQUAL_FATAL(ba_planted_measure(&f.p, &item, 3, modes, 2, row, err), 0);
    CU_ASSERT_EQUAL(row[1].nll, row[1].nll_without);
    CU_ASSERT(fabs(row[2].nll - row[2].nll_without) > 1e-3 * row[2].nll);
    close_all(&f);
}

static void secrets_are_in_no_text(void) {
    char first[32], again[32], other[32];
    ba_planted_secret(&item, 1, 7, first);
    ba_planted_secret(&item, 1, 7, again);
    CU_ASSERT_STRING_EQUAL(first, again);
    ba_planted_secret(&item, 1, 8, other);
    CU_ASSERT_STRING_NOT_EQUAL(first, other);
    ba_document known = {.text = first};
    ba_planted_secret(&(ba_item){.question = "?", .doc = &known, .n_doc = 1}, 1, 7, other);
    CU_ASSERT_STRING_NOT_EQUAL(first, other);
}

static void only_the_donor_has_the_passage(void) {
    char err[BA_ERR_LEN];
    ba_planted_pair pair;
    CU_ASSERT_EQUAL_FATAL(ba_planted_pair_of(&item, "Velkam", &pair, err), 0);
    CU_ASSERT_STRING_EQUAL(pair.own.question, "What is the code word of Thun?");
    CU_ASSERT_STRING_EQUAL(pair.donor.question, pair.own.question);
    CU_ASSERT(pair.own.n_doc == 3 && pair.own.doc == item.doc && pair.donor.n_doc == 4);
    CU_ASSERT_STRING_EQUAL(pair.donor.doc[0].text,
                           "The code word of Thun is Velkam. Remember it: the code word is Velkam.");
    CU_ASSERT_PTR_EQUAL(pair.donor.doc[3].text, item.doc[2].text);
    ba_planted_free(&pair);
}

static void modes_that_skip_are_planned_with_a_donor(void) {
    static const char *const spelled[][2] = {{"splice", "splice:skip=0"},
                                             {"splice:donor=self", "splice:donor=self,skip=0"},
                                             {"promptcache:scaffold=none", "promptcache:scaffold=none,skip=0"},
                                             {"block", ""},
                                             {"lego:k=4", ""}};
    char out[128], err[BA_ERR_LEN];
    for (size_t i = 0; i < sizeof spelled / sizeof *spelled; i++) {
        CU_ASSERT_EQUAL(ba_planted_mode(spelled[i][0], out, sizeof out, err), 0);
        CU_ASSERT_STRING_EQUAL(out, spelled[i][1]);
    }
    CU_ASSERT_EQUAL(ba_planted_mode("splice:skip=1", out, sizeof out, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "leave skip out"));
    CU_ASSERT_EQUAL(ba_planted_mode("spliced", out, sizeof out, err), -1);
}

/* Two items of 2 and 4 tokens: NLL 4 + 8 over 6 tokens, changes -2 and -4. */
static void summaries_by_hand(void) {
    double room[6];
    ba_planted_row row[4] = {{.leaks = 1, .n_secret = 2, .nll = 4, .nll_without = 6, .same = "ok", .mode = "block"},
                             {.n_secret = 2},
                             {.n_secret = 4, .nll = 8, .nll_without = 12, .same = "FAIL"},
                             {.n_secret = 4}};
    ba_planted_summary s = ba_planted_summarise(row, 2, 2, room);
    CU_ASSERT(s.n == 2 && s.leaks == 0.5 && s.nll == 2 && s.nll_without == 3);
    CU_ASSERT_DOUBLE_EQUAL(s.change, -1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(s.change_high - s.change_low, 0, 1e-12);        /* both change by 1 nat a token */
    CU_ASSERT(s.leaks_low > 0 && s.leaks_low < 0.2 && s.leaks_high > 0.8); /* Wilson, 1 of 2 */
    CU_ASSERT_STRING_EQUAL(s.same, "FAIL");
    CU_ASSERT_STRING_EQUAL(s.mode, "block");
}

static void the_command(void) {
    static const program_refusal wrong[] = {
        {2, "--planted goes with --data", {"gate", "--planted"}},
        {2,
         "leave skip out",
         {"gate", "--model", "tiny.gguf", "--planted", "--data", "planted.jsonl", "--mode", "block,splice:skip=0"}},
    };
    program_tiny();
    program_write("planted.jsonl",
                  "{\"id\": \"a\", \"question\": \"Who?\", \"answers\": [\"Ann\"], \"documents\": [\"Ann came.\", "
                  "\"Bob left.\"]}\n{\"id\": \"b\", \"question\": \"When?\", \"answers\": [\"now\"], \"documents\": "
                  "[\"It was now.\"]}\n");
    EXPECT_REFUSALS(wrong);
    program_end o =
        program_run((const char *[]){"gate", "--model", "tiny.gguf", "--planted", "--data", "planted.jsonl", "--mode",
                                     "block,splice:donor=self", "--csv", "--out", "secrets.h5", NULL});
    CU_ASSERT_EQUAL(o.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nfull,prompt,2,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nblock,donor,2,0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\nsplice:donor=self,donor,2,"));
    program_free(&o);
    o = program_run((const char *[]){"export", "secrets.h5", "planted", "--csv", NULL});
    CU_ASSERT_PTR_NOT_NULL(strstr(o.out, "\n1,b,block,donor,"));
    program_free(&o);
}

int ba_suite_planted(void) {
    CU_pSuite s = CU_add_suite("planted", NULL, NULL);
    bool ok = s && CU_add_test(s, "clean modes give the same bits after a donor", clean_modes_give_the_same_bits) &&
              CU_add_test(s, "a scaffold of its own tells nothing", a_scaffold_of_its_own_tells_nothing) &&
              CU_add_test(s, "secrets are in no text", secrets_are_in_no_text) &&
              CU_add_test(s, "only the donor has the passage", only_the_donor_has_the_passage) &&
              CU_add_test(s, "modes that skip are planned with a donor", modes_that_skip_are_planned_with_a_donor) &&
              CU_add_test(s, "summaries by hand", summaries_by_hand) && CU_add_test(s, "the command", the_command);
    return ok ? 0 : -1;
}
