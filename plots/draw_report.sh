#!/bin/sh
# Draws the figures of results/REPORT.md, as SVG and PNG, from the data that `report` left in the folder.
#   plots/draw_report.sh results
set -eu
[ $# -eq 1 ] || { echo "usage: plots/draw_report.sh FOLDER" >&2; exit 2; }
folder=$(realpath "$1")
cd "$(dirname "$0")/.."
for figure in pareto figure4; do
    # A figure without points is not drawn; Figure 4 is about the block-tuned model.
    case $figure in pareto) points=, ;; *) points='block-ft[.,]' ;; esac
    sed 1d "$folder/$figure.csv" | grep -q "$points" || continue
    gnuplot -c plots/$figure.gp "$folder/$figure.csv" "$folder/$figure"
    echo "figure: $folder/$figure (.svg and .png)"
done
