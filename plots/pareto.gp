# What a mode loses against full attention of the same model, for the share of the reusable tokens that it computes again:
# lower left is better. Settings of one mode are tied by a line.
#   gnuplot -c pareto.gp FIGURE [LABEL]     (pareto.csv: made by report; LABEL: the tuned model, block-ft-shipped)
data = "pareto.csv"; out = ARG1
load "style.gp"
ours = ARGC > 1 ? ARG2 : "block-ft-shipped"
set xlabel "charged budget: share of the reusable tokens computed again, over all layers, probes paid in full\n(the two models are drawn a little apart)"
stats data using (column("charged")) nooutput
right = STATS_max
set xrange [-0.32 * right : 1.3 * right]
set xtics 0, 0.05
set offsets 0, 0, graph 0.08, graph 0.05
stats data using (column("n")) nooutput
items = STATS_min < STATS_max ? sprintf("%.0f to %.0f", STATS_min, STATS_max) : sprintf("%.0f", STATS_max)
eval collect(data, "mode", "modes")
families = ""
do for [m in modes] { families = strstrt(families . " ", " " . base(m) . " ") ? families : families . " " . base(m) }
set key outside top center horizontal
set lmargin 12

# The tuned model is drawn a little to the right, filled, with its labels on the right; the others hollow, labels left.
aside(tuned) = (tuned ? 0.008 : -0.008) * right
of(tuned, value) = (stringcolumn("label") eq ours) == tuned ? value : NaN
of_family(family, tuned, value) = base(stringcolumn("mode")) eq family ? of(tuned, value) : NaN
labels(tuned, value, scale, gap) = sprintf("< awk -F, -v label=%s -v is=%d -v value=%s -v scale=%g -v gap=%g -v near=%g" \
    . " -f spread.awk %s", ours, tuned, value, scale, gap, 0.13 * right, data)
rgb(mode) = int("0x" . colour_of(mode)[2:7])
do for [kind in "svg png"] {
    eval page(kind, 1200, 1300)
    set multiplot layout 2,1
    set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead ls 8
    do for [panel = 1:2] {
        value = word("score_lost nll_lost", panel)
        scale = panel == 1 ? 100 : 1
        stats data using (scale * column(value . "_low")) name "low" nooutput
        stats data using (scale * column(value . "_high")) name "high" nooutput
        gap = 0.035 * (high_max - low_min)
        set title (panel == 1 ? "Accuracy lost" : "Likelihood of the gold answer lost") . " (n = " . items . " items, paired)"
        set ylabel panel == 1 ? "points of best-subspan EM lost (mean over tasks, 95 %)" \
                              : "NLL added (nats a token, mean over tasks, 95 %)"
        plot for [t = 0:1] for [f in families] data using (of_family(f, t, column("charged") + aside(t))):(scale * column(value)) \
                 with lines lw 1.5 dt 3 - 2 * t lc rgb colour_of(f) notitle, \
             for [t = 0:1] data using (of(t, column("charged") + aside(t))):(scale * column(value)): \
                 (scale * column(value . "_low")):(scale * column(value . "_high")):(rgb(stringcolumn("mode"))) \
                 with yerrorbars pt (t ? 7 : 6) ps 1.3 lw 2 lc rgb variable notitle, \
             for [t = 0:1] keyentry with points pt (t ? 7 : 6) ps 1.3 lc rgb "#444444" title t ? "tuned for blocks" : "not tuned for blocks", \
             for [t = 0:1] labels(t, value, scale, gap) using ($1 + aside(t)):2:(t ? 0.03 * right : -0.03 * right):($3 - $2) \
                 with vectors nohead lt 1 lw 0.8 lc rgb "#999999" notitle, \
             labels(0, value, scale, gap) using ($1 + aside(0) - 0.035 * right):3:4:(rgb(strcol(4))) with labels right offset 0,0.45 \
                 noenhanced font ",11" textcolor rgb variable notitle, \
             labels(1, value, scale, gap) using ($1 + aside(1) + 0.035 * right):3:4:(rgb(strcol(4))) with labels left offset 0,0.45 \
                 noenhanced font ",11" textcolor rgb variable notitle
    }
    unset multiplot
    unset output
}
