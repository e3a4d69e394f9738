# One column of the layer table against depth, one line a mode, mean over the prompts.
#   gnuplot -c plots/layers.gp LAYERS.csv OUT departure|entropy "MODE MODE ..."
data = ARG1; out = ARG2; what = ARG3; modes = ARG4
load "plots/style.gp"
n = words(modes)
colours = black." ".blue." ".red." ".green." ".orange." ".purple." ".sky." ".grey
points = "7 5 9 13 11 4 6 8"
set title what eq "departure" ? "Where in the stack a mode leaves full attention" : "How spread the question's attention is"
set ylabel what eq "departure" ? "|h_{mode} - h_{full}| / |h_{full}|, last token" : "entropy of attention (nats, mean over heads and rows)"
set xlabel "layer"
set yrange [0:*]
set key outside right top Left reverse noenhanced samplen 3.5 font ",12"
only(name) = stringcolumn("mode") eq name ? column(what) : NaN

# Colours come round every eight modes, with another dash and a hollow or a full point.
do for [i = 1:n] {
    k = (i - 1) % 8 + 1
    eval sprintf("set style line %d lc rgb '%s' pt %s ps %.1f lw 2 dt %d", 20 + i, word(colours, k), word(points, k), \
                 i > 16 ? 0.6 : 0.9, (i - 1) / 8 + 1)
}
do for [kind in "svg png"] {
    eval page(kind, 1200, 640)
    plot for [i = 1:n] data using "layer":(only(word(modes, i))) smooth unique with linespoints ls 20 + i title word(modes, i)
    unset output
}
