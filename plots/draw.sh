#!/bin/sh
# Draws all figures of one trace of `ttft`, as SVG and PNG.
#   plots/draw.sh build/blockattn results/table3.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" export "$trace" results --csv >"$work/results.csv"
for figure in ttft flops stages; do
    gnuplot -c "plots/$figure.gp" "$work/results.csv" "$folder/$figure"
done

# A prompt small enough that every token is a visible square: three passages and a question.
cat >"$work/request.json" <<'JSON'
{"ids": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16, 17, 18], [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32],
         [41, 42, 43, 44, 45, 46, 47, 48, 49, 50]],
 "roles": ["passage", "passage", "passage", "question"]}
JSON
for mode in full block; do
    "$program" plan --mode $mode --request "$work/request.json" --mask >"$work/$mode.mask"
done
gnuplot -c plots/mask.gp "$work/full.mask" "$work/block.mask" "$folder/mask"
echo "figures: $folder/ttft, flops, stages, mask (.svg and .png)"
