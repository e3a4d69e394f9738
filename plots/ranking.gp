# Distance from full attention against the share of full's FLOPs that a warm prompt costs: lower left is better.
#   gnuplot -c ranking.gp FIGURE     (modes.csv: table modes of a trace of gate)
data = "modes.csv"; out = ARG1
load "style.gp"
set xlabel "FLOPs of a warm prompt (% of full prefill)"
stats data using (column("n")) nooutput
prompts = STATS_max
set ylabel (prompts == 1 ? "KL(full || mode) of the next token (nats, n = 1 prompt: no interval)" \
                        : sprintf("KL(full || mode) of the next token (nats, mean over n = %.0f prompts, 95 %%)", prompts)) font ",12"
eval joint(data, "same_set")
eval tally(data, 'column("noise_kl") > 0 ? 1 : NaN', "noisy")
noise = 0
if (noisy) {
    stats data using (column("noise_kl")) nooutput
    noise = STATS_max
}
set logscale xy
set xtics (1, 2, 5, 10, 20, 50, 100)
set ytics (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
unset key

# Full itself, and modes that equal it but for rounding, would stretch a logarithmic axis for nothing: they are named.
far = 1e-3
n = 0
near = ""; near_n = 0
array name[999]; array cost[999]; array kl[999]; array from[999]; array upto[999]
# A column without a number, as the ends of an interval of one prompt, gives the mean itself.
or(x, y) = x > -1e300 ? x : y
keep(mode, x, y, l, h) = y > far && y < 1e300 \
    ? (n = n + 1, name[n] = mode, cost[n] = x, kl[n] = y, from[n] = l > far / 100 ? l : far / 100, upto[n] = h, y) \
    : (near_n = near_n + 1, near = near.(near eq "" ? "" : near_n % 3 == 1 ? ",}\n{/*0.8 " : ", ").starred(mode, same_set).sprintf(" (%.3g %%)", x), NaN)
stats data using (keep(stringcolumn("mode"), 100 * column("flops_fraction"), column("kl"), or(column("kl_low"), column("kl")), \
                       or(column("kl_high"), column("kl")))) nooutput

if (n == 0) { exit } # nothing is farther than that

# Names are written in a column to the right, in the order of distance, apart from each other, each tied to its point.
array order[n]; array at[n]
do for [i = 1:n] {
    order[i] = i
    j = i
    while (j > 1 && kl[order[j]] > kl[order[j > 1 ? j - 1 : j]]) {
        k = order[j]; order[j] = order[j - 1]; order[j - 1] = k
        j = j - 1
    }
}
top = log10(kl[order[1]]) + 0.1
bottom = log10(kl[order[n]]) - 0.1
step = (top - bottom) / (n > 12 ? n - 1 : 12)
do for [i = 1:n] {
    y = log10(kl[order[i]])
    at[i] = i == 1 || y < at[i > 1 ? i - 1 : i] - step ? y : at[i - 1] - step
}
do for [k = 1:n] {
    i = n + 1 - k
    low = k == 1 ? bottom : at[i + 1] + step
    at[i] = at[i] < low ? low : at[i]
}
cheapest = cost[1]
do for [i = 2:n] { cheapest = cost[i] < cheapest ? cost[i] : cheapest }
set xrange [0.7 * cheapest : 130]
# No interval is cut at its top; its lower end may be zero, for which a logarithmic axis has no place.
highest = 10 ** (top + 0.1)
do for [i = 1:n] { highest = upto[i] * 1.1 > highest ? upto[i] * 1.1 : highest }
set yrange [10 ** (bottom - 0.05) : highest]
noisy = noisy && noise > 10 ** (bottom - 0.05)
set rmargin 32
set title sprintf("How far from full attention, at what cost\n{/*0.8 not drawn, below 10^{-3} nats: %s}\n{/*0.8 %s%s}", escaped(near), joint_note(same_set), \
                  noisy ? sprintf("%sdashed: noise of this precision", same_set eq "" ? "" : "; ") : "")
if (noisy) { set arrow 1000 from graph 0, first noise to graph 1, first noise nohead ls 8 }
do for [i = 1:n] {
    set arrow i from cost[order[i]], kl[order[i]] to 130, 10 ** at[i] nohead lw 0.6 lc rgb "#BBBBBB" back
    set label i starred(name[order[i]], same_set) at 137, 10 ** at[i] left noenhanced font ",12" textcolor rgb colour_of(name[order[i]])
}
do for [kind in "svg png"] {
    eval page(kind, 1120, 720)
    plot for [i = 1:n] "+" using (cost[i]):(kl[i]):(from[i]):(upto[i]) every ::0::0 with yerrorbars pt 0 lw 1 lc rgb colour_of(name[i]), \
         for [i = 1:n] "+" using (cost[i]):(kl[i]) every ::0::0 with points ls style_of(name[i]) ps 1.4
    unset output
}
