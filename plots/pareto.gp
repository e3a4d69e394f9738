# What a mode loses against full attention of the same model, for what its warm first token costs: lower left is better.
#   gnuplot -c plots/pareto.gp PARETO.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
set xlabel "FLOPs of a warm first token (% of full's; the models are drawn 4 % apart)"
set logscale x
set xtics (1, 2, 3, 5, 10, 20, 30, 50, 100)
set xrange [2:45]
set offsets 0, 0, graph 0.08, graph 0.05
set key left top Left reverse

# The block-tuned model stands a little to the right, its labels on the right.
names = "'not tuned for blocks' 'block-ft'"
aside(tuned) = tuned ? 1.02 : 1 / 1.02
of(tuned, value) = (stringcolumn("label") eq "block-ft") == tuned ? value : NaN
labels(tuned, value, scale, gap) = sprintf("< awk -F, -v label=block-ft -v is=%d -v value=%s -v scale=%g -v gap=%g" \
    . " -f plots/spread.awk '%s'", tuned, value, scale, gap, data)
do for [kind in "svg png"] {
    eval page(kind, 1200, 1300)
    set multiplot layout 2,1
    set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead ls 8
    do for [panel=1:2] {
        value = word("score_lost nll_lost", panel)
        scale = panel == 1 ? 100 : 1
        stats data using (scale * column(value . "_low")) name "low" nooutput
        stats data using (scale * column(value . "_high")) name "high" nooutput
        gap = 0.035 * (high_max - low_min)
        set title panel == 1 ? "Accuracy lost" : "Likelihood of the gold answer lost"
        set ylabel panel == 1 ? "points of best-subspan EM lost (mean over tasks, 95 %)" \
                              : "NLL added (nats a token, mean over tasks, 95 %)"
        plot for [t=0:1] data using (of(t, 100 * column("flops_fraction") * aside(t))):(scale * column(value)): \
                 (scale * column(value . "_low")):(scale * column(value . "_high")) \
                 with yerrorbars ls (3 - t) title word(names, t + 1), \
             for [t=0:1] labels(t, value, scale, gap) using ($1 * aside(t)):2:($1 * (aside(t) ** 4 - aside(t))):($3 - $2) \
                 with vectors nohead lt 1 lw 0.8 lc rgb "#999999" notitle, \
             labels(0, value, scale, gap) using ($1 * aside(0) ** 5):3:4 with labels right \
                 noenhanced font ",11" textcolor rgb blue notitle, \
             labels(1, value, scale, gap) using ($1 * aside(1) ** 5):3:4 with labels left \
                 noenhanced font ",11" textcolor rgb red notitle
    }
    unset multiplot
    unset output
}
