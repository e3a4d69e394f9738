/* The rows of the table in tier.c. */
#ifndef BA_TIERS_H
#define BA_TIERS_H

#include "tier.h"

extern const ba_tier_ops ba_tier_lmdb;
extern const ba_tier_ops ba_tier_redis;

#endif
