# Real questions in their order: how many passages recur, and the time to first token of all questions so far.
#   gnuplot -c plots/replay.gp ITEMS.csv OUT SET...     (blockattn export TRACE.h5 items > ITEMS.csv)
data = ARG1; out = ARG2
load "plots/style.gp"
sets = ""
do for [i = 3:ARGC] { sets = sets." ".value(sprintf("ARG%d", i)) }
first = word(sets, 1)
of(set, column_) = stringcolumn("set") eq set ? column(column_) : NaN
set xlabel "questions so far"
# Running sums over the rows of a set, begun anew for every line.
share(set, a, b) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_b = sum_b + column(b), 100.0 * sum_a / sum_b) : NaN
total(set, a) = stringcolumn("set") eq set ? (sum_a = sum_a + column(a), sum_a) : NaN

recurring = "plot "
do for [i = 1:words(sets)] {
    recurring = recurring.sprintf("sum_a = 0, sum_b = 0, data using (of('%s', 'item') + 1):(share('%s', 'recurring', 'passages')) with lines ls %d title '%s', ", \
        word(sets, i), word(sets, i), i, word(sets, i))
}
times = "plot "
do for [i = 1:3] {
    times = times.sprintf("sum_a = 0, data using (of(first, 'item') + 1):(total(first, '%s_estimate_s')) with lines ls %d title '%s', ", \
        word("full prefix block", i), word("1 4 3", i) + 0, word("'full prefill' 'prefix caching' 'block mode'", i))
}

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    set multiplot layout 1, 2
    set title "Passages that an earlier question had"
    set ylabel "% of the passages so far"
    set yrange [0:135]
    set ytics 0, 20, 100
    set logscale x
    set xrange [1:*]
    eval recurring
    set title "Time to first token, all questions so far: ".first
    set ylabel "s (estimated: FLOPs at the rate of those measured)"
    unset logscale x
    set xrange [0:*]
    set yrange [0:*]
    set ytics autofreq
    eval times
    unset multiplot
    unset output
}
