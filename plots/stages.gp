# Where the time to first token goes, at the longest length: shares of the stages, total on top.
#   gnuplot -c plots/stages.gp RESULTS.csv OUT
data = ARG1; out = ARG2
load "plots/style.gp"
stages = "tokenize_s lookup_s load_s encode_s merge_s prefill_s first_token_s other_s"
names = "'tokenise' 'look up' 'load' 'encode missing blocks' 'merge, rotate keys' 'prefill question' 'first token' 'other'"
colour = yellow." ".sky." ".grey." ".red." ".purple." ".blue." ".green." ".black

stats data using (column("length")) nooutput
longest = STATS_max
# Place of a row on the axis; NaN: not shown.
slot(unused) = column("length") != longest ? NaN : is("full", "place", 1) ? 0 : is("block", "place", 1) ? 1 : \
    is("block", "merge", 1) ? 2 : is("block", "place", 0) ? 3 : is("block", "merge", 0) ? 4 : NaN
upto(k) = 100 * (sum [i = 1:k] column(word(stages, i))) / (sum [i = 1:8] column(word(stages, i)))
total(unused) = column("ttft_s_median") < 1 ? sprintf("%.3g ms", 1e3 * column("ttft_s_median")) : sprintf("%.3g s", column("ttft_s_median"))

set title sprintf("Stages of a first token at %d tokens", longest)
set xtics ("full" 0, "block cold\nin place" 1, "block cold\nmerged" 2, "block warm\nin place" 3, "block warm\nmerged" 4) scale 0
set bmargin 4
set grid noxtics
set xrange [-0.6 : 4.6]
set yrange [0 : 108]
set ytics 0, 20, 100
set ylabel "share of the time to first token (%)"
set key outside right center Left reverse invert
set style fill solid 1 noborder

do for [kind in "svg png"] {
    eval page(kind, 1120, 560)
    plot for [k = 1:8] data using (slot(0)):(upto(k)):(slot(0) - 0.35):(slot(0) + 0.35):(k == 1 ? 0 : upto(k - 1)):(upto(k)) \
             with boxxyerror lc rgb word(colour, k) title word(names, k), \
         data using (slot(0)):(103.5):(total(0)) with labels notitle
    unset output
}
