# What one does here. Each recipe is short; what is longer than three lines is a script.
.POSIX:
.DEFAULT_GOAL := help
.PHONY: help demo build test faults bench bench-peers lint doc setup

# Rust's usual installer puts cargo where a fresh shell does not look yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: build ## install what is missing, build, fetch the models, and transcribe real speech before your eyes
	$(TARGET)/release/vivavoce demo

build: setup ## the program, at target/release/vivavoce
	cargo build --release --locked

test: ## all checks and all tests; VIVAVOCE_SPEECH names the folder of recordings with references
	@sh scripts/setup.sh checks
	@sh scripts/test.sh

faults: ## faults on purpose, in full: kills, power cuts, full disks; FAULTS=short for minutes, POINTS=1,5 for some
	@sh scripts/setup.sh checks
	FAULTS=$${FAULTS:-full} cargo test --release --locked --test faults

bench: setup ## one figure for each named question of benches/
	cargo bench --profile release --locked --bench '*'

bench-peers: build ## beside faster-whisper and whisper-streaming, into bench-out/peers.json: 15 minutes; PEERS=short for two
	@sh scripts/bench-peers.sh

lint: ## the form of the code and what clippy says of it
	@sh scripts/setup.sh checks
	cargo fmt --check
	cargo clippy --release --all-targets --locked -- -D warnings

doc: setup ## the documentation, at target/doc/vivavoce/index.html
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --locked

setup: ## the compilers and tools that are missing, and nothing where none is
	@sh scripts/setup.sh
