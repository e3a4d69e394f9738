# Moves the labels of points apart that would cover each other. Prints a line for every row of pareto.csv that is chosen:
#   x,y,y of the label,mode
#   awk -F, -v label=block-ft -v is=1 -v value=score_lost -v scale=100 -v gap=1.2 -f spread.awk pareto.csv
# label, is: rows of that model (1), or of all others (0). Labels whose x are within 20 % are at least `gap` apart.
NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "x,y,to,mode"; next }
(($1 == label) == is) { x[++n] = 100 * $at["flops_fraction"]; y[n] = scale * $at[value]; name[n] = $at["mode"]; to[n] = y[n] }
END {
    for (round = 0; round < 500; round++)
        for (i = 1; i <= n; i++)
            for (j = 1; j <= n; j++) {
                near = x[i] < 1.2 * x[j] && x[j] < 1.2 * x[i]
                above = y[i] > y[j] || (y[i] == y[j] && i > j)
                if (near && above && to[i] - to[j] < gap) {
                    push = (gap - to[i] + to[j]) / 2
                    to[i] += push
                    to[j] -= push
                }
            }
    for (i = 1; i <= n; i++) printf "%g,%g,%g,%s\n", x[i], y[i], to[i], name[i]
}
