# A game frame by frame: time to first token, and what share of the tokens is computed.
#   gnuplot -c game.gp FIGURE     (frames.csv: table frames of a trace of game)
data = "frames.csv"; out = ARG1
load "style.gp"
eval collect(data, "world", "world")
set xlabel "frame (0: the store is empty)"
stats data using (column("frame")) nooutput
set xrange [-0.5 : STATS_max + 0.5]
set logscale y
stats data using (column("block_s")) name "block" nooutput
slowest = block_max
stats data using (column("frame") > 0 ? column("tokens") : NaN) nooutput
size = STATS_mean
stats data using (column("frame") > 0 ? 100.0 * column("changed_tokens") / column("tokens") : NaN) nooutput
headline = sprintf("Game '%s': %s tokens a frame, of which %.2g %% change (means of %d frames)", word(world, 1), tokens(size), STATS_mean, STATS_records)
eval tally(data, 'column("full_s")', "measured")
if (measured) {
    stats data using (column("full_s")) name "full" nooutput
    stats data using (column("prefix_s")) name "prefix" nooutput
    slowest = full_max > slowest ? full_max : slowest
    slowest = prefix_max > slowest ? prefix_max : slowest
}

do for [kind in "svg png"] {
    eval page(kind, 1200, 580)
    eval panels(2, 1200, 580, 2, 0, headline)
    set title sprintf("Time to first token (full and prefix: %d frames timed)", measured) font ",12"
    set ylabel "s"
    set yrange [block_min / 1.5 : slowest * 1.5]
    set format y "%g"
    eval fine("y", block_min / 1.5, slowest * 1.5)
    plot data using "frame":"full_s" with points ls style_of("full"), \
         data using "frame":"prefix_s" with points ls style_of("prefix"), \
         data using "frame":"block_s" with linespoints ls style_of("block")
    set title "Tokens to compute, of those in the prompt" font ",12"
    set ylabel "%"
    set yrange [*:150]
    set ytics autofreq
    plot data using "frame":(100) with lines ls style_of("full"), \
         data using "frame":(100 - 100.0 * column("common_prefix") / column("tokens")) with linespoints ls style_of("prefix") ps 0.8, \
         data using "frame":(100.0 * column("new_tokens") / column("tokens")) with linespoints ls style_of("block") ps 0.8, \
         data using "frame":(100.0 * column("changed_tokens") / column("tokens")) with lines ls 1 dt 2
    eval legend(580, 2)
    plot NaN notitle, keyentry with linespoints ls style_of("full") title "full prefill", \
         keyentry with linespoints ls style_of("prefix") title "prefix caching", \
         keyentry with linespoints ls style_of("block") title "block mode with a store", \
         keyentry with lines ls 1 dt 2 title "changed in the text (right)"
    eval finish
}
