#!/bin/sh
# Draws the figures of a trace of `make bench`, as SVG and PNG.
#   plots/draw_bench.sh build/blockattn results/bench.h5 results
set -eu
[ $# -eq 3 ] || { echo "usage: plots/draw_bench.sh PROGRAM TRACE.h5 FOLDER" >&2; exit 2; }
program=$(realpath "$1") trace=$(realpath "$2") folder=$(realpath "$3")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for table in results kernels machine; do
    "$program" export "$trace" $table --csv >"$work/$table.csv"
done
# One file a model: a line a case, a column an entrant. The names in front hold no comma.
awk -F, -v folder="$work" '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["ratio"] == "" { next }
    {
        who = $at["who"] ($at["method"] == "ready" && $at["who"] ~ /transformers/ ? " ready" : "")
        file = $at["model"]
        if (!((file, $at["case"]) in seen)) { seen[file, $at["case"]] = 1; cases[file] = cases[file] " " $at["case"] }
        ratio[file, $at["case"], who] = $at["ratio"]
    }
    END {
        n = split("ours f32,ours avx2,transformers bf16,transformers bf16 ready,transformers f32,llama.cpp bf16", column, ",")
        for (file in cases) {
            out = folder "/model-" file ".csv"
            printf "case" >out
            for (w = 1; w <= n; w++) printf ",%s", column[w] >out
            printf "\n" >out
            m = split(cases[file], name, " ")
            for (c = 1; c <= m; c++) {
                if (name[c] == "start-50") continue
                printf "%s", name[c] >out
                for (w = 1; w <= n; w++) {
                    printf ",%s", (file, name[c], column[w]) in ratio ? ratio[file, name[c], column[w]] : "NaN" >out
                }
                printf "\n" >out
            }
        }
    }' "$work/results.csv"
for file in "$work"/model-*.csv; do
    [ -f "$file" ] || continue
    model=$(basename "$file" .csv)
    gnuplot -c plots/versus.gp "$file" "$folder/versus-${model#model-}" "${model#model-}"
done
if [ "$(wc -l <"$work/kernels.csv")" -gt 1 ]; then
    gnuplot -c plots/roofline.gp "$work/kernels.csv" "$work/machine.csv" "$folder/roofline"
fi
echo "figures: $folder/versus-*, roofline (.svg and .png)"
