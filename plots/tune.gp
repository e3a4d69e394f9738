# A training run: loss and validation NLL of every mode, learning rate and norm of the gradient, tokens per second.
#   gnuplot -c tune.gp FIGURE     (steps.csv, validation.csv: tables of a trace of tune)
steps = "steps.csv"; checks = "validation.csv"; out = ARG1
load "style.gp"
set xlabel "training step"
stats steps using (column("step")) nooutput
set xrange [-0.02 * STATS_max : 1.02 * STATS_max]
set lmargin 12
set rmargin 12
modes = ""
eval collect(checks, "mode", "modes")
samples = 0
stats checks using (samples = column("samples"), 0) nooutput
do for [kind in "svg png"] {
    eval page(kind, 1000, 1300)
    set multiplot layout 3,1 title out font ",15" noenhanced
    set key outside top center horizontal
    set ylabel "NLL (nats a response token)"
    plot steps using "step":"loss" with lines ls 8 title "training loss", for [i = 1:words(modes)] checks \
             using "step":(stringcolumn("mode") eq word(modes, i) ? column("nll") : NaN) with linespoints ls style_of(word(modes, i)) \
             title sprintf("%s, validation (n = %.0f)", word(modes, i), samples)
    set ylabel "norm of the gradient"
    set y2label "learning rate"
    set y2tics format "%.0e"
    plot steps using "step":"grad_norm" with lines lc rgb grey lw 2 title "norm of the gradient", \
         steps using "step":"lr" axes x1y2 with lines ls 2 title "learning rate (right axis)"
    unset y2tics
    unset y2label
    set ylabel "tokens per second"
    set yrange [0:*]
    plot steps using "step":"tokens_per_s" with points pt 7 ps 0.5 lc rgb grey title "tokens per second, a point a step"
    set yrange [*:*]
    unset multiplot
    unset output
}
