/* Attention over segments in place on Hopper: a block has a tile of 128 rows (query row x head) and walks over keys in
 * steps of 128. One warp only starts copies and says what a step is; two warpgroups have 64 rows each. Scores of the
 * next step are multiplied while the last one's probabilities weigh the values.
 *
 * The softmax of a run of chunks is one chain over its keys, and runs are merged in their order, in the block or by
 * another kernel. Cuts depend on tokens alone, and a step of which a row sees nothing leaves its state as it is, so a
 * row's bits depend neither on the rows beside it nor on the keys after the last one that it sees. */
#include "kernels/cuda/bf16.cuh"
#include "kernels/cuda/merge.cuh"
#include "kernels/cuda/tile.cuh"
#include "launch.cuh"
#include "wgmma.cuh"

namespace {

using namespace ba;

enum { GROUP = 128, BLOCK = 3 * GROUP, ROWS = BA_DEV_HOPPER_TILE, KEYS = 128, SLOTS = 2 };

/* What the copying warp says of a step: it has read the bounds of all rows. */
struct step {
    int seg;            /* or END_OF_ERRAND, or NO_MORE */
    int token;          /* of its first key */
    int begin, end;     /* tokens of its chunk */
    int rot_row;        /* of the segment: with `factor`, how queries are rotated */
    float factor, bias; /* of its scores */
    bool masked;        /* some row does not see all of it */
    bool rotate;        /* queries are to be rotated anew */
    bool begins_run;
};

enum { END_OF_ERRAND = -1, NO_MORE = -2 };

/* Runs [run0, run0 + runs) of a tile of a job. */
struct errand {
    ba_dev_job job;
    tile at;
    int run0, runs;
    size_t slot; /* of its partial state */
};

template <int dim> struct attend_room {
    uint16_t q[2][dim / BOX_COLS][64][BOX_COLS];
    uint16_t k[SLOTS][dim / BOX_COLS][KEYS][BOX_COLS], v[SLOTS][dim / BOX_COLS][KEYS][BOX_COLS];
    /* What earlier runs came to, as the threads hold it; or, where a block has one run at a time, the queries of a tile as
     * they are, [2][64][dim], which every segment rotates anew. */
    float total[2][dim / 2][GROUP];
    step steps[SLOTS];
    errand errands[2]; /* in turn: the copying warp is never further ahead */
    uint64_t k_full[SLOTS], k_empty[SLOTS], v_full[SLOTS], v_empty[SLOTS];
};

/* Address of the partial state of an item and part of the heads. */
struct partial_state {
    float *m, *l, *o; /* [ROWS], [ROWS], [ROWS, dim]; m and o mean nothing where l is 0 */
};

__device__ partial_state partial_at(float *partial, size_t slot, int dim) {
    float *at = partial + slot * ROWS * (size_t)(dim + 2);
    return {at, at + ROWS, at + 2 * ROWS};
}

__device__ float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* ---- the copying warp ---- */

/* What one lane finds out about a chunk: its keys [first, end) are read, counted from the segment's first, in steps from
 * `first`; those of [all_lo, all_hi) every row of the tile sees. first >= end: nobody sees any. */
struct sight {
    int seg, token, key0, key1; /* token: of the segment's key 0 */
    int first, end, all_lo, all_hi;
    int rot_row, k_head, v_head;
    float factor, bias;
    const CUtensorMap *map;
};

/* Every lane looks at a chunk of its own: each would wait three times for memory, one after the other. */
__device__ sight see_chunk(const ba_dev_attention &a, const errand &e, int chunk_index) {
    const ba_dev_chunk chunk = a.chunk[chunk_index];
    const ba_dev_segment &seg = a.seg[chunk.seg];
    int slices = (int)(seg.kv.layer_step / seg.kv.head_step), k_head = (int)a.layer * slices + e.at.kv_head;
    sight s = {chunk.seg, seg.first, chunk.key0, chunk.key1};
    s.map = a.map + chunk.seg;
    prefetch_map(s.map);
    s.k_head = k_head;
    s.v_head = k_head + (int)((size_t)(seg.kv.v - seg.kv.k) / seg.kv.head_step);
    s.rot_row = seg.rot_row;
    s.factor = seg.factor;
    s.bias = seg.bias;
    int any_lo = INT_MAX, any_hi = 0, rows = seg.lo < 0 && seg.hi < 0 ? min(e.at.rows, 1) : e.at.rows;
    s.all_lo = 0;
    s.all_hi = INT_MAX;
    for (int row = 0; row < rows; row++) {
        int lo, hi;
        see_range(a, seg, e.at.row + row, lo, hi);
        s.all_lo = max(s.all_lo, lo);
        s.all_hi = min(s.all_hi, hi);
        any_lo = lo < hi ? min(any_lo, lo) : any_lo;
        any_hi = lo < hi ? max(any_hi, hi) : any_hi;
    }
    s.first = any_lo < any_hi ? max(any_lo - chunk.key0, 0) / KEYS * KEYS + chunk.key0 : INT_MAX;
    s.end = min(any_hi, chunk.key1);
    return s;
}

/* The copying warp's way through the slots; the same in all of its lanes, of which one at a time starts copies. */
template <int dim> struct copier {
    attend_room<dim> &room;
    int slot, uses;
    int row, head, rot_row; /* of the queries that were rotated last; row -1: none were */
    float factor;

    __device__ bool rotates(const errand &e, int to_rot_row, float to_factor) {
        int first = e.job.row0 + e.at.row;
        bool same = first == row && e.at.head == head && to_rot_row + e.at.row == rot_row && to_factor == factor;
        row = first;
        head = e.at.head;
        rot_row = to_rot_row + e.at.row;
        factor = to_factor;
        return !same;
    }

    __device__ void next() {
        slot = slot + 1 == SLOTS ? 0 : slot + 1;
        uses += slot == 0;
    }

    __device__ void wait_empty(uint64_t *empty) {
        if (uses > 0) {
            barrier_wait(&empty[slot], (uint32_t)(uses - 1) & 1);
        }
    }

    __device__ void fetch(const step &what, const sight &s) {
        constexpr uint32_t bytes = KEYS * dim * sizeof(uint16_t);
        wait_empty(room.k_empty);
        room.steps[slot] = what;
        barrier_expect(&room.k_full[slot], bytes);
        for (int i = 0; i < dim / BOX_COLS; i++) {
            load_box(room.k[slot][i], s.map, &room.k_full[slot], i * BOX_COLS, what.token, s.k_head);
        }
        wait_empty(room.v_empty);
        barrier_expect(&room.v_full[slot], bytes);
        for (int i = 0; i < dim / BOX_COLS; i++) {
            load_box(room.v[slot][i], s.map, &room.v_full[slot], i * BOX_COLS, what.token, s.v_head);
        }
    }

    /* A step without keys. */
    __device__ void say(int what, int lane) {
        if (lane == 0) {
            wait_empty(room.k_empty);
            wait_empty(room.v_empty);
            room.steps[slot].seg = what;
            barrier_arrive(&room.v_full[slot]);
            barrier_arrive(&room.k_full[slot]);
        }
        next();
    }
};

/* The steps of the chunk that lane `of` has seen. */
template <int dim>
__device__ void fetch_chunk(copier<dim> &copy, const errand &e, const sight &s, int of, int lane, bool &begins_run) {
    int first = __shfl_sync(0xffffffffu, s.first, of), end = __shfl_sync(0xffffffffu, s.end, of);
    int rot_row = __shfl_sync(0xffffffffu, s.rot_row, of);
    float factor = __shfl_sync(0xffffffffu, s.factor, of);
    if (first >= end) {
        return;
    }
    if (lane == of) {
        renew_map(s.map);
    }
    for (int key = first; key < end; key += KEYS) {
        bool rotate = copy.rotates(e, rot_row, factor);
        if (lane == of) {
            step what = {s.seg, s.token + key, s.token + s.key0, s.token + s.key1, s.rot_row, s.factor, s.bias};
            what.masked = key < s.all_lo || key + KEYS > min(s.all_hi, s.key1);
            what.rotate = rotate;
            what.begins_run = begins_run;
            copy.fetch(what, s);
        }
        copy.next();
        begins_run = false;
    }
    __syncwarp();
}

template <int dim>
__device__ void fetch_errand(copier<dim> &copy, const ba_dev_attention &a, const errand &e, int lane) {
    for (int r = e.run0; r < e.run0 + e.runs; r++) {
        const ba_dev_run run = a.run[e.job.run0 + r];
        bool begins_run = true;
        for (int c = 0; c < run.n_chunk; c += WARP) {
            int n = min(run.n_chunk - c, (int)WARP);
            sight s = see_chunk(a, e, run.chunk0 + c + min(lane, n - 1));
            for (int of = 0; of < n; of++) {
                fetch_chunk(copy, e, s, of, lane, begins_run);
            }
        }
    }
}

/* What a launch does: tiles [tile0, tile0 + tiles), for `parts` parts of the heads; their items begin at item0. */
struct launched {
    int tile0, tiles, item0, all;
};

/* The tiles that see most keys, the last ones, come first, and blocks take them there and back again, so that all have
 * about the same to do. */
__device__ errand tile_errand(const ba_dev_attention &a, const launched &l, int index) {
    errand e;
    int parts = l.all / l.tiles, at = l.tile0 + l.tiles - 1 - index / parts;
    e.job = a.job[find_job(a.job, a.n_jobs, at, &ba_dev_job::tile0)];
    e.at = tile_at(a, e.job, at - e.job.tile0, index % parts, ROWS);
    e.run0 = 0;
    e.runs = e.job.n_run;
    e.slot = 0;
    return e;
}

/* One run of a tile: the tiles of a job that read the same keys follow each other. */
__device__ errand item_errand(const ba_dev_attention &a, const launched &l, int items, int index) {
    errand e;
    int parts = l.all / items, at = l.item0 + index / parts;
    e.job = a.job[find_job(a.job, a.n_jobs, at, &ba_dev_job::item0)];
    int first = max(e.job.tile0, l.tile0), tiles = min(e.job.tile0 + e.job.tiles, l.tile0 + l.tiles) - first;
    int item = e.job.item0 + (first - e.job.tile0) * e.job.n_run, local = at - item, tile = local % tiles;
    e.at = tile_at(a, e.job, first - e.job.tile0 + tile, index % parts, ROWS);
    e.run0 = local / tiles;
    e.runs = 1;
    e.slot = (size_t)(item - l.item0 + tile * e.job.n_run + e.run0) * (size_t)parts + (size_t)(index % parts);
    return e;
}

template <int dim, bool whole>
__device__ void fetch_steps(attend_room<dim> &room, const ba_dev_attention &a, const launched &l, int items) {
    int lane = (int)threadIdx.x % WARP, blocks = (int)gridDim.x, block = (int)blockIdx.x;
    copier<dim> copy = {room, 0, 0, -1, 0, 0, 0};
    for (int round = 0, done = 0; round * blocks < l.all; round++) {
        int index = round * blocks + (whole && round % 2 ? blocks - 1 - block : block);
        if (index < l.all) {
            errand e = whole ? tile_errand(a, l, index) : item_errand(a, l, items, index);
            if (lane == 0) {
                copy.wait_empty(room.k_empty);
                room.errands[done % 2] = e;
            }
            done++;
            __syncwarp();
            fetch_errand(copy, a, e, lane);
            copy.say(END_OF_ERRAND, lane);
        }
    }
    copy.say(NO_MORE, lane);
}

/* ---- the multiplying warpgroups ---- */

__device__ void load_four(float (&to)[4], const float *from) {
    float4 all = *reinterpret_cast<const float4 *>(from);
    to[0] = all.x;
    to[1] = all.y;
    to[2] = all.z;
    to[3] = all.w;
}

/* Four neighbours of row r, dimensions from d: half a piece of a box. */
__device__ void store_four(uint16_t (*q)[64][BOX_COLS], int r, int d, const float (&x)[4]) {
    auto *row = reinterpret_cast<unsigned char *>(q[d / BOX_COLS][r]);
    *reinterpret_cast<uint2 *>(row + (d % BOX_COLS * (int)sizeof(uint16_t) ^ r % 8 * 16)) =
        make_uint2(round_pair(x[0], x[1]), round_pair(x[2], x[3]));
}

/* Rotated, scaled, rounded queries of a warpgroup's rows, of which the tile's is row0 the first; `kept` if they are not in
 * shared memory as they are. A thread has four pairs of all heads of a row, which share their rotation. */
template <int dim>
__device__ void rotate_rows(uint16_t (*q)[64][BOX_COLS], const ba_dev_attention &a, const errand &e, int rot_row,
                            float factor, int row0, const float *kept) {
    int half = a.dim / 2, pieces = half / 4, heads = e.at.heads, rows = min(e.at.rows * heads - row0, 64);
    int first = row0 / heads, n = (row0 + rows + heads - 1) / heads - first;
    for (int i = (int)threadIdx.x % GROUP; i < n * pieces; i += GROUP) {
        int d = i % pieces * 4, row = first + i / pieces;
        const float *rot = a.rot + (size_t)(rot_row + e.at.row + row) * a.dim + d;
        const float *x = a.q.at + (size_t)(e.job.row0 + e.at.row + row) * a.q.stride + (size_t)e.at.head * a.dim + d;
        float cosine[4], sine[4];
        load_four(cosine, rot);
        load_four(sine, rot + half);
#pragma unroll 4
        for (int h = 0; h < heads; h++) {
            int r = row * heads + h - row0;
            if (r < 0 || r >= rows) { /* of the tile's other half */
                continue;
            }
            float low[4], high[4];
            const float *from = kept ? kept + r * dim + d : x + (size_t)h * a.dim;
            load_four(low, from);
            load_four(high, from + half);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                float turned = (low[k] * cosine[k] - high[k] * sine[k]) * factor;
                high[k] = (high[k] * cosine[k] + low[k] * sine[k]) * factor;
                low[k] = turned;
            }
            store_four(q, r, d, low);
            store_four(q, r, d + half, high);
        }
    }
}

