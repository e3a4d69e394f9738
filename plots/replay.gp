# Real questions in their order: how many passages recur, and the time to first token, mean of all questions so far.
#   gnuplot -c replay.gp FIGURE     (items.csv: table items of a trace of replay)
data = "items.csv"; out = ARG1
load "style.gp"
eval collect(data, "set", "sets")
first = word(sets, 1)
of(set, column_) = stringcolumn("set") eq set ? column(column_) : NaN
# Running sums over the rows of a set, begun anew for every line.
share(set, a, b) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_b = sum_b + column(b), 100.0 * sum_a / sum_b) : NaN
mean(set, a) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_b = sum_b + 1, sum_a / sum_b) : NaN
array n[words(sets)]
longest = 0
do for [i = 1:words(sets)] {
    stats data using (of(word(sets, i), "index")) nooutput
    n[i] = STATS_max + 1
    longest = n[i] > longest ? n[i] : longest
}
ways = "full prefix block"
eval tally(data, 'column("block_estimate_s")', "estimated") # only with --measure

recurring = "plot "
do for [i = 1:words(sets)] {
    recurring = recurring . sprintf("sum_a = 0, sum_b = 0, data using (of('%s', 'index') + 1):(share('%s', 'recurring', 'passages')) with lines ls %d, ", \
        word(sets, i), word(sets, i), of_ramp(i, words(sets)))
}
times = "plot "
do for [i = 1:3] {
    times = times . sprintf("sum_a = 0, sum_b = 0, data using (of(first, 'index') + 1):(mean(first, '%s_estimate_s')) with lines ls %d, ", \
        word(ways, i), style_of(word(ways, i)))
}
rows_ = (words(sets) + 3 + 3) / 4

do for [kind in "svg png"] {
    eval page(kind, 1200, 560 + 22 * rows_)
    eval panels(estimated ? 2 : 1, 1200, 560 + 22 * rows_, rows_, 0, "")
    set title "Passages that an earlier question had" font ",12"
    set ylabel "% of the passages so far"
    set xlabel "questions so far"
    set yrange [0:100]
    set ytics 0, 20, 100
    set logscale x
    set xrange [1:longest]
    eval fine("x", 1, longest)
    eval recurring
    if (estimated) {
        set title sprintf("Time to first token, mean so far: %s (n = %d)", first, n[1]) font ",12" noenhanced
        set ylabel "s (estimated: FLOPs at the measured rate)"
        set yrange [0:*]
        set ytics autofreq
        eval times
    }
    eval legend(560 + 22 * rows_, rows_)
    plot NaN notitle, for [i = 1:words(sets)] keyentry with lines ls of_ramp(i, words(sets)) title sprintf("%s (n = %d)", word(sets, i), n[i]), \
         for [i = 1:(estimated ? 3 : 0)] keyentry with lines ls style_of(word(ways, i)) \
             title word("'full prefill' 'prefix caching' 'block mode with a store'", i)
    eval finish
}
