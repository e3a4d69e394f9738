#!/bin/sh
# Whether more budget never makes a mode worse, family by family: plots/monotone.sh PROGRAM GATE.h5 EVAL.h5
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" export "$2" modes --csv >"$work/modes.csv"
"$1" export "$3" summary --csv >"$work/summary.csv"
echo "$(basename "$2" .h5): does a larger charged budget ever make a mode worse?"
awk -v check=1 -f "$(dirname "$0")/curves.awk" "$work/modes.csv" "$work/summary.csv"
