/* The machine's memory as a tier, for a backend that keeps KV on a device: blocks lie in memory that the device reaches by
 * itself, and evicted ones leave a record that explains misses. It is of one process and is not opened by a text. */
#ifndef BA_RAM_H
#define BA_RAM_H

#include "tier.h"

/* A tier of so many bytes. The backend must outlive it. NULL: out of memory. */
ba_tier *ba_ram_new(ba_backend *be, uint64_t size, const ba_policy *policy, ba_remark remark);

#endif
