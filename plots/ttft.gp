# Time to first token against length, measured and in the paper. Full attention is timed cold, since it reuses nothing.
# Least time: what the FLOPs and bytes need at the rates that were measured in the same run.
#   gnuplot -c ttft.gp FIGURE     (results.csv: table results of a trace of ttft)
data = "results.csv"; out = ARG1
load "style.gp"
eval one_size
eval collect(data, "mode", "modes")
eval joint(data, "same_set")
stats data using (column("question")) nooutput
question = STATS_max
stats data using (column("n")) nooutput
least = STATS_min
eval lengths
set logscale xy
set format y "10^{%T}"
set xlabel sprintf("prompt length (tokens, with a question of %.0f)", question)
stats data using (column("length")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.25]
# With two modes there is room to say more of the second.
few = words(modes) == 2 && word(modes, 1) eq "full"
second = word(modes, 2)
# Both panels have the same axes.
stats data using (column("ttft_s_median")) nooutput
low = STATS_min; high = STATS_max
lower(x) = x < low ? x : low
eval tally(data, 'column("paper_ttft_s")', "paper")
if (paper) {
    stats data using (column("paper_ttft_s")) nooutput
    low = lower(STATS_min)
    high = STATS_max > high ? STATS_max : high
}
# A bound above a measured time is none: its rates were measured while others used the machine.
eval tally(data, 'column("floor_s")', "floors")
eval tally(data, 'column("floor_s") > column("ttft_s_min") ? 1 : NaN', "broken")
bounds = few && floors && !broken
if (bounds) {
    stats data using (column("floor_s")) nooutput
    low = lower(STATS_min)
}
set yrange [low / 1.5 : high * 1.5]

n_panel = paper ? 2 : 1
width = paper ? 1200 : 800
rows = few ? (paper ? 2 : 3) : (words(modes) + (paper ? 3 : 2)) / (paper ? 4 : 3)
height = 530 + 22 * rows
cold(mode) = mode eq "full"

do for [kind in "svg png"] {
    eval page(kind, width, height)
    eval panels(n_panel, width, height, rows, 0, same_set eq "" ? "" : "{/*0.75 *: reuses KV only for the same passages in the same order}")
    set title sprintf("Here: medians, n %s %.0f; bars: from the least time to median + MAD%s", "≥", least, passages(0)) font ",12"
    set ylabel "time to first token (s)"
    lines = "plot for [m = 1:words(modes)] data using 'length':(cell(word(modes, m), 'place', cold(word(modes, m)), 'ttft_s_median')):(column('ttft_s_min')):" \
        . "(column('ttft_s_median') + column('ttft_s_mad')) with yerrorlines ls style_of(word(modes, m))"
    if (few) { lines = lines . ", data using 'length':(cell(second, 'place', 1, 'ttft_s_median')) with linespoints ls style_of(second) dt 2" \
                   . ", data using 'length':(cell(second, 'merge', 0, 'ttft_s_median')) with linespoints ls style_of(second) dt 3 pt 6" }
    if (bounds) { lines = lines . ", data using 'length':(cell('full', 'place', 1, 'floor_s')) with lines ls 8" \
                      . ", data using 'length':(cell(second, 'place', 0, 'floor_s')) with lines ls 9" }
    eval lines
    if (paper) {
        set title "The paper (Table 3, 8B model)" font ",12"
        set ylabel ""
        plot data using "length":(cell("full", "place", 1, "paper_ttft_s")) with linespoints ls style_of("full"), \
             data using "length":(cell("block", "place", 0, "paper_ttft_s")) with linespoints ls style_of("block")
    }
    eval legend(height, rows)
    entries = "plot NaN notitle, for [m = 1:words(modes)] keyentry with linespoints ls style_of(word(modes, m)) title starred(word(modes, m), same_set) . (cold(word(modes, m)) ? '' : ', warm')"
    if (few) { entries = entries . ", keyentry with linespoints ls style_of(second) dt 2 title second . ', cold', " \
                   . "keyentry with linespoints ls style_of(second) dt 3 pt 6 title second . ', warm, caches merged'" }
    if (bounds) { entries = entries . ", keyentry with lines ls 8 title 'least time, full', keyentry with lines ls 9 title 'least time, ' . second . ', warm'" }
    eval entries
    eval finish
}
