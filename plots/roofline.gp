# Kernels under the roofs that were measured in the same run: memory bandwidth, multiply-adds in fp32, products in bf16. A device
# has one roof, in bf16, and rates in TFLOP/s.
# Colour: backend; point: kind of kernel.
#   gnuplot -c roofline.gp FIGURE     (kernels.csv, machine.csv: tables of a trace of make bench)
data = "kernels.csv"; machine = "machine.csv"; out = ARG1
load "style.gp"
eval collect(data, "backend", "backends")
device = words(backends) == 1 && strstrt(backends, "cuda/")
unit = device ? 1e12 : 1e9; per_s = device ? "TFLOP/s" : "GFLOP/s"
stats machine using "peak_flops_per_s" nooutput
fp32 = STATS_max / unit
stats machine using "peak_bytes_per_s" nooutput
memory = STATS_max / unit
# Kernels in bf16 are held against a peak of their own, if it is higher than that of fp32.
stats data using (column("peak_flops_per_s") / unit) nooutput
bf16 = STATS_max > 1.5 * fp32 ? STATS_max : 0
top = bf16 > fp32 ? bf16 : fp32
set title device ? "Kernels at the sizes of an 8B model, under measured roofs" : "Kernels under measured roofs"
set xlabel "arithmetic intensity (FLOP per byte of operands)"
set ylabel per_s
stats data using (column("flops_per_s") / unit) nooutput
low = STATS_min / 1.5 < top / 10 ? STATS_min / 1.5 : top / 10
stats data using (column("flops") / column("bytes")) nooutput
set xrange [(STATS_min < 7 ? STATS_min / 1.5 : 5):(STATS_max > 600 ? STATS_max * 1.7 : 1000)]
set yrange [low:top * 1.6]
set logscale xy
set ytics (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
roof(x, peak) = memory * x < peak ? memory * x : peak
# Older files have the names on the left.
named(name) = name eq "native-bf16" ? "cpu/bf16" : name eq "native" ? "cpu/f32" : name eq "openblas" ? "openblas/f32" : name
colours = "cpu/f32 blue cpu/bf16 red openblas/f32 sky cuda/bf16 orange"
colour(name) = value((sum [k = 1:4] (word(colours, 2 * k - 1) eq named(name) ? 1 : 0)) ? word(substr(colours, strstrt(colours, named(name)), 99), 2) : "green")
kinds = device ? "attention product@8192 product@2048 product@50" : "attention product@1024 product@50" # how a kernel's name begins
shapes = device ? "7 13 5 9" : "7 5 9"
spaced(word) = word[1:strstrt(word . "@", "@") - 1] . (strstrt(word, "@") ? " " . word[strstrt(word, "@") + 1:] : "")
rate(name, kind) = stringcolumn("backend") eq name && strstrt(stringcolumn("kernel"), spaced(kind) . " ") == 1 \
    ? column("flops_per_s") / unit : NaN
n = words(backends) < 6 ? words(backends) : 6
do for [kind in "svg png"] {
    eval page(kind, 1200, 640)
    one = device ? sprintf("%.0f TFLOP/s in bf16, %.2f TB/s", fp32, memory) : sprintf("%.0f GFLOP/s in fp32, %.1f GB/s", fp32, memory)
    plot bf16 > 0 ? roof(x, bf16) : NaN with lines lc rgb black lw 2 \
             title (bf16 > 0 ? sprintf("%.0f GFLOP/s in bf16", bf16) : device ? "" : "no peak in bf16"), \
         roof(x, fp32) with lines ls 8 title one, \
         for [i = 1:n] for [k = 1:words(kinds)] data using (column("flops") / column("bytes")): \
             (rate(word(backends, i), word(kinds, k))) with points pt int(word(shapes, k)) ps 1.5 \
             lc rgb colour(word(backends, i)) notitle, \
         for [i = 1:n] keyentry with points pt 7 ps 1.5 lc rgb colour(word(backends, i)) title named(word(backends, i)), \
         for [k = 1:words(kinds)] keyentry with points pt int(word(shapes, k)) ps 1.5 lc rgb grey \
             title spaced(word(kinds, k)) . (k > 1 ? " rows" : "")
    unset output
}
