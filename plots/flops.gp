# FLOPs of a first token against length, counted in three ways.
#   gnuplot -c flops.gp FIGURE     (results.csv: table results of a trace of ttft)
data = "results.csv"; out = ARG1
load "style.gp"
eval one_size
eval collect(data, "mode", "modes")
eval lengths
set logscale xy
set format y "10^{%T}"
stats data using (column("question")) nooutput
set xlabel sprintf("prompt length (tokens, with a question of %.0f)", STATS_max)
set ylabel "FLOPs of a first token"
stats data using (column("length")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.25]
# Point: the way of counting. With more than two modes, only the exact one.
ways = words(modes) == 2 ? "dense exact paper" : "exact"
named = "dense exact paper's"
set title words(modes) == 2 ? "exact: visible pairs, LM head once; dense: masked pairs, too\npaper's: no attention, LM head on every token" \
                            : "exact: visible pairs, LM head once" . passages(0) font ",12"
state(mode) = mode eq "full" ? "full" : mode . ", warm"

do for [kind in "svg png"] {
    eval page(kind, 1000, 620)
    plot for [m = 1:words(modes)] for [w = 1:words(ways)] data using "length":(cell(word(modes, m), "place", word(modes, m) eq "full", "flops_" . word(ways, w))) \
             with linespoints ls style_of(word(modes, m)) pt (words(ways) > 1 ? 4 + 2 * w : point_of(word(modes, m))) \
             title state(word(modes, m)) . (words(ways) > 1 ? ", " . word(named, w) : "")
    unset output
}
