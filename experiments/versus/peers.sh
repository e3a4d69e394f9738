#!/bin/sh
# Installs the peers that `make bench` measures against into a Python environment of their own. Reports on stderr.
#   peers.sh python            prints the Python to use: $BENCH_PYTHON, else a virtual environment in the cache folder,
#                              made if need be; nothing if there is none. What cannot be installed is left out.
#   peers.sh convert PYTHON DIR MODEL.gguf...   the same weights in bf16, as DIR/NAME.bf16.gguf
set -eu
here=$(dirname "$0")
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/blockattn
say() { printf 'peers: %s\n' "$*" >&2; }

# install WHAT PIP-ARGUMENT...: tried once a virtual environment; what failed is not tried at every start.
install() {
    what=$1
    shift
    [ ! -e "$cache/peers/.$what" ] || return 0
    say "installing $what (its log: $cache/peers/$what.log)"
    if "$cache/peers/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >"$cache/peers/$what.log" 2>&1
    then
        echo yes >"$cache/peers/.$what"
    else
        say "$what cannot be installed: $(tail -n 1 "$cache/peers/$what.log")"
        say "it will be skipped; to try again, remove $cache/peers/.$what"
        echo no >"$cache/peers/.$what"
    fi
}

case ${1:-} in
python)
    if [ -n "${BENCH_PYTHON:-}" ]; then
        echo "$BENCH_PYTHON"
        exit
    fi
    if [ ! -x "$cache/peers/bin/python" ]; then
        say "making a virtual environment in $cache/peers (some GB; safe to delete)"
        python3 -m venv "$cache/peers" >&2 || { say "python3 -m venv failed: only ours will run"; exit 0; }
    fi
    # The build without CUDA if its index can be reached, else what PyPI has, which is large.
    if [ ! -e "$cache/peers/.torch" ] && "$cache/peers/bin/python" -m pip install --quiet --disable-pip-version-check \
        --timeout 10 --retries 1 --index-url https://download.pytorch.org/whl/cpu torch >/dev/null 2>&1; then
        echo yes >"$cache/peers/.torch"
    fi
    install torch torch
    install transformers transformers accelerate numpy
    install gguf gguf
    install llama-cpp-python llama-cpp-python # built from source: a compiler and some ten minutes
    echo "$cache/peers/bin/python" ;;
convert)
    python=$2 folder=$3
    shift 3
    mkdir -p "$folder"
    for model in "$@"; do
        name=${model##*/}
        target=$folder/${name%.gguf}.bf16.gguf
        [ "$target" -nt "$model" ] && continue
        say "converting $name to bf16 for the others"
        "$python" "$here/../peers/convert.py" "$model" "$target" >&2 ||
            say "it cannot be converted: the others get it as it is, in another precision"
    done ;;
*) echo "usage: peers.sh python | convert PYTHON DIR MODEL.gguf..." >&2; exit 2 ;;
esac
