# The size of blocks: what is encoded a frame, and how far the answer is from full attention.
#   gnuplot -c plots/game_grain.gp SUMMARY.csv OUT     (blockattn export TRACE.h5 summary > SUMMARY.csv)
data = ARG1; out = ARG2
load "plots/style.gp"
set logscale x 2
set xlabel "limit of a block (tokens)"
set xtics (8, 16, 32, 64, 128, 256, 512, "1K" 1024, "2K" 2048, "4K" 4096)

stats data using (column("kl")) nooutput
kl_max = STATS_max

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    set multiplot layout 1, 2
    set title "Work: share of the tokens that a frame encodes"
    set ylabel "%"
    set logscale y
    set yrange [0.3:400]
    unset y2tics
    set key left top
    plot data using "max_tokens":(100 * column("new_share")) with linespoints ls 3 title "encoded", \
         data using "max_tokens":(100 * column("changed_share")) with linespoints ls 2 title "changed"
    set title "Distance from full attention"
    unset logscale y
    set yrange [0:1.45 * kl_max]
    set ylabel "KL of the next token (nats)"
    set y2label "top-1 agreement (%)"
    set y2range [0:145]
    set y2tics 0, 20, 100 nomirror
    plot data using "max_tokens":"kl" with linespoints ls 3 title "KL", \
         data using "max_tokens":(100 * column("agreement")) axes x1y2 with linespoints ls 4 title "top-1 agreement (right axis)"
    unset y2tics
    unset y2label
    unset multiplot
    unset output
}