/* Queries of a warpgroup's rows as they are. */
template <int dim> __device__ void keep_rows(float *kept, const ba_dev_attention &a, const errand &e, int row0) {
    int pieces = a.dim / 4, rows = min(e.at.rows * e.at.heads - row0, 64);
#pragma unroll 4
    for (int i = (int)threadIdx.x % GROUP; i < rows * pieces; i += GROUP) {
        int r = i / pieces, d = i % pieces * 4, row = e.at.row + (row0 + r) / e.at.heads;
        int head = e.at.head + (row0 + r) % e.at.heads;
        *reinterpret_cast<float4 *>(kept + r * dim + d) = *reinterpret_cast<const float4 *>(
            a.q.at + (size_t)(e.job.row0 + row) * a.q.stride + (size_t)head * a.dim + d);
    }
}

/* Waits for the other threads of the warpgroup. */
__device__ void meet_group(int group) {
    asm volatile("bar.sync %0, %1;" ::"r"(1 + group), "n"((int)GROUP) : "memory");
}

/* The rows of a thread: 16 of a warp, row0 + g and 8 more. */
template <int dim> struct rows_state {
    float m[2], l[2]; /* l: the thread's share, of a quarter of the keys */
    float o[dim / 2];
    float total_m[2], total_l[2];
    bool has_total; /* room.total is in use */
};

