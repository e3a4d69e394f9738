# One quantity of a sweep over one axis: a panel for every mode, a line for every value of the other axis.
#   gnuplot -c sweep.gp FIGURE QUANTITY AXIS     (results.csv: table results of a trace of ttft)
# QUANTITY: ttft_s_median (warm; full: cold, in every panel in grey) or kl. AXIS: length, block_tokens or passages.
data = "results.csv"; out = ARG1; quantity = ARG2; axis = ARG3
load "style.gp"

# Modes in the order of the file, and the values that lines are drawn for: lengths over the passages' size, else sizes.
by = axis eq "block_tokens" ? "length" : "block_tokens"
eval collect(data, "mode", "modes")
eval collect(data, by, "values")
eval joint(data, "same_set")
name(column) = column eq "length" ? "prompt length (tokens)" : column eq "passages" ? "number of passages" : "size of passages (tokens)"
time = quantity eq "ttft_s_median"
# n: samples of a time, prompts of a distance. One prompt is a point without an interval, drawn hollow.
stats data using (column(time ? "n" : "n_prompts")) nooutput
single = STATS_max == 1
samples = time ? sprintf("; medians of n = %s times and their MAD", STATS_min < STATS_max ? sprintf("%.0f to %.0f", STATS_min, STATS_max) : sprintf("%.0f", STATS_min)) : single ? "; n = 1 prompt: hollow, no interval" : sprintf("; means over n = %.0f prompts with intervals of 95 %%", STATS_max)
noise = 0
eval tally(data, time ? 'NaN' : 'column("noise_kl") > 0 ? 1 : NaN', "noisy")
if (noisy) {
    stats data using (column("noise_kl")) nooutput
    noise = STATS_max
}
# Full attention is timed cold, since it reuses nothing; other modes warm.
shown(mode, value) = stringcolumn("mode") eq mode && stringcolumn("executor") eq "place" && column(by) == value + 0 \
    && column("cold") == (mode eq "full") ? column(quantity) : NaN
# A distance of mere rounding is drawn at the lowest line.
lowest = 1e-4
# Ends of a bar: the interval of a distance; of a time its median less and more the MAD.
ends(mode, value, end) = column(end) > -1e300 ? (column(end) < lowest ? lowest : column(end)) : drawn(mode, value)
low(mode, value) = time ? shown(mode, value) - column("ttft_s_mad") : ends(mode, value, "kl_low")
high(mode, value) = time ? shown(mode, value) + column("ttft_s_mad") : ends(mode, value, "kl_high")
drawn(mode, value) = time ? shown(mode, value) : shown(mode, value) < lowest ? lowest : shown(mode, value)

set logscale xy
set format y "10^{%T}"
# Ticks where the data are; a panel has room for five.
at = ""
stats data using (at = strstrt(at." ", " ".stringcolumn(axis)." ") ? at : at." ".stringcolumn(axis), column(axis)) nooutput
set xrange [STATS_min / 1.25 : STATS_max * 1.25]
step = words(at) > 5 ? 2 : 1
axes = "set border 3; set tics out font ',11'; set xtics nomirror; set ytics nomirror; set grid xtics ytics lt 1 lw 0.6 lc rgb '#DDDDDD'; set xtics () nomirror"
do for [t = 1:words(at):step] { axes = axes.sprintf("; set xtics add ('%s' %s)", word(at, t), word(at, t)) }
shown_anywhere = '(column("cold") == 0 || stringcolumn("mode") eq "full") && column(quantity) > (time ? 0 : lowest) ? column(quantity) : NaN'
bottom = lowest
top = 1e3 * lowest # where every mode equals full attention
eval tally(data, shown_anywhere, "any")
if (any) {
    stats data using (@shown_anywhere) nooutput
    bottom = time ? STATS_min : lowest
    top = STATS_max
}
eval tally(data, time ? 'NaN' : 'column("kl_high")', "intervals")
if (intervals) {
    stats data using (column("kl_high")) nooutput
    top = STATS_max > top ? STATS_max : top
}
set yrange [bottom / 1.5 : top * 1.5]
axes = axes."; ".fine("y", bottom / 1.5, top * 1.5)
set lmargin 7; set rmargin 2; set tmargin 2; set bmargin 2.5
columns_ = words(modes) < 4 ? words(modes) + 1 : 4
rows_ = (words(modes) + columns_) / columns_ # one panel more, for the legend

do for [kind in "svg png"] {
    eval page(kind, columns_ < 4 ? 1100 : 1200, (same_set eq "" ? 85 : 105) + (rows_ == 1 ? 320 : 220) * rows_)
    eval axes
    unset key
    set multiplot layout rows_, columns_ title (time ? "Time to first token (s) over ".name(axis)."\n{/*0.8 passages from the store; full attention in grey" \
        : "Distance from full attention (KL of the next token, nats) over ".name(axis)."\n{/*0.8 at the lowest line: below 10^{-4}") \
        .samples.(!noisy ? "" : noise > lowest ? "; grey: noise of this precision" : "; noise of this precision: below that, too")."}".(same_set eq "" ? "" : "\n{/*0.8 ".joint_note(same_set)."}") font ",15"
    do for [m = 1:words(modes)] {
        mode = word(modes, m)
        set title starred(mode, same_set) noenhanced font ",13" textcolor rgb colour_of(mode) offset 0, -0.6
        plot for [v = 1:(time ? words(values) : 0)] data using (column(axis)):(drawn("full", word(values, v))) with lines lc rgb grey lw 1.5 dt v notitle, \
             for [v = 1:(noisy ? 1 : 0)] noise with lines ls 8 notitle, \
             for [v = 1:(!time && single ? 0 : words(values))] data using (column(axis)):(drawn(mode, word(values, v))): \
                 (low(mode, word(values, v))):(high(mode, word(values, v))) with yerrorbars pt 0 lw 1 lc rgb "#888888" notitle, \
             for [v = 1:words(values)] data using (column(axis)):(drawn(mode, word(values, v))) with linespoints ls of_ramp(v, words(values)) \
                 pt (single && !time ? 6 : 4 + of_ramp(v, words(values)) - 10)
    }
    # The last panel is the legend.
    set title "" 
    set key at graph 0.02, 0.9 left top Left reverse font ",12" title (by eq "length" ? "prompt length (tokens):" : "passages (tokens):") left font ",12"
    unset border; unset tics; unset grid
    plot for [v = 1:words(values)] NaN with linespoints ls of_ramp(v, words(values)) title word(values, v)
    unset multiplot
    unset output
}
