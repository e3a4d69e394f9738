#!/bin/sh
# Draws the figures of a trace, as SVG and PNG. Which ones there are says the table below.
#   plots/draw.sh [-s SET] [-r RUN] PROGRAM INPUT... FOLDER
# PROGRAM: blockattn. INPUT: a trace (.h5 or .h5.gz), or a table of one as a file that ends in TABLE.csv.
# SET: the first column of the table; without it, the command that made the trace. RUN: a run of a merged trace.
# Example: plots/draw.sh build/blockattn results/table3.h5 results
set -eu

# set     figure               tables                  script     arguments. %: the name of the trace or of the run.
figures='
ttft      ttft                 results                 ttft
ttft      flops                results                 flops
ttft      stages               results                 stages
ttft      mask                 full.mask,block.mask    mask
sweep     sweep_ttft_length    results                 sweep      ttft_s_median length
sweep     sweep_kl_length      results                 sweep      kl length
sweep     sweep_ttft_block_tokens results              sweep      ttft_s_median block_tokens
sweep     sweep_kl_block_tokens results                sweep      kl block_tokens
sweep     sweep_ttft_passages  results                 sweep      ttft_s_median passages
sweep     sweep_kl_passages    results                 sweep      kl passages
curves    %                    modes,budgets           curves
gate      ranking              modes                   ranking
gate      departure            layers                  layers     departure
gate      entropy              layers                  layers     entropy
gate      mass                 mass                    mass
game      %                    frames                  game
grain     %                    summary                 game_grain
replay    replay               items                   replay
requests  requests             requests-1,requests-2   requests
tune      %                    steps,validation        tune
bench     versus               results                 versus
bench     roofline             kernels,machine         roofline
reload    reload               reload                  reload
report    pareto               pareto                  pareto
report    figure4              figure4                 figure4
'

fail() { echo "draw.sh: $*" >&2; exit 2; }
set_='' run=''
while getopts s:r: option; do
    case $option in s) set_=$OPTARG ;; r) run=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || fail "usage: plots/draw.sh [-s SET] [-r RUN] PROGRAM INPUT... FOLDER"
plots=$(realpath "$(dirname "$0")") program=$(realpath "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$plots"/*.gp "$plots"/*.awk "$work"
# Inputs under names without folders, as gnuplot is run in the scratch folder: no path can be misread there.
traces=0
while [ $# -gt 1 ]; do
    [ -f "$1" ] || fail "$1: no such file"
    case $1 in
    *.csv) ln -s "$(realpath "$1")" "$work/input-$(basename "$1")" ;;
    *) traces=$((traces + 1))
        ln -s "$(realpath "$1")" "$work/trace-$traces.h5"
        [ $traces -gt 1 ] || { name=$(basename "${1%.gz}" .h5) && name=${run:-$name}; } ;;
    esac
    shift
done
[ -d "$1" ] || fail "$1: no such folder"
folder=$(realpath "$1")
cd "$work"
[ -n "$set_" ] || set_=$("$program" export trace-1.h5 ${run:+"$run/"} | sed -n 's,^schema *blockattn[-/]\([a-z]*\)[-/].*,\1,p')
echo "$figures" | grep -q "^${set_:-none} " ||
    fail "no figures are made from '${set_:-this trace}'; there are $(echo "$figures" | awk 'NF { print $1 }' | uniq | tr '\n' ' ')"

# A prompt small enough that every token is a visible square: three passages and a question.
mask_of() {
    cat >request.json <<'JSON'
{"ids": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16, 17, 18], [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32],
         [41, 42, 43, 44, 45, 46, 47, 48, 49, 50]],
 "roles": ["passage", "passage", "passage", "question"]}
JSON
    "$program" plan --mode "$1" --request request.json --mask
}

# The file of a table: results, full.mask, or requests-2 (table requests of the second trace).
make_table() {
    for given in input-*"$1".csv; do
        [ ! -f "$given" ] || { cp "$given" "$1.csv" && return; }
    done
    [ $traces -gt 0 ] || [ "$1" != "${1%.mask}" ] || fail "no trace given, and no file that ends in $1.csv"
    case $1 in
    *.mask) mask_of "${1%.mask}" >"$1" ;;
    *-[0-9]) "$program" export "trace-${1##*-}.h5" "${1%-*}" --csv >"$1.csv" ;;
    *) "$program" export trace-1.h5 "${run:+$run/}$1" --csv >"$1.csv" ;;
    esac
}

# Whether a table has rows. Masks always have; the accuracies beside curves may come later.
has_rows() { case $1 in *.mask | budgets) ;; *) [ "$(wc -l <"$1.csv")" -gt 1 ] ;; esac; }

echo "$figures" >figures
while read -r of figure tables script arguments; do
    [ "$of" = "$set_" ] || continue
    complete=yes
    for table in $(echo "$tables" | tr , ' '); do
        [ -f "$table" ] || [ -f "$table.csv" ] || make_table "$table" || fail "cannot draw $figure"
        has_rows "$table" || complete=
    done
    [ -n "$complete" ] || { echo "figure $figure: no rows to draw" >&2; continue; }
    [ "$figure" != % ] || figure=$name
    # GNUTERM may name a terminal that this gnuplot lacks, and ~/.gnuplot may hold anything.
    # shellcheck disable=SC2086 # one word an argument
    env -u GNUTERM LC_ALL=C.UTF-8 gnuplot -d -c "$script.gp" "$figure" $arguments
    drawn=
    for file in "$figure"*.svg "$figure"*.png; do
        [ ! -f "$file" ] || { mv "$file" "$folder/" && drawn=yes; }
    done
    # ranking.gp draws nothing where every mode equals full attention.
    if [ -n "$drawn" ]; then echo "figure: $folder/$figure (.svg and .png)"; else echo "figure $figure: nothing to draw" >&2; fi
done <figures
