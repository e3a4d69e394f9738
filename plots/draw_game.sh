#!/bin/sh
# Draws the figures of the traces of `game` in a folder, as SVG and PNG.
#   plots/draw_game.sh build/blockattn results
set -eu
[ $# -eq 2 ] || { echo "usage: plots/draw_game.sh PROGRAM FOLDER" >&2; exit 2; }
program=$(realpath "$1") folder=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" export "$folder/game.h5" frames --csv >"$work/game.csv"
"$program" export "$folder/game_holdem.h5" frames --csv >"$work/holdem.csv"
"$program" export "$folder/game_grain.h5" summary --csv >"$work/grain.csv"
gnuplot -c plots/game.gp "$work/game.csv" "$folder/game" "A strategy game of 8K tokens, 0.5 % of which change a frame"
gnuplot -c plots/game.gp "$work/holdem.csv" "$folder/game_holdem" "Texas Hold'em (the paper's appendix A)"
gnuplot -c plots/game_grain.gp "$work/grain.csv" "$folder/game_grain"
echo "figures: $folder/game, game_holdem, game_grain (.svg and .png)"
