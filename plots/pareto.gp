# What a mode loses against full attention of the same model, for what its warm first token costs: lower left is better.
#   gnuplot -c plots/pareto.gp PARETO.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
set xlabel "FLOPs of a warm first token (% of full's)"
set logscale x
set format x "%g"
set xrange [*:150]
set offsets graph 0.02, graph 0.18, graph 0.08, graph 0.05
set key right top Right noreverse

share(unused) = 100 * column("flops_fraction")
name(unused) = stringcolumn("mode")
# The block-tuned model stands out from the others.
of(tuned, value) = (stringcolumn("label") eq "block-ft") == tuned ? value : NaN
zero = "set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead ls 8"
do for [kind in "svg png"] {
    eval page(kind, 1120, 1200)
    set multiplot layout 2,1
    eval zero
    set title "Accuracy lost"
    set ylabel "points of best-subspan EM lost (mean over tasks, 95 %)"
    plot for [tuned=0:1] data using (of(tuned, share(0))):(100 * column("score_lost")):(100 * column("score_lost_low")):(100 * column("score_lost_high")) \
             with yerrorbars ls (3 - tuned) title (tuned ? "block-ft" : "not tuned for blocks"), \
         data using (share(0)):(100 * column("score_lost")):(name(0)) with labels left offset 0.9,0.25 rotate by 12 \
             noenhanced font ",10" textcolor rgb "#333333" notitle
    set title "Likelihood of the gold answer lost"
    set ylabel "NLL added (nats a token, mean over tasks, 95 %)"
    plot for [tuned=0:1] data using (of(tuned, share(0))):"nll_lost":"nll_lost_low":"nll_lost_high" \
             with yerrorbars ls (3 - tuned) title (tuned ? "block-ft" : "not tuned for blocks"), \
         data using (share(0)):(column("nll_lost")):(name(0)) with labels left offset 0.9,0.25 rotate by 12 \
             noenhanced font ",10" textcolor rgb "#333333" notitle
    unset multiplot
    unset output
}
