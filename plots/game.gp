# A game frame by frame: time to first token, and what share of the tokens is computed.
#   gnuplot -c plots/game.gp FRAMES.csv OUT TITLE     (blockattn export TRACE.h5 frames > FRAMES.csv)
data = ARG1; out = ARG2
load "plots/style.gp"
set logscale y
set xlabel "frame (0: nothing in the store)"
set xrange [-0.5:*]
first = "every ::1"

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    set multiplot layout 1, 2 title ARG3 font ",15"
    set title "Time to first token"
    set ylabel "s"
    stats data using (column("full_s")) nooutput
    set yrange [* : STATS_max * 12]
    set format y "%g"
    plot data using "frame":"full_s" with points ls 1 title "full prefill (some frames)", \
         data using "frame":"prefix_s" with points ls 4 title "prefix caching (the same)", \
         data using "frame":"block_s" with linespoints ls 3 title "block mode, the store keeps the blocks"
    set title "Computed, of the tokens of the prompt"
    set ylabel "%"
    set yrange [0.1:1500]
    plot data using "frame":(100) with lines ls 1 title "full prefill", \
         data using "frame":(100 - 100 * column("common_prefix") / column("tokens")) with linespoints ls 4 ps 0.8 title "behind the common prefix", \
         data using "frame":(100 * column("new_tokens") / column("tokens")) with linespoints ls 3 ps 0.8 title "new and changed blocks", \
         data using "frame":(100 * column("changed_tokens") / column("tokens")) with linespoints ls 2 ps 0.8 title "changed"
    unset multiplot
    unset output
}
