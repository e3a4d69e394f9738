#!/bin/sh
# The layers of the program, checked by its include lines:
#   - every folder with sources has a rule in the table below, and every rule has a folder;
#   - a file includes only what the rule of its folder allows, and no path climbs with "..";
#   - no two folders and no two headers include each other in a circle, and the floors of sim/ include downwards only;
#   - libraries that one folder wraps are included nowhere else, and kernels name no attention mode;
#   - every test suite and every command is listed where it is looked for.
# Calls between files, which include lines do not show, are checked by check_calls.sh.
cd "$(dirname "$0")/.." || exit 1
status=0

fail() {
    echo "layers: $*" >&2
    status=1
}

# refuse WHAT PATTERN FILE...: no line of the files may match.
refuse() {
    what=$1 pattern=$2
    shift 2
    if grep -nE "$pattern" "$@" /dev/null; then
        fail "$what"
    fi
}

# FOLDER: what its files may include beside their own folder. "a/" is every header of the folder a, "a/b.h" is one header.
rules() {
    cat <<'RULES'
kernels: kernels/base/
kernels/base:
kernels/ref: kernels/ kernels/base/
kernels/cpu: kernels/ kernels/base/
kernels/cpu/bf16: kernels/ kernels/base/ kernels/cpu/
kernels/cpu/train: kernels/ kernels/base/ kernels/cpu/ kernels/cpu/bf16/bf16.h
kernels/cuda: kernels/ kernels/base/
kernels/cuda/card: kernels/cuda/
kernels/cuda/hopper: kernels/cuda/
kernels/cuda/train: kernels/ kernels/base/ kernels/cuda/
sim/base: kernels/base/
sim/text: sim/base/ kernels/base/
sim/recipe: sim/base/ sim/text/ kernels/base/
sim/tokenizer: sim/base/ sim/recipe/ sim/text/ kernels/base/
sim/chat: sim/base/ sim/tokenizer/ kernels/base/
sim/files: sim/base/ kernels/backend.h kernels/base/
sim/vocab: sim/base/ sim/files/ sim/recipe/ sim/text/ sim/tokenizer/ kernels/base/
sim/trace: sim/base/ kernels/base/
sim/model: sim/base/ sim/chat/ sim/files/ sim/recipe/ sim/text/ sim/tokenizer/ sim/vocab/ kernels/backend.h kernels/base/
sim/prompt: sim/base/ sim/chat/ sim/text/ sim/tokenizer/ kernels/base/
sim/plan: sim/base/ sim/model/shape.h kernels/base/
sim/modes: sim/base/random.h sim/plan/ sim/prompt/ kernels/base/
sim/store: sim/base/ sim/plan/ kernels/backend.h kernels/base/
sim/store/lmdb: sim/base/ sim/store/ kernels/base/
sim/store/redis: sim/base/ sim/store/ kernels/base/
sim/engine: sim/base/ sim/files/packed.h sim/model/ sim/plan/ sim/store/ kernels/backend.h kernels/base/
sim/train: sim/base/ sim/files/ sim/model/ sim/modes/ sim/plan/ sim/prompt/ kernels/backend.h kernels/train.h kernels/base/
library: experiments/data/ experiments/measure/costing.h sim/ kernels/backend.h kernels/base/
experiments: experiments/cli/ experiments/options/ sim/base/mapping.h
experiments/measure: sim/ kernels/backend.h kernels/base/
experiments/convert: experiments/cli/ experiments/options/ experiments/data/ sim/ kernels/base/
experiments/compare: experiments/cli/ experiments/options/ experiments/data/ experiments/measure/ sim/ kernels/base/
experiments/data: sim/ kernels/base/
experiments/tasks: experiments/data/ experiments/measure/ sim/base/ sim/prompt/ sim/text/ sim/tokenizer/ kernels/base/
experiments/cli: experiments/data/ experiments/measure/ sim/ kernels/backend.h kernels/base/
experiments/options: experiments/cli/ experiments/mpi/ library/blockattn.h sim/ kernels/backend.h kernels/base/
experiments/cost: experiments/cli/ experiments/options/ experiments/data/ experiments/measure/ sim/ kernels/base/
experiments/eval: experiments/cli/ experiments/options/ experiments/measure/ experiments/work/ experiments/tasks/ sim/ kernels/base/
experiments/game: experiments/cli/ experiments/options/ experiments/measure/ sim/ kernels/backend.h kernels/base/
experiments/gate: experiments/cli/ experiments/options/ experiments/data/ experiments/measure/ experiments/work/ sim/ kernels/base/
experiments/inspect: experiments/cli/ experiments/options/ experiments/measure/ experiments/tasks/ sim/ kernels/base/
experiments/merge: experiments/cli/ experiments/options/ experiments/eval/ experiments/gate/ experiments/measure/ experiments/work/ sim/ kernels/base/
experiments/mpi: kernels/base/
experiments/replay: experiments/cli/ experiments/options/ experiments/data/ experiments/measure/ sim/ kernels/base/
experiments/report: experiments/cli/ experiments/options/ experiments/data/ experiments/eval/ sim/ kernels/base/
experiments/serve: experiments/cli/ experiments/options/ experiments/data/ sim/ kernels/base/
experiments/store: experiments/cli/ experiments/options/ experiments/measure/ sim/ kernels/base/
experiments/ttft: experiments/cli/ experiments/options/ experiments/measure/ experiments/work/ sim/ kernels/base/
experiments/tune: experiments/cli/ experiments/options/ experiments/data/ experiments/measure/ sim/ kernels/base/
experiments/work: experiments/cli/ experiments/mpi/ sim/ kernels/backend.h kernels/base/
experiments/versus: experiments/cli/ experiments/options/ experiments/measure/ sim/ kernels/backend.h kernels/base/ kernels/cpu/bf16/
tests/support: experiments/ sim/ kernels/
tests/kernels: tests/support/ experiments/ sim/ kernels/
tests/sim: tests/support/ experiments/ sim/ kernels/
tests/experiments: tests/support/ experiments/ library/blockattn.h sim/ kernels/
tests/fuzz: tests/support/ experiments/ sim/ kernels/
RULES
}

