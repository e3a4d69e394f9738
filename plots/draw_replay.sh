#!/bin/sh
# Draws the figure of a trace of `replay`, as SVG and PNG.
#   plots/draw_replay.sh build/blockattn results/replay.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw_replay.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" export "$trace" items --csv >"$work/items.csv"
# shellcheck disable=SC2046 # one word a set
gnuplot -c plots/replay.gp "$work/items.csv" "$folder/replay" $("$program" export "$trace" summary --csv | sed '1d; s/,.*//; s/"//g')
echo "figure: $folder/replay (.svg and .png)"