/* Masks scores, and turns them into probabilities. m: the rows' new maxima; factor: of what was before. */
template <int dim>
__device__ void soften(const rows_state<dim> &state, float (&s)[KEYS / 2], const ba_dev_attention &a, const errand &e,
                       const step &now, int local, float (&m)[2], float (&factor)[2]) {
    int pair = (int)threadIdx.x % 4 * 2;
    if (now.bias != 0) {
#pragma unroll
        for (int i = 0; i < KEYS / 2; i++) {
            s[i] += now.bias;
        }
    }
    if (now.masked) {
        const ba_dev_segment &seg = a.seg[now.seg];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int lo, hi;
            see_range(a, seg, e.at.row + min((local + 8 * r) / e.at.heads, e.at.rows - 1), lo, hi);
            lo = max(seg.first + lo, now.begin) - now.token - pair;
            hi = min(seg.first + hi, now.end) - now.token - pair;
#pragma unroll
            for (int i = 0; i < KEYS / 8; i++) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    float &x = s[4 * i + 2 * r + j];
                    x = 8 * i + j >= lo && 8 * i + j < hi ? x : -INFINITY;
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float most = s[2 * r];
#pragma unroll
        for (int i = 0; i < KEYS / 8; i++) {
            most = fmaxf(most, fmaxf(s[4 * i + 2 * r], s[4 * i + 2 * r + 1]));
        }
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        float before = now.begins_run ? NO_SCORE : state.m[r];
        m[r] = fmaxf(before, most);
        factor[r] = power_of_two(before - m[r]);
#pragma unroll
        for (int i = 0; i < KEYS / 8; i++) {
            s[4 * i + 2 * r] = power_of_two(s[4 * i + 2 * r] - m[r]);
            s[4 * i + 2 * r + 1] = power_of_two(s[4 * i + 2 * r + 1] - m[r]);
        }
    }
}

