#!/bin/sh
# Runs `make bench-compare`: builds the library of one or two commits with their own Makefiles and this tree's worker, in
# separate folders, and measures both in turns. Exit status 1 if something got slower.
#   compare.sh BUILD RESULTS BASE [HEAD] [-- OPTION...]     HEAD: a commit; default: the working tree
set -eu
build=$(realpath "$1") results=$(realpath "$2") base=$3 head=
shift 3
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    head=$1
    shift
fi
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/../.."
die() { echo "bench-compare: $*" >&2; exit 2; }

# worker_of COMMIT: path of its bench-worker, built if need be.
worker_of() {
    commit=$(git rev-parse --verify --quiet "$1^{commit}") || die "BASE=$1: there is no such commit"
    tree=$build/commits/$commit
    mkdir -p "$tree"
    [ -f "$tree/Makefile" ] || git archive "$commit" | tar -x -C "$tree"
    # Commits before sources had folders keep their own worker: it speaks the same lines.
    worker=experiments/bench/worker.c
    [ -f "$tree/$worker" ] || worker=experiments/versus/worker.c
    [ "$worker" = experiments/bench/worker.c ] || cp -p "$worker" "$tree/$worker"
    cat >"$tree/worker.mk" <<'MAKE'
include Makefile
$(BUILD)/this-worker: $(call obj,$(LIB_SRC) $(WORKER))
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LIBS)
MAKE
    echo "building $1" >&2
    (cd "$tree" && unset MAKEFLAGS MAKELEVEL && make -f worker.mk -j"$(nproc)" BUILD=build WORKER=$worker build/this-worker) \
        >"$tree/build.log" 2>&1 || die "$1 cannot be built with this tree's experiments/versus/worker.c: $tree/build.log"
    echo "$tree/build/this-worker"
}

base_worker=$(worker_of "$base")
head_worker=$build/bench-worker
[ -z "$head" ] || head_worker=$(worker_of "$head")
model=${BLOCKATTN_MODEL:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/blockattn/SmolLM2-135M-Instruct.Q4_1.gguf}
exec "$build/bench" compare --model "$model" --base "$base_worker" --head "$head_worker" --out "$results/compare.h5" --force "$@"
