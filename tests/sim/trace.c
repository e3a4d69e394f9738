/* Traces: what goes in comes out, foreign files are left alone, and neither a kill nor a full disk costs a row. */
#include "sim/trace/trace.h"
#include "kernels/base/clock.h"
#include "sim/base/whole_file.h"
#include "sim/trace/merged.h"
#include "tests/support/runner.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

typedef struct row {
    int64_t i;
    double seconds; /* not in the order of the columns */
    uint64_t u;
    char name[12];
    const char *note;
} row;

static const ba_column columns[] = {
    {"i", BA_COLUMN_I64, offsetof(row, i), sizeof(int64_t), "", "explained"},
    BA_COLUMN(row, u, BA_COLUMN_U64, "B"),
    BA_COLUMN(row, seconds, BA_COLUMN_F64, "s"),
    BA_COLUMN(row, name, BA_COLUMN_TEXT, ""),
    BA_COLUMN(row, note, BA_COLUMN_STRING, ""),
    BA_COLUMNS_END,
};

static char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", ba_test_dir(), name);
    return path;
}

static row row_of(int64_t i) {
    row r = {.i = -i, .u = UINT64_MAX - (uint64_t)i, .seconds = i ? 1.0 / (double)i : NAN, .note = i % 2 ? "né" : NULL};
    snprintf(r.name, sizeof r.name, "row %d", (int)i);
    return r;
}

static bool is_row(const row *r, int64_t i) {
    row want = row_of(i);
    bool same_note = want.note ? r->note && strcmp(r->note, want.note) == 0 : !r->note || !*r->note;
    bool same_seconds = i ? r->seconds == want.seconds : isnan(r->seconds);
    return r->i == want.i && r->u == want.u && same_seconds && strcmp(r->name, want.name) == 0 && same_note;
}

static ba_trace *begin(const char *path, size_t *table) {
    char err[BA_ERR_LEN] = "";
    ba_trace *t = NULL;
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path, "test/1", &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_set(t, "machine", "one", err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_declare(t, "rows", columns, sizeof(row), table, err), 0);
    return t;
}

static void append(ba_trace *t, size_t table, int64_t from, int64_t to) {
    char err[BA_ERR_LEN] = "";
    for (int64_t i = from; i < to; i++) {
        row r = row_of(i);
        CU_ASSERT_EQUAL_FATAL(ba_trace_append(t, table, &r, err), 0);
    }
}

/* Rows in the file, all checked; SIZE_MAX if the file does not open or holds anything wrong. */
static size_t rows_in(const char *path) {
    char err[BA_ERR_LEN] = "";
    ba_trace *t;
    if (ba_trace_open(path, &t, err)) {
        return SIZE_MAX;
    }
    size_t table, n = SIZE_MAX;
    if (ba_trace_declare(t, "rows", columns, sizeof(row), &table, err) == 0) {
        n = ba_trace_rows(t, table);
    }
    for (size_t i = 0; i < n && n != SIZE_MAX; i++) {
        row r;
        if (ba_trace_read(t, table, i, 1, &r, err) || !is_row(&r, (int64_t)i)) {
            n = SIZE_MAX;
        } else {
            ba_trace_release(t, table, &r, 1);
        }
    }
    ba_trace_close(t);
    return n;
}

static void finish(ba_trace *t) {
    char err[BA_ERR_LEN] = "";
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
}

static int find_machine(void *arg, const char *key, const char *value) {
    size_t *found = arg;
    *found += strcmp(key, "machine") == 0 && strcmp(value, "one") == 0;
    *found += strcmp(key, "schema") == 0 && strcmp(value, "test/1") == 0;
    return 0;
}

static char *read_all(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1 << 22);
    CU_ASSERT_TRUE_FATAL(f && bytes);
    *n = fread(bytes, 1, 1 << 22, f);
    fclose(f);
    return bytes;
}

