/* Options as rows of a table: one row says everything about an option, and the parser, the --help page, the manual page
 * and the shell completions are made from it. A command is a row of its own with a table of its options and the set of
 * shared options that it reads. Values are written into the command's options struct, defaults included, before the
 * command runs; a value out of its range is refused with the option's name, what was given and what is allowed. */
#ifndef BA_OPTIONS_H
#define BA_OPTIONS_H

#include "experiments/cli/cli.h"
#include "tables.h"

#include <math.h>

/* Type of an option, and of the member that its value is written to. */
typedef enum ba_option_type {
    BA_FLAG,    /* bool */
    BA_TEXT,    /* const char *, borrowed from argv; so are the next three */
    BA_FILE,    /* path of a file, or a list of them */
    BA_FOLDER,  /* path of a folder */
    BA_WORD,    /* one of the row's words */
    BA_CHOICE,  /* unsigned: the index of one of the row's words */
    BA_CHOICES, /* bool [number of words]: a list of the row's words */
    BA_COUNT,   /* uint64_t, or size_t, which has the same size here: a whole number, with K, M or G */
    BA_REAL,    /* double; NaN if it is neither given nor has a default */
    BA_COUNTS,  /* ba_counts: numbers and ranges */
    BA_REALS,   /* ba_reals: a list of numbers */
    BA_MODE,    /* const char *: the spelling of an attention mode, checked */
    BA_MODES,   /* const char *: a list of them, each checked */
    BA_SHAPE,   /* ba_named_shape: a published shape, or the one that a config.json describes; name NULL: not given */
} ba_option_type;

/* Lists as they are parsed; text: as written. Owned by the options struct, and freed after the command has run. */
typedef struct ba_counts {
    size_t *at; /* [n] */
    size_t n;
    const char *text;
} ba_counts;

typedef struct ba_reals {
    double *at; /* [n] */
    size_t n;
    const char *text;
} ba_reals;

typedef struct ba_option {
    const char *name;  /* "lengths": without the dashes */
    const char *value; /* "LIST" as --help shows it; NULL: the words, or for a flag nothing */
    ba_option_type type;
    bool needed;                   /* the command cannot do without it */
    size_t at;                     /* offset of the member in the options struct */
    const char *standard;          /* default as a user would write it; NULL: 0, NULL, NaN or an empty list */
    double least, most;            /* of numbers, and of each number of a list; most 0: no upper limit */
    const char *words;             /* of a word or choice: "place|merge" */
    const char *(*word)(size_t i); /* the same from another table: word i, NULL past the last */
    const char *with;              /* options that this one needs, as "out"; given without, it is refused */
    const char *against;           /* options that exclude this one, as "json,csv" */
    const char *section;           /* heading of --help above this row; NULL: the same as the row before */
    const char *help;
} ba_option;

/* Shared options; a command adds up those that it reads. */
enum {
    BA_TAKES_MODEL = 1 << 0,
    BA_TAKES_ADAPTER = 1 << 1,
    BA_TAKES_MODE = 1 << 2,
    BA_TAKES_MODES = 1 << 3,
    BA_TAKES_DTYPE = 1 << 4,
    BA_TAKES_BACKEND = 1 << 5,
    BA_TAKES_THREADS = 1 << 6,
    BA_TAKES_SEED = 1 << 7,
    BA_TAKES_STORE = 1 << 8,
    BA_TAKES_OUT = 1 << 9, /* and --force */
    BA_TAKES_RESUME = 1 << 10,
    BA_TAKES_JSON = 1 << 11,
    BA_TAKES_CSV = 1 << 12,
    BA_TAKES_NO_PACKED = 1 << 13,
    BA_TAKES_QUIET = 1 << 14,
    BA_TAKES_REQUEST = 1 << 15, /* --message, and --question with --documents */
    BA_TAKES_EXECUTOR = 1 << 16,
    BA_TAKES_MEMORY = 1 << 17,
    BA_TAKES_CHECKPOINT = 1 << 18, /* --resume of a command that keeps checkpoints */
    BA_TAKES_CHAT = 1 << 19,       /* --chat and --chat-template: a command that words conversations */
    BA_TAKES_SHAPE = 1 << 20,      /* a command that works on ids, so that it needs no vocabulary */
    BA_TAKES_MARGINS = 1 << 21,    /* --margin and --nll-margin: a command that calls changes equal */
    BA_TAKES_SHARD = 1 << 22,      /* a command with a list of work (work.h), and so ranks of MPI */
    /* What a command needs that computes with a model. */
    BA_TAKES_ENGINE = BA_TAKES_MODEL | BA_TAKES_ADAPTER | BA_TAKES_DTYPE | BA_TAKES_BACKEND | BA_TAKES_THREADS |
                      BA_TAKES_STORE | BA_TAKES_NO_PACKED | BA_TAKES_QUIET,
    /* Options that every command of a model understands. Those that it does not read have no effect, which a remark
     * says, so that one list of options serves several commands. */
    BA_TAKES_ANYWAY = BA_TAKES_ENGINE | BA_TAKES_SEED | BA_TAKES_MODES,
};

