/* What goes wrong, as lines. */
#include "lmdb.h"

const char *ba_lmdb_error(int rc) {
    return rc == BA_LMDB_CUT ? "data.mdb was cut off: it ends before its last page" : mdb_strerror(rc);
}

void ba_lmdb_complain(ba_lmdb *t, const char *doing, int rc) {
    char line[BA_ERR_LEN];
    if (!atomic_exchange(&t->said, true)) {
        ba_fail(line, "store lmdb:%s: %s: %s; going on without", t->base.spec.place, doing, ba_lmdb_error(rc));
        t->base.remark(line);
    }
}

int ba_lmdb_fail(const ba_lmdb *t, int rc, char err[BA_ERR_LEN]) {
    return ba_fail(err, "store lmdb:%s: %s", t->base.spec.place, ba_lmdb_error(rc));
}
