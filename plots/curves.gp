# What a mode gives for what it computes again: distance from full attention, agreement, likelihood and accuracy against
# the charged budget, a line for every mode with a budget, through all of its budgets.
#   gnuplot -c curves.gp FIGURE     (modes.csv: table modes of a trace of gate; budgets.csv: made by report from runs of eval
#   on the same items, whose label is FIGURE)
data = "modes.csv"; out = ARG1
load "style.gp"
# A table of points: mode, family, charged, then value, low and high of each panel; eval's by the name of the mode.
points(panel) = sprintf("< awk -f curves.awk -v panel=%d -v label=%s modes.csv budgets.csv", panel, out)
families = "block splice lego cacheblend prophetkv qcfuse kvshift"
stats data using (column("n")) name "prompts" nooutput
noise_max = 0 # not measured
eval tally(data, 'column("noise_kl")', "noisy")
if (noisy) { stats data using (column("noise_kl")) name "noise" nooutput }
rows(panel) = int(system(points(panel)[3:] . " | wc -l")) - 1
set xlabel "charged budget"
set key outside right top
set lmargin 14 # the same for all panels, so that their axes stand above each other
items = rows(4) < 1 ? 0 : int(system(sprintf("awk -F, -v label=%s 'NR > 1 && $1 == label { print $NF; exit }' budgets.csv", out)))
array head[4] = ["Distance from full attention (what is below 10^{-4} is drawn there)", "Same next token as full attention", "NLL of the gold answer, minus full's", \
                 sprintf("Accuracy, minus full's (n = %d items)", items)]
array unit[4] = ["KL(full || mode) of the next token, nats", "% of prompts", "nats a token", "points"]
do for [kind in "svg png"] {
    eval page(kind, 1500, 1100)
    set multiplot layout 2,2 title sprintf("%s: n = %.0f prompts, intervals of 95 %%\ncharged budget: share of the reusable tokens computed again, over all layers, probes paid in full", out, prompts_max) noenhanced
    do for [panel = 1:4] {
        set title head[panel]
        set ylabel unit[panel]
        unset logscale y
        unset object 1
        if (panel == 1) {
            set logscale y
            set object 1 rectangle from graph 0, graph 0 to graph 1, first (noise_max > 1e-4 ? noise_max : 1e-4) \
                fc rgb "#EEEEEE" fs solid noborder behind
        }
        set xrange [-0.03:1.06<*]
        if (rows(panel) < 1) { set multiplot next; continue } # accuracy, until eval has run
        plot for [f in families] points(panel) using (strcol(2) eq f ? $3 : NaN):4:5:6 with yerrorbars ls style_of(f) \
                 lw 1 dt 1 notitle, \
             for [f in families] points(panel) using (strcol(2) eq f ? $3 : NaN):4 with linespoints ls style_of(f) title f
    }
    unset multiplot
    unset output
}
