#!/bin/sh
# Draws the figure of the traces of `cost --requests`, as SVG and PNG.
#   plots/draw_requests.sh build/blockattn results
set -eu
[ $# -eq 2 ] || { echo "usage: plots/draw_requests.sh PROGRAM FOLDER" >&2; exit 2; }
program=$(realpath "$1") folder=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for trace in ram zipf; do
    "$program" export "$folder/requests_$trace.h5" requests --csv >"$work/$trace.csv"
done
gnuplot -c plots/requests.gp "$work/ram.csv" "$work/zipf.csv" "$folder/requests"
echo "figure: $folder/requests (.svg and .png)"