/* Rounds probabilities, and adds what they are then to the sums. */
template <int dim>
__device__ void round_step(rows_state<dim> &state, const float (&s)[KEYS / 2], uint32_t (&p)[KEYS / 4]) {
#pragma unroll
    for (int i = 0; i < KEYS / 4; i++) {
        p[i] = round_pair(s[2 * i], s[2 * i + 1]);
        state.l[i % 2] += wide_low(p[i]) + wide_high(p[i]);
    }
}

template <int dim>
__device__ void multiply_keys(float (&s)[KEYS / 2], const uint16_t (*q)[64][BOX_COLS],
                              const uint16_t (*k)[KEYS][BOX_COLS]) {
    wgmma_fence();
#pragma unroll
    for (int box = 0; box < dim / BOX_COLS; box++) {
        uint64_t x = along_rows(q[box]), y = along_rows(k[box]);
#pragma unroll
        for (int i = 0; i < BOX_COLS / 16; i++) {
            wgmma(s, x + i * STEP_ALONG, y + i * STEP_ALONG, box > 0 || i > 0);
        }
    }
    wgmma_commit();
}

template <int dim>
__device__ void add_values(float (&o)[dim / 2], const uint32_t (&p)[KEYS / 4], const uint16_t (*v)[KEYS][BOX_COLS]) {
    wgmma_fence();
    uint64_t y = down_rows(v[0], KEYS * BOX_ROW);
#pragma unroll
    for (int i = 0; i < KEYS / 16; i++) {
        wgmma_down(o, p + 4 * i, y + i * STEP_DOWN, true);
    }
    wgmma_commit();
}

