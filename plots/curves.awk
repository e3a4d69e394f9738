# Points of curves.gp, in the order of the charged budget within each family of modes: mode, family, charged, value, low,
# high. First file: the table modes of gate, second (may have no rows): budgets.csv of report, of which the rows of `label`
# count. With check=1: a line for each family and figure, whether more budget never makes it worse. With want="0.05 0.16":
# a Markdown table of the settings that are charged nearest to these budgets.
BEGIN { FS = OFS = "," }
FNR == 1 { files++; delete at; for (i = 1; i <= NF; i++) at[$i] = i; next }
function put(m, p, value, low, high) { v[m, p] = value; lo[m, p] = low; hi[m, p] = high }
files == 1 {
    mode = $at["mode"]; name[++n] = mode; charged[mode] = $at["charged"]
    put(mode, 1, $at["kl"], $at["kl_low"], $at["kl_high"])
    put(mode, 2, 100 * $at["top1"], 100 * $at["top1_low"], 100 * $at["top1_high"])
    put(mode, 3, $at["nll_increase"], $at["nll_increase_low"], $at["nll_increase_high"])
}
files == 2 && $at["label"] == label {
    put($at["mode"], 4, -100 * $at["score_lost"], -100 * $at["score_lost_high"], -100 * $at["score_lost_low"])
}
function family(mode) { sub(/:.*/, "", mode); return mode }
function sorted(   i, j, k) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && charged[name[j]] + 0 < charged[name[j - 1]] + 0; j--) { k = name[j]; name[j] = name[j - 1]; name[j - 1] = k }
}
# Distances are drawn on a logarithmic axis, which those that are rounding only would stretch for nothing.
function floor(x) { return panel == 1 && x + 0 < 1e-4 ? 1e-4 : x }
function is_number(x) { return x ~ /^-?[0-9]/ }
function flat(x) { return x < 5e-4 && x > -5e-4 ? 0 : x } # -0.0 looks like a change
function shown(m, p, form) {
    if (!is_number(v[m, p])) return "-"
    return sprintf(form " [" form ", " form "]", flat(v[m, p]), flat(lo[m, p]), flat(hi[m, p]))
}
function distance(m, w) { return charged[m] > w ? charged[m] - w : w - charged[m] }
function nearest(f, w,   i, best) {
    best = ""
    for (i = 1; i <= n; i++) if (family(name[i]) == f && (best == "" || distance(name[i], w) < distance(best, w))) best = name[i]
    return best
}
function list_nearest(   budgets, count, k, f, m) {
    print "| about | setting | charged | KL, nats | top-1 % | NLL, nats a token | accuracy, points |"
    print "|---:|---|---:|---:|---:|---:|---:|"
    count = split(want, budgets, " ")
    for (k = 0; k <= count; k++)
        for (f = 1; f <= n_family; f++) {
            m = k ? nearest(families[f], budgets[k]) : families[f]
            # Modes without a budget, first; then those with a setting that is not far from this budget.
            if (families[f] == "full" || (k == 0) != !several[families[f]] || !(m in charged) || \
                (k && distance(m, budgets[k]) > 0.48 * budgets[k])) continue
            printf "| %s | `%s` | %.3f | %s | %s | %s | %s |\n", k ? budgets[k] : "0", m, charged[m], shown(m, 1, "%.3f"), \
                   shown(m, 2, "%.0f"), shown(m, 3, "%+.3f"), shown(m, 4, "%+.1f")
        }
}
END {
    sorted()
    for (i = 1; i <= n; i++) {
        several[family(name[i])] = seen[family(name[i])]
        if (!seen[family(name[i])]++) families[++n_family] = family(name[i])
    }
    if (want) { list_nearest(); exit }
    if (!check) {
        print "mode", "family", "charged", "value", "low", "high"
        for (i = 1; i <= n; i++) {
            m = name[i]
            if (family(m) != "full" && is_number(v[m, panel]))
                print m, family(m), charged[m], floor(v[m, panel]), \
                      floor(is_number(lo[m, panel]) ? lo[m, panel] : v[m, panel]), \
                      floor(is_number(hi[m, panel]) ? hi[m, panel] : v[m, panel])
        }
        exit
    }
    split("KL|top-1 agreement|NLL|accuracy", word, "|")
    for (f = 1; f <= n_family; f++)
        for (p = 1; p <= 4; p++) {
            last = ""; steps = breaks = 0; where = ""
            for (i = 1; i <= n; i++) {
                m = name[i]
                if (family(m) != families[f] || !is_number(v[m, p])) continue
                if (last != "") {
                    steps++
                    worse = p == 1 || p == 3 ? v[m, p] - v[last, p] : v[last, p] - v[m, p]
                    if (worse > 1e-9) { breaks++; where = where sprintf(" %s to %s (charged %.3f to %.3f: %.4g to %.4g)", last, m, charged[last], charged[m], v[last, p], v[m, p]) }
                }
                last = m
            }
            if (steps) printf "%s, %s: %s\n", families[f], word[p], breaks ? "not monotone:" where : "monotone over " steps + 1 " budgets"
        }
}
