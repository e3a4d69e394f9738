# Real questions in their order: how many passages recur, and the time to first token of all questions so far.
#   gnuplot -c replay.gp FIGURE     (items.csv: table items of a trace of replay)
data = "items.csv"; out = ARG1
load "style.gp"
eval collect(data, "set", "sets")
first = word(sets, 1)
of(set, column_) = stringcolumn("set") eq set ? column(column_) : NaN
# Running sums over the rows of a set, begun anew for every line.
share(set, a, b) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_b = sum_b + column(b), 100.0 * sum_a / sum_b) : NaN
total(set, a) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_a) : NaN
stats data using (of(first, "index")) nooutput
n = STATS_max + 1

recurring = "plot "
do for [i = 1:words(sets)] {
    recurring = recurring . sprintf("sum_a = 0, sum_b = 0, data using (of('%s', 'index') + 1):(share('%s', 'recurring', 'passages')) with lines ls %d title '%s', ", \
        word(sets, i), word(sets, i), of_ramp(i, words(sets)), word(sets, i))
}
ways = "full prefix block"
times = "plot "
do for [i = 1:3] {
    times = times . sprintf("sum_a = 0, data using (of(first, 'index') + 1):(total(first, '%s_estimate_s')) with lines ls %d title '%s', ", \
        word(ways, i), style_of(word(ways, i)), word("'full prefill' 'prefix caching' 'block mode with a store'", i))
}

do for [kind in "svg png"] {
    eval page(kind, 1200, 580)
    set multiplot layout 1, 2
    set key tmargin center horizontal maxcols 3 font ",12" width -2
    set tmargin 6
    set title "Passages that an earlier question had" font ",12"
    set ylabel "% of the passages so far"
    set xlabel "questions so far"
    set yrange [0:100]
    set ytics 0, 20, 100
    set logscale x
    set xrange [1:*]
    eval recurring
    set title sprintf("Time to first token, sum so far: %s (n = %d)", first, n) font ",12" noenhanced
    set ylabel "s (estimated: FLOPs at the measured rate)"
    unset logscale x
    set xrange [0:*]
    set yrange [0:*]
    set ytics autofreq
    eval times
    unset multiplot
    unset output
}
