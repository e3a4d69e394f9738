/* Machines as data (experiments/configs/hardware.json): rates per second, power, prices. */
#ifndef BA_HARDWARE_H
#define BA_HARDWARE_H

#include "kernels/base/error.h"

typedef struct ba_hardware {
    char name[64];
    double flops, memory_bandwidth;              /* 1/s, B/s; sustained */
    double disk_bandwidth, disk_latency;         /* B/s, s */
    double network_bandwidth, network_latency;   /* B/s, s */
    double watts, price_hour;                    /* while it works; USD */
    double ram_price, disk_price, network_price; /* USD per GB (10^9 bytes) and month */
} ba_hardware;

/* The row of a name. 0, or -1 and err (an unknown name lists what there is). */
int ba_hardware_read(const char *path, const char *name, ba_hardware *out, char err[BA_ERR_LEN]);

#endif
