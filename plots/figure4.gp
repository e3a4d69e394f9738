# Both modes against the training step (the paper's Figure 4): mean accuracy, and NLL of the gold answer.
#   gnuplot -c plots/figure4.gp FIGURE4.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
set xlabel "training step"
set offsets graph 0.02, graph 0.02, graph 0.08, graph 0.05
of(mode, name) = stringcolumn("mode") eq mode ? column(name) : NaN
do for [kind in "svg png"] {
    eval page(kind, 1000, 1000)
    set multiplot layout 2,1
    set key right bottom Left reverse
    set ylabel "best-subspan EM, mean over tasks (%)"
    plot for [i=1:2] m = word("full block", i) data \
             using "step":(100 * of(m, "score")):(100 * of(m, "score_low")):(100 * of(m, "score_high")) with yerrorlines ls i title m
    set key right top Left reverse
    set ylabel "NLL of the gold answer (nats a token)"
    plot for [i=1:2] m = word("full block", i) data \
             using "step":(of(m, "nll")):(of(m, "nll_low")):(of(m, "nll_high")) with yerrorlines ls i title m
    unset multiplot
    unset output
}
