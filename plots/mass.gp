# Where the question's attention goes, by layer and segment of the first prompt: a panel for every mode.
#   gnuplot -c mass.gp FIGURE     (mass.csv: table mass of a trace of gate)
data = "mass.csv"; out = ARG1
load "style.gp"
eval collect(data, "mode", "modes")
n = words(modes)
across = n < 6 ? n : 6
down = (n + across - 1) / across
set palette defined (0 "#FFFFFF", 0.25 "#CFE3F2", 0.6 "#56B4E9", 1 "#003A5D")
set cbrange [0:1]
set tics out nomirror font ",9"
unset grid
unset key
stats data using (column("prompt") == 0 ? column("segment") : NaN) nooutput
set xrange [-0.5:STATS_max + 0.5]
stats data using (column("layer")) nooutput
set yrange [STATS_max + 0.5:-0.5]
set xtics 2 offset 0, 0.4
set ytics 10 offset 0.6, 0
only(name) = stringcolumn("mode") eq name && column("prompt") == 0 ? column("mass") : NaN
width = 130 + 200 * across; width = width < 800 ? 800 : width
height = 100 + 200 * down

do for [kind in "svg png"] {
    eval page(kind, width, height)
    set multiplot layout down, across margins screen 50.0 / width, 1 - 80.0 / width, 40.0 / height, 1 - 85.0 / height spacing screen 35.0 / width, 45.0 / height \
        title "Share of the question's attention by segment (across) and layer (down)\n{/*0.8 one prompt; the last segment is the question}" font ",15"
    do for [i = 1:n] {
        set title word(modes, i) noenhanced font ",10" offset 0,-0.7
        if (i == n) { set colorbox user origin screen 1 - 60.0 / width, 0.2 size screen 14.0 / width, 0.6 } else { unset colorbox }
        plot data using "segment":"layer":(only(word(modes, i))) with image pixels
    }
    unset multiplot
    unset output
}
