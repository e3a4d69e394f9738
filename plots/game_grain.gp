# The size of blocks in a game: what a frame encodes, and how far the answer is from full attention.
#   gnuplot -c game_grain.gp FIGURE     (summary.csv: table summary of a trace of game with several --max-tokens)
data = "summary.csv"; out = ARG1
load "style.gp"
set logscale x 2
set xlabel "largest block (tokens)"
set xtics (8, 16, 32, 64, 128, 256, 512, "1K" 1024, "2K" 2048, "4K" 4096)
eval collect(data, "world", "world")
stats data using (column("max_tokens")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
stats data using (column("tokens")) nooutput
size = STATS_mean
stats data using (column("frames")) nooutput
headline = sprintf("Game '%s': %s tokens a frame, %.0f frames", word(world, 1), tokens(size), STATS_max)
stats data using (column("measured")) nooutput
n = STATS_min

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    eval panels(2, 1200, 560, 1, 60, headline)
    set title "Work: share of the tokens that a frame encodes" font ",12"
    set ylabel "%"
    set logscale y
    set yrange [*:150]
    plot data using "max_tokens":(100 * column("new_share")) with linespoints ls style_of("block"), \
         data using "max_tokens":(100 * column("changed_share")) with linespoints ls 1 dt 2
    set title sprintf("Distance from full attention (n = %.0f frames)", n) font ",12"
    unset logscale y
    set yrange [0:*]
    set ylabel "KL of the next token (nats)" textcolor rgb blue
    set y2label "top-1 agreement (%)" textcolor rgb orange offset -1.5, 0
    set y2range [0:105]
    set y2tics 0, 20, 100 nomirror
    plot data using "max_tokens":"kl" with linespoints ls style_of("block"), \
         data using "max_tokens":(100 * column("top1")) axes x1y2 with linespoints ls 2
    eval legend(560, 1)
    plot NaN notitle, keyentry with linespoints ls style_of("block") title "block: encoded (left), KL (right)", \
         keyentry with linespoints ls 1 dt 2 title "changed in the text", keyentry with linespoints ls 2 title "top-1 agreement"
    eval finish
}
