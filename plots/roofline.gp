# Kernels under the roofs that were measured in the same run: memory bandwidth, multiply-adds in fp32, products in bf16.
#   gnuplot -c plots/roofline.gp KERNELS.csv MACHINE.csv OUT
data = ARG1; machine = ARG2; out = ARG3
load "plots/style.gp"
stats machine using "peak_flops_per_s" nooutput
fp32 = STATS_max / 1e9
stats machine using "peak_bytes_per_s" nooutput
memory = STATS_max / 1e9
is_bf16(unused) = stringcolumn("backend") eq "onednn" || stringcolumn("backend") eq "native-bf16"
stats data using (is_bf16(0) ? column("peak_flops_per_s") / 1e9 : NaN) nooutput
bf16 = STATS_max > fp32 ? STATS_max : 0
top = bf16 > fp32 ? bf16 : fp32
set title "Kernels under measured roofs"
set xlabel "arithmetic intensity (FLOP per byte of operands)"
set ylabel "GFLOP/s"
set logscale xy
set xrange [1:10000]
set yrange [top / 300:top * 2.5]
set key outside right top Left reverse
roof(x, peak) = memory * x < peak ? memory * x : peak
of(name) = stringcolumn("backend") eq name ? column("flops_per_s") / 1e9 : NaN
x(unused) = column("flops") / column("bytes")
do for [kind in "svg png"] {
    eval page(kind, 1200, 640)
    plot bf16 > 0 ? roof(x, bf16) : NaN with lines lc rgb black lw 2 \
             title sprintf("%.0f GFLOP/s in bf16, %.1f GB/s", bf16, memory), \
         roof(x, fp32) with lines ls 8 title sprintf("%.0f GFLOP/s in fp32", fp32), \
         data using (x(0)):(of("onednn")) with points ls 2 title "onednn, bf16", \
         data using (x(0)):(of("native-bf16")) with points ls 5 title "native, bf16", \
         data using (x(0)):(of("native")) with points ls 3 title "native, fp32", \
         data using (x(0)):(of("openblas")) with points ls 4 title "openblas, fp32", \
         data using (x(0)):(of("onednn")):(stringcolumn("kernel")) with labels rotate by -35 left offset 0.6,-0.4 \
             font ",9" textcolor rgb "#444444" notitle
    unset output
}