# The floors of sim/, top down. A rule may name folders of lower floors only, so no line added above can turn an arrow.
floors() {
    cat <<'FLOORS'
sim/store/lmdb sim/store/redis
sim/engine sim/train
sim/store sim/modes
sim/plan
sim/model sim/prompt
sim/chat sim/vocab
sim/tokenizer
sim/recipe
sim/text sim/files sim/trace
sim/base
FLOORS
}

# One line an include: FILE HEADER, both from the top of the tree; "./" marks a path that climbs, as nothing allows it.
sources=$(find kernels sim library experiments tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh')
includes() {
    # shellcheck disable=SC2086 # one word a file
    awk '/^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, part, "\""); header = part[2]; folder = FILENAME; sub("/[^/]*$", "", folder)
        if (header ~ /\.\./) header = "./" header
        else if (header !~ /^(kernels|sim|library|experiments|tests)\//) header = folder "/" header
        print FILENAME, header
    }' $sources
}

wrong=$(mktemp)
# "kernels/base/" in a rule is that folder alone; "sim/" and "experiments/", and for tests "kernels/", are all folders below.
{ rules; echo; includes; } | awk '
    BEGIN { n = 0 }
    !past && /^$/ { past = 1; next }
    !past { folder = $1; sub(":", "", folder); rule[folder] = " "; for (i = 2; i <= NF; i++) rule[folder] = rule[folder] $i " "; next }
    {
        folder = $1; sub("/[^/]*$", "", folder); to = $2; sub("/[^/]*$", "", to)
        if (!(folder in rule)) { print folder " has no rule"; next }
        if (folder == to) next
        if (index(rule[folder], " " $2 " ") || index(rule[folder], " " to "/ ")) next
        top = to; sub("/.*", "", top)
        if (top != "kernels" && index(rule[folder], " " top "/ ") || top == "kernels" && folder ~ /^tests/) next
        print $1 " may not include " $2
    }' | sort -u >"$wrong"
for folder in $(echo "$sources" | sed 's,/[^/]*$,,' | sort -u); do
    rules | grep -q "^$folder:" || echo "no rule covers the folder $folder"
done >>"$wrong"
rules | while IFS=: read -r folder _; do
    echo "$sources" | grep -q "^$folder/[^/]*$" || echo "the rule of $folder matches no file"
done >>"$wrong"

{ floors; echo; rules; } | awk '
    !past && /^$/ { past = 1; next }
    !past { for (i = 1; i <= NF; i++) floor[$i] = NR; next }
    /^sim\// {
        from = $1; sub(":", "", from)
        if (!(from in floor)) { print from " has no floor"; next }
        for (i = 2; i <= NF; i++) {
            to = $i; sub("/[^/]*$", "", to)
            if (to ~ /^sim/ && floor[to] <= floor[from]) print "the rule of " from " runs up to " to
        }
    }' >>"$wrong"

