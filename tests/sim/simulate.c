/* The simulation: the same hits as a real store, popularity by Zipf's law, and service times from the cost of plans. */
#include "sim/store/simulate.h"
#include "experiments/cost/service.h"
#include "experiments/cost/traffic.h"
#include "experiments/measure/stats.h"
#include "sim/modes/modes.h"
#include "sim/store/store.h"
#include "tests/support/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The same requests to a real store and to the simulation. */
static void side_by_side(const char *policy, uint64_t blocks_of_memory, size_t corpus, size_t per_request) {
    enum { REQUESTS = 400, DIM = 8, TOKENS = 2 };
    char err[BA_ERR_LEN] = "";
    ba_backend *be;
    ba_backend_config cfg = {.threads = 1};
    CU_ASSERT_EQUAL_FATAL(ba_backend_open("ref", &cfg, &be, err), 0);
    uint64_t bytes = be->ops->kv_bytes(be, 1, 1, DIM, TOKENS);
    ba_store_spec spec = {.ram = blocks_of_memory * bytes, .ram_policy = ba_policy_find(policy)};
    ba_sim_tier tier = {.bytes = spec.ram, .policy = spec.ram_policy};
    ba_store *store;
    ba_sim *sim;
    ba_traffic traffic;
    const ba_origin origin = {.model = "m", .adapter = "", .dtype = "ref/f64", .tokenizer = ""};
    CU_ASSERT_EQUAL_FATAL(ba_store_open(be, &spec, NULL, &store, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_sim_new(&tier, 1, corpus, &sim, err), 0);
    ba_traffic_begin(&traffic, corpus, per_request, 0.8, 1, 7);
    size_t differing = 0, hits = 0;
    for (int r = 0; r < REQUESTS; r++) {
        ba_arrival a;
        ba_entry *entry[BA_MAX_PASSAGES];
        uint8_t place[BA_MAX_PASSAGES];
        CU_ASSERT_EQUAL_FATAL(ba_traffic_next(&traffic, &a, err), 1);
        for (size_t i = 0; i < a.n; i++) {
            int32_t ids[TOKENS] = {(int32_t)a.passage[i], 1};
            ba_finding found;
            entry[i] = ba_store_find(store, &origin, &(ba_wanted){{a.passage[i], 1}, ids, TOKENS, 0}, &found);
        }
        CU_ASSERT_EQUAL_FATAL(ba_sim_request(sim, a.passage, a.n, bytes, 0, place), 0);
        for (size_t i = 0; i < a.n; i++) {
            int32_t ids[TOKENS] = {(int32_t)a.passage[i], 1};
            differing += (entry[i] != NULL) != (place[i] == 0);
            hits += entry[i] != NULL;
            if (!entry[i]) {
                ba_kv *kv = be->ops->kv_new(be, 1, 1, DIM, TOKENS);
                entry[i] = ba_store_add(store, &origin, (ba_key){a.passage[i], 1}, ids, TOKENS, kv, bytes, NULL, 0, 0);
            }
        }
        for (size_t i = 0; i < a.n; i++) {
            ba_store_release(store, entry[i]);
        }
    }
    CU_ASSERT_EQUAL(differing, 0);
    CU_ASSERT_TRUE(blocks_of_memory == 0 || hits > 0);
    ba_sim_free(sim);
    ba_store_free(store);
    ba_backend_close(be);
}

static void a_store_has_the_same_hits(void) {
    static const char *const policy[] = {"lru", "lfu"};
    for (int p = 0; p < 2; p++) {
        side_by_side(policy[p], 20, 100, 5);
        side_by_side(policy[p], 4, 100, 5); /* memory smaller than a request */
        side_by_side(policy[p], 0, 20, 3);
        side_by_side(policy[p], 50, 40, 3); /* everything fits */
    }
}

static void tiers_are_asked_in_order(void) {
    char err[BA_ERR_LEN];
    const ba_policy *lru = ba_policy_find("lru");
    const ba_sim_tier tier[3] = {{.bytes = 1, .policy = lru},
                                 {.bytes = 2, .policy = lru, .mapped = true},
                                 {.bytes = 9, .policy = lru, .complete = true}};
    const uint32_t number[] = {0, 1, 2, 0};
    ba_sim *s;
    uint8_t place;
    CU_ASSERT_EQUAL_FATAL(ba_sim_new(tier, 2, 3, &s, err), 0);
    for (int i = 0; i < 4; i++) { /* 1 evicts 0 from memory, 2 evicts it from the disk */
        CU_ASSERT_EQUAL(ba_sim_request(s, &number[i], 1, 1, 0, &place), 0);
        CU_ASSERT_EQUAL(place, 2); /* nowhere */
    }
    CU_ASSERT_EQUAL(ba_sim_request(s, &number[2], 1, 1, 0, &place), 0);
    CU_ASSERT_EQUAL(place, 1); /* memory has 0, the disk 2 and 0 */
    CU_ASSERT_EQUAL(ba_sim_request(s, &number[0], 1, 1, 0, &place), 0);
    CU_ASSERT_EQUAL(place, 0); /* a block used from the disk stays there */
    ba_sim_free(s);
    CU_ASSERT_EQUAL_FATAL(ba_sim_new(tier, 3, 3, &s, err), 0);
    CU_ASSERT_EQUAL(ba_sim_request(s, &number[0], 1, 1, 0, &place), 0);
    CU_ASSERT_EQUAL(place, 2); /* the whole corpus is there, and a block read from it comes into nearer tiers */
    CU_ASSERT_EQUAL(ba_sim_request(s, &number[0], 1, 1, 0, &place), 0);
    CU_ASSERT_EQUAL(place, 0);
    ba_sim_free(s);
}

/* Frequencies against the law, at exponents below 1, at 1 and above 1. */
static void popularity_is_zipfs(void) {
    enum { CORPUS = 50, DRAWS = 200000 };
    static const double exponent[] = {0, 0.6, 1, 1.3};
    for (int e = 0; e < 4; e++) {
        char err[BA_ERR_LEN];
        ba_traffic t;
        size_t seen[CORPUS] = {0};
        double sum = 0, time = 0;
        for (int k = 1; k <= CORPUS; k++) {
            sum += pow(k, -exponent[e]);
        }
        ba_traffic_begin(&t, CORPUS, 1, exponent[e], 4, 11);
        for (int i = 0; i < DRAWS; i++) {
            ba_arrival a;
            CU_ASSERT_EQUAL_FATAL(ba_traffic_next(&t, &a, err), 1);
            CU_ASSERT_TRUE_FATAL(a.passage[0] < CORPUS && a.time > time);
            time = a.time;
            seen[a.passage[0]]++;
        }
        for (int k = 1; k <= CORPUS; k++) {
            double p = pow(k, -exponent[e]) / sum, deviation = sqrt(DRAWS * p * (1 - p));
            CU_ASSERT_TRUE(fabs((double)seen[k - 1] - DRAWS * p) < 5 * deviation);
        }
        CU_ASSERT_DOUBLE_EQUAL(time, DRAWS / 4.0, 5 * sqrt(DRAWS) / 4); /* Poisson: sum of exponential gaps */
    }
}

static void service_follows_the_cost_of_plans(void) {
    char err[BA_ERR_LEN] = "";
    const ba_shape *shape = ba_shape_by_name("llama-3.1-8b");
    const ba_hardware hw = {"test", 1e12, 1e12, 1e9, 1e-3, 1e8, 2e-3, 100, 1, 1, 1, 1};
    ba_service s;
    CU_ASSERT_EQUAL_FATAL(ba_service_begin(&s, shape, (ba_sizes){2, 2, 2}, &hw, 100, 30, err), 0);
    CU_ASSERT_EQUAL(s.kv_bytes, 2 * 32 * 8 * 128 * 2 * 100);
    ba_served a = ba_serve(&s, (size_t[BA_PLACES]){[BA_IN_RAM] = 4, [BA_NOWHERE] = 3});
    /* By hand: products and visible pairs of 3 passages; of the question over 700 keys; and of the head. */
    double layers = 2 * (double)ba_shape_layer_weights(shape), head = 2 * (double)ba_shape_head_weights(shape);
    double pair = 4.0 * 32 * 32 * 128;
    double encode = 3 * (100 * layers + pair * 100 * 101 / 2.0),
           prefill = 30 * layers + head + pair * (30 * 700 + 30 * 31 / 2.0);
    CU_ASSERT_DOUBLE_EQUAL(a.flops / (encode + prefill), 1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(a.encode_s, encode / 1e12, 1e-9);
    CU_ASSERT_EQUAL(a.load_s, 0);
    a = ba_serve(&s, (size_t[BA_PLACES]){[BA_ON_DISK] = 2, [BA_ON_NETWORK] = 1});
    CU_ASSERT_DOUBLE_EQUAL(a.load_s, 1e-3 + 2 * (double)s.kv_bytes / 1e9 + 2e-3 + (double)s.kv_bytes / 1e8, 1e-12);
    CU_ASSERT_EQUAL(a.encode_s, 0);
    CU_ASSERT_EQUAL(a.read_bytes, 3.0 * (double)s.kv_bytes);
}

static void traffic_is_read_and_checked(void) {
    static const char *const bad[][2] = {
        {"{\"time\": 1}", "needs \"time\""},
        {"{\"passages\": [1, 1]}", "occurs twice"},
        {"{\"passages\": [9]}", "below 9"},
        {"{\"passages\": []}", "no passages"},
        {"{\"time\": 3, \"passages\": [1]}\n{\"time\": 2, \"passages\": [1]}", "line 2"},
        {"nonsense", "line 1: not a JSON object"},
        {"\n{\"time\": 1, \"passages\": [1], \"id\": \"\\uZZZZ\"}", "line 2: not a JSON object: byte 36"},
        {"{\"time\": 1, \"passages\": [1]} {", "line 1: not a JSON object: byte 29: something follows"},
        {"{\"time\": 1, \"passages\": [1], \"id\": \"\xff\"}", "is not UTF-8"}};
    char path[4200], err[BA_ERR_LEN];
    snprintf(path, sizeof path, "%s/traffic.jsonl", ba_test_dir());
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");
        fputs(bad[i][0], f);
        fclose(f);
        ba_traffic t;
        ba_arrival a;
        int rc;
        CU_ASSERT_EQUAL_FATAL(ba_traffic_open(&t, path, 9, err), 0);
        while ((rc = ba_traffic_next(&t, &a, err)) > 0) {
        }
        CU_ASSERT_EQUAL(rc, -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i][1]));
        ba_traffic_end(&t);
    }
}

