# Both modes against the training step (the paper's Figure 4): mean accuracy, and NLL of the gold answer.
#   gnuplot -c figure4.gp FIGURE [LABEL]     (figure4.csv: made by report; LABEL: the tuned model, block-ft)
data = "figure4.csv"; out = ARG1
load "style.gp"
# eval's label is block-ft, the run of tune is tune-block-ft.
ours = ARGC > 1 ? ARG2 : "block-ft"
is_ours(source) = stringcolumn("source") eq source && (stringcolumn("label") eq ours || stringcolumn("label") eq "tune-" . ours)
of(source, mode, name) = stringcolumn("mode") eq mode && is_ours(source) ? column(name) : NaN
eval tally(data, 'is_ours("eval") ? column("nll") : NaN', "accuracy")
eval tally(data, 'is_ours("validation") ? column("nll") : NaN', "checked")
if (!accuracy && !checked) { exit }
items = ""
if (accuracy) {
    stats data using (is_ours("eval") ? column("n") : NaN) nooutput
    items = sprintf(" over n = %.0f items", STATS_max)
}
set xlabel "training step (the modes are drawn 3 steps apart)"
set xrange [-8:*]
set offsets 0, graph 0.02, graph 0.06, graph 0.05
set lmargin 12
aside(i) = 1.5 * (2 * i - 3) # intervals beside one another
modes = "full block"
do for [kind in "svg png"] {
    eval page(kind, 1000, accuracy ? 1000 : 520)
    set multiplot layout accuracy ? 2 : 1,1 title ours . ", intervals of 95 %" . items font ",15" noenhanced
    set key outside top center horizontal
    if (accuracy) {
        set ylabel "best-subspan EM, mean over tasks (%)"
        plot for [i = 1:2] m = word(modes, i) data using (column("step") + aside(i)):(100 * of("eval", m, "score")):\
                 (100 * of("eval", m, "score_low")):(100 * of("eval", m, "score_high")) with yerrorlines ls style_of(m) title m
    }
    set ylabel "NLL of the gold answer (nats a token)"
    plot for [i = 1:(accuracy ? 2 : 0)] m = word(modes, i) data using (column("step") + aside(i)):(of("eval", m, "nll")):(of("eval", m, "nll_low")):\
             (of("eval", m, "nll_high")) with yerrorlines ls style_of(m) title m, \
         for [i = 1:(checked ? 2 : 0)] m = word(modes, i) data using "step":(of("validation", m, "nll")) with linespoints ls style_of(m) \
             dt 2 ps 0.7 title m . ", validation"
    unset multiplot
    unset output
}