static void write_bytes(const char *path, const char *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* Attributes of a trace as "key=value;" in their order. */
typedef struct listing {
    char text[1024];
    size_t longest;
} listing;

static int list_one(void *arg, const char *key, const char *value) {
    listing *l = arg;
    size_t used = strlen(l->text), n = strlen(value);
    l->longest = n > l->longest ? n : l->longest;
    snprintf(l->text + used, sizeof l->text - used, "%s=%.100s;", key, value);
    return 0;
}

static listing list_of(const char *path) {
    char err[BA_ERR_LEN];
    listing l = {.longest = 0};
    ba_trace *t;
    if (ba_trace_open(path, &t, err) == 0) {
        ba_trace_attributes(t, list_one, &l);
        ba_trace_close(t);
    }
    return l;
}

static void write_attributes(const char *path) {
    char err[BA_ERR_LEN], *large = malloc(60001);
    CU_ASSERT_PTR_NOT_NULL_FATAL(large);
    memset(large, 'x', 60000);
    large[60000] = '\0';
    size_t table;
    ba_trace *t = begin(path, &table);
    CU_ASSERT_EQUAL(ba_trace_set(t, "name", "né", err), 0);
    CU_ASSERT_EQUAL(ba_trace_set(t, "empty", "", err), 0);
    CU_ASSERT_EQUAL(ba_trace_set(t, "large", large, err), 0);
    CU_ASSERT_EQUAL(ba_trace_set_count(t, "count", UINT64_MAX, err), 0);
    CU_ASSERT_EQUAL(ba_trace_set_real(t, "real", 0.1, err), 0);
    /* The same again is fine, something else is not. */
    CU_ASSERT_EQUAL(ba_trace_set_count(t, "count", UINT64_MAX, err), 0);
    CU_ASSERT_EQUAL(ba_trace_set_count(t, "count", 1, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(ba_trace_set_real(t, "real", 0.1, err), 0);
    CU_ASSERT_EQUAL(ba_trace_set_real(t, "real", 0.2, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(ba_trace_set(t, "name", "ne", err), BA_TRACE_REFUSED);
    large[0] = 'y';
    CU_ASSERT_EQUAL(ba_trace_set(t, "large", large, err), BA_TRACE_REFUSED);
    append(t, table, 0, 3);
    finish(t);
    free(large);
}

/* Texts of any length and numbers; and texts of a fixed length, which the committed traces have. */
static void attributes_come_back(void) {
    char *path = path_of("attributes.h5");
    write_attributes(path);
    listing l = list_of(path);
    CU_ASSERT_PTR_NOT_NULL(strstr(l.text, "schema=test/1;machine=one;name=né;empty=;large=xxx"));
    CU_ASSERT_PTR_NOT_NULL(strstr(l.text, ";count=18446744073709551615;real=0.10000000000000001;"));
    CU_ASSERT_EQUAL(l.longest, 60000);
    l = list_of("results/traces/tune.h5.gz");
    CU_ASSERT_PTR_NOT_NULL(strstr(l.text, "schema=blockattn/merged/1;"));
}

/* Texts lie in heaps, whose sizes HDF5 takes on trust: a wrong one is noticed, and nothing is read beyond it. */
static void damaged_attributes_are_noticed(void) {
    char *path = path_of("damaged-attributes.h5");
    write_attributes(path);
    size_t n = 0, changed = 0;
    char *bytes = read_all(path, &n);
    for (size_t at = 0; at + 4 < n; at++) {
        if (memcmp(bytes + at, "GCOL", 4) != 0) {
            continue;
        }
        for (size_t k = at + 8; k < at + 120 && k < n; k++) {
            bytes[k] = (char)(bytes[k] ^ 0x55);
            write_bytes(path, bytes, n);
            listing l = list_of(path);
            changed += !strstr(l.text, "machine=one;name=né;empty=;large=xxx");
            bytes[k] = (char)(bytes[k] ^ 0x55);
        }
    }
    CU_ASSERT_TRUE(changed > 20);
    free(bytes);
}

/* Rows of an earlier version: another order, a column more, a longer text. */
static void rows_are_read_by_name(void) {
    typedef struct other {
        char name[4];
        double seconds;
        int64_t i;
    } other;
    static const ba_column want[] = {BA_COLUMN(other, name, BA_COLUMN_TEXT, ""),
                                     BA_COLUMN(other, seconds, BA_COLUMN_F64, "s"),
                                     BA_COLUMN(other, i, BA_COLUMN_I64, ""), BA_COLUMNS_END};
    static const ba_column wrong[] = {BA_COLUMN_AS("u", other, seconds, BA_COLUMN_F64, ""), BA_COLUMNS_END};
    char *path = path_of("read-by-name.h5"), err[BA_ERR_LEN];
    size_t table, row_size;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 9);
    finish(t);
    CU_ASSERT_EQUAL_FATAL(ba_trace_open(path, &t, err), 0);
    CU_ASSERT_EQUAL(ba_trace_has_columns(t, 0, want, err), 0);
    CU_ASSERT_EQUAL(ba_trace_has_columns(t, 0, wrong, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "column u is missing or of another type"));
    const ba_column *have = ba_trace_columns(t, 0, &row_size);
    char *raw = malloc(row_size);
    other o;
    CU_ASSERT_EQUAL(ba_trace_read(t, 0, 8, 1, raw, err), 0);
    ba_trace_convert(have, raw, want, &o);
    CU_ASSERT_TRUE(o.i == -8 && o.seconds == 1.0 / 8 && !strcmp(o.name, "row"));
    ba_trace_release(t, 0, raw, 1);
    free(raw);
    ba_trace_close(t);
}

static void round_trip(void) {
    char *path = path_of("round.h5"), err[BA_ERR_LEN];
    size_t table, row_size, found = 0;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 700); /* several chunks */
    finish(t);
    CU_ASSERT_EQUAL(rows_in(path), 700);

    CU_ASSERT_EQUAL_FATAL(ba_trace_open(path, &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_tables(t), 1);
    CU_ASSERT_STRING_EQUAL(ba_trace_table_name(t, 0), "rows");
    const ba_column *c = ba_trace_columns(t, 0, &row_size);
    for (size_t i = 0; columns[i].name; i++) {
        CU_ASSERT_STRING_EQUAL(c[i].name, columns[i].name);
        CU_ASSERT_STRING_EQUAL(c[i].unit, columns[i].unit);
        CU_ASSERT_EQUAL(c[i].type, columns[i].type);
        CU_ASSERT_TRUE(c[i].offset + c[i].size <= row_size);
    }
    CU_ASSERT_PTR_NULL(c[5].name);
    CU_ASSERT_TRUE(c[0].about && !strcmp(c[0].about, "explained") && !c[1].about);
    ba_trace_attributes(t, find_machine, &found);
    CU_ASSERT_EQUAL(found, 2);
    /* The layout that the reader chose, without a struct. */
    char *any = malloc(2 * row_size);
    CU_ASSERT_EQUAL(ba_trace_read(t, 0, 6, 1, any, err), 0);
    CU_ASSERT_EQUAL(*(int64_t *)(void *)(any + c[0].offset), -6);
    CU_ASSERT_EQUAL(*(double *)(void *)(any + c[2].offset), 1.0 / 6);
    CU_ASSERT_STRING_EQUAL(any + c[3].offset, "row 6");
    ba_trace_release(t, 0, any, 1);
    CU_ASSERT_NOT_EQUAL(ba_trace_read(t, 0, 700, 1, any, err), 0);
    CU_ASSERT_NOT_EQUAL(ba_trace_read(t, 0, SIZE_MAX, 2, any, err), 0);
    free(any);
    ba_trace_close(t);
}

static void uncommitted_rows_are_not_seen(void) {
    char *path = path_of("commit.h5"), err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 3);
    CU_ASSERT_EQUAL(ba_trace_commit(t, err), 0);
    append(t, table, 3, 5);
    ba_trace_close(t);
    CU_ASSERT_EQUAL(rows_in(path), 3);
}

static void pause_us(long us) {
    struct timespec wait = {.tv_nsec = us * 1000};
    nanosleep(&wait, NULL);
}

/* At once, and then at most once a second; a commit puts another file in the old one's place. */
static void commits_when_due(void) {
    char err[BA_ERR_LEN];
    const char *path = path_of("due.h5");
    size_t table, commits = 0;
    ino_t last = 0;
    ba_trace *t = begin(path, &table);
    double start = ba_now(), end = start + 1.5;
    for (int64_t i = 0; ba_now() < end; i++) {
        struct stat now;
        append(t, table, i, i + 1);
        CU_ASSERT_EQUAL_FATAL(ba_trace_commit_due(t, err), 0);
        CU_ASSERT_EQUAL_FATAL(stat(path, &now), 0);
        commits += now.st_ino != last;
        last = now.st_ino;
        pause_us(1000);
    }
    CU_ASSERT(commits >= 2);
    CU_ASSERT((double)commits <= 1 + (ba_now() - start));
    ba_trace_close(t);
}

static void resume_goes_on(void) {
    char *path = path_of("resume.h5"), err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 3);
    CU_ASSERT_EQUAL(ba_trace_commit(t, err), 0);
    ba_trace_close(t);
    CU_ASSERT_EQUAL_FATAL(ba_trace_resume(path, "test/1", &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_declare(t, "rows", columns, sizeof(row), &table, err), 0);
    CU_ASSERT_EQUAL(ba_trace_rows(t, table), 3);
    CU_ASSERT_EQUAL(ba_trace_set(t, "machine", "one", err), 0);
    CU_ASSERT_EQUAL(ba_trace_set(t, "machine", "another", err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "machine = \"one\""));
    append(t, table, 3, 6);
    finish(t);
    CU_ASSERT_EQUAL(rows_in(path), 6);
    CU_ASSERT_EQUAL_FATAL(ba_trace_resume(path, "test/1", &t, err), 0);
    CU_ASSERT_EQUAL_FATAL(ba_trace_clear(t, 0, err), 0);
    finish(t);
    CU_ASSERT_EQUAL(rows_in(path), 0);
}

static void new_trace_replaces_when_finished(void) {
    char *path = path_of("over.h5"), partial[4200], err[BA_ERR_LEN];
    snprintf(partial, sizeof partial, "%s.partial", path);
    size_t table;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 4);
    finish(t);
    t = begin(path, &table);
    append(t, table, 0, 2);
    CU_ASSERT_EQUAL(ba_trace_commit(t, err), 0);
    CU_ASSERT_STRING_EQUAL(ba_trace_path(t), partial);
    CU_ASSERT_EQUAL(rows_in(path), 4);
    CU_ASSERT_EQUAL(rows_in(partial), 2);
    ba_trace_close(t);
    CU_ASSERT_EQUAL_FATAL(ba_trace_resume(path, "test/1", &t, err), 0); /* of the new one */
    CU_ASSERT_EQUAL_FATAL(ba_trace_declare(t, "rows", columns, sizeof(row), &table, err), 0);
    append(t, table, 2, 3);
    finish(t);
    CU_ASSERT_EQUAL(rows_in(path), 3);
    CU_ASSERT_NOT_EQUAL(access(partial, F_OK), 0);
}

static void write_text(const char *path, const char *text, size_t n) {
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, n, f), n);
    fclose(f);
}

