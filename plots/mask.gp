# Who sees whom: the visibility matrices of two modes for one prompt, side by side.
#   gnuplot -c plots/mask.gp FULL.mask BLOCK.mask OUT     (blockattn plan --mode MODE --request FILE --mask > MODE.mask)
first = ARG1; second = ARG2; out = ARG3
load "plots/style.gp"
set datafile separator whitespace
set datafile nocolumnheaders
set palette defined (0 "#F4F4F4", 1 blue)
set cbrange [0:1]
unset colorbox
unset key
unset grid
set size ratio -1
stats first matrix nooutput
set xrange [-0.5 : STATS_size_x - 0.5]
set yrange [STATS_size_y - 0.5 : -0.5]
set xtics 0, 8
set ytics 0, 8
set xlabel "key (token)"
set ylabel "query (token)"
set border 15

do for [kind in "svg png"] {
    eval page(kind, 1100, 580)
    set multiplot layout 1, 2
    set title "full"
    plot first matrix with image pixels
    set title "block: three passages, then the question"
    plot second matrix with image pixels
    unset multiplot
    unset output
}
