# Attention of the last node's rows by layer and segment of the first prompt: one panel a mode.
#   gnuplot -c plots/mass.gp MASS.csv OUT "MODE MODE ..."
data = ARG1; out = ARG2; modes = ARG3
load "plots/style.gp"
n = words(modes)
across = n < 6 ? n : 6
down = (n + across - 1) / across
set palette defined (0 "#FFFFFF", 0.25 "#CFE3F2", 0.6 "#56B4E9", 1 "#003A5D")
set cbrange [0:1]
set tics out nomirror font ",9"
unset grid
unset key
stats data using (column("segment")) nooutput
last = STATS_max
set xrange [-0.5:last + 0.5]
stats data using (column("layer")) nooutput
set yrange [STATS_max + 0.5:-0.5]
set xtics 2 offset 0, 0.4
set ytics offset 0.6, 0
only(name) = stringcolumn("mode") eq name && column("prompt") == 0 ? column("mass") : NaN

do for [kind in "svg png"] {
    eval page(kind, 1280, 60 + 210 * down)
    set multiplot layout down, across margins 0.03, 0.93, 0.04, 1 - 70.0 / (60 + 210 * down) spacing 0.03, 0.075 \
        title "Share of attention (0 to 1) by segment of the prompt (across, the question last) and layer (down)"
    do for [i = 1:n] {
        set title word(modes, i) noenhanced font ",9" offset 0,-0.7
        if (i == n) { set colorbox user origin 0.945, 0.2 size 0.012, 0.6 } else { unset colorbox }
        plot data using "segment":"layer":(only(word(modes, i))) with image pixels
    }
    unset multiplot
    unset output
}
