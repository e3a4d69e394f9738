#include "program.h"

#include "experiments/cli/cli.h"
#include "runner.h"
#include "tiny.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void program_free(program_end *o) {
    free(o->out);
    free(o->err);
}

const char *program_path(const char *name, char path[4096]) {
    snprintf(path, 4096, "%s/%s", ba_test_dir(), name);
    return path;
}

char *program_text(const char *name) {
    char path[4096], why[BA_ERR_LEN], *text = NULL;
    size_t n;
    return ba_read_file(program_path(name, path), SIZE_MAX, &text, &n, why) == 0 ? text : strdup("");
}

pid_t program_start(const char *out_path, const char *const *args) {
    char *argv[PROGRAM_ARGS + 2] = {(char *)ba_test_program()};
    for (size_t i = 0; args[i] && i < PROGRAM_ARGS; i++) {
        argv[i + 1] = (char *)args[i];
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addchdir_np(&files, ba_test_dir());
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, "stderr", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child;
    int failed = posix_spawn(&child, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return failed ? -1 : child;
}

program_end program_finish(pid_t child) {
    int code = 0;
    if (child < 0 || waitpid(child, &code, 0) != child) {
        return (program_end){.status = -1, .out = strdup(""), .err = strdup("cannot be started")};
    }
    int status = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
    return (program_end){.status = status, .out = program_text("stdout"), .err = program_text("stderr")};
}

program_end program_run_to(const char *out_path, const char *const *args) {
    return program_finish(program_start(out_path, args));
}

program_end program_run(const char *const *args) {
    return program_run_to("stdout", args);
}

bool program_is_one_line(const char *text) {
    const char *end = strchr(text, '\n');
    return end && end > text && end[1] == '\0';
}

void program_expect_refusals(const program_refusal *row, size_t n) {
    for (size_t i = 0; i < n; i++) {
        program_end o = program_run(row[i].args);
        bool right = o.status == row[i].status && program_is_one_line(o.err) && strstr(o.err, row[i].says) && !*o.out;
        if (!right) {
            printf("  ");
            for (size_t a = 0; row[i].args[a]; a++) {
                printf(" %s", row[i].args[a]);
            }
            printf("\n    status %d, expected %d with '%s'; stdout %zu bytes; stderr: %s\n", o.status, row[i].status,
                   row[i].says, strlen(o.out), o.err);
        }
        CU_ASSERT_TRUE(right);
        program_free(&o);
    }
}

void program_write(const char *name, const char *text) {
    char path[4096];
    FILE *f = fopen(program_path(name, path), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_TRUE(fputs(text, f) >= 0);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

void program_tiny(void) {
    char path[4096];
    if (access(program_path("tiny.gguf", path), R_OK) != 0) {
        CU_ASSERT_EQUAL_FATAL(ba_tiny_gguf(path, NULL), 0);
    }
}
