#!/bin/sh
# The layers of the program, held to by grep: who may include whom, and that kernels know no mode. Silent if all is well.
#   tests -> everything; experiments -> sim, kernels; sim -> sim, kernels; kernels -> kernels
cd "$(dirname "$0")/.." || exit 1
status=0

# refuse WHAT PATTERN FILE...: no line of the files may match.
refuse() {
    what=$1 pattern=$2
    shift 2
    if grep -nE "$pattern" "$@" /dev/null; then
        echo "layers: $what" >&2
        status=1
    fi
}

includes='^[[:space:]]*#[[:space:]]*include[[:space:]]*"'

refuse 'kernels/ may include nothing of the other layers' "$includes.*(sim|experiments|tests)/" kernels/*.[ch]
refuse 'sim/ may not include experiments/ or tests/' "$includes.*(experiments|tests)/" sim/*.[ch]
refuse 'experiments/ may not include tests/' "$includes.*tests/" experiments/*.[ch]
refuse 'a plan knows no model, engine or store' "$includes.*(model|engine|store|prompt|modes|trace|backend)\.h" sim/plan*.[ch]
refuse 'a trace knows nothing but errors' "$includes(\.\./kernels/[^e]|[^.t])" sim/trace*.[ch]
refuse 'the engine knows no mode and no trace' "$includes.*(modes|trace|prompt|tokenizer)\.h" sim/engine*.[ch]
refuse 'cost needs no weights' "$includes.*(engine|model|store|backend)\.h" sim/cost*.[ch]
refuse 'a mode knows prompts and plans only' "$includes.*(model|engine|store|backend|trace)\.h" sim/mode*.[ch]

# shellcheck disable=SC2046 # one word a file
refuse 'only sim/trace.c includes hdf5.h' 'include[[:space:]]*[<"]hdf5' \
    $(ls kernels/*.[ch] sim/*.[ch] experiments/*.[ch] tests/*.[ch] | grep -v '^sim/trace.c$')
refuse 'no fast-math: NaN and rounding mean what they say' 'fast-math' Makefile kernels/*.[ch] sim/*.[ch]

# Words that are modes' names and nothing else. "full", "block" and "sink" are ordinary words.
refuse 'no mode name in kernels/' \
    '\b(turborag|promptcache|pcw|superposition|lego|cacheblend|kvlink|blockdist|block-nopos|legolink|parallelcontext)\b' \
    kernels/*.[ch]

exit $status