typedef struct ba_command ba_command;

/* One call of a command. */
typedef struct ba_call {
    const ba_command *command;
    const ba_command *const *all; /* every command of the program, NULL past the last; or NULL */
    const ba_common *common;
    void *options; /* the command's options struct */
    char **operand;
    size_t n_operand;
    int argc; /* the command line, argv[0] is the command's name */
    char **argv;
} ba_call;

struct ba_command {
    const char *name, *summary;
    const char *usage;               /* what follows the name in the first line of --help */
    const char *about;               /* what it does, for --help */
    const char *example;             /* lines, or NULL */
    const char *input;               /* what its files look like, for --help: lines, or NULL */
    const ba_option *own;            /* [..] ends with name NULL; NULL: none */
    size_t size;                     /* of the options struct */
    unsigned takes;                  /* BA_TAKES_..., added up */
    const char *mode;                /* default of --mode */
    size_t operands;                 /* at most */
    const ba_table *tables;          /* of the trace that --out writes, ends with name NULL; NULL: it writes none */
    const char *hint;                /* said with an operand too many, as "lengths are given by --lengths" */
    bool hidden;                     /* in no list of commands */
    int (*run)(const ba_call *call); /* returns an exit status, its line already printed */
};

/* Parses the command line of a command (argv[0] is its name) and runs it; or prints its --help or the version. Returns
 * an exit status. */
int ba_command_start(const ba_command *c, const ba_command *const *all, int argc, char **argv);

/* Shared rows, in the order of --help, and those of every command. row.name is NULL past the last; offsets are those of
 * ba_common. */
typedef struct ba_shared_option {
    unsigned taken; /* BA_TAKES_... by which a command reads it; 0: every command does */
    ba_option row;
} ba_shared_option;
extern const ba_shared_option ba_shared_options[];

/* Names of published shapes, for the rows of --shape. */
const char *ba_shape_word(size_t i);
/* What --shape names: a published shape, or the path of a config.json or of its folder. The name is borrowed from `text`,
 * and for a file the source is NULL. 0, or -1 and err, which ends with the nearest known name. */
int ba_shape_choose(const char *text, ba_named_shape *out, char err[BA_ERR_LEN]);

/* Word i of a row's words into out; false past the last. */
bool ba_option_word(const ba_option *o, size_t i, char out[64]);
/* "LIST", "place|merge" or "" for a flag, as --help shows it. */
void ba_option_value(const ba_option *o, char *out, size_t size);
/* The row's help with its range, words and default. */
void ba_option_help(const ba_option *o, const char *standard, char *out, size_t size);
/* What a shared row means to a command: its default of --mode is the command's. */
const char *ba_option_standard(const ba_command *c, const ba_option *o);
/* Whether a command reads a shared row. */
bool ba_command_takes(const ba_command *c, const ba_shared_option *s);

/* The --help page of a command, and the one of the program. */
void ba_print_help(const ba_command *c);
void ba_print_commands(const ba_command *const *all);

/* Attention modes of a list, checked: 0, or -1 and err, which ends with the nearest known name. */
int ba_modes_check(const char *list, bool single, char err[BA_ERR_LEN]);

#endif
