/* The pages of --help, printed from the tables of options. */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 100, MAX_HELP = 1024 };

static void heading(const char *text) {
    const char *no_color = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    printf(bold ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

/* "--lengths LIST" */
static size_t left_side(const ba_option *o, char out[128]) {
    char value[96];
    ba_option_value(o, value, sizeof value);
    return (size_t)snprintf(out, 128, "--%s%s%s", o->name, *value ? " " : "", value);
}

/* Text in a column of its own, broken at spaces; a line feed in it is kept. */
static void print_wrapped(const char *text, size_t indent) {
    size_t column = indent;
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > PAGE) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, word, stdout);
        column += word;
        for (text += word; *text == ' ' || *text == '\n'; text++) {
            if (*text == '\n') {
                printf("\n%*s", (int)indent, "");
                column = indent;
            }
        }
    }
    putchar('\n');
}

static void print_option(const ba_command *c, const ba_option *o, size_t width) {
    char left[128], help[MAX_HELP];
    bool fits = left_side(o, left) <= width;
    ba_option_help(o, ba_option_standard(c, o), help, sizeof help);
    printf(fits ? "  %-*s  " : "  %-*s\n", (int)width, left);
    printf("%*s", fits ? 0 : (int)width + 4, "");
    print_wrapped(help, width + 4);
}

static size_t widest(const ba_command *c) {
    enum { MOST = 30 };
    char left[128];
    size_t width = 0;
    for (const ba_option *o = c->own; o && o->name; o++) {
        size_t n = left_side(o, left);
        width = n > width && n <= MOST ? n : width;
    }
    for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
        size_t n = ba_command_takes(c, s) ? left_side(&s->row, left) : 0;
        width = n > width && n <= MOST ? n : width;
    }
    return width;
}

static void print_lines(const char *line) {
    for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        printf("  %.*s\n", (int)strcspn(line, "\n"), line);
    }
}

void ba_print_help(const ba_command *c) {
    size_t width = widest(c);
    printf("usage: blockattn %s%s%s\n\n", c->name, *c->usage ? " " : "", c->usage);
    print_wrapped(c->about, 0);
    for (const ba_option *o = c->own; o && o->name; o++) {
        if (o == c->own || o->section) {
            heading(o->section ? o->section : "Options");
        }
        print_option(c, o, width);
    }
    heading(c->own && c->own->name ? "Common options" : "Options");
    for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
        if (ba_command_takes(c, s)) {
            print_option(c, &s->row, width);
        }
    }
    if (c->input) {
        heading("Input");
        print_lines(c->input);
    }
    if (c->example) {
        heading(strchr(c->example, '\n') ? "Examples" : "Example");
        print_lines(c->example);
    }
}

void ba_print_commands(const ba_command *const *all) {
    puts("usage: blockattn COMMAND [OPTIONS]\n\n"
         "Attention modes that reuse cached passages, run and measured on one model.\n\n"
         "Commands");
    for (; *all; all++) {
        if (!(*all)->hidden) {
            printf("  %-10s %s\n", (*all)->name, (*all)->summary);
        }
    }
    puts("\nblockattn COMMAND --help shows the options of a command.");
}
