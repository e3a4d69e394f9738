#!/bin/sh
# The layers of the program, held to by grep: who may include whom, that kernels know no mode, and that nothing is
# forgotten.
cd "$(dirname "$0")/.." || exit 1
status=0

fail() {
    echo "layers: $*" >&2
    status=1
}

# may_include WHAT ALLOWED FILE...: project headers that the files may include, as an extended regular expression. A
# rule whose pattern matches no file checks nothing, so that is a failure of its own.
ruled=
may_include() {
    what=$1 allowed=$2
    shift 2
    for file in "$@"; do
        [ -f "$file" ] || { fail "$what: no file matches $file"; continue; }
        ruled="$ruled $file"
        wrong=$(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$file" |
            grep -vxE "$allowed")
        # shellcheck disable=SC2086 # onto one line
        [ -z "$wrong" ] || fail "$what: $file includes" $wrong
    done
}

# refuse WHAT PATTERN FILE...: no line of the files may match.
refuse() {
    what=$1 pattern=$2
    shift 2
    if grep -nE "$pattern" "$@" /dev/null; then
        fail "$what"
    fi
}

here='[a-z0-9_]+\.h'
may_include 'kernels include kernels' "$here" kernels/*.[ch]
may_include 'the cuda backend includes kernels' "$here|(\.\./)?[a-z0-9_]+\.cuh|\.\./$here" kernels/cuda/*
may_include 'its device side knows no handle' '(device[a-z_]*\.h|[a-z0-9_]+\.cuh)' kernels/cuda/*.cu kernels/cuda/*.cuh
may_include 'sim includes sim and kernels' "$here|\.\./kernels/$here" sim/*.[ch]
may_include 'experiments include sim and the boundary of kernels' \
    "$here|(tasks|game)/$here|\.\./sim/$here|\.\./kernels/(backend|compare|dtype|error)\.h" experiments/*.[ch]
may_include 'the benchmark includes experiments and what a peak is measured by, its worker the engine alone' \
    "$here|\.\./$here|\.\./\.\./sim/$here|\.\./\.\./kernels/(amx|backend|bf16|error)\.h" experiments/bench/*.[ch]
may_include 'the worker builds with any library' '\.\./\.\./(sim|kernels)/(backend|engine|model|modes)\.h' experiments/bench/worker.c
may_include 'tasks are text: items, wording and scores, no engine' \
    "$here|\.\./(rag|stats)\.h|\.\./\.\./sim/(grow|ids|json_read|prompt|tokenizer|vocab)\.h|\.\./\.\./kernels/error\.h" \
    experiments/tasks/*.[ch]
may_include 'a game knows experiments, sim and the boundary of kernels' \
    "$here|\.\./$here|\.\./\.\./sim/$here|\.\./\.\./kernels/(backend|compare|dtype|error)\.h" experiments/game/*.[ch]
may_include 'a plan knows plans' '(plan|schedule|visible)[a-z_]*\.h|\.\./kernels/error\.h' sim/plan*.[ch] sim/schedule*.[ch]
may_include 'a trace knows itself, and files' 'trace[a-z_]*\.h|whole_file\.h|\.\./kernels/error\.h' sim/trace*.[ch]
may_include 'a mode knows prompts and plans' '(mode|plan|prompt)[a-z_]*\.h|\.\./kernels/error\.h' sim/mode_*.[ch] sim/modes*.[ch]
may_include 'cost needs a shape and a plan' '(cost|plan|schedule|shape|visible)[a-z_]*\.h|\.\./kernels/error\.h' sim/cost*.[ch]
may_include 'the engine knows plans, models, the store and a backend' \
    '(engine|run|batch|layers|packed|profile|plan|schedule|model|shape|store)[a-z_]*\.h|\.\./kernels/(backend|error)\.h' \
    sim/engine*.[ch] sim/run*.[ch] sim/batch*.[ch] sim/layers*.[ch]

may_include 'a profile knows a backend' 'profile\.h|\.\./kernels/backend\.h' sim/profile*.[ch]
may_include 'packed weights know a backend' '(packed|mapping)\.h|\.\./kernels/(backend|error)\.h' sim/packed*.[ch]

may_include 'training knows plans, models and a backend that trains' \
    '(train|plan|model|engine|grow|random)[a-z_]*\.h|\.\./kernels/(train|backend|error)\.h' sim/train*.[ch]

may_include 'tests include anything' '.*' tests/*.[ch] tests/fuzz/*.[ch]

for file in $(find kernels sim experiments tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh'); do
    case " $ruled " in *" $file "*) ;; *) fail "no rule covers $file" ;; esac
done

for file in kernels/*.[ch] sim/*.[ch] experiments/*.[ch] experiments/tasks/*.[ch] experiments/game/*.[ch] tests/*.[ch]; do
    case $file in sim/trace.h) ;; sim/trace*) continue ;; esac
    refuse 'only sim/trace*.c include hdf5.h, and no header that others include' 'include[[:space:]]*[<"]hdf5' "$file"
done

for file in kernels/*.[ch] sim/*.[ch] experiments/*.[ch]; do
    case $file in sim/tier_lmdb*) ;; *) refuse 'only sim/tier_lmdb* includes lmdb.h' 'include[[:space:]]*[<"]lmdb' "$file" ;; esac
    [ "$file" = sim/tier_redis.c ] || refuse 'only sim/tier_redis.c includes hiredis' 'include[[:space:]]*[<"]hiredis' "$file"
done
may_include 'eviction knows itself' '(evict|grow)\.h' sim/evict*.[ch]

refuse 'NaN and rounding must mean what they say' 'fast-math' kernels/*.[ch] kernels/cuda/* sim/*.[ch]

# Names of modes that mean nothing else; "full", "block" and "sink" are ordinary words.
refuse 'kernels know no mode' \
    '\<(turborag|promptcache|pcw|superposition|lego|cacheblend|kvlink|blockdist|nopos)\>' kernels/*.[ch] kernels/cuda/*

# Nothing that exists is forgotten: a suite runs only if it is listed, a command is found only if it is documented.
for suite in $(sed -nE 's/^int (ba_suite_[a-z0-9_]+)\(void\) \{.*/\1/p' tests/*.c); do
    grep -q "^    $suite,\$" tests/runner.c || fail "tests/runner.c does not list $suite"
done
for command in $(sed -nE 's/^int ba_cmd_([a-z]+)\(.*\{.*/\1/p' experiments/*.c); do
    grep -q "ba_cmd_$command}" experiments/commands.c || fail "experiments/commands.c does not list $command"
    grep -q "^\.B $command\$" experiments/blockattn.1 || fail "experiments/blockattn.1 does not describe $command"
    grep -q "\`$command\`" README.md || fail "README.md does not name $command"
done

exit $status
