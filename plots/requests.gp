# Requests against blocks in tiers, simulated: where passages are found, and the time to first token.
#   gnuplot -c plots/requests.gp RAM.csv ZIPF.csv OUT     (blockattn export TRACE.h5 requests > ...csv)
ram = ARG1; zipf = ARG2; out = ARG3
load "plots/style.gp"
exponents = ""
stats ram using (exponents = strstrt(exponents." ", " ".stringcolumn("zipf")." ") ? exponents : exponents." ".stringcolumn("zipf"), 0) nooutput
of(e, y) = column("zipf") == e + 0 ? y : NaN

do for [kind in "svg png"] {
    eval page(kind, 1200, 560)
    set multiplot layout 1, 2 title "21 million passages of 128 tokens, an 8B model: 352 TB of KV (simulated)" font ",15"
    set title "Found in memory (solid), in memory or on disk (dashed)"
    set key left top
    set logscale x
    set xlabel "memory for blocks (GB)"
    set ylabel "% of the passages asked for"
    set yrange [0:145]
    set ytics 0, 20, 100
    plot for [i = 1:words(exponents)] ram using (column("ram_bytes") / 1e9):(of(word(exponents, i), 100 * column("ram_share"))) with linespoints ls i title "Zipf exponent ".word(exponents, i), \
         for [i = 1:words(exponents)] ram using (column("ram_bytes") / 1e9):(of(word(exponents, i), 100 * column("ram_share") + 100 * column("disk_share"))) with lines ls i dt 2 notitle
    set title "TTFT with waiting (memory 550 GB, disk 21 TB)"
    unset logscale x
    set xrange [*:*]
    set xlabel "Zipf exponent of the passages' popularity"
    set ylabel "ms"
    set yrange [0:190]
    set ytics autofreq
    set key right top
    plot zipf using "zipf":(1e3 * column("ttft_p99")) with linespoints ls 2 title "p99", \
         zipf using "zipf":(1e3 * column("ttft_p50")) with linespoints ls 3 title "p50", \
         zipf using "zipf":(1e3 * column("none_service")) with lines ls 8 title "no store: encode all (no waiting)", \
         zipf using "zipf":(1e3 * column("full_service")) with lines ls 9 title "full prefill (no waiting)"
    unset multiplot
    unset output
}
