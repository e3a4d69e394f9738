/* The card as the driver and NVML describe it. */
#include "kernels/cuda/host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The part of NVML that is used, by the names and numbers of its documentation. Every function returns 0 if it worked. */
typedef struct nvml {
    void *library, *device;
    int (*init)(void), (*shutdown)(void);
    int (*handle)(const char *bus, void **device);
    int (*driver)(char *out, unsigned size);
    int (*clock)(void *device, int type, unsigned *mhz), (*most)(void *device, int type, unsigned *mhz);
    int (*reasons)(void *device, unsigned long long *bits);
    int (*processes)(void *device, unsigned *count, void *info);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
    int (*power)(void *device, unsigned *milliwatts);
} nvml;

enum { SM = 1, MEMORY = 2, POWER_LIMIT = 0x4, TOO_FEW = 7 /* NVML_ERROR_INSUFFICIENT_SIZE */ };

static void unload(nvml *n) {
    if (n->device) {
        n->shutdown();
    }
    if (n->library) {
        dlclose(n->library);
    }
}

/* false: NVML, or one of these functions, is not there. */
static bool load(nvml *n, int device) {
    const struct {
        const char *name;
        void *at;
    } wanted[] = {{"nvmlInit_v2", &n->init},
                  {"nvmlShutdown", &n->shutdown},
                  {"nvmlDeviceGetHandleByPciBusId_v2", &n->handle},
                  {"nvmlSystemGetDriverVersion", &n->driver},
                  {"nvmlDeviceGetClockInfo", &n->clock},
                  {"nvmlDeviceGetMaxClockInfo", &n->most},
                  {"nvmlDeviceGetCurrentClocksThrottleReasons", &n->reasons},
                  {"nvmlDeviceGetComputeRunningProcesses_v3", &n->processes},
                  {"nvmlDeviceGetTemperature", &n->temperature},
                  {"nvmlDeviceGetPowerUsage", &n->power}};
    char bus[32];
    *n = (nvml){.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = n->library ? dlsym(n->library, wanted[i].name) : NULL;
        if (!found) {
            return false;
        }
        memcpy(wanted[i].at, &found, sizeof found);
    }
    if (cudaDeviceGetPCIBusId(bus, sizeof bus, device) != cudaSuccess || n->init() != 0) {
        return false;
    }
    if (n->handle(bus, &n->device) != 0) {
        n->device = NULL;
        n->shutdown();
    }
    return n->device;
}

/* Appends to a list with "; ". */
static void append(char *list, size_t size, const char *text) {
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? "; " : "", text);
}

/* Returns whether the clock is far below the highest: at its power limit, a busy card is a little below all the time. */
static bool describe_state(const nvml *n, ba_device *out) {
    unsigned sm = 0, sm_most = 0, memory = 0, celsius = 0, milliwatts = 0;
    if (n->clock(n->device, SM, &sm) == 0 && n->most(n->device, SM, &sm_most) == 0 &&
        n->clock(n->device, MEMORY, &memory) == 0) {
        snprintf(out->state, sizeof out->state, "SM %u of %u MHz, memory %u MHz", sm, sm_most, memory);
    }
    if (n->temperature(n->device, 0, &celsius) == 0 && n->power(n->device, &milliwatts) == 0) {
        char text[48];
        snprintf(text, sizeof text, "%u C, %u W", celsius, milliwatts / 1000);
        append(out->state, sizeof out->state, text);
    }
    return 20 * sm < 19 * sm_most;
}

static void find_trouble(const nvml *n, bool slow, ba_device *out) {
    static const struct {
        unsigned long long bit;
        const char *text;
    } reason[] = {{POWER_LIMIT, "clocks are held down by the power limit"},
                  {0x8, "clocks are held down by the hardware"},
                  {0x20, "clocks are held down by temperature (driver)"},
                  {0x40, "clocks are held down by temperature (hardware)"},
                  {0x80, "clocks are held down by the power brake"}};
    unsigned long long bits = 0;
    unsigned count = 0;
    if (n->reasons(n->device, &bits) == 0) {
        for (size_t i = 0; i < sizeof reason / sizeof *reason; i++) {
            if (bits & reason[i].bit && (slow || reason[i].bit != POWER_LIMIT)) {
                append(out->warning, sizeof out->warning, reason[i].text);
            }
        }
    }
    int status = n->processes(n->device, &count, NULL);
    if ((status == 0 || status == TOO_FEW) && count > 1) {
        char text[64];
        snprintf(text, sizeof text, "%u other process%s on the card", count - 1, count > 2 ? "es" : "");
        append(out->warning, sizeof out->warning, text);
    }
}

/* What the pool of this process holds and does not use is as good as free. */
static uint64_t idle_in_pool(int device) {
    cudaMemPool_t pool;
    uint64_t reserved = 0, used = 0;
    if (cudaDeviceGetDefaultMemPool(&pool, device) != cudaSuccess ||
        cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved) != cudaSuccess ||
        cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    return reserved - used;
}

void ba_cuda_device(ba_backend *be, ba_device *out) {
    ba_gpu *cuda = (ba_gpu *)be;
    struct cudaDeviceProp p;
    size_t free_memory = 0, memory = 0;
    int version = 0;
    nvml n;
    *out = (ba_device){.name = "unknown card"};
    cudaStreamSynchronize(cuda->stream); /* so that what was freed counts as free */
    if (cudaGetDeviceProperties(&p, cuda->device) == cudaSuccess) {
        snprintf(out->name, sizeof out->name, "%.95s", p.name);
    }
    if (cudaMemGetInfo(&free_memory, &memory) == cudaSuccess) {
        out->memory = memory;
        out->free_memory = free_memory + idle_in_pool(cuda->device);
    }
    cudaDriverGetVersion(&version);
    snprintf(out->driver, sizeof out->driver, "CUDA %d.%d", version / 1000, version % 1000 / 10);
    if (load(&n, cuda->device)) {
        char driver[40];
        if (n.driver(driver, sizeof driver) == 0) {
            snprintf(out->driver, sizeof out->driver, "%s", driver);
        }
        find_trouble(&n, describe_state(&n, out), out);
    }
    unload(&n);
}

const char *ba_cuda_fault(const ba_backend *be) {
    const ba_gpu *cuda = (const ba_gpu *)be;
    return cuda->fault == cudaSuccess ? NULL : cudaGetErrorString(cuda->fault);
}
