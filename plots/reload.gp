# Where blocks come from: time to first token against length, and what came into memory a second.
#   gnuplot -c reload.gp FIGURE     (reload.csv: rows of blockattn reload --csv)
data = "reload.csv"; out = ARG1
load "style.gp"
# Lines of reload: name, title, colour, point. Those without rows are left out.
names = "cold disk load ram memory"
titles = "'encoded' 'from the tier, file not cached' 'from the tier' 'from memory of the machine' 'in memory (of the GPU, if any)'"
colours = black . " " . brown . " " . orange . " " . blue . " " . green
points = "7 13 5 9 11"
shown = ""
do for [k = 1:words(names)] {
    eval tally(data, "stringcolumn('blocks') eq '" . word(names, k) . "' ? 1 : NaN", "there")
    if (there) { shown = shown . " " . k }
}

eval lengths
set logscale xy
set format y "10^{%T}"
stats data using (column("length")) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.25]
stats data using (column("question")) nooutput
set xlabel sprintf("prompt length (tokens, with a question of %.0f)", STATS_max)
set ylabel "time to first token (s)"
stats data using (column("block_tokens")) nooutput
block = STATS_max
stats data using (column("n")) nooutput
set title sprintf("Medians, n %s %.0f; bars: median ± MAD; passages of %.0f", "≥", STATS_min, block) font ",12"
stats data using (column("ttft_s_median")) nooutput
eval fine("y", STATS_min / 1.5, STATS_max * 1.5)
set yrange [STATS_min / 1.5 : STATS_max * 1.5]

row(k) = stringcolumn("blocks") eq word(names, k) ? column("ttft_s_median") : NaN
do for [kind in "svg png"] {
    eval page(kind, 1060, 560)
    plot for [k in shown] data using "length":(row(int(k))):(column("ttft_s_mad")) with yerrorlines lw 2 ps 1.3 \
        pt int(word(points, int(k))) lc rgb word(colours, int(k)) title word(titles, int(k))
    unset output
}