/* Sums of the four threads that share a row. */
__device__ float sum_of_four(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* Merges the run that has ended into the total: as `merge` of merge.cuh does. last: the result stays in o, and its sum
 * in total_l. */
template <int dim> __device__ void end_run(rows_state<dim> &state, float (*total)[GROUP], bool last) {
    int thread = (int)threadIdx.x % GROUP;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float l = sum_of_four(state.l[r]), before_m = state.has_total ? state.total_m[r] : NO_SCORE;
        float before_l = state.has_total ? state.total_l[r] : 0;
        float most = fmaxf(before_m, state.m[r]), x = exp2f(before_m - most), y = exp2f(state.m[r] - most);
        bool empty = l == 0;
#pragma unroll
        for (int i = 0; i < dim / 8; i++) {
#pragma unroll
            for (int j = 0; j < 2; j++) {
                int at = 4 * i + 2 * r + j;
                float before = state.has_total ? total[at][thread] : 0;
                float after = empty ? before : before * x + state.o[at] * y;
                if (last) {
                    state.o[at] = after;
                } else {
                    total[at][thread] = after;
                }
            }
        }
        state.total_l[r] = empty ? before_l : before_l * x + l * y;
        state.total_m[r] = empty ? before_m : most;
    }
    state.has_total = true;
}

template <int dim>
__device__ void store_partial(const rows_state<dim> &state, partial_state to, int local, int rows, int real_dim) {
    int pair = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float l = sum_of_four(state.l[r]);
        int at = local + 8 * r;
        if (at >= rows) {
            continue;
        }
        if (pair == 0) {
            to.m[at] = state.m[r];
            to.l[at] = l;
        }
#pragma unroll
        for (int i = 0; i < dim / 8; i++) {
            int col = i * 8 + pair;
            if (col < real_dim) {
                *reinterpret_cast<float2 *>(to.o + (size_t)at * real_dim + col) =
                    make_float2(state.o[4 * i + 2 * r], state.o[4 * i + 2 * r + 1]);
            }
        }
    }
}

