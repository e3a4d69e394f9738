/* Products of few rows, whose time is that of reading the weights: every block reads some of the weight's rows, many
 * steps ahead. Weights are the rows of the instruction here, and x its columns, of which there may be few.
 *
 * All blocks need all of x, which would be more to read from the L2 cache than the weights are from memory. So blocks form
 * clusters: each brings a part of the rows of x to all of its cluster.
 *
 * The weights do not depend on the kernel before this one, so they are asked for before it has ended. */
#include "linear.cuh"

namespace {

using namespace ba;

enum { WARP = 32, MULTIPLIERS = 128, THREADS = MULTIPLIERS + WARP, HEIGHT = 64, SLOTS_MOST = 48 };

struct few_product {
    product p;
    int height, rounds; /* rows of the weight that make a tile, a multiple of 8 (16 if gated); tiles of a block */
    int steps, slots;   /* steps of `depth` boxes to the end */
};

/* n: rows of x, and of zeros after them. depth: boxes of 64 columns that one copy brings, for a step, since every step
 * costs its barriers.
 *
 * A slot holds the boxes of the weight, then those of x. An instruction reads 64 rows of the weight, past the end of a
 * lower box: what comes of that is left out. So the boxes are followed by room that is never written. */
struct few_room {
    unsigned char *box;
    uint64_t *full, *empty;
};

template <int n, int depth> __host__ __device__ int slot_bytes(const few_product &f) {
    return depth * (f.height + n) * BOX_ROW;
}

/* A tile past the last one is all zeros: the blocks of a cluster go together. */
template <int n, int depth, int cluster, bool gated>
__device__ void fetch_tiles(const few_room &room, const few_product &f) {
    constexpr int part = n / cluster;
    int total = f.rounds * f.steps, ahead = min(total, f.slots), rank = cluster > 1 ? (int)cluster_rank() : 0;
    auto bytes = (uint32_t)slot_bytes<n, depth>(f);
    int tile = (int)blockIdx.x, k = 0; /* of the weights */
    auto fetch_w = [&](int slot) {
        unsigned char *to = room.box + slot * bytes;
        barrier_expect(&room.full[slot], bytes);
        int x = depth == 1 ? k * BOX_COLS : 0, z = depth == 1 ? 0 : k;
        if (gated) {
            load_halves(to, &f.p.w, &room.full[slot], x, tile * f.height / 2, z);
        } else {
            load_box(to, &f.p.w, &room.full[slot], x, tile * f.height, z);
        }
        k += depth;
        if (k >= f.p.steps) {
            k = 0;
            tile += (int)gridDim.x;
        }
    };
    auto fetch_x = [&](int slot, int step) {
        unsigned char *to = room.box + slot * bytes + depth * f.height * BOX_ROW;
        if constexpr (cluster == 1) {
            load_box(to, &f.p.x, &room.full[slot], depth == 1 ? step * BOX_COLS : 0, 0, depth == 1 ? 0 : step * depth);
        } else {
            for (int box = 0; box < depth; box++) {
                load_box_to((1 << cluster) - 1, to + (box * n + rank * part) * BOX_ROW, &f.p.x, &room.full[slot],
                            depth == 1 ? step * BOX_COLS : 0, rank * part, depth == 1 ? 0 : step * depth + box);
            }
        }
    };
    for (int i = 0; i < ahead; i++) {
        fetch_w(i);
    }
    wait_for_previous();
    int step = 0;
    auto next_step = [&] { step = step + 1 == f.steps ? 0 : step + 1; };
    for (int i = 0; i < ahead; i++, next_step()) {
        fetch_x(i, step);
    }
    for (int i = ahead, slot = 0, uses = 0; i < total; i++, next_step()) {
        barrier_wait(&room.empty[slot], (uint32_t)uses & 1);
        fetch_w(slot);
        fetch_x(slot, step);
        slot = slot + 1 == f.slots ? 0 : slot + 1;
        uses += slot == 0;
    }
}

/* Where sum i of a thread belongs; NULL: nowhere. */
__device__ float *place_of(const few_product &f, int i, int tile, int warp, int lane) {
    const product &p = f.p;
    int row = i / 4 * 8 + lane % 4 * 2 + i % 2, at = warp * 16 + lane / 4 + i % 4 / 2 * 8;
    int col = tile * f.height + at;
    return row < p.rows && at < f.height && col < p.out ? p.y.at + (size_t)row * p.y.stride + col : nullptr;
}

/* What sums are added to. Asked for while the products run: after them, each would wait for the store before it. */
template <int n> __device__ void load_old(const few_product &f, float (&old)[n / 2], int tile, int warp, int lane) {
#pragma unroll
    for (int i = 0; i < n / 2; i++) {
        const float *from = place_of(f, i, tile, warp, lane);
        old[i] = from ? *from : 0;
    }
}

template <int n>
__device__ void store(const few_product &f, const float (&c)[n / 2], const float (&old)[n / 2], int tile, int warp,
                      int lane) {
#pragma unroll
    for (int i = 0; i < n / 2; i++) {
        float *to = place_of(f, i, tile, warp, lane);
        if (to) {
            float y = finish(f.p, tile * f.height + warp * 16 + lane / 4 + i % 4 / 2 * 8, c[i]);
            *to = f.p.add ? add_reals(old[i], y) : y;
        }
    }
}

/* A gate's unit is 8 rows below it. */
template <int n>
__device__ void store_gated(const few_product &f, const float (&c)[n / 2], int tile, int warp, int lane) {
    const product &p = f.p;
    int at = warp * 16 + lane / 4, col = tile * (f.height / 2) + warp * 8 + lane / 4;
#pragma unroll
    for (int i = 0; i < n / 4; i++) {
        int row = i / 2 * 8 + lane % 4 * 2 + i % 2, gate = i / 2 * 4 + i % 2;
        if (row < p.rows && at < f.height && col < p.out) {
            put(p.y, (size_t)row, (size_t)col, finish(p, col, c[gate], c[gate + 2]));
        }
    }
}

template <int n, int depth, int cluster, bool gated>
__device__ void multiply_tiles(const few_room &room, const few_product &f) {
    int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP, slot = 0;
    int bytes = slot_bytes<n, depth>(f), w_box = f.height * BOX_ROW, x_first = depth * w_box;
    uint32_t parity = 0;
    float c[n / 2], old[n / 2];
    wait_for_previous();
    auto release = [&](int which) {
        if (cluster > 1 && lane < cluster) {
            barrier_arrive_at(&room.empty[which], (uint32_t)lane);
        } else if (cluster == 1 && lane == 0) {
            barrier_arrive(&room.empty[which]);
        }
    };
    for (int round = 0, tile = (int)blockIdx.x; round < f.rounds; round++, tile += (int)gridDim.x) {
        int last = 0;
        if (!gated && f.p.add) {
            load_old<n>(f, old, tile, warp, lane);
        }
        for (int step = 0; step < f.steps; step++) {
            barrier_wait(&room.full[slot], parity);
            const unsigned char *at = room.box + slot * bytes;
            uint64_t a = along_rows(at), b = along_rows(at + x_first);
            wgmma_fence();
#pragma unroll
            for (int box = 0; box < depth; box++) {
                uint64_t a_box = a + (uint64_t)(box * w_box >> 4), b_box = b + (uint64_t)(box * n * BOX_ROW >> 4);
#pragma unroll
                for (int i = 0; i < BOX_COLS / 16; i++) {
                    wgmma(c, a_box + i * STEP_ALONG, b_box + i * STEP_ALONG, step > 0 || box > 0 || i > 0);
                }
            }
            wgmma_commit();
            wgmma_wait<1>();
            if (step > 0) {
                release(last);
            }
            last = slot;
            slot = slot + 1 == f.slots ? 0 : slot + 1;
            parity ^= slot == 0;
        }
        wgmma_wait<0>();
        wgmma_touch(c);
        release(last);
        if constexpr (gated) {
            store_gated<n>(f, c, tile, warp, lane);
        } else {
            store<n>(f, c, old, tile, warp, lane);
        }
    }
}

template <int n, int depth, int cluster, bool gated>
__global__ void __launch_bounds__(THREADS, 1) few_kernel(const __grid_constant__ few_product f) {
    extern __shared__ unsigned char memory[];
    __shared__ uint64_t barrier[2 * SLOTS_MOST];
    few_room room = {align_boxes(memory), barrier, barrier + SLOTS_MOST};
    if (threadIdx.x == 0) {
        for (int i = 0; i < f.slots; i++) {
            barrier_init(&room.full[i], 1);
            barrier_init(&room.empty[i], MULTIPLIERS / WARP * cluster);
        }
        barriers_publish();
    }
    if constexpr (cluster > 1) {
        cluster_wait();
    } else {
        __syncthreads();
    }
    let_next_begin();
    if (threadIdx.x == MULTIPLIERS) {
        fetch_tiles<n, depth, cluster, gated>(room, f);
    } else if (threadIdx.x < MULTIPLIERS) {
        multiply_tiles<n, depth, cluster, gated>(room, f);
    }
    if constexpr (cluster > 1) {
        __syncwarp();
        cluster_wait(); /* other blocks may still copy to this one's memory, and arrive at its barriers */
    }
}

/* Rows of the weight that make a tile, so that all blocks have about the same to do; n rows of x are read with each tile,
 * from the L2 cache. */
int height_of(int rows, int least, int blocks, int n) {
    int best = HEIGHT, best_cost = INT32_MAX;
    for (int height = HEIGHT; height >= 16; height -= least) {
        int tiles = (rows + height - 1) / height, cost = (tiles + blocks - 1) / blocks * (height + n / 2 + 4);
        if (cost < best_cost) {
            best = height;
            best_cost = cost;
        }
    }
    return best;
}

template <int n, int depth, int cluster, bool gated> bool launch(cudaStream_t stream, const ba_dev_linear *op) {
    auto kernel = few_kernel<n, depth, cluster, gated>;
    constexpr int room = SHARED_MOST - BOX_SLACK - (int)sizeof(uint64_t) * 2 * SLOTS_MOST, beyond = HEIGHT * BOX_ROW;
    launch_plan plan(stream, THREADS, room + BOX_SLACK, cluster);
    static const int blocks = blocks_at_once(kernel, plan, cluster);
    int w_rows = (int)op->out * (gated ? 2 : 1);
    few_product f = {product_of(op), height_of(w_rows, gated ? 16 : 8, blocks, n / cluster), 0, 0, 0};
    int tiles = (w_rows + f.height - 1) / f.height, grid = (tiles + cluster - 1) / cluster * cluster;
    grid = grid < blocks ? grid : blocks;
    f.rounds = (tiles + grid - 1) / grid;
    f.steps = (f.p.steps + depth - 1) / depth;
    int slots = (room - beyond) / slot_bytes<n, depth>(f);
    f.slots = slots < SLOTS_MOST ? slots : SLOTS_MOST;
    if (!map_weights(op, f.height, depth, &f.p.w) ||
        !map_rows(op, n / cluster, depth, cluster == 1 ? depth : 1, &f.p.x)) {
        return false;
    }
    plan.config.dynamicSmemBytes = (size_t)(f.slots * slot_bytes<n, depth>(f) + beyond + BOX_SLACK);
    plan.config.gridDim = dim3((unsigned)grid);
    cudaLaunchKernelEx(&plan.config, kernel, f);
    return true;
}

/* Deep boxes are whole ones only: the next row begins right after the last column of a row. */
template <int n, int depth, int cluster, bool gated> bool choose_depth(cudaStream_t stream, const ba_dev_linear *op) {
    return op->in % BOX_COLS == 0 ? launch<n, depth, cluster, gated>(stream, op)
                                  : launch<n, 1, cluster, gated>(stream, op);
}

template <bool gated> bool choose(cudaStream_t stream, const ba_dev_linear *op) {
    return op->rows <= 8    ? choose_depth<8, 4, 1, gated>(stream, op)
           : op->rows <= 16 ? choose_depth<16, 4, 1, gated>(stream, op)
           : op->rows <= 32 ? choose_depth<32, 4, 2, gated>(stream, op)
           : op->rows <= 64 ? choose_depth<64, 2, 4, gated>(stream, op)
                            : choose_depth<128, 2, 4, gated>(stream, op);
}

} // namespace

bool ba_dev_linear_few(cudaStream_t stream, const ba_dev_linear *op) {
    return op->glu == BA_DEV_NO_GLU ? choose<false>(stream, op) : choose<true>(stream, op);
}
