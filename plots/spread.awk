# Moves the labels of points apart that would cover each other. Prints a line for every row of pareto.csv that is chosen:
#   x,y,y of the label,mode
#   awk -F, -v label=block-ft-shipped -v is=1 -v value=score_lost -v scale=100 -v gap=1.2 -v near=0.03 -f spread.awk pareto.csv
# label, is: rows of that model (1), or of all others (0). Labels whose x are within `near` are at least `gap` apart.
NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "x,y,to,mode"; next }
(($1 == label) == is) && $at["charged"] != "nan" { x[++n] = $at["charged"]; y[n] = scale * $at[value]; name[n] = $at["mode"]; to[n] = y[n] }
END {
    for (round = 0; round < 500; round++)
        for (i = 1; i <= n; i++)
            for (j = 1; j <= n; j++) {
                above = y[i] > y[j] || (y[i] == y[j] && i > j)
                if (x[i] < x[j] + near && x[j] < x[i] + near && above && to[i] - to[j] < gap) {
                    push = (gap - to[i] + to[j]) / 2
                    to[i] += push
                    to[j] -= push
                }
            }
    for (i = 1; i <= n; i++) printf "%g,%g,%g,%s\n", x[i], y[i], to[i], name[i]
}