template <int dim>
__device__ void store_rows(const rows_state<dim> &state, const ba_dev_attention &a, const errand &e, int local) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int at = local + 8 * r, row = e.job.row0 + e.at.row + at / e.at.heads, head = e.at.head + at % e.at.heads;
        float factor = state.total_l[r] == 0 ? 0 : 1 / state.total_l[r];
#pragma unroll
        for (int i = 0; i < dim / 8; i++) {
            int col = i * 8 + (int)threadIdx.x % 4 * 2;
            if (at < e.at.rows * e.at.heads && col < a.dim) {
                put_pair(a.out, (size_t)row, (size_t)head * a.dim + col, true, state.o[4 * i + 2 * r] * factor,
                         state.o[4 * i + 2 * r + 1] * factor);
            }
        }
    }
}

/* The two warpgroups take turns to ask for products: while those of one run, the other softens its scores. */
__device__ void take_turn(int group) {
    asm volatile("bar.sync %0, %1;" ::"r"(3 + group), "n"(2 * (int)GROUP) : "memory");
}

__device__ void give_turn(int group) {
    asm volatile("bar.arrive %0, %1;" ::"r"(3 + (group ^ 1)), "n"(2 * (int)GROUP) : "memory");
}

/* A warpgroup on its way through the steps. */
template <int dim, bool whole> struct walker {
    attend_room<dim> &room;
    const ba_dev_attention &a;
    int group, slot;
    uint32_t parity;
    int kept_row, kept_head; /* of the queries that are kept, where there is room for them */

    __device__ step await() {
        barrier_wait(&room.k_full[slot], parity);
        return room.steps[slot];
    }

    __device__ void next() {
        slot = slot + 1 == SLOTS ? 0 : slot + 1;
        parity ^= slot == 0;
    }

    /* A lane arrives for its warp, all of whose lanes must have read. */
    __device__ void release(uint64_t *empty) {
        __syncwarp();
        if (threadIdx.x % WARP == 0) {
            barrier_arrive(empty);
        }
    }

    __device__ void rotate(const errand &e, const step &now) {
        float *kept = whole ? nullptr : &room.total[group][0][0];
        if (!whole && (e.job.row0 + e.at.row != kept_row || e.at.head != kept_head)) {
            keep_rows<dim>(kept, a, e, group * 64);
            kept_row = e.job.row0 + e.at.row;
            kept_head = e.at.head;
        }
        meet_group(group); /* all have multiplied by the last ones */
        rotate_rows<dim>(room.q[group], a, e, now.rot_row, now.factor, group * 64, kept);
        publish_shared();
        meet_group(group);
    }

    /* Steps up to the end of the errand, whose result is then in `state`. */
    __device__ void walk(const errand &e, step now, int local, bool turns, rows_state<dim> &state) {
        float s[KEYS / 2], m[2], factor[2];
        uint32_t p[KEYS / 4];
        auto advance = [&](const step &to) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                state.m[r] = m[r];
                state.l[r] = to.begins_run ? 0 : state.l[r] * factor[r];
            }
            round_step<dim>(state, s, p);
        };
        if (now.rotate) {
            rotate(e, now);
        }
        multiply_keys<dim>(s, room.q[group], room.k[slot]);
        wgmma_wait<0>();
        wgmma_touch(s);
        release(&room.k_empty[slot]);
        soften<dim>(state, s, a, e, now, local, m, factor);
        advance(now);
        for (;;) {
            int v_slot = slot;
            uint32_t v_parity = parity;
            next();
            now = await();
            if (now.seg < 0) {
                barrier_wait(&room.v_full[v_slot], v_parity);
                add_values<dim>(state.o, p, room.v[v_slot]);
                wgmma_wait<0>();
                wgmma_touch(state.o);
                wgmma_touch(p);
                release(&room.v_empty[v_slot]);
                return;
            }
            if (now.rotate) {
                rotate(e, now);
            }
            barrier_wait(&room.v_full[v_slot], v_parity);
            if (turns) {
                take_turn(group);
            }
            multiply_keys<dim>(s, room.q[group], room.k[slot]);
            add_values<dim>(state.o, p, room.v[v_slot]);
            if (turns) {
                give_turn(group);
            }
            wgmma_wait<1>();
            wgmma_touch(s);
            release(&room.k_empty[slot]);
            soften<dim>(state, s, a, e, now, local, m, factor);
            /* The compiler would wait first and soften afterwards, but for a branch in between. */
            if (whole && now.begins_run) {
                wgmma_wait<0>();
                wgmma_touch(state.o);
                wgmma_touch(p);
                end_run<dim>(state, room.total[group], false);
#pragma unroll
                for (int i = 0; i < dim / 2; i++) {
                    state.o[i] = 0;
                }
            } else if (__any_sync(0xffffffffu, factor[0] != 1 || factor[1] != 1)) {
                wgmma_wait<0>();
                wgmma_touch(state.o);
                wgmma_touch(p);
#pragma unroll
                for (int i = 0; i < dim / 2; i++) {
                    state.o[i] *= factor[i / 2 % 2];
                }
            } else {
                wgmma_wait<0>();
                wgmma_touch(state.o);
                wgmma_touch(p);
            }
            release(&room.v_empty[v_slot]);
            advance(now);
        }
    }
};

