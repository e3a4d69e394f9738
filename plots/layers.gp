# One column of the layer table against depth, mean over the prompts: a panel for every mode, the others in light grey.
#   gnuplot -c layers.gp FIGURE departure|entropy     (layers.csv: table layers of a trace of gate)
data = "layers.csv"; out = ARG1; what = ARG2
load "style.gp"
eval collect(data, "mode", "modes")
n = words(modes)
across = n < 6 ? n : 6
down = (n + across - 1) / across
stats data using (stringcolumn("mode") eq word(modes, 1) && column("layer") == 0 ? column("prompt") : NaN) nooutput
prompts = STATS_records
set tics font ",10"
set ytics offset 0.6, 0
unset key
stats data using (column("layer")) nooutput
set xrange [0:STATS_max]
# No parentheses around the step: they would make it the only tick.
step = STATS_max < 3 ? 1 : STATS_max < 12 ? 2 : 10
set xtics step offset 0, 0.4
stats data using (column(what)) nooutput
most = STATS_max > 0 ? STATS_max : 1 # 0: every mode equals full attention
set yrange [0:1.05 * most]
set ytics most < 0.2 ? 0.05 : most < 0.5 ? 0.1 : most < 1.2 ? 0.2 : most < 5 ? 1 : 2
only(name) = stringcolumn("mode") eq name ? column(what) : NaN
width = 90 + 210 * across; width = width < 880 ? 880 : width
height = 100 + 205 * down
headline = what eq "departure" ? "|h_{mode} - h_{full}| / |h_{full}| of the last token, by layer" : "Entropy of the question's attention (nats, mean over heads and rows), by layer"
below = what eq "departure" ? "" : "; full: black, dashed"

do for [kind in "svg png"] {
    eval page(kind, width, height)
    set multiplot layout down, across margins screen 50.0 / width, 1 - 20.0 / width, 40.0 / height, 1 - 85.0 / height spacing screen 45.0 / width, 60.0 / height \
        title headline . sprintf("\n{/*0.8 mean over n = %d prompt%s; other modes: grey%s}", prompts, prompts > 1 ? "s" : "", below) font ",15"
    do for [i = 1:n] {
        set title word(modes, i) noenhanced font ",10" offset 0, -0.7
        plot for [k = 1:n] data using "layer":(only(word(modes, k))) smooth unique with lines lw 0.6 lc rgb "#CCCCCC", \
             data using "layer":(only("full")) smooth unique with lines lw 1.5 dt 2 lc rgb black, \
             data using "layer":(only(word(modes, i))) smooth unique with lines lw 2.5 lc rgb colour_of(word(modes, i))
    }
    unset multiplot
    unset output
}
