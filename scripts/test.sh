#!/bin/sh
# Every check in turn; stops at the first that fails and says which. All in the release profile: nothing is built twice.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

times=''
step() {
    name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    start=$(date +%s)
    if "$@" </dev/null; then
        times="$times$(printf '%6d s  %s' "$(($(date +%s) - start))" "$name")
"
    else
        code=$?
        printf '\nFAILED after %d s: %s\n    %s\n' "$(($(date +%s) - start))" "$name" "$*" >&2
        exit "$code"
    fi
}

if [ -z "${VIVAVOCE_SPEECH:-}" ]; then
    printf 'note: VIVAVOCE_SPEECH names no folder of recordings; the tests use what the repository brings\n'
fi

step 'form' cargo fmt --check
step 'clippy' cargo clippy --release --all-targets --locked -- -D warnings
step 'tidy' cargo test --release --locked --test tidy
# With faults on purpose in their short form; `make faults` runs all in full.
step 'tests' env FAULTS=short cargo test --release --locked
step 'pure build' cargo check --release --no-default-features --lib --locked
step 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --release --no-deps --locked

printf '\nall passed\n%s' "$times"
