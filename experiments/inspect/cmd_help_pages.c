/* blockattn help-pages: the manual page and the completions of shells, printed from the tables of commands and options.
 * Run by the Makefile; no user needs it. */
#include "experiments/options/options.h"
#include "sim/modes/modes.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 20, MAX_HELP = 1024 };

/* All options of a command, in the order of --help: its own, then the shared ones. NULL past the last. */
static const ba_option *option_at(const ba_command *c, size_t i) {
    size_t own = 0;
    while (c->own && c->own[own].name) {
        own++;
    }
    if (i < own) {
        return &c->own[i];
    }
    i -= own;
    for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
        if (ba_command_takes(c, s) && i-- == 0) {
            return &s->row;
        }
    }
    return NULL;
}

static void print_modes(void) {
    const ba_mode *m;
    for (size_t i = 0; (m = ba_mode_at(i)); i++) {
        printf("%s%s", i ? " " : "", m->name);
    }
}

/* Text with a backslash before each of some characters. */
static void print_escaped(const char *text, const char *which) {
    for (; *text; text++) {
        if (strchr(which, *text)) {
            putchar('\\');
        }
        putchar(*text);
    }
}

/* ---- the manual page -------------------------------------------------------------------------------------------- */

static void print_roff(const char *text) {
    print_escaped(text, "\\-");
}

static void print_man_option(const ba_command *c, const ba_option *o) {
    char value[128], help[MAX_HELP];
    ba_option_value(o, value, sizeof value);
    ba_option_help(o, c ? ba_option_standard(c, o) : o->standard, help, sizeof help);
    fputs(".TP\n.BI \"\\-\\-", stdout);
    print_roff(o->name);
    fputs(*value ? "\" \" " : "", stdout);
    print_roff(value);
    fputs("\"\n\\&", stdout);
    print_roff(help);
    putchar('\n');
}

static void print_man_commands(const ba_command *const *all) {
    for (; *all; all++) {
        if (!(*all)->hidden) {
            printf(".TP\n.B %s\n\\&", (*all)->name);
            print_roff((*all)->summary);
            putchar('\n');
        }
    }
}

/* Shared options once, then the others of each command. */
static void print_man_options(const ba_command *const *all) {
    puts(".SS Shared options\nEach command takes those that\n.B \\-\\-help\nshows.");
    for (const ba_shared_option *s = ba_shared_options; s->row.name; s++) {
        print_man_option(NULL, &s->row);
    }
    for (; *all; all++) {
        const ba_command *c = *all;
        if (c->hidden) {
            continue;
        }
        printf(".SS blockattn %s ", c->name);
        print_roff(c->usage);
        fputs("\n\\&", stdout);
        print_roff(c->about);
        putchar('\n');
        for (const ba_option *o = c->own; o && o->name; o++) {
            print_man_option(c, o);
        }
    }
}

/* Prints a template; the lists take the place of its lines @COMMANDS@ and @OPTIONS@. */
static int print_man(const ba_command *const *all, const char *path) {
    char err[BA_ERR_LEN], *text;
    size_t len;
    if (ba_read_file(path, MAX_TEXT, &text, &len, err)) {
        return ba_cli_fail(BA_EXIT_USAGE, "%s", err);
    }
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (strcmp(line, "@COMMANDS@") == 0) {
            print_man_commands(all);
        } else if (strcmp(line, "@OPTIONS@") == 0) {
            print_man_options(all);
        } else if (rest || *line) {
            puts(line);
        }
    }
    free(text);
    return BA_EXIT_OK;
}

/* ---- bash ------------------------------------------------------------------------------------------------------- */

/* How bash finds words for the value of an option: "-f", "-d", "-W 'a b'"; false: it cannot. */
static bool print_bash_words(const ba_option *o) {
    char word[64];
    if (ba_option_word(o, 0, word)) {
        fputs("-W '", stdout);
        for (size_t i = 0; ba_option_word(o, i, word); i++) {
            printf("%s%s", i ? " " : "", word);
        }
        putchar('\'');
        return true;
    }
    if (o->type == BA_FILE || o->type == BA_FOLDER) {
        fputs(o->type == BA_FILE ? "-f" : "-d", stdout);
        return true;
    }
    if (o->type == BA_MODE || o->type == BA_MODES) {
        fputs("-W \"$modes\"", stdout);
        return true;
    }
    return false;
}

