# How many times as long as ours in bf16 the others take, case by case.
#   gnuplot -c plots/versus.gp CASES.csv OUT MODEL     (CASES.csv: made by draw_bench.sh)
data = ARG1; out = ARG2
load "plots/style.gp"
set title ARG3 noenhanced
set ylabel "time / time of ours in bf16"
set logscale y 2
set format y "%g×"
set yrange [0.5:*]
set offsets 0, 0, graph 0.12, 0
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border rgb "#FFFFFF"
set boxwidth 0.95
unset grid
set grid ytics lt 1 lw 0.6 lc rgb "#DDDDDD"
set key outside right top Left reverse
set arrow from graph 0, first 1 to graph 1, first 1 nohead lc rgb black lw 1.5 front
set bars 0
width = 1.0 / 7 # six columns and a gap

do for [kind in "svg png"] {
    eval page(kind, 1280, 600)
    plot data using 2:xtic(1) title "ours, fp32" lc rgb grey, \
         data using 3 title "ours, AVX2 only" lc rgb sky, \
         data using 4 title "transformers, bf16" lc rgb orange, \
         data using 5 title "same, cache merged" lc rgb yellow, \
         data using 6 title "transformers, fp32" lc rgb red, \
         data using 7 title "llama.cpp, bf16" lc rgb green, \
         for [c = 2:7] data using ($0 + (c - 4.5) * width):(column(c)):(sprintf("%.1f", column(c))) with labels \
             offset 0, 0.6 font ",9" notitle
    unset output
}
