#!/bin/sh
# Draws the figures of one trace of `gate`, as SVG and PNG.
#   plots/draw_gate.sh build/blockattn results/gate.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw_gate.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for table in modes layers mass; do
    "$program" export "$trace" $table --csv >"$work/$table.csv"
done
# Names of the modes in the order of the table: words of one argument, since a script gets nine at most.
modes=$(sed 1d "$work/modes.csv" | sed 's/^"\([^"]*\)".*/\1/; t; s/,.*//' | tr '\n' ' ')
gnuplot -c plots/ranking.gp "$work/modes.csv" "$folder/ranking"
for column in departure entropy; do
    gnuplot -c plots/layers.gp "$work/layers.csv" "$folder/$column" $column "$modes"
done
gnuplot -c plots/mass.gp "$work/mass.csv" "$folder/mass" "$modes"
echo "figures: $folder/ranking, departure, entropy, mass (.svg and .png)"
