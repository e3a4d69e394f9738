# Both modes against the training step (the paper's Figure 4): mean accuracy, and NLL of the gold answer.
#   gnuplot -c plots/figure4.gp FIGURE4.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
set xlabel "training step (the modes are drawn 3 steps apart)"
set xrange [-8:*]
set offsets 0, graph 0.02, graph 0.08, graph 0.05
aside(i) = 1.5 * (2 * i - 3) # intervals beside one another
# One block-tuned model only: eval's label is block-ft, the trace of tune is tune-block-ft.h5 or tune-block-ft.h5.gz.
is_ours(label) = label eq "block-ft" || strstrt(label, "block-ft.") > 0
of(source, mode, name) = stringcolumn("source") eq source && stringcolumn("mode") eq mode \
    && is_ours(stringcolumn("label")) ? column(name) : NaN
count(source) = int(system(sprintf("grep -c '^%s,[^,]*block-ft[.,]' '%s' || true", source, data)))
accuracy = count("eval") > 0
checked = count("validation") > 0
do for [kind in "svg png"] {
    eval page(kind, 1000, accuracy ? 1000 : 520)
    set multiplot layout accuracy ? 2 : 1,1
    if (accuracy) {
        set key right bottom Left reverse
        set ylabel "best-subspan EM, mean over tasks (%)"
        plot for [i=1:2] m = word("full block", i) data using (column("step") + aside(i)):(100 * of("eval", m, "score")):\
                 (100 * of("eval", m, "score_low")):(100 * of("eval", m, "score_high")) with yerrorlines ls i title m
    }
    set key right top Left reverse
    set ylabel "NLL of the gold answer (nats a token)"
    if (accuracy && checked) {
        plot for [i=1:2] m = word("full block", i) data using (column("step") + aside(i)):(of("eval", m, "nll")):(of("eval", m, "nll_low")):\
                 (of("eval", m, "nll_high")) with yerrorlines ls i title m, \
             for [i=1:2] m = word("full block", i) data using "step":(of("validation", m, "nll")) with linespoints ls (7 + i) \
                 title m . ", validation"
    } else {
        source = accuracy ? "eval" : "validation"
        plot for [i=1:2] m = word("full block", i) data using "step":(of(source, m, "nll")):(of(source, m, "nll_low")):\
                 (of(source, m, "nll_high")) with yerrorlines ls i title m
    }
    unset multiplot
    unset output
}