# tsort names the members of each circle.
includes | awk '{ sub("/[^/]*$", "", $1); sub("/[^/]*$", "", $2); if ($1 != $2) print }' | grep -v '^tests' | sort -u |
    tsort 2>&1 >/dev/null | sed -n 's,^tsort: \(.*/.*\),\1,p' | sed 's/^/folders include each other in a circle: /' >>"$wrong"
includes | grep -E '^[^ ]*\.(h|cuh) ' | sort -u |
    tsort 2>&1 >/dev/null | sed -n 's,^tsort: \(.*/.*\),\1,p' | sed 's/^/headers include each other in a circle: /' >>"$wrong"
sort -u -o "$wrong" "$wrong"
while read -r line; do fail "$line"; done <"$wrong"
rm -f "$wrong"

# only_in PATTERN LIBRARY: no file but those whose path matches the pattern includes headers of the library.
only_in() {
    pattern=$1 library=$2
    # shellcheck disable=SC2046 # one word a file
    refuse "only $pattern includes $library" "include[[:space:]]*[<\"]$library" $(echo "$sources" | grep -vE "$pattern")
}
only_in '^sim/trace/([a-z]*\.c|parts\.h|verify\.h)' hdf5
only_in '^sim/store/lmdb/' lmdb
only_in '^sim/store/redis/' hiredis
only_in '^sim/store/key\.c' sodium
only_in '^experiments/serve/' microhttpd

engine=$(echo "$sources" | grep -E '^(kernels|sim)/')
kernels=$(echo "$sources" | grep '^kernels/')
# shellcheck disable=SC2086 # one word a file
refuse 'NaN and rounding must mean what they say' 'fast-math' $engine
# Names of modes that mean nothing else; "full", "block" and "sink" are ordinary words.
# shellcheck disable=SC2086
refuse 'kernels know no mode' '\<(turborag|promptcache|pcw|superposition|lego|cacheblend|kvlink|blockdist|splice|prophetkv|qcfuse|kvshift|editlocal|nopos)\>' $kernels

# Nothing that exists is forgotten: a suite runs only if it is listed, a command is found only if it is documented.
for suite in $(grep -rhoE '^int ba_suite_[a-z0-9_]+\(void\) \{' tests --include='*.c' | sed -E 's/^int (.*)\(.*/\1/'); do
    grep -q " S(${suite#ba_suite_})" tests/support/runner.h || fail "tests/support/runner.h does not list $suite"
done
for command in $(grep -rhoE '^const ba_command ba_command_[a-z_]+ = ' experiments --include='*.c' | sed -E 's/.*ba_command_([a-z_]+) .*/\1/'); do
    grep -q " C($command) " experiments/options/commands.c || grep -q " C($command)\$" experiments/options/commands.c ||
        fail "experiments/options/commands.c does not list $command"
    [ "$command" = help_pages ] || grep -q "\`$command\`" README.md || fail "README.md does not name $command"
done

exit $status
