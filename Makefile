# Every recipe of the project; `make` alone lists them. CI calls the same ones.
# `make demo` and `make test` set a bare Debian or Ubuntu machine up by themselves.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# The recipes share one target folder: -j would only make them wait for each other's lock.
.NOTPARALLEL:

# What setup put into the checkout comes first; a cargo that was installed a moment ago comes last.
export PATH := $(CURDIR)/.runtime/bin:$(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# cargo must not inherit make's own job server: under -j it would warn about closed descriptors.
CARGO := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cargo
EYEFLEET := $(or $(CARGO_TARGET_DIR),target)/release/eyefleet

# Words for the commands, for example: make demo DEMO_ARGS='--help'
DEMO_ARGS ?=
UP_ARGS ?=
TEST_ARGS ?=

.PHONY: help setup build demo up test test-slow lint check bench bench-peers clean-demo

help: ## list the recipes
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Redis, compiler, ONNX Runtime's library
	@scripts/setup

build: setup ## build the program in release
	$(CARGO) build --release --locked --bin eyefleet

demo: build ## show the whole product on drawn pictures: a few minutes, then a page of results
	@$(EYEFLEET) demo $(DEMO_ARGS)

up: build ## start a fleet on this machine with embedded defaults; Ctrl-C stops it
	@$(EYEFLEET) up $(UP_ARGS)

test: ## run all tests but the slow ones, on SQLite and PostgreSQL (TEST_ARGS='-E ...' to choose)
	@scripts/setup --test
	@$(CARGO) nextest run --workspace --locked $(TEST_ARGS)
	@scripts/with-postgres $(CARGO) nextest run --workspace --locked --profile postgres --no-tests=warn $(TEST_ARGS)

test-slow: ## run the slow tests, then the whole suite on PostgreSQL: long schedules, large libraries
	@scripts/setup --test
	@$(CARGO) nextest run --workspace --locked --profile slow --no-tests=warn $(TEST_ARGS)
	@scripts/with-postgres $(CARGO) nextest run --workspace --locked --profile postgres-all --no-tests=warn $(TEST_ARGS)

lint: setup ## check the format, and clippy without a single warning
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings

check: lint ## lint, documentation, licences and advisories, scripts, alert rules
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet
	@scripts/check-rest

bench: setup ## run the benchmarks: half an hour; `scripts/bench-table` shows their figures
	@rm -rf $(or $(CARGO_TARGET_DIR),target)/criterion
	$(CARGO) bench --workspace --locked

bench-peers: setup ## run fleetq beside apalis-redis and BullMQ (needs Node.js), write the table of benches
	@scripts/bench-peers --write

clean-demo: ## delete what demos left in the temporary folder; not while one runs
	@find "$${TMPDIR:-/tmp}" -maxdepth 1 -name 'eyefleet-demo-*' -user "$$(id -u)" -print -exec rm -rf {} +
