# How many times as long as ours in bf16 the others take, case by case: a figure a model, named FIGURE-MODEL.
#   gnuplot -c versus.gp FIGURE     (results.csv: table results of a trace of make bench)
data = "results.csv"; figure = ARG1
load "style.gp"
set ylabel "time / time of ours in bf16 (medians; lines: 95 %)"
set logscale y 2
set format y "%g×"
set style fill solid 0.9 border rgb "#FFFFFF"
unset grid
set grid ytics lt 1 lw 0.6 lc rgb "#DDDDDD"
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc rgb black lw 1.5 front
set offsets 0, 0, graph 0.12, 0

# Entrants: name, whether over a merged cache (method ready), title, colour; on processors, and on a GPU.
cpu = "entrants = \"'ours f32' 'ours avx2' 'transformers bf16' 'transformers bf16' 'transformers f32' 'llama.cpp bf16'\"; " \
    . "titles = \"'ours, fp32' 'ours, AVX2 only' 'transformers, bf16' 'same, cache merged' 'transformers, fp32' 'llama.cpp, bf16'\"; " \
    . "ready = '0 0 0 1 0 0'; colours = grey . ' ' . sky . ' ' . orange . ' ' . yellow . ' ' . red . ' ' . green"
gpu = "entrants = \"'transformers bf16' 'transformers bf16' 'torch graph'\"; ready = '0 1 0'; " \
    . "titles = \"'transformers, bf16' 'same, cache merged' 'torch, one CUDA graph'\"; " \
    . "colours = orange . ' ' . yellow . ' ' . green"
is_ready(unused) = strstrt(stringcolumn("who"), "transformers") && stringcolumn("method") eq "ready"
eval collect(data, "model", "models")
do for [m = 1:words(models)] {
    model = word(models, m)
    eval tally(data, "stringcolumn('model') eq '" . model . "' && stringcolumn('who') eq 'torch graph' ? 1 : NaN", "graphs")
    eval graphs ? gpu : cpu
    bars = words(ready)
    width = 1.0 / (bars + 1) # and a gap
    # The cases with ratios, in the order of the file; the start alone is another quantity.
    wanted(unused) = stringcolumn("model") eq model && stringcolumn("case") ne "start-50" && column("ratio") > 0
    cases = ""
    set xrange [*:*]
    set yrange [*:*]
    stats data using (wanted(0) ? (cases = strstrt(cases . " ", " " . stringcolumn("case") . " ") ? cases : cases . " " . stringcolumn("case"), 0) : NaN) nooutput
    at(name) = sum [c = 1:words(cases)] (word(cases, c) eq name ? c : 0)
    bar(e, name) = wanted(0) && stringcolumn("who") eq word(entrants, e) && is_ready(0) == int(word(ready, e)) ? column(name) : NaN
    x(e) = at(stringcolumn("case")) + (e - (bars + 1) / 2.0) * width
    set xtics () scale 0
    do for [c = 1:words(cases)] { set xtics add (word(cases, c) c) }
    stats data using (wanted(0) ? column("n") : NaN) nooutput
    least = STATS_min; most = STATS_max
    stats data using (wanted(0) ? column("ratio") : NaN) nooutput
    set yrange [(STATS_min < 0.6 ? STATS_min / 1.3 : 0.5):STATS_max * 1.5]
    set xrange [0.4:words(cases) + 0.6]
    set title sprintf("%s (samples a case: %.0f to %.0f)", model, least, most) noenhanced
    out = figure . "-" . model
    do for [kind in "svg png"] {
        eval page(kind, 1280, 600)
        plot for [e = 1:bars] data using (x(e)):(bar(e, "ratio")):(width * 0.95) with boxes lc rgb word(colours, e) title word(titles, e), \
             for [e = 1:bars] data using (x(e)):(bar(e, "ratio")):(bar(e, "ratio_lo")):(bar(e, "ratio_hi")) with yerrorbars pt 0 lw 1 lc rgb "#333333" notitle, \
             for [e = 1:bars] data using (x(e)):(bar(e, "ratio")):(bar(e, "ratio") > 0 ? sprintf("%.1f", bar(e, "ratio")) : "") with labels \
                 offset 0, 0.6 font ",9" notitle
        unset output
    }
}
