#!/bin/sh
# An array job over the parts of an experiment, and a job that merges them: prints the commands, or (--submit) runs them.
submit=
if [ "$1" = --submit ]; then
    submit=1
    shift
fi
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: submit.sh [--submit] EXPERIMENT OUT.h5 [N]" >&2
    exit 2
fi
experiment=$1 out=$2 n=${3:-8} here=$(dirname "$0")
case $n in '' | *[!0-9]* | 0*)
    echo "submit.sh: $n: needs a number of parts from 1 on" >&2
    exit 2 ;;
esac
case $experiment$out in *,*)
    echo "submit.sh: sbatch --export cannot pass a comma: rename the file" >&2
    exit 2 ;;
esac
variables="ALL,EXPERIMENT=$experiment,OUT=$out,N=$n"
if [ -z "$submit" ]; then
    echo "sbatch --array=1-$n --export=$variables $SBATCH_OPTIONS $here/array.sbatch"
    echo "sbatch --dependency=afterok:JOB --export=$variables $SBATCH_OPTIONS $here/merge.sbatch"
    exit
fi
# shellcheck disable=SC2086 # several options
job=$(sbatch --parsable --array=1-"$n" --export="$variables" $SBATCH_OPTIONS "$here/array.sbatch") || exit
# shellcheck disable=SC2086
sbatch --dependency=afterok:"${job%%;*}" --export="$variables" $SBATCH_OPTIONS "$here/merge.sbatch"
