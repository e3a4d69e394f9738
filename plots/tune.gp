# A training run: loss and validation NLL of both modes, learning rate and norm of the gradient, tokens per second.
#   gnuplot -c plots/tune.gp STEPS.csv VALIDATION.csv OUT
steps = ARG1; checks = ARG2; out = ARG3
load "plots/style.gp"
set xlabel "training step"
set xrange [-5:*]
set offsets 0, graph 0.02, graph 0.08, graph 0.05
modes = system(sprintf("tail -n +2 '%s' | cut -d, -f2 | sort -u | tr '\\n' ' '", checks))
do for [kind in "svg png"] {
    eval page(kind, 1000, 1300)
    set multiplot layout 3,1
    set key outside center top horizontal Left reverse
    set ylabel "loss (nats a response token)"
    plot steps using "step":"loss" with lines ls 8 title "training", for [i=1:words(modes)] checks \
             using "step":(stringcolumn("mode") eq word(modes, i) ? column("nll") : NaN) with linespoints ls i \
             title word(modes, i) . ", validation"
    set ylabel "norm of the gradient"
    set y2label "learning rate"
    set y2tics
    plot steps using "step":"grad_norm" with lines ls 1 title "norm of the gradient", \
         steps using "step":"lr" axes x1y2 with lines ls 2 title "learning rate (right)"
    unset y2tics
    unset y2label
    set ylabel "tokens per second"
    set yrange [0:*]
    plot steps using "step":"tokens_per_s" with linespoints ls 1 notitle
    set yrange [*:*]
    unset multiplot
    unset output
}
