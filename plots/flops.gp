# FLOPs of a first token against length, in three conventions.
#   gnuplot -c plots/flops.gp RESULTS.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
eval lengths
set logscale xy
set format y "10^{%T}"
set xlabel "prompt length (tokens; question 50)"
set ylabel "FLOPs of a first token"
set title "exact: visible pairs, LM head once · dense: masked pairs too\npaper's convention: no attention, LM head on every token" font ",12"
stats data using (column("length")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.25]

do for [kind in "svg png"] {
    eval page(kind, 900, 620)
    plot data using "length":(cell("full", "place", 1, "flops_dense")) with linespoints ls 4 title "full, dense kernel", \
         data using "length":(cell("full", "place", 1, "flops_exact")) with linespoints ls 1 title "full, exact", \
         data using "length":(cell("full", "place", 1, "flops_paper")) with linespoints ls 2 title "full, paper's convention", \
         data using "length":(cell("block", "place", 0, "flops_dense")) with linespoints ls 4 dt 2 title "block warm, dense kernel", \
         data using "length":(cell("block", "place", 0, "flops_exact")) with linespoints ls 3 dt 2 title "block warm, exact", \
         data using "length":(cell("block", "place", 0, "flops_paper")) with linespoints ls 5 dt 2 title "block warm, paper's convention"
    unset output
}
