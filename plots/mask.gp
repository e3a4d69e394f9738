# Who sees whom: the visibility matrices of two modes for one small prompt, side by side.
#   gnuplot -c mask.gp FIGURE     (full.mask, block.mask: made by draw.sh with blockattn plan --mask)
out = ARG1
load "style.gp"
set datafile separator whitespace
set datafile nocolumnheaders
set palette defined (0 "#F4F4F4", 1 blue)
set cbrange [0:1]
unset colorbox
unset key
unset grid
set size ratio -1
stats "full.mask" matrix nooutput
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
    plot "full.mask" matrix with image pixels
    set title "block: three passages, then the question"
    plot "block.mask" matrix with image pixels
    unset multiplot
    unset output
}
