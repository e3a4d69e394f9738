# Distance from full attention against the share of full's FLOPs that a warm prompt costs: lower left is better.
#   gnuplot -c plots/ranking.gp MODES.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
set title "How far from full attention, at what cost"
set xlabel "FLOPs of a warm prompt (% of full prefill)"
set ylabel "KL(full || mode) of the next token (nats, mean over prompts)"
set logscale xy
set format x "%g"
set format y "10^{%T}"
set xrange [*:150]
set offsets graph 0.02, graph 0.12, graph 0.08, graph 0.05
unset key

# Full itself and modes that equal it stand at zero, which a logarithmic axis does not have.
distance(unused) = column("kl") > 1e-9 ? column("kl") : NaN
do for [kind in "svg png"] {
    eval page(kind, 1120, 720)
    plot data using (100 * column("flops_fraction")):(distance(0)) with points ls 3 ps 1.4, \
         data using (100 * column("flops_fraction")):(distance(0)):(stringcolumn("mode")) with labels left offset 0.9,0.25 \
             rotate by 12 noenhanced font ",11" textcolor rgb "#333333"
    unset output
}