/* Of two runs with one --out the second to write is refused, and what the first has written stays. */
static void two_writers(void) {
    char *path = path_of("two.h5"), same[4200], err[BA_ERR_LEN] = "";
    size_t table;
    snprintf(same, sizeof same, "%s/./two.h5", ba_test_dir()); /* HDF5 opens a name once in a process */
    ba_trace *a = begin(path, &table), *b = begin(same, &table);
    append(a, table, 0, 3);
    CU_ASSERT_EQUAL(ba_trace_commit(a, err), 0);
    append(b, table, 0, 5);
    CU_ASSERT_EQUAL(ba_trace_commit(b, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "two.h5: another program writes it, too"));
    CU_ASSERT_EQUAL(ba_trace_finish(b, err), BA_TRACE_REFUSED);
    ba_trace_close(b);
    append(a, table, 3, 4);
    CU_ASSERT_EQUAL(ba_trace_commit(a, err), 0);
    CU_ASSERT_EQUAL(rows_in(path), 4);
    finish(a);
    CU_ASSERT_EQUAL(rows_in(path), 4);
}

/* What somebody has put where a temporary file could be is neither followed nor opened: a link's target keeps its bytes,
 * a pipe that nobody reads holds nothing up. */
static void planted_files_are_left_alone(void) {
    char *path = path_of("planted.h5"), victim[4200], planted[4200], err[BA_ERR_LEN] = "", text[16] = "";
    size_t table;
    snprintf(victim, sizeof victim, "%s/victim", ba_test_dir());
    snprintf(planted, sizeof planted, "%s.tmp", path);
    write_text(victim, "precious", 8);
    CU_ASSERT_EQUAL_FATAL(symlink(victim, planted), 0);
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 3);
    CU_ASSERT_EQUAL(ba_trace_commit(t, err), 0);
    CU_ASSERT_EQUAL(unlink(planted), 0);
    CU_ASSERT_EQUAL_FATAL(mkfifo(planted, 0600), 0);
    append(t, table, 3, 4);
    finish(t);
    CU_ASSERT_EQUAL(rows_in(path), 4);
    unlink(planted);
    FILE *f = fopen(victim, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fread(text, 1, sizeof text - 1, f), 8);
    fclose(f);
    CU_ASSERT_STRING_EQUAL(text, "precious");

    char *name[2];
    int fd[2] = {ba_temporary_open(path, &name[0]), ba_temporary_open(path, &name[1])};
    CU_ASSERT_TRUE_FATAL(fd[0] >= 0 && fd[1] >= 0);
    CU_ASSERT_STRING_NOT_EQUAL(name[0], name[1]);
    for (int i = 0; i < 2; i++) {
        close(fd[i]);
        errno = EFBIG;
        CU_ASSERT_EQUAL(ba_temporary_finish(name[i], true, path), -1);
        CU_ASSERT_EQUAL(errno, EFBIG);
        CU_ASSERT_NOT_EQUAL(access(name[i], F_OK), 0);
        free(name[i]);
    }
    CU_ASSERT_EQUAL(rows_in(path), 4);
    CU_ASSERT_EQUAL(ba_test_temporaries("planted.h5"), 0);
}

