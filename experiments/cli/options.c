/* The command line: options of a command, the common options, and its --help page, all from one table. */
#include "cli.h"
#include "commands.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPTIONS = 64, MAX_THREADS = 1024 };

int ba_cli_fail(int status, const char *format, ...) {
    char line[4 * BA_ERR_LEN];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* What was printed so far comes first; and a line stays one line whatever a file name contains. */
    fflush(stdout);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
    return status;
}

size_t ba_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n > 0 ? (size_t)n : 1;
}

static size_t append(ba_option *all, size_t n, const ba_option *own) {
    for (; own && own->name && n < MAX_OPTIONS; own++) {
        all[n++] = *own;
    }
    return n;
}

/* ---- help ------------------------------------------------------------------------------------------------------ */

static void heading(const char *text) {
    const char *no_color = getenv("NO_COLOR");
    if (isatty(STDOUT_FILENO) && !(no_color && *no_color)) {
        printf("\n\033[1m%s\033[0m\n", text);
    } else {
        printf("\n%s\n", text);
    }
}

static size_t left_width(const ba_option *o) {
    return 2 + strlen(o->name) + (o->value ? 1 + strlen(o->value) : 0);
}

/* Text in a column of its own, broken at spaces; a line feed in it is kept. */
static void print_wrapped(const char *text, size_t len, size_t indent) {
    enum { PAGE = 100 };
    const char *end = text + len;
    size_t column = indent;
    while (text < end) {
        size_t word = strcspn(text, " \n");
        word = word < (size_t)(end - text) ? word : (size_t)(end - text);
        if (column > indent && column + 1 + word > PAGE) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, word, stdout);
        column += word;
        for (text += word; text < end && (*text == ' ' || *text == '\n'); text++) {
            if (*text == '\n') {
                printf("\n%*s", (int)indent, "");
                column = indent;
            }
        }
    }
    putchar('\n');
}

static void print_options(const char *title, const ba_option *o, size_t n) {
    size_t width = 0;
    for (size_t i = 0; i < n; i++) {
        if (left_width(&o[i]) > width) {
            width = left_width(&o[i]);
        }
    }
    if (n) {
        heading(title);
    }
    for (size_t i = 0; i < n; i++) {
        int used = printf("  --%s%s%s", o[i].name, o[i].value ? " " : "", o[i].value ? o[i].value : "");
        printf("%*s", (int)width + 4 - used, "");
        print_wrapped(o[i].help, strlen(o[i].help), width + 4);
    }
}

static void print_help(const char *command, const char *usage, const char *about, const ba_option *own, size_t n_own,
                       const ba_option *common, size_t n_common) {
    const char *example = strstr(about, "\nExample");
    size_t about_len = example ? (size_t)(example - about) : strlen(about);
    while (about_len && about[about_len - 1] == '\n') {
        about_len--;
    }
    printf("usage: blockattn %s%s%s\n\n", command, *usage ? " " : "", usage);
    print_wrapped(about, about_len, 0);
    print_options("Options", own, n_own);
    print_options("Common options", common, n_common);
    if (example) {
        const char *title_end = strchr(example + 1, '\n');
        heading(example[8] == 's' ? "Examples" : "Example");
        if (title_end) {
            printf("%s\n", title_end + 1);
        }
    }
}

/* ---- parsing --------------------------------------------------------------------------------------------------- */

static int unknown_option(char **argv, const ba_option *all, size_t n, const char *what) {
    for (size_t i = 0; i < n; i++) {
        if (optopt == 256 + (int)i) {
            return ba_cli_fail(BA_EXIT_USAGE, "--%s %s; see 'blockattn %s --help'", all[i].name,
                               all[i].value ? "needs a value" : "takes no value", argv[0]);
        }
    }
    return ba_cli_fail(BA_EXIT_USAGE, "%s option '%s'; see 'blockattn %s --help'", what, argv[optind - 1], argv[0]);
}

