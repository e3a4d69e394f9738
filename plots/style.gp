# One style for all figures: colours that the colour-blind can tell apart (Okabe and Ito), one point type per line, units
# on the axes, and every figure as SVG (for reading) and PNG (for looking).
#
# A script sets `data` and `out` from its arguments, loads this file, and draws inside
#   do for [kind in "svg png"] { eval page(kind, WIDTH, HEIGHT); plot ... }
set encoding utf8
set datafile separator comma
set datafile columnheaders
set datafile missing NaN # rows left out by a filter do not break a line

black = "#000000"; orange = "#E69F00"; sky = "#56B4E9"; green = "#009E73"
yellow = "#F0E442"; blue = "#0072B2"; red = "#D55E00"; purple = "#CC79A7"; grey = "#999999"

page(kind, width, height) = (kind eq "svg" \
    ? sprintf("set terminal svg size %d,%d font 'DejaVu Sans,14' background 'white' enhanced", width, height) \
    : sprintf("set terminal pngcairo size %d,%d font 'DejaVu Sans,14' background 'white' enhanced", width, height)) \
    . sprintf("; set output '%s.%s'", out, kind)

set border 3 lw 1.2 lc rgb "#444444"
set tics nomirror out
set grid xtics ytics lt 1 lw 0.6 lc rgb "#DDDDDD"
set key left top Left reverse samplen 2.5 spacing 1.15
set style line 1 lc rgb black  pt 7  ps 1.1 lw 2
set style line 2 lc rgb red    pt 9  ps 1.3 lw 2
set style line 3 lc rgb blue   pt 5  ps 1.1 lw 2
set style line 4 lc rgb green  pt 13 ps 1.4 lw 2
set style line 5 lc rgb purple pt 11 ps 1.3 lw 2
set style line 8 lc rgb grey   lw 2 dt 2
set style line 9 lc rgb sky    lw 2 dt 4

# Lengths in tokens along a logarithmic axis.
lengths = 'set xtics ("50" 50, "128" 128, "256" 256, "512" 512, "1K" 1024, "2K" 2048, "4K" 4096, "8K" 8192, "16K" 16384, "32K" 32768, "64K" 65536, "128K" 131072)'

# Is the row of this mode, executor and state? cell(...) is then the column, else nothing.
is(mode, executor, cold) = stringcolumn("mode") eq mode && stringcolumn("executor") eq executor && column("cold") == cold
cell(mode, executor, cold, name) = is(mode, executor, cold) ? column(name) : NaN
