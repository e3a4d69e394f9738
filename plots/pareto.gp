# What a mode loses against full attention of the same model, for what its warm first token costs: lower left is better.
#   gnuplot -c pareto.gp FIGURE [LABEL]     (pareto.csv: made by report; LABEL: the tuned model, block-ft)
data = "pareto.csv"; out = ARG1
load "style.gp"
ours = ARGC > 1 ? ARG2 : "block-ft"
set xlabel "FLOPs of a warm first token (% of full's; the models are drawn 4 % apart)"
set logscale x
set xtics (1, 2, 3, 5, 10, 20, 30, 50, 100)
stats data using (100 * column("flops_fraction")) nooutput
set xrange [STATS_min / 2.6 : STATS_max * 1.5]
set offsets 0, 0, graph 0.08, graph 0.05
stats data using (column("n")) nooutput
items = STATS_min < STATS_max ? sprintf("%.0f to %.0f", STATS_min, STATS_max) : sprintf("%.0f", STATS_max)
set key outside top center horizontal
set lmargin 12

# The tuned model is drawn a little to the right, filled, with its labels on the right; the others hollow, labels left.
aside(tuned) = tuned ? 1.02 : 1 / 1.02
of(tuned, value) = (stringcolumn("label") eq ours) == tuned ? value : NaN
labels(tuned, value, scale, gap) = sprintf("< awk -F, -v label=%s -v is=%d -v value=%s -v scale=%g -v gap=%g" \
    . " -f spread.awk %s", ours, tuned, value, scale, gap, data)
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
        plot for [t = 0:1] data using (of(t, 100 * column("flops_fraction") * aside(t))):(scale * column(value)): \
                 (scale * column(value . "_low")):(scale * column(value . "_high")):(rgb(stringcolumn("mode"))) \
                 with yerrorbars pt (t ? 7 : 6) ps 1.3 lw 2 lc rgb variable notitle, \
             for [t = 0:1] keyentry with points pt (t ? 7 : 6) ps 1.3 lc rgb "#444444" title t ? ours : "models that are not tuned for blocks", \
             for [t = 0:1] labels(t, value, scale, gap) using ($1 * aside(t)):2:($1 * (aside(t) ** 4 - aside(t))):($3 - $2) \
                 with vectors nohead lt 1 lw 0.8 lc rgb "#999999" notitle, \
             labels(0, value, scale, gap) using ($1 * aside(0) ** 5):3:4:(rgb(strcol(4))) with labels right \
                 noenhanced font ",11" textcolor rgb variable notitle, \
             labels(1, value, scale, gap) using ($1 * aside(1) ** 5):3:4:(rgb(strcol(4))) with labels left \
                 noenhanced font ",11" textcolor rgb variable notitle
    }
    unset multiplot
    unset output
}
