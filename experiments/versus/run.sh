#!/bin/sh
# Runs after the build of `make bench`: sets up the peers, converts the models, measures, writes rows and figures.
#   run.sh BUILD RESULTS [--quick] [--resume] [--only LIST]
set -eu
build=$1 results=$2
shift 2
cd "$(dirname "$0")/../.."
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/blockattn
name=bench again=--force
for option in "$@"; do # a part of the cases has a name of its own, and leaves no rows to commit
    case $option in
    --quick | --only) name=bench-quick ;;
    --resume) again= ;;
    esac
done

models=${BLOCKATTN_MODEL:-$cache/SmolLM2-135M-Instruct.Q4_1.gguf}
second=$cache/gemma-3-270m.Q4_K_M.gguf
if [ $name = bench ] && [ -f "$second" ]; then
    models="$models $second"
fi
python=$(experiments/versus/peers.sh python)
# shellcheck disable=SC2086 # one word a model
[ -z "$python" ] || experiments/versus/peers.sh convert "$python" "$cache/converted" $models

status=0
"$build/bench" versus --models "$(echo "$models" | tr ' ' ,)" --python "$python" --converted "$cache/converted" \
    --out "$results/$name.h5" $again "$@" || status=$?
[ $status = 0 ] || exit $status

# Rows to commit, named after what decides the figures: the best instruction set and the number of processors.
kind=$(uname -m)
for isa in avx2 avx512f avx512_bf16 amx_bf16; do
    ! grep -qw $isa /proc/cpuinfo || kind=$isa
done
if [ $name = bench ]; then
    mkdir -p "$results/bench"
    for table in results goals kernels machine; do
        "$build/blockattn" export "$results/$name.h5" $table --csv >"$results/bench/$kind-$(nproc)-$table.csv"
    done
    echo "rows: $results/bench/$kind-$(nproc)-*.csv"
fi
plots/draw.sh "$build/blockattn" "$results/$name.h5" "$results"
