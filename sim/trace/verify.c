#define H5_USE_110_API
#include "verify.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A row holds a text as its length (4 bytes), the address of a heap (8) and an index into it (4). HDF5 File Format
 * Specification 3.0, III.E: such a heap begins with "GCOL", version, three zeros and its size (8); its objects, one
 * after the other, with index (2), count of references (2), four zeros and their size (8). Index 0 is the free rest,
 * whose size counts its own header. All little-endian. */
enum { TEXT_BYTES = 16, HEADER = 16, STEP = 8, MOST_TEXTS = 512, MOST_HEAP = 1 << 28 };
static const unsigned char mark[8] = {'G', 'C', 'O', 'L', 1, 0, 0, 0};

/* What is being read. */
typedef struct reader {
    hid_t file;
    const unsigned char *image; /* of a file in memory, else NULL */
    int fd;
    uint64_t file_bytes;
    size_t text[MOST_TEXTS], n_text; /* places in a row of the file */
    hsize_t row, chunk;              /* bytes; rows */
    bool shuffled;
    unsigned char *bytes, *heap; /* the chunk, and the heap met last */
    uint64_t heap_at, heap_bytes;
} reader;

static uint64_t number(const unsigned char *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

static bool read_at(const reader *r, uint64_t at, uint64_t n, unsigned char *into) {
    if (n > r->file_bytes || at > r->file_bytes - n) {
        return false;
    }
    if (r->image) {
        memcpy(into, r->image + at, n);
        return true;
    }
    return pread(r->fd, into, n, (off_t)at) == (ssize_t)n;
}

/* Index and size of the object at `at` of a heap; returns the bytes from there to the next one. */
static uint64_t object_at(const unsigned char *heap, uint64_t at, uint64_t *index, uint64_t *bytes) {
    *index = number(heap + at, 2);
    *bytes = number(heap + at + 8, 8);
    return *index ? HEADER + (*bytes + STEP - 1) / STEP * STEP : *bytes;
}

/* Whether the objects of a heap follow each other without gaps, and end inside it. */
static bool is_whole(const unsigned char *heap, uint64_t size) {
    for (uint64_t at = HEADER; size - at >= HEADER;) {
        uint64_t index, bytes, takes = object_at(heap, at, &index, &bytes), left = size - at;
        if (bytes > left || takes < HEADER || takes > left) {
            return false;
        }
        at += takes;
    }
    return true;
}

static bool load_heap(reader *r, uint64_t at) {
    unsigned char head[HEADER];
    if (r->heap && r->heap_at == at) {
        return true;
    }
    free(r->heap);
    r->heap = NULL;
    if (!read_at(r, at, HEADER, head) || memcmp(head, mark, sizeof mark) != 0) {
        return false;
    }
    r->heap_at = at;
    r->heap_bytes = number(head + sizeof mark, 8);
    r->heap = r->heap_bytes >= HEADER && r->heap_bytes <= MOST_HEAP ? malloc(r->heap_bytes) : NULL;
    if (r->heap && read_at(r, at, r->heap_bytes, r->heap) && is_whole(r->heap, r->heap_bytes)) {
        return true;
    }
    free(r->heap);
    r->heap = NULL;
    return false;
}

/* Whether a text is where it is said to be, and as long: HDF5 copies what it finds to room for what was said. */
static bool text_holds(reader *r, const unsigned char text[TEXT_BYTES]) {
    uint64_t length = number(text, 4), at = number(text + 4, 8), index = number(text + 12, 4), found = UINT64_MAX;
    if (!at) {
        return true; /* none */
    }
    if (!index || !load_heap(r, at)) {
        return false;
    }
    for (uint64_t k = HEADER; r->heap_bytes - k >= HEADER;) {
        uint64_t i, bytes, takes = object_at(r->heap, k, &i, &bytes);
        found = i == index ? bytes : found;
        k += takes;
    }
    return found == length;
}

/* HDF5 shows the bytes of a text's place to nobody. A conversion of ours, from a text to as many bytes without a meaning, is
 * given them: it leaves them as they are. */
static herr_t convert_place(hid_t from, hid_t to, H5T_cdata_t *what, size_t n, size_t stride, size_t unused,
                            void *bytes, void *background, hid_t list) {
    (void)n;
    (void)stride;
    (void)unused;
    (void)bytes;
    (void)background;
    (void)list;
    if (what->command == H5T_CONV_INIT) {
        what->need_bkg = H5T_BKG_NO;
        return H5Tis_variable_str(from) > 0 && H5Tget_size(to) == TEXT_BYTES ? 0 : -1;
    }
    return 0;
}

static bool place_of(hid_t attribute, unsigned char place[TEXT_BYTES]) {
    hid_t text = H5Tcopy(H5T_C_S1), bytes = H5Tcreate(H5T_OPAQUE, TEXT_BYTES);
    H5Tset_size(text, H5T_VARIABLE);
    bool held = H5Tregister(H5T_PERS_SOFT, "place of a text", text, bytes, convert_place) >= 0 &&
                H5Aget_storage_size(attribute) == TEXT_BYTES && H5Aread(attribute, bytes, place) >= 0;
    H5Tunregister(H5T_PERS_SOFT, "place of a text", text, bytes, convert_place);
    H5Tclose(bytes);
    H5Tclose(text);
    return held;
}

/* The bytes of object `index` of the heap that was loaded last, or NULL. */
static const unsigned char *object_of(const reader *r, uint64_t index) {
    for (uint64_t k = HEADER; r->heap_bytes - k >= HEADER;) {
        uint64_t i, bytes, takes = object_at(r->heap, k, &i, &bytes);
        if (i == index) {
            return r->heap + k + HEADER;
        }
        k += takes;
    }
    return NULL;
}

/* Byte b of row i of the chunk; shuffled, all first bytes come first, then all second ones. */
static unsigned char byte_of(const reader *r, hsize_t i, size_t b) {
    return r->bytes[r->shuffled ? b * r->chunk + i : i * r->row + b];
}

/* Rows [from, to) of the chunk that begins with row `at`. Chunks are as large as their rows, for they are not packed;
 * HDF5 takes the size that a damaged index says, and reads past what it has allocated for it. (It is not what
 * H5Dget_chunk_storage_size says, which for a chunk that is not packed is the size that it should have.) */
static bool chunk_holds(reader *r, hid_t data, hsize_t at, hsize_t from, hsize_t to) {
    haddr_t place = HADDR_UNDEF;
    hsize_t bytes = 0;
    unsigned mask = 0;
    if (H5Dget_chunk_info_by_coord(data, &at, &mask, &place, &bytes) < 0) {
        return false;
    }
    if (place == HADDR_UNDEF) {
        return true; /* never written */
    }
    if (bytes != r->chunk * r->row || (r->shuffled && mask)) {
        return false;
    }
    if (!r->n_text) {
        return true;
    }
    if (!read_at(r, place, bytes, r->bytes)) {
        return false;
    }
    for (hsize_t i = from - at; i < to - at; i++) {
        for (size_t k = 0; k < r->n_text; k++) {
            unsigned char text[TEXT_BYTES];
            for (size_t b = 0; b < TEXT_BYTES; b++) {
                text[b] = byte_of(r, i, r->text[k] + b);
            }
            if (!text_holds(r, text)) {
                return false;
            }
        }
    }
    return true;
}

/* Offsets of texts in a row of the file, and its size there: HDF5 describes rows as they are in memory, where a text is a
 * pointer. */
static bool describe_row(reader *r, hid_t data) {
    hid_t type = H5Dget_type(data);
    int n = H5Tget_nmembers(type);
    bool held = n >= 0;
    for (int i = 0; held && i < n; i++) {
        hid_t member = H5Tget_member_type(type, (unsigned)i);
        if (H5Tis_variable_str(member) > 0) {
            held = r->n_text < MOST_TEXTS;
            if (held) {
                r->text[r->n_text] =
                    H5Tget_member_offset(type, (unsigned)i) + r->n_text * (TEXT_BYTES - sizeof(char *));
                r->n_text++;
            }
        }
        H5Tclose(member);
    }
    r->row = H5Tget_size(type) + r->n_text * (TEXT_BYTES - sizeof(char *));
    H5Tclose(type);
    return held;
}

/* Chunks of a known size, whose bytes are at most put in another order. */
static bool describe_chunk(reader *r, hid_t data) {
    unsigned flags, config;
    size_t n_value = 0;
    hid_t creation = H5Dget_create_plist(data);
    int n = H5Pget_nfilters(creation);
    r->shuffled = n == 1 && H5Pget_filter2(creation, 0, &flags, &n_value, NULL, 0, NULL, &config) == H5Z_FILTER_SHUFFLE;
    bool held = H5Pget_layout(creation) == H5D_CHUNKED && (n == 0 || r->shuffled) &&
                H5Pget_chunk(creation, 1, &r->chunk) == 1 && r->chunk > 0 && r->row > 0 &&
                r->chunk <= (hsize_t)MOST_HEAP / r->row;
    H5Pclose(creation);
    return held;
}

/* The file's bytes, if places count from its beginning. */
static bool describe_file(reader *r) {
    hsize_t before = 1, size = 0;
    void *handle = NULL;
    hid_t file = H5Iget_file_id(r->file), creation = H5Fget_create_plist(file), access = H5Fget_access_plist(file);
    unsigned intent = 0;
    if (H5Fget_intent(file, &intent) >= 0 && intent == H5F_ACC_RDWR) {
        H5Fflush(file, H5F_SCOPE_LOCAL); /* what was written is where it will be read */
    }
    bool held = H5Pget_userblock(creation, &before) >= 0 && before == 0 && H5Fget_filesize(file, &size) >= 0 &&
                H5Fget_vfd_handle(file, access, &handle) >= 0 && handle;
    if (held && H5Pget_driver(access) == H5FD_CORE) {
        r->image = *(unsigned char **)handle;
    } else if (held) {
        r->fd = *(int *)handle;
    }
    r->file_bytes = size;
    H5Pclose(creation);
    H5Pclose(access);
    H5Idec_ref(file);
    return held;
}

bool ba_trace_rows_hold(hid_t file, hid_t data, hsize_t first, hsize_t n) {
    reader r = {.file = file};
    bool held = describe_row(&r, data) && describe_chunk(&r, data) && describe_file(&r);
    r.bytes = held ? malloc(r.chunk * r.row) : NULL;
    held = held && r.bytes;
    for (hsize_t at = held ? first - first % r.chunk : 0, end = first + n; held && at < end; at += r.chunk) {
        held = chunk_holds(&r, data, at, at > first ? at : first, end - at < r.chunk ? end : at + r.chunk);
    }
    free(r.bytes);
    free(r.heap);
    return held;
}

char *ba_trace_attribute_text(hid_t attribute, size_t most) {
    unsigned char place[TEXT_BYTES];
    hid_t file = H5Iget_file_id(attribute);
    reader r = {.file = file};
    char *text = NULL;
    if (place_of(attribute, place) && describe_file(&r) && text_holds(&r, place)) {
        const uint64_t n = number(place, 4);
        const unsigned char *bytes = number(place + 4, 8) ? object_of(&r, number(place + 12, 4)) : NULL;
        if (n <= most && (text = calloc(1, n + 1)) && bytes) {
            memcpy(text, bytes, n);
        }
    }
    free(r.heap);
    H5Idec_ref(file);
    return text;
}
