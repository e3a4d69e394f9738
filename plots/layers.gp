# One column of the layer table against depth, mean over the prompts: a panel for every mode, the others behind it in grey.
#   gnuplot -c plots/layers.gp LAYERS.csv OUT departure|entropy "MODE MODE ..."
data = ARG1; out = ARG2; what = ARG3; modes = ARG4
load "plots/style.gp"
n = words(modes)
across = n < 6 ? n : 6
down = (n + across - 1) / across
set tics font ",10"
set xtics 5 offset 0, 0.4
step = what eq "departure" ? 0.2 : 2
set ytics step offset 0.6, 0
unset key
stats data using (column("layer")) nooutput
set xrange [0:STATS_max]
stats data using (column(what)) nooutput
set yrange [0:1.05 * STATS_max]
only(name) = stringcolumn("mode") eq name ? column(what) : NaN

do for [kind in "svg png"] {
    eval page(kind, 60 + 210 * across, 70 + 190 * down)
    set multiplot layout down, across margins 0.03, 0.98, 0.04, 1 - 70.0 / (70 + 190 * down) spacing 0.03, 0.075 \
        title (what eq "departure" ? "Where in the stack a mode leaves full attention: |h_{mode} - h_{full}| / |h_{full}| of the last token, by layer" \
                                   : "How spread the question's attention is: entropy (nats, mean over heads and rows) by layer; full attention dashed") font ",15"
    do for [i = 1:n] {
        set title word(modes, i) noenhanced font ",10" offset 0, -0.7
        plot for [k = 1:n] data using "layer":(only(word(modes, k))) smooth unique with lines lw 0.6 lc rgb "#CCCCCC", \
             data using "layer":(only(word(modes, i))) smooth unique with lines lw 2.5 lc rgb blue, \
             data using "layer":(only("full")) smooth unique with lines lw 1.5 dt 2 lc rgb black
    }
    unset multiplot
    unset output
}
