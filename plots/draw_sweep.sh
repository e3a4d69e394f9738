#!/bin/sh
# Draws the figures of a sweep (a trace of `ttft` over lengths and passage sizes), as SVG and PNG.
#   plots/draw_sweep.sh build/blockattn results/sweep.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw_sweep.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" export "$trace" results --csv >"$work/results.csv"
for axis in length block_tokens passages; do
    gnuplot -c plots/sweep.gp "$work/results.csv" "$folder/sweep_ttft_$axis" ttft_s_median $axis
    gnuplot -c plots/sweep.gp "$work/results.csv" "$folder/sweep_kl_$axis" kl $axis
done
echo "figures: $folder/sweep_ttft and sweep_kl over length, block_tokens, passages (.svg and .png)"
