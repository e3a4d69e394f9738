# Where the time to first token goes, at the longest length: shares of the stages, total on top.
#   gnuplot -c stages.gp FIGURE     (results.csv: table results of a trace of ttft)
data = "results.csv"; out = ARG1
load "style.gp"
eval one_size
stages = "tokenize_s lookup_s load_s encode_s merge_s prefill_s first_token_s other_s"
names = "'tokenise' 'look up' 'load' 'encode missing blocks' 'merge, rotate keys' 'prefill question' 'first token' 'other'"
colour = yellow." ".sky." ".grey." ".red." ".purple." ".blue." ".green." ".black

stats data using (column("length")) nooutput
longest = STATS_max
# Bars in the order of the rows: cold, then warm; a row without figures has none.
bars = 0
shown(unused) = column("length") == longest && column("block_tokens") == size && column("ttft_s_median") > 0 && (column("cold") == 0 || stringcolumn("mode") eq "full" || few)
label(unused) = stringcolumn("mode") . (stringcolumn("mode") eq "full" ? "" : column("cold") == 1 ? ", cold" : ", warm") \
    . (stringcolumn("executor") eq "merge" ? ", merged" : "")
eval collect(data, "mode", "modes")
few = words(modes) <= 2
array text[64]
stats data using (shown(0) && bars < 64 ? (bars = bars + 1, text[bars] = label(0), bars) : NaN) nooutput
upto(k) = 100 * (sum [i = 1:k] column(word(stages, i))) / (sum [i = 1:8] column(word(stages, i)))

stats data using (column("length") == longest ? column("n") : NaN) nooutput
set title sprintf("Stages of a first token at %s tokens (means, n %s %.0f; on the right: median of the total%s)", tokens(longest), "≥", STATS_min, passages(0)) font ",13"
set ytics () scale 0
do for [i = 1:bars] { set ytics add (text[i] i) noenhanced }
set grid noytics xtics
set yrange [bars + 0.6 : 0.4]
set xrange [0 : 112]
set xtics 0, 20, 100
set xlabel "share of the time to first token (%)"
set key outside right top Left reverse noinvert
set style fill solid 1 noborder
longest_text = 0
do for [i = 1:bars] { longest_text = strlen(text[i]) > longest_text ? strlen(text[i]) : longest_text }
set lmargin longest_text + 3

do for [kind in "svg png"] {
    eval page(kind, 1200, 200 + 44 * bars)
    plot for [k = 1:8] b = 0 data using (upto(k)):(shown(0) ? (b = b + 1, b) : NaN):(k == 1 ? 0 : upto(k - 1)):(upto(k)):(b - 0.35):(b + 0.35) \
             with boxxyerror lc rgb word(colour, k) title word(names, k), \
         b = 0 data using (101):(shown(0) ? (b = b + 1, b) : NaN):(seconds(column("ttft_s_median"))) with labels left notitle
    unset output
}