static int check_common(ba_common *c, const char *threads, const char *seed, bool json, bool csv) {
    char err[BA_ERR_LEN];
    if (threads) {
        uint64_t n;
        if (ba_parse_size(threads, &n, err) != 0 || n < 1 || n > MAX_THREADS) {
            return ba_cli_fail(BA_EXIT_USAGE, "--threads %s: needs a whole number from 1 to %d", threads, MAX_THREADS);
        }
        c->threads = (size_t)n;
    }
    if (seed && ba_parse_size(seed, &c->seed, err) != 0) {
        return ba_cli_fail(BA_EXIT_USAGE, "--seed %s", err);
    }
    if (json && csv) {
        return ba_cli_fail(BA_EXIT_USAGE, "--json and --csv exclude each other: standard output holds one of them");
    }
    if (json || csv) {
        c->format = json ? BA_FORMAT_JSON : BA_FORMAT_CSV;
    }
    return -1;
}

int ba_cli_parse(int argc, char **argv, const char *usage, const char *about, const ba_option *own, ba_common *common,
                 int *first) {
    const char *threads = NULL, *seed = NULL;
    bool json = false, csv = false, help = false, version = false;
    static const char standard_mode[] = "full";
    ba_common unused = {0}, *c = common ? common : &unused;
    *c = (ba_common){.mode = standard_mode, .dtype = "auto", .backend = "auto", .threads = ba_processors()};
    const ba_option shared[] = {
        {"model", "PATH",
         "GGUF file or Hugging Face folder; default: $BLOCKATTN_MODEL, else the model that `make model` gets",
         &c->model, 0},
        {"adapter", "PATH", "adapter folder", &c->adapter, 0},
        {"mode", "MODE", "attention mode, as name or name:key=value,...", &c->mode, 0},
        {"dtype", "TYPE", "element type: auto, f32, bf16 or f64; default auto (f32)", &c->dtype, 0},
        {"backend", "NAME",
         "arithmetic: auto, cpu, openblas, cuda or ref; default auto", &c->backend,
         0},
        {"threads", "N", "threads; default: the processors available", &threads, 0},
        {"seed", "N", "seed of everything random; default 0", &seed, 0},
        {"store", "TIERS",
         "where blocks are kept, in the order asked: ram:SIZE,lmdb:PATH:SIZE,redis://[USER:PASSWORD@]HOST:PORT; "
         "default: half of the memory",
         &c->store, 0},
        {"store-key", "FILE", "use only stored blocks that were written with the key in FILE (16 bytes or more)",
         &c->store_key, 0},
        {"out", "FILE.h5", "also write a trace", &c->out, 0},
        {"json", 0, "print JSON, and nothing else, on standard output", 0, &json},
        {"csv", 0, "print CSV, and nothing else, on standard output", 0, &csv},
        {"no-packed", 0, "convert the weights, and keep no file of packed ones for the next start", 0, &c->no_packed},
        {"quiet", 0, "no progress and no remarks on standard error", 0, &c->quiet},
        {0}};
    const ba_option general[] = {
        {"help", 0, "show this page", 0, &help}, {"version", 0, "show the version", 0, &version}, {0}};

    ba_option all[MAX_OPTIONS];
    size_t n_own = append(all, 0, own);
    size_t n_all = append(all, n_own, common ? shared : NULL);
    n_all = append(all, n_all, general);
    struct option longopts[MAX_OPTIONS + 1] = {0};
    for (size_t i = 0; i < n_all; i++) {
        longopts[i] = (struct option){all[i].name, all[i].value ? required_argument : no_argument, NULL, 256 + (int)i};
    }

    optind = 0; /* glibc: start over, also for a second parse in one process */
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, ":h", longopts, NULL)) != -1;) {
        if (got == 'h') {
            help = true;
        } else if (got == '?' || got == ':') {
            return unknown_option(argv, all, n_all, "unknown");
        } else if (all[got - 256].text) {
            *all[got - 256].text = optarg;
        } else if (all[got - 256].flag) {
            *all[got - 256].flag = true;
        }
    }
    *first = optind;
    c->mode_given = c->mode != standard_mode;
    if (help) {
        print_help(argv[0], usage, about, all, n_own, all + n_own, n_all - n_own);
    } else if (version) {
        printf("blockattn %s\n", BA_VERSION);
    }
    if (help || version) {
        return BA_EXIT_OK;
    }
    return check_common(c, threads, seed, json, csv);
}
