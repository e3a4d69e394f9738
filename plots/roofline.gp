# Kernels under the roofs that were measured in the same run: memory bandwidth, multiply-adds in fp32, products in bf16.
# Colour: backend; shape: kind of kernel.
#   gnuplot -c plots/roofline.gp KERNELS.csv MACHINE.csv OUT
data = ARG1; machine = ARG2; out = ARG3
load "plots/style.gp"
stats machine using "peak_flops_per_s" nooutput
fp32 = STATS_max / 1e9
stats machine using "peak_bytes_per_s" nooutput
memory = STATS_max / 1e9
# Older files have the names on the left.
named(name) = name eq "native-bf16" ? "cpu/bf16" : name eq "native" ? "cpu/f32" : name eq "openblas" ? "openblas/f32" : name
is_bf16(unused) = strstrt(named(stringcolumn("backend")), "/bf16") > 0
stats data using (is_bf16(0) ? column("peak_flops_per_s") / 1e9 : NaN) nooutput
bf16 = STATS_max > fp32 ? STATS_max : 0
top = bf16 > fp32 ? bf16 : fp32
set title "Kernels under measured roofs"
set xlabel "arithmetic intensity (FLOP per byte of operands)"
set ylabel "GFLOP/s"
set logscale xy
set xrange [5:1000]
stats data using (column("flops_per_s") / 1e9) nooutput
low = STATS_min / 1.5 < top / 10 ? STATS_min / 1.5 : top / 10
set yrange [low:top * 1.6]
set ytics (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
set key outside right top Left reverse
roof(x, peak) = memory * x < peak ? memory * x : peak
backends = "cpu/bf16 cuda/bf16 cpu/f32 openblas/f32"
colours = sprintf("%s %s %s %s", red, orange, blue, sky)
kinds = "attention product@1024 product@50" # how a kernel's name begins
shapes = "7 5 9"
spaced(word) = word[1:strstrt(word . "@", "@") - 1] . (strstrt(word, "@") ? " " . word[strstrt(word, "@") + 1:] : "")
rate(name, kind) = named(stringcolumn("backend")) eq name && strstrt(stringcolumn("kernel"), spaced(kind) . " ") == 1 \
    ? column("flops_per_s") / 1e9 : NaN
do for [kind in "svg png"] {
    eval page(kind, 1200, 640)
    plot bf16 > 0 ? roof(x, bf16) : NaN with lines lc rgb black lw 2 \
             title sprintf("%.0f GFLOP/s in bf16, %.1f GB/s", bf16, memory), \
         roof(x, fp32) with lines ls 8 title sprintf("%.0f GFLOP/s in fp32", fp32), \
         for [i = 1:4] for [k = 1:3] data using (column("flops") / column("bytes")): \
             (rate(word(backends, i), word(kinds, k))) with points pt int(word(shapes, k)) ps 1.5 \
             lc rgb word(colours, i) notitle, \
         for [i = 1:4] keyentry with points pt 7 ps 1.5 lc rgb word(colours, i) title word(backends, i), \
         for [k = 1:3] keyentry with points pt int(word(shapes, k)) ps 1.5 lc rgb grey \
             title spaced(word(kinds, k)) . (k > 1 ? " rows" : "")
    unset output
}
