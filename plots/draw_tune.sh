#!/bin/sh
# Draws the figure of a training run (a trace of `tune`), as SVG and PNG.
#   plots/draw_tune.sh build/blockattn results/tune.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw_tune.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
name=$(basename "${trace%.gz}" .h5)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for table in steps validation; do
    "$program" export "$trace" $table --csv >"$work/$table.csv"
done
gnuplot -c plots/tune.gp "$work/steps.csv" "$work/validation.csv" "$folder/$name"
echo "figure: $folder/$name (.svg and .png)"
