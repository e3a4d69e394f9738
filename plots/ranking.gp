# Distance from full attention against the share of the reusable tokens that a mode computes again: lower left is better.
# Settings of one mode are tied by a line.
#   gnuplot -c ranking.gp FIGURE     (modes.csv: table modes of a trace of gate)
data = "modes.csv"; out = ARG1
load "style.gp"
set xlabel "charged budget: share of the reusable tokens computed again, over all layers, probes paid in full" font ",12"
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
set logscale y
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
    : (near_n = near_n + 1, near = near.(near eq "" ? "" : near_n % 3 == 1 ? ",}\n{/*0.8 " : ", ").starred(mode, same_set).sprintf(" (%.3g)", x), NaN)
stats data using (keep(stringcolumn("mode"), column("charged"), column("kl"), or(column("kl_low"), column("kl")), \
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
dearest = 0
do for [i = 1:n] { dearest = cost[i] > dearest ? cost[i] : dearest }
right = dearest > 0 ? 1.15 * dearest : 1
set xrange [-0.03 * right : right]
# The next setting of the same mode, by its charged budget.
array next[n]
do for [i = 1:n] {
    next[i] = i
    do for [j = 1:n] {
        next[i] = base(name[j]) eq base(name[i]) && cost[j] > cost[i] && (next[i] == i || cost[j] < cost[next[i]]) ? j : next[i]
    }
}
# No interval is cut at its top; its lower end may be zero, for which a logarithmic axis has no place.
highest = 10 ** (top + 0.1)
do for [i = 1:n] { highest = upto[i] * 1.1 > highest ? upto[i] * 1.1 : highest }
lowest = 10 ** (bottom - 0.05)
do for [i = 1:n] { lowest = from[i] > far && 0.9 * from[i] < lowest ? 0.9 * from[i] : lowest }
set yrange [lowest : highest]
noisy = noisy && noise > lowest
set rmargin 24
set title sprintf("How far from full attention, for what is computed again\n{/*0.8 not drawn, below 10^{-3} nats: %s}\n{/*0.8 %s%s}", escaped(near), joint_note(same_set), \
                  noisy ? sprintf("%sgrey: noise of this precision", same_set eq "" ? "" : "; ") : "")
if (noisy) {
    set object 1 rectangle from graph 0, graph 0 to graph 1, first noise fc rgb "#EEEEEE" fs solid noborder behind
}
do for [i = 1:n] {
    set arrow i from cost[order[i]], kl[order[i]] to right, 10 ** at[i] nohead lw 0.6 lc rgb "#BBBBBB" back
    set label i starred(name[order[i]], same_set) at 1.01 * right, 10 ** at[i] left noenhanced font ",12" textcolor rgb colour_of(name[order[i]])
}
do for [kind in "svg png"] {
    eval page(kind, 1120, 720)
    plot for [i = 1:n] "+" using (cost[i]):(kl[i]):(cost[next[i]] - cost[i]):(kl[next[i]] - kl[i]) every ::0::0 \
             with vectors nohead lw 1.5 lc rgb colour_of(name[i]), \
         for [i = 1:n] "+" using (cost[i]):(kl[i]):(from[i]):(upto[i]) every ::0::0 with yerrorbars pt 0 lw 1 lc rgb colour_of(name[i]), \
         for [i = 1:n] "+" using (cost[i]):(kl[i]) every ::0::0 with points ls style_of(name[i]) ps 1.4
    unset output
}
