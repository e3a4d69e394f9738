# One style for all figures: the colour, dash and point of every mode, units on the axes, every figure as SVG and PNG.
#
# draw.sh calls a script in a folder with the tables as TABLE.csv: gnuplot -c NAME.gp FIGURE [ARGUMENT...]. The script sets
# `out` to FIGURE, loads this file, and draws inside
#   do for [kind in "svg png"] { eval page(kind, WIDTH, HEIGHT); plot ...; unset output }
set encoding utf8
set datafile separator comma
set datafile columnheaders
set datafile missing NaN # rows left out by a filter do not break a line

# Colours that the colour-blind can tell apart (Okabe and Ito), and four darker ones.
black = "#000000"; orange = "#E69F00"; sky = "#56B4E9"; green = "#009E73"; yellow = "#F0E442"; blue = "#0072B2"
red = "#D55E00"; purple = "#CC79A7"; grey = "#999999"; brown = "#8C5A2B"; violet = "#6A3D9A"; teal = "#007A87"; olive = "#7F7F00"

page(kind, width, height) = (kind eq "svg" \
    ? sprintf("set terminal svg size %d,%d font 'DejaVu Sans,14' background 'white' enhanced", width, height) \
    : sprintf("set terminal pngcairo size %d,%d font 'DejaVu Sans,14' background 'white' enhanced", width, height)) \
    . sprintf("; set output '%s.%s'", out, kind)

set border 3 lw 1.2 lc rgb "#444444"
set tics nomirror out
set grid xtics ytics lt 1 lw 0.6 lc rgb "#DDDDDD"
set key outside right top Left reverse samplen 2.5 spacing 1.15 noenhanced

# How a mode is drawn, in every figure: name, colour, dash, point. `prefix` is prefix caching. A mode with parameters
# (lego:k=1) has the colour and point of its name and is dotted. A name that is missing here is grey.
mode_table = "full        black  1 7   block        blue   1 5   block-nopos blue   2 4   turborag   sky    1 5 " \
           . "blockdist   sky    2 4   promptcache  green  1 13  prefix      green  2 12  pcw        purple 1 11 " \
           . "ape         orange 1 9   superposition brown 1 15  lego        red    1 9   lego-0     red    2 8 " \
           . "cacheblend  violet 1 7   kvlink       teal   1 13  sink        olive  1 11  selective  olive  2 10 " \
           . "prophetkv   green  2 6   qcfuse       teal   2 12  kvshift     purple 2 10  splice     brown  2 14 " \
           . "editlocal   orange 2 8"
n_mode = words(mode_table) / 4
field(k, i) = word(mode_table, 4 * (k - 1) + i)
do for [k = 1:n_mode] {
    set style line 100 + k lc rgb value(field(k, 2)) dt int(field(k, 3)) pt int(field(k, 4)) ps 1.2 lw 2
    set style line 200 + k lc rgb value(field(k, 2)) dt 3 pt int(field(k, 4)) ps 1.2 lw 2
}
set style line 100 lc rgb grey dt 1 pt 6 ps 1.1 lw 2
base(mode) = mode[1:strstrt(mode . ":", ":") - 1]
place_of(name) = sum [k = 1:n_mode] (field(k, 1) eq name ? k : 0)
style_of(mode) = place_of(base(mode)) ? (base(mode) eq mode ? 100 : 200) + place_of(base(mode)) : 100
point_of(mode) = place_of(base(mode)) ? int(field(place_of(base(mode)), 4)) : 6
colour_of(mode) = place_of(base(mode)) ? value(field(place_of(base(mode)), 2)) : grey

# Things that are no modes: bounds, and other series.
set style line 1 lc rgb red    pt 9  ps 1.2 lw 2
set style line 2 lc rgb orange pt 13 ps 1.3 lw 2
set style line 8 lc rgb grey   lw 2 dt 2
set style line 9 lc rgb sky    lw 2 dt 4
# Values along an axis (lengths, sizes), from light to dark.
ramp = "#F0B860 #E07B39 #C2452D #8E1B3A #4E0B4B #1D0A33"
do for [k = 1:6] { set style line 10 + k lc rgb word(ramp, k) pt 4 + k ps 0.8 lw 2 }
of_ramp(v, n) = 11 + (n > 1 && n < 6 ? int((v - 1) * 5.0 / (n - 1) + 0.5) : (v - 1) % 6) # value v of n

# `eval collect(FILE, COLUMN, NAME)`: the different words of a column, in the order of the file, as a list in NAME.
# No words of ours hold a space.
collect(file, name, list) = sprintf("%s = ''; stats '%s' using (%s = strstrt(%s . ' ', ' ' . stringcolumn('%s') . ' ') " \
    . "? %s : %s . ' ' . stringcolumn('%s'), 0) nooutput", list, file, list, list, name, list, list, name)