template <int dim, bool whole>
__device__ void attend_rows(attend_room<dim> &room, const ba_dev_attention &a, float *partial) {
    int group = (int)threadIdx.x / GROUP - 1, lane = (int)threadIdx.x % WARP;
    int local = group * 64 + (int)threadIdx.x % GROUP / WARP * 16 + lane / 4;
    walker<dim, whole> w = {room, a, group, 0, 0, -1, -1};
    if (group == 1) {
        give_turn(group);
    }
    for (int done = 0;; done++) {
        step now = w.await();
        if (now.seg == NO_MORE) {
            break;
        }
        const errand &e = room.errands[done % 2];
        int rows = e.at.rows * e.at.heads;
        if (group * 64 < rows) {
            rows_state<dim> state = {};
            state.m[0] = state.m[1] = NO_SCORE;
            if (now.seg >= 0) {
                w.walk(e, now, local, rows > 64, state);
            }
            if constexpr (whole) {
                end_run<dim>(state, room.total[group], true);
                store_rows<dim>(state, a, e, local);
            } else {
                store_partial<dim>(state, partial_at(partial, e.slot, a.dim), local, rows, a.dim);
            }
        } else {
            for (; now.seg >= 0; now = w.await()) {
                w.release(&room.k_empty[w.slot]);
                barrier_wait(&room.v_full[w.slot], w.parity);
                w.release(&room.v_empty[w.slot]);
                w.next();
            }
        }
        w.release(&room.k_empty[w.slot]);
        w.release(&room.v_empty[w.slot]);
        w.next();
    }
    if (group == 0) {
        take_turn(group); /* the last one that was given */
    }
}

/* whole: an errand is a tile; else, one of the items. */
template <int dim, bool whole>
__global__ void __launch_bounds__(BLOCK, 1)
    attend_kernel(const __grid_constant__ ba_dev_attention a, launched l, int items, float *partial) {
    extern __shared__ unsigned char memory[];
    auto &room = *reinterpret_cast<attend_room<dim> *>(align_boxes(memory));
    if (threadIdx.x == 0) {
        for (int i = 0; i < SLOTS; i++) {
            barrier_init(&room.k_full[i], 1);
            barrier_init(&room.v_full[i], 1);
            barrier_init(&room.k_empty[i], 2 * GROUP / WARP);
            barrier_init(&room.v_empty[i], 2 * GROUP / WARP);
        }
        barriers_publish();
    }
    for (int i = (int)threadIdx.x; i < (int)sizeof room.q / 16; i += BLOCK) {
        reinterpret_cast<uint4 *>(room.q)[i] = make_uint4(0, 0, 0, 0); /* of rows and dimensions that are not there */
    }
    __syncthreads();
    let_next_begin();
    wait_for_previous();
    if (threadIdx.x < GROUP) {
        fewer_registers<56>();
        if (threadIdx.x < WARP) {
            fetch_steps<dim, whole>(room, a, l, items);
        }
    } else {
        more_registers<224>();
        attend_rows<dim, whole>(room, a, partial);
    }
}

