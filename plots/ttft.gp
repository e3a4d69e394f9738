# Time to first token against length, ours and the paper's.
#   gnuplot -c plots/ttft.gp RESULTS.csv OUT     (blockattn export TRACE.h5 results > RESULTS.csv)
data = ARG1; out = ARG2
load "plots/style.gp"
eval lengths
set logscale xy
set format y "10^{%T}"
set xlabel "prompt length (tokens; question 50)"
set ylabel "time to first token (s)"
stats data using (column("length")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.25]
# Above the highest point the legend needs room.
stats data using (column("ttft_s_median")) nooutput
top = STATS_max * 40
stats data using (column("paper_ttft_s")) nooutput
paper_top = STATS_max * 4

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    set multiplot layout 1, 2
    set title "Here (floor: measured FLOP/s and bandwidth)"
    set yrange [*:top]
    plot data using "length":(cell("full", "place", 1, "ttft_s_median")) with linespoints ls 1 title "full", \
         data using "length":(cell("block", "place", 1, "ttft_s_median")) with linespoints ls 2 title "block, cold", \
         data using "length":(cell("block", "merge", 0, "ttft_s_median")) with linespoints ls 5 title "block, warm: caches merged, keys rotated", \
         data using "length":(cell("block", "place", 0, "ttft_s_median")) with linespoints ls 3 title "block, warm: keys in place", \
         data using "length":(cell("full", "place", 1, "floor_s")) with lines ls 8 title "floor, full", \
         data using "length":(cell("block", "place", 0, "floor_s")) with lines ls 9 title "floor, block warm"
    set yrange [*:paper_top]
    set title "The paper (Table 3, 8B model)"
    plot data using "length":(cell("full", "place", 1, "paper_ttft_s")) with linespoints ls 1 title "full", \
         data using "length":(cell("block", "place", 0, "paper_ttft_s")) with linespoints ls 3 title "block, warm"
    unset multiplot
    unset output
}