static void foreign_files_are_left_alone(void) {
    char *path = path_of("foreign.h5"), err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 2);
    finish(t);
    CU_ASSERT_EQUAL(ba_trace_create(path, "test/2", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "test/1"));
    CU_ASSERT_EQUAL(ba_trace_resume(path, "test/2", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(rows_in(path), 2);

    static const ba_column other[] = {BA_COLUMN(row, u, BA_COLUMN_U64, ""), BA_COLUMNS_END};
    CU_ASSERT_EQUAL_FATAL(ba_trace_resume(path, "test/1", &t, err), 0);
    CU_ASSERT_EQUAL(ba_trace_declare(t, "rows", other, sizeof(row), &table, err), BA_TRACE_REFUSED);
    ba_trace_close(t);

    path = path_of("text.h5");
    write_text(path, "my notes", 8);
    CU_ASSERT_EQUAL(ba_trace_create(path, "test/1", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(ba_trace_open(path, &t, err), BA_TRACE_REFUSED);
    struct stat st;
    CU_ASSERT_TRUE(stat(path, &st) == 0 && st.st_size == 8);

    CU_ASSERT_EQUAL(ba_trace_create("/dev/full", "test/1", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(ba_trace_create(ba_test_dir(), "test/1", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(ba_trace_open(path_of("missing.h5"), &t, err), BA_TRACE_REFUSED);
}

static void cut_files_are_refused(void) {
    char *path = path_of("whole.h5"), err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 50);
    finish(t);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    char *image = malloc(1 << 20);
    size_t size = fread(image, 1, 1 << 20, f);
    fclose(f);
    path = path_of("cut.h5");
    for (size_t n = 0; n < size; n += size / 40 + 1) {
        write_text(path, image, n);
        CU_ASSERT_EQUAL(ba_trace_open(path, &t, err), BA_TRACE_REFUSED);
    }
    free(image);
}

/* Writes the bytes, gzipped, as many times over, each a member of its own. How large it became. */
static size_t gzip(const char *path, const char *bytes, size_t n, size_t times) {
    unlink(path);
    for (size_t i = 0; i < times; i++) {
        gzFile f = gzopen(path, "ab1");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        CU_ASSERT_EQUAL(gzwrite(f, bytes, (unsigned)n), (int)n);
        CU_ASSERT_EQUAL(gzclose(f), Z_OK);
    }
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void gzipped_traces_are_read(void) {
    char *path = path_of("packed.h5"), err[BA_ERR_LEN];
    size_t table, n;
    ba_trace *t = begin(path, &table);
    append(t, table, 0, 700);
    finish(t);
    char *bytes = read_all(path, &n);
    path = path_of("packed.h5.gz");
    CU_ASSERT_TRUE(gzip(path, bytes, n, 1) < n / 2);
    free(bytes);
    CU_ASSERT_EQUAL(rows_in(path), 700);
    CU_ASSERT_EQUAL(ba_trace_resume(path, "test/1", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_EQUAL(rows_in(path), 700);

    bytes = read_all(path, &n);
    for (size_t cut = 2; cut < n; cut += n / 20 + 1) {
        write_text(path, bytes, cut);
        CU_ASSERT_EQUAL(ba_trace_open(path, &t, err), BA_TRACE_REFUSED);
    }
    bytes[n / 2] ^= 1;
    write_text(path, bytes, n);
    CU_ASSERT_EQUAL(ba_trace_open(path, &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "damaged gzip file"));
    free(bytes);

    bytes = calloc(1, 1 << 24);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    gzip(path, bytes, 1 << 24, 17);
    free(bytes);
    CU_ASSERT_EQUAL(ba_trace_open(path, &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "more than 256 MiB"));
}

/* A child appends and commits as fast as it can, and reports each commit; it is killed at a random moment. The file
 * must open and hold every row reported, and at most the running one more. */
static void killed_at_any_moment(void) {
    char *path = path_of("killed.h5");
    size_t total = 0;
    srand(1);
    for (size_t trial = 0; trial < 60; trial++) {
        unlink(path);
        int reports[2];
        CU_ASSERT_EQUAL_FATAL(pipe(reports), 0);
        pid_t child = fork();
        CU_ASSERT_TRUE_FATAL(child >= 0);
        if (child == 0) {
            char err[BA_ERR_LEN];
            size_t table;
            ba_trace *t = begin(path, &table);
            for (int64_t i = 0;; i++) {
                row r = row_of(i);
                if (ba_trace_append(t, table, &r, err) || ba_trace_commit(t, err) || write(reports[1], "+", 1) != 1) {
                    _exit(1);
                }
            }
        }
        close(reports[1]);
        char first;
        CU_ASSERT_EQUAL(read(reports[0], &first, 1), 1);
        pause_us(rand() % 20000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        size_t committed = 1;
        char some[4096];
        for (ssize_t n; (n = read(reports[0], some, sizeof some)) > 0;) {
            committed += (size_t)n;
        }
        close(reports[0]);
        size_t found = rows_in(path);
        CU_ASSERT_TRUE(found == committed || found == committed + 1);
        total += committed;
    }
    CU_ASSERT_TRUE(total > 120); /* the kills came in the middle, not at the start */
}

/* A limit on file size fails writes as a full disk does. */
static void full_disk(void) {
    char *path = path_of("full.h5");
    pid_t child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        char err[BA_ERR_LEN];
        size_t table;
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {.rlim_cur = 60000, .rlim_max = 60000};
        setrlimit(RLIMIT_FSIZE, &limit);
        ba_trace *t = begin(path, &table);
        for (int64_t i = 0; i < 5000; i++) {
            row r = row_of(i);
            if (ba_trace_append(t, table, &r, err)) {
                _exit(2);
            }
            int status = ba_trace_commit(t, err);
            if (status) {
                _exit(status == BA_TRACE_MACHINE && strstr(err, "full.h5") ? 7 : 3);
            }
        }
        _exit(4);
    }
    int status;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    size_t found = rows_in(path);
    CU_ASSERT_TRUE(found > 10 && found != SIZE_MAX);
    CU_ASSERT_EQUAL(ba_test_temporaries("full.h5"), 0);
}

static void no_such_folder(void) {
    char err[BA_ERR_LEN];
    ba_trace *t;
    CU_ASSERT_EQUAL(ba_trace_create(path_of("none/here.h5"), "test/1", &t, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "none/"));
}

/* A folder that takes no files, also for root: there are none in /proc. */
static void folder_takes_no_files(void) {
    char err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin("/proc/here.h5", &table);
    CU_ASSERT_EQUAL(ba_trace_commit(t, err), BA_TRACE_MACHINE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "/proc/here.h5"));
    ba_trace_close(t);
}

/* A finished trace of n rows under a name of the test's folder. */
static void write_run(const char *name, int64_t n) {
    char err[BA_ERR_LEN];
    size_t table;
    ba_trace *t = begin(path_of(name), &table);
    append(t, table, 0, n);
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
}

static int add_run(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    return ba_trace_add(arg, name, t, err);
}

static int add_file(ba_trace *merged, const char *name, char err[BA_ERR_LEN]) {
    return ba_trace_each(path_of(name), add_run, merged, err);
}

typedef struct seen {
    char names[256];
    size_t rows;
    bool attributes;
} seen;

static int see_attribute(void *arg, const char *key, const char *value) {
    bool *all = arg;
    *all = *all && (strcmp(key, "schema") == 0 ? strcmp(value, "test/1") == 0 : strcmp(value, "one") == 0);
    return 0;
}

static int see_run(void *arg, const char *name, const ba_trace *t, char err[BA_ERR_LEN]) {
    seen *s = arg;
    size_t used = strlen(s->names), row_size;
    snprintf(s->names + used, sizeof s->names - used, "%s ", name);
    ba_trace_attributes(t, see_attribute, &s->attributes);
    CU_ASSERT_EQUAL(ba_trace_tables(t), 1);
    const ba_column *c = ba_trace_columns(t, 0, &row_size);
    CU_ASSERT_STRING_EQUAL(c[1].unit, "B");
    char *raw = malloc(row_size);
    for (size_t i = 0; i < ba_trace_rows(t, 0); i++) {
        CU_ASSERT_EQUAL_FATAL(ba_trace_read(t, 0, i, 1, raw, err), 0);
        row r = {0};
        memcpy(&r.i, raw + c[0].offset, sizeof r.i);
        memcpy(&r.u, raw + c[1].offset, sizeof r.u);
        memcpy(&r.seconds, raw + c[2].offset, sizeof r.seconds);
        memcpy(r.name, raw + c[3].offset, sizeof r.name);
        memcpy(&r.note, raw + c[4].offset, sizeof r.note);
        CU_ASSERT_TRUE(is_row(&r, (int64_t)i));
        ba_trace_release(t, 0, raw, 1);
    }
    free(raw);
    s->rows += ba_trace_rows(t, 0);
    return 0;
}

/* Also more rows than are copied at once, and a merged file merged again. */
static void merged_runs_come_back(void) {
    char err[BA_ERR_LEN] = "";
    ba_trace *t;
    write_run("zebra.h5", 30000);
    write_run("ant.h5", 0);
    write_run("bee.h5", 3);
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path_of("pair.h5"), BA_TRACE_MERGED_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL(add_file(t, "zebra.h5", err), 0);
    CU_ASSERT_EQUAL(add_file(t, "ant.h5", err), 0);
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path_of("three.h5"), BA_TRACE_MERGED_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL(add_file(t, "pair.h5", err), 0);
    CU_ASSERT_EQUAL(add_file(t, "bee.h5", err), 0);
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    seen s = {.attributes = true};
    CU_ASSERT_EQUAL(ba_trace_each(path_of("three.h5"), see_run, &s, err), 0);
    CU_ASSERT_STRING_EQUAL(s.names, "zebra ant bee ");
    CU_ASSERT_EQUAL(s.rows, 30003);
    CU_ASSERT_TRUE(s.attributes);
    CU_ASSERT_EQUAL_FATAL(ba_trace_open_run(path_of("three.h5"), "bee", &t, err), 0);
    CU_ASSERT_EQUAL(see_run(&s, "", t, err), 0);
    ba_trace_close(t);
}

static void bad_merges_are_refused(void) {
    char err[BA_ERR_LEN] = "";
    ba_trace *t, *none = NULL;
    write_run("one.h5", 2);
    write_run("..h5", 2);
    CU_ASSERT_EQUAL_FATAL(ba_trace_create(path_of("merged.h5"), BA_TRACE_MERGED_SCHEMA, &t, err), 0);
    CU_ASSERT_EQUAL(add_file(t, "one.h5", err), 0);
    CU_ASSERT_EQUAL(add_file(t, "one.h5", err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "two runs are named one"));
    CU_ASSERT_EQUAL(add_file(t, "..h5", err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "'.' is no name for a run"));
    CU_ASSERT_EQUAL(ba_trace_finish(t, err), 0);
    ba_trace_close(t);
    CU_ASSERT_EQUAL(ba_trace_open_run(path_of("merged.h5"), "two", &none, err), BA_TRACE_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "there is no run two"));
    CU_ASSERT_PTR_NULL(none);
}

int ba_suite_trace(void) {
    CU_pSuite s = CU_add_suite("trace", NULL, NULL);
    if (!s || !CU_add_test(s, "rows, columns, units and attributes come back", round_trip) ||
        !CU_add_test(s, "texts and numbers as attributes come back", attributes_come_back) ||
        !CU_add_test(s, "damaged attributes are noticed", damaged_attributes_are_noticed) ||
        !CU_add_test(s, "rows are read by the names of their columns", rows_are_read_by_name) ||
        !CU_add_test(s, "a row is seen after its commit only", uncommitted_rows_are_not_seen) ||
        !CU_add_test(s, "rows are committed when it is due", commits_when_due) ||
        !CU_add_test(s, "resume goes on, and refuses other circumstances", resume_goes_on) ||
        !CU_add_test(s, "a new trace takes the old one's place when finished", new_trace_replaces_when_finished) ||
        !CU_add_test(s, "two writers of one trace", two_writers) ||
        !CU_add_test(s, "planted links and pipes are left alone", planted_files_are_left_alone) ||
        !CU_add_test(s, "other schemas and other files are left alone", foreign_files_are_left_alone) ||
        !CU_add_test(s, "files cut anywhere are refused", cut_files_are_refused) ||
        !CU_add_test(s, "gzipped traces are read, damaged or huge ones are not", gzipped_traces_are_read) ||
        !CU_add_test(s, "merged runs come back whole, in order, also from a merged file", merged_runs_come_back) ||
        !CU_add_test(s, "a run twice, without a name or not there is refused", bad_merges_are_refused) ||
        !CU_add_test(s, "kill -9 loses at most the running row", killed_at_any_moment) ||
        !CU_add_test(s, "a full disk keeps what was written", full_disk) ||
        !CU_add_test(s, "a missing folder is named", no_such_folder) ||
        !CU_add_test(s, "a folder that takes no files is the machine's failure", folder_takes_no_files)) {
        return -1;
    }
    return 0;
}
