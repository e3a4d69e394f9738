# Attention of the last node's rows by layer and segment of one prompt, for two modes side by side.
#   gnuplot -c plots/mass.gp MASS.csv OUT MODE MODE
data = ARG1; out = ARG2
load "plots/style.gp"
modes(i) = i == 1 ? ARG3 : ARG4
set palette defined (0 "#FFFFFF", 0.25 "#CFE3F2", 0.6 "#56B4E9", 1 "#003A5D")
set cbrange [0:1]
set cblabel "share of attention"
set xlabel "segment of the prompt"
set ylabel "layer"
set tics out nomirror
unset grid
unset key
stats data using (column("segment")) nooutput
last = STATS_max
set xrange [-0.5:last + 0.5]
stats data using (column("layer")) nooutput
set yrange [STATS_max + 0.5:-0.5]
set xtics 1
only(name) = stringcolumn("mode") eq name && column("prompt") == 0 ? column("mass") : NaN

do for [kind in "svg png"] {
    eval page(kind, 1120, 560)
    set multiplot layout 1,2
    do for [i = 1:2] {
        set title modes(i)." (segment 0: first, ".sprintf("%d", last).": last)" noenhanced
        plot data using "segment":"layer":(only(modes(i))) with image pixels
    }
    unset multiplot
    unset output
}
