#!/bin/sh
# No files of the program call each other in a loop. Catches a pair of files that can only be read and changed together,
# which include lines do not show: both may include one header. Reads names, defined and used, from the object files of
# a finished build and sorts the files by them.
#
#   tests/check_calls.sh BUILD
cd "$(dirname "$0")/.." || exit 1
build=${1:?"the folder of a build, such as build"}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

# Object files of sources that exist: a build folder may hold those of files that were moved.
find "$build/kernels" "$build/sim" "$build/library" "$build/experiments" -name '*.o' | sort | while read -r object; do
    source=${object#"$build"/}
    source=${source%.o}
    if [ -f "$source" ] || [ -f "$source.c" ]; then
        echo "$object"
    fi
done >"$work/objects"
[ -s "$work/objects" ] || { echo "calls: no object files in $build; build the program first" >&2; exit 1; }

# "NAME FILE" for every name defined and for every name used.
names() { xargs nm -A -g "$1" <"$work/objects" | sed "s,^$build/\([^:]*\)\.o:.* \([^ ]*\)$,\2 \1," | sort -u; }
names --defined-only >"$work/defined"
names --undefined-only >"$work/used"
join "$work/used" "$work/defined" | awk '$2 != $3 { print $2, $3, $1 }' >"$work/calls" # USER DEFINER NAME

cut -d' ' -f1,2 "$work/calls" | sort -u | tsort 2>&1 >/dev/null | sed -n 's,^tsort: \([^ ]*/[^ ]*\)$,\1,p' |
    sort -u >"$work/loops"
[ -s "$work/loops" ] || exit 0
echo "calls: these files call each other in a loop:" >&2
awk 'NR == FNR { member[$1] = 1; next }
    $1 in member && $2 in member && !seen[$1, $2]++ { print "    " $1 ".c uses " $3 " of " $2 ".c" }' \
    "$work/loops" "$work/calls" | sort >&2
echo "calls: move what both sides need into a file that they both call, or join the files" >&2
exit 1