/* A warp per row of a tile and part of the heads; dim: at most. */
template <int dim>
__global__ void __launch_bounds__(THREADS) merge_kernel(ba_dev_attention a, int item0, int tile0, float *partial) {
    enum { AHEAD = 8, SHARE = dim / LANES }; /* states that are read before the first of them is merged */
    let_next_begin();
    wait_for_previous();
    int index = tile0 + (int)blockIdx.x / (ROWS / WARPS);
    int r = (int)blockIdx.x % (ROWS / WARPS) * WARPS + (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
    const ba_dev_job job = a.job[find_job(a.job, a.n_jobs, index, &ba_dev_job::tile0)];
    tile t = tile_at(a, job, index - job.tile0, (int)blockIdx.y, ROWS);
    if (r >= t.rows * t.heads) {
        return;
    }
    size_t item = (size_t)(job.item0 - item0) + (size_t)(index - job.tile0) * job.n_run;
    merged<SHARE> all, group;
    clear(all);
    clear(group);
    int in_hand = 0;
    for (int c0 = 0; c0 < job.n_run; c0 += AHEAD) {
        float m[AHEAD], l[AHEAD], o[AHEAD][SHARE];
#pragma unroll
        for (int c = 0; c < AHEAD; c++) {
            partial_state from =
                partial_at(partial, (item + min(c0 + c, job.n_run - 1)) * gridDim.y + blockIdx.y, a.dim);
            m[c] = from.m[r];
            l[c] = from.l[r];
#pragma unroll
            for (int i = 0; i < SHARE; i++) {
                o[c][i] = i * WARP + lane < a.dim ? from.o[(size_t)r * a.dim + i * WARP + lane] : 0;
            }
        }
#pragma unroll
        for (int c = 0; c < AHEAD; c++) {
            if (c0 + c < job.n_run) {
                int of = a.run[job.run0 + c0 + c].group;
                if (of != in_hand) {
                    merge_group(all, group, in_hand, a.lse_scale + job.scale0, a.dim, lane);
                    in_hand = of;
                }
                if (l[c] != 0) {
                    merge(group, m[c], l[c], o[c], a.dim, lane);
                }
            }
        }
    }
    merge_group(all, group, in_hand, a.lse_scale + job.scale0, a.dim, lane);
    put_merged(a, all, job.row0 + t.row + r / t.heads, t.head + r % t.heads, lane);
}

template <int dim, bool whole>
void attend(cudaStream_t stream, const ba_dev_attention *a, launched l, int items, float *partial) {
    static const int blocks = processors();
    auto kernel = attend_kernel<dim, whole>;
    launch_plan plan(stream, BLOCK, sizeof(attend_room<dim>) + BOX_SLACK, 1);
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)plan.config.dynamicSmemBytes);
    l.all = (whole ? l.tiles : items) * ba_dev_head_parts(a->heads, a->kv_heads, ROWS);
    int grid = l.all < blocks ? l.all : blocks, same = l.all / (whole ? 1 : items) * l.tiles;
    /* In steps of the number of tiles, a block has the same queries all the time: if that costs no round, so be it. */
    if (!whole && same <= grid && (l.all - 1) / (grid - grid % same) == (l.all - 1) / grid) {
        grid -= grid % same;
    }
    plan.config.gridDim = dim3((unsigned)grid);
    cudaLaunchKernelEx(&plan.config, kernel, *a, l, items, partial);
}

} // namespace

void ba_dev_attend_hopper(cudaStream_t stream, const ba_dev_attention *a, int item0, int items, int tile0, int tiles,
                          bool whole, float *partial) {
    if (!tiles) {
        return;
    }
    launched l = {tile0, tiles, item0, 0};
    if (whole) {
        (a->dim <= 64 ? attend<64, true> : attend<128, true>)(stream, a, l, 0, partial);
        return;
    }
    if (items) {
        (a->dim <= 64 ? attend<64, false> : attend<128, false>)(stream, a, l, items, partial);
    }
    dim3 grid((unsigned)tiles * (ROWS / WARPS), (unsigned)ba_dev_head_parts(a->heads, a->kv_heads, ROWS));
    launch_plan plan(stream, THREADS, 0, 1);
    plan.config.gridDim = grid;
    cudaLaunchKernelEx(&plan.config, a->dim <= 64 ? merge_kernel<64> : merge_kernel<128>, *a, item0, tile0, partial);
}
