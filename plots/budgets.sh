#!/bin/sh
# What more budget gives, in Markdown: the settings nearest to some charged budgets, and whether more budget ever makes a
# mode worse, family by family.   plots/budgets.sh PROGRAM GATE.h5 BUDGETS.csv LABEL
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" export "$2" modes --csv >"$work/modes.csv"
echo "### $4: settings nearest to a charged budget of 0.05, 0.16, 0.5 and 1"
echo
awk -v want="0.05 0.16 0.5 1" -v label="$4" -f "$(dirname "$0")/curves.awk" "$work/modes.csv" "$3"
echo
echo "### $4: does a larger charged budget ever make a mode worse?"
echo
awk -v check=1 -v label="$4" -f "$(dirname "$0")/curves.awk" "$work/modes.csv" "$3" | sed 's/^/- /'