static void print_bash_command(const ba_command *c) {
    const ba_option *o;
    printf("    %s)\n        options='", c->name);
    for (size_t i = 0; (o = option_at(c, i)); i++) {
        printf("%s--%s", i ? " " : "", o->name);
    }
    puts("'\n        case $previous in");
    for (size_t i = 0; (o = option_at(c, i)); i++) {
        if (o->type == BA_FLAG) {
            continue;
        }
        printf("        --%s) COMPREPLY=($(compgen ", o->name);
        if (!print_bash_words(o)) {
            fputs("-W ''", stdout);
        }
        puts(" -- \"$word\")); return ;;");
    }
    puts("        esac ;;");
}

static int print_bash(const ba_command *const *all) {
    puts("# bash completion for blockattn, printed by 'blockattn help-pages bash'.\n"
         "_blockattn() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options");
    fputs("    local modes='", stdout);
    print_modes();
    puts("'");
    fputs("    if [ \"$COMP_CWORD\" = 1 ]; then\n        COMPREPLY=($(compgen -W '--help --version", stdout);
    for (size_t i = 0; all[i]; i++) {
        if (!all[i]->hidden) {
            printf(" %s", all[i]->name);
        }
    }
    puts("' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in");
    for (size_t i = 0; all[i]; i++) {
        if (!all[i]->hidden) {
            print_bash_command(all[i]);
        }
    }
    puts("    esac\n"
         "    case $word in\n"
         "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
         "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
         "    esac\n"
         "}\n"
         "complete -o filenames -F _blockattn blockattn");
    return BA_EXIT_OK;
}

/* ---- zsh -------------------------------------------------------------------------------------------------------- */

/* Text inside '...[HELP]' of _arguments. */
static void print_zsh_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            print_escaped((char[]){*text, '\0'}, "[]:\\");
        }
    }
}

static void print_zsh_option(const ba_option *o) {
    char value[128], word[64];
    ba_option_value(o, value, sizeof value);
    printf("            '--%s[", o->name);
    print_zsh_text(o->help);
    putchar(']');
    if (o->type != BA_FLAG) {
        putchar(':');
        print_zsh_text(value);
        putchar(':');
        if (ba_option_word(o, 0, word)) {
            putchar('(');
            for (size_t i = 0; ba_option_word(o, i, word); i++) {
                printf("%s%s", i ? " " : "", word);
            }
            putchar(')');
        } else if (o->type == BA_MODE || o->type == BA_MODES) {
            putchar('(');
            print_modes();
            putchar(')');
        } else if (o->type == BA_FILE || o->type == BA_FOLDER) {
            fputs(o->type == BA_FILE ? "_files" : "_files -/", stdout);
        }
    }
    puts("' \\");
}

static int print_zsh(const ba_command *const *all) {
    const ba_option *o;
    puts("#compdef blockattn\n# zsh completion for blockattn, printed by 'blockattn help-pages zsh'.\n"
         "_blockattn() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(");
    for (size_t i = 0; all[i]; i++) {
        if (!all[i]->hidden) {
            printf("            '%s:", all[i]->name);
            print_zsh_text(all[i]->summary);
            puts("'");
        }
    }
    puts("        )\n        _describe command commands\n        return\n    fi\n"
         "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in");
    for (size_t i = 0; all[i]; i++) {
        if (all[i]->hidden) {
            continue;
        }
        printf("    %s)\n        _arguments -S \\\n", all[i]->name);
        for (size_t k = 0; (o = option_at(all[i], k)); k++) {
            print_zsh_option(o);
        }
        puts("            '*:file:_files' ;;");
    }
    puts("    esac\n}\n_blockattn \"$@\"");
    return BA_EXIT_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int run(const ba_call *call) {
    const char *page = call->n_operand ? call->operand[0] : "";
    if (strcmp(page, "man") == 0 && call->n_operand == 2) {
        return print_man(call->all, call->operand[1]);
    }
    if (strcmp(page, "bash") == 0) {
        return print_bash(call->all);
    }
    if (strcmp(page, "zsh") == 0) {
        return print_zsh(call->all);
    }
    return ba_cli_fail(BA_EXIT_USAGE, "there is man TEMPLATE, bash and zsh");
}

const ba_command ba_command_help_pages = {
    .name = "help-pages",
    .summary = "prints the manual page and the completions of shells",
    .usage = "man TEMPLATE | bash | zsh",
    .about =
        "Prints the manual page or a shell's completions, from the tables that the program parses its options with. "
        "The Makefile runs it.",
    .hidden = true,
    .operands = 2,
    .run = run,
};