# `eval tally(FILE, EXPRESSION, NAME)`: in how many rows it is a number. (stats over none leaves its variables undefined.)
tally(file, expression, name) = sprintf("%s = 0; stats '%s' using (%s = %s + ((%s) > -1e300 ? 1 : 0), 0) nooutput", name, file, name, name, expression)

# N panels beside each other over one legend of ROWS rows, RIGHT pixels left for a second axis:
#   eval panels(N, WIDTH, HEIGHT, ROWS, RIGHT, TITLE); plot ...; plot ...
#   eval legend(HEIGHT, ROWS); plot NaN notitle, keyentry with lines ls 1 title "..."
#   eval finish
panels(n, width, height, rows, right, title) = sprintf("save set 'state.gp'; unset key; set multiplot layout 1,%d " \
    . "margins screen %f,%f,%f,%f spacing screen %f title \"%s\" font ',15'", n, 105.0 / width, 1 - (25.0 + right) / width, \
    (84.0 + 22 * rows) / height, 1 - (title eq "" ? 40.0 : 75.0) / height, 115.0 / width, title)
legend(height, rows) = "unset border; unset tics; unset grid; unset title; unset xlabel; unset ylabel; unset y2label; unset logscale; " \
    . "set xrange [0:1]; set yrange [0:1]; set offsets 0, 0, 0, 0; set lmargin at screen 0.01; set rmargin at screen 0.99; " \
    . sprintf("set bmargin at screen %f; set tmargin at screen %f; set key inside center center horizontal maxrows %d width -2 font ',12'", 4.0 / height, (10.0 + 22 * rows) / height, rows)
finish = "unset multiplot; unset output; load 'state.gp'"

# `eval joint(FILE, NAME)`: the modes that reuse KV only for the same passages in the same order, as a list in NAME; a star
# marks them, and `joint_note(LIST)` says why in a title.
joint(file, list) = sprintf("%s = ''; stats '%s' using (stringcolumn('reuse') eq 'same set' && !strstrt(%s . ' ', ' ' . stringcolumn('mode') . ' ') " \
    . "? (%s = %s . ' ' . stringcolumn('mode'), 0) : 0) nooutput", list, file, list, list, list)
starred(mode, list) = strstrt(list . " ", " " . mode . " ") ? mode . " *" : mode
joint_note(list) = list eq "" ? "" : "*: reuses KV only for the same passages in the same order"

# Numbers in words: 21000000 -> 21M, 8192 -> 8K (tokens: K is 1024), 0.0123 -> 12.3 ms.
count(n) = n >= 1e6 ? sprintf("%.3gM", n / 1e6) : n >= 1e4 ? sprintf("%.3gK", n / 1e3) : sprintf("%.0f", n)
tokens(n) = n >= 1024 ? sprintf("%.3gK", n / 1024.0) : sprintf("%.0f", n)
seconds(s) = s < 1 ? sprintf("%.3g ms", 1e3 * s) : sprintf("%.3g s", s)

# `eval fine("y", LOW, HIGH)`: on a logarithmic axis of less than two decades, labels at 1, 2 and 5 in each; gnuplot's own
# would be one or none.
fine(axis, low, high) = high < 100 * low ? sum_of_ticks(axis, floor(log10(low)), ceil(log10(high))) : ""
sum_of_ticks(axis, k, last) = k > last ? "" : sprintf("set %stics add ('%g' %g, '%g' %g, '%g' %g); ", axis, 10.0 ** k, 10.0 ** k, \
    2 * 10.0 ** k, 2 * 10.0 ** k, 5 * 10.0 ** k, 5 * 10.0 ** k) . sum_of_ticks(axis, k + 1, last)

# A list of names within an enhanced text: an underscore would begin an index.
escaped(text) = strstrt(text, "_") ? text[1:strstrt(text, "_") - 1] . "\\_" . escaped(text[strstrt(text, "_") + 1:]) : text

# Lengths in tokens along a logarithmic axis.
lengths = 'set xtics ("50" 50, "128" 128, "256" 256, "512" 512, "1K" 1024, "2K" 2048, "4K" 4096, "8K" 8192, "16K" 16384, "32K" 32768, "64K" 65536, "128K" 131072)'

# Is the row of this mode, executor and state, with passages of `size` tokens? cell(...) is then the column, else nothing.
# `eval one_size` takes the first size of results.csv, if there are several; passages(0) says so in a title.
one_size = collect("results.csv", "block_tokens", "sizes") . "; size = word(sizes, 1) + 0"
passages(unused) = words(sizes) > 1 ? sprintf("; passages of %g", size) : ""
is(mode, executor, cold) = stringcolumn("mode") eq mode && stringcolumn("executor") eq executor && column("cold") == cold \
    && column("block_tokens") == size
cell(mode, executor, cold, name) = is(mode, executor, cold) ? column(name) : NaN
