#!/bin/sh
# Fuzzes every target, one after the other, and says what came of it. What breaks one is left in FOLDER/found.
#   run.sh PROGRAM FOLDER SECONDS
set -u
program=$1 folder=$2 seconds=$3 status=0
known=$(dirname "$0")/../golden/fuzz
mkdir -p "$folder/found" "$folder/log"
for target in $("$program" --list); do
    log=$folder/log/$target corpus=$folder/corpus/$target
    mkdir -p "$corpus"
    # HDF5 asks for as much as a damaged file says that a text has, up to 4 GiB, before it looks for the text: not a bug
    # of ours, so that it gets an answer that there is no memory.
    unset ASAN_OPTIONS
    [ "$target" != trace ] || export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=1024
    set -- "$corpus"
    [ ! -d "$known/$target" ] || set -- "$@" "$known/$target"
    if nice -n 19 "$program" "--target=$target" -max_total_time="$seconds" -max_len=32768 -len_control=20 -timeout=30 \
        -rss_limit_mb=2048 -close_fd_mask=3 -print_final_stats=1 \
        -artifact_prefix="$folder/found/$target-" "$@" >"$log" 2>&1; then
        verdict=ok
    else
        verdict="FAILED: $(sed -n 's/^SUMMARY: //p' "$log" | head -n 1), see $log" status=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$log" | tail -n 1)
    printf '%-12s %9s runs %6s edges  %s\n' "$target" "${runs:-0}" "${covered:-0}" "$verdict"
done
exit $status