static void hardware_is_read_and_checked(void) {
    char path[4200], err[BA_ERR_LEN];
    ba_hardware hw;
    snprintf(path, sizeof path, "%s/hardware.json", ba_test_dir());
    FILE *f = fopen(path, "w");
    fputs("{\"hardware\": [{\"name\": \"a\", \"flops\": 1}, {\"name\": \"b\", \"flops\": \"x\"}]}", f);
    fclose(f);
    CU_ASSERT_EQUAL(ba_hardware_read(path, "c", &hw, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "there is a, b"));
    CU_ASSERT_EQUAL(ba_hardware_read(path, "a", &hw, err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "memory_bandwidth"));
    CU_ASSERT_EQUAL(ba_hardware_read(path, "b", &hw, err), -1);
    CU_ASSERT_EQUAL(ba_hardware_read("/nowhere", "a", &hw, err), -1);
}

int ba_suite_simulate(void) {
    CU_pSuite s = CU_add_suite("simulate", NULL, NULL);
    return s && CU_add_test(s, "a store has the same hits", a_store_has_the_same_hits) &&
                   CU_add_test(s, "tiers are asked in order", tiers_are_asked_in_order) &&
                   CU_add_test(s, "popularity is Zipf's", popularity_is_zipfs) &&
                   CU_add_test(s, "service follows the cost of plans", service_follows_the_cost_of_plans) &&
                   CU_add_test(s, "traffic is read and checked", traffic_is_read_and_checked) &&
                   CU_add_test(s, "hardware is read and checked", hardware_is_read_and_checked)
               ? 0
               : -1;
}
