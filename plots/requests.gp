# Requests on a machine with blocks in tiers, simulated: where passages are found, and the time to first token.
#   gnuplot -c requests.gp FIGURE     (requests-1.csv, requests-2.csv: table requests of traces of cost --requests; the
#                                      first over sizes of memory, the second over exponents)
ram = "requests-1.csv"; zipf = "requests-2.csv"; out = ARG1
load "style.gp"
eval collect(ram, "zipf", "exponents")
eval collect(ram, "shape", "shape")
eval collect(ram, "hardware", "hardware")
stats ram using (column("corpus")) nooutput
corpus = STATS_max
stats ram using (column("requests")) nooutput
asked = STATS_max
stats zipf using (column("ram_bytes")) nooutput
memory = STATS_max
stats zipf using (column("rate")) nooutput
rate = STATS_max
of(e, y) = column("zipf") == e + 0 ? y : NaN

do for [kind in "svg png"] {
    eval page(kind, 1200, 600)
    set multiplot layout 1, 2 title sprintf("Simulated: %s requests for %s passages,%s on%s", count(asked), count(corpus), shape, hardware) font ",15" noenhanced
    set key tmargin center horizontal maxcols 2 font ",12" width -2
    set tmargin 7
    set title "Found in memory (solid), in memory or on disk (dashed)" font ",12"
    set logscale x
    set xlabel "memory for blocks (GB)"
    set ylabel "% of the passages asked for"
    set yrange [0:100]
    set ytics 0, 20, 100
    plot for [i = 1:words(exponents)] ram using (column("ram_bytes") / 1e9):(of(word(exponents, i), 100 * column("ram_share"))) with linespoints ls of_ramp(i, words(exponents)) title "Zipf exponent ".word(exponents, i), \
         for [i = 1:words(exponents)] ram using (column("ram_bytes") / 1e9):(of(word(exponents, i), 100 * column("ram_share") + 100 * column("disk_share"))) with lines ls of_ramp(i, words(exponents)) dt 2 notitle
    set title sprintf("Time to first token, %g requests a second, %.0f GB of memory", rate, memory / 1e9) font ",12"
    unset logscale x
    set xrange [*:*]
    set xlabel "Zipf exponent: how unevenly passages are asked for"
    set ylabel "ms"
    set yrange [0:*]
    set ytics autofreq
    plot zipf using "zipf":(1e3 * column("ttft_p99")) with linespoints ls 1 title "block, p99, with waiting", \
         zipf using "zipf":(1e3 * column("ttft_p50")) with linespoints ls style_of("block") title "block, p50, with waiting", \
         zipf using "zipf":(1e3 * column("none_service")) with lines ls style_of("block") dt 2 title "block without a store, no waiting", \
         zipf using "zipf":(1e3 * column("full_service")) with lines ls style_of("full") title "full prefill, no waiting"
    unset multiplot
    unset output
}
