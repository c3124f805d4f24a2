# The table of contents: what can be done here. Each line with two hashes is a row of `make help`.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PORT   ?= 8080
LISTEN ?= 127.0.0.1:$(PORT)
DATA   ?= data
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run dev test prove bench lint

help: ## Say what can be done here
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=8081 or LISTEN=127.0.0.1:8081 and DATA=elsewhere change where \`run\` and \`dev\` serve from."

run: ## Build Kontor and serve it on http://127.0.0.1:8080 (needs cargo alone; keeps its data in data/)
	@[ -x $(TARGET)/release/kontor ] || printf '%s\n' \
	    "Building Kontor with cargo: about 230 crates in release mode, 3 to 6 minutes on two cores, once." \
	    "Later runs start at once and find their data again in $(DATA)/."
	cargo build --release --locked --package kontor
	$(TARGET)/release/kontor serve --data $(DATA) --listen $(LISTEN) --sample examples

dev: ## Serve the code as it stands, unoptimized, with debug logs and data of its own
	KONTOR_LOG=$${KONTOR_LOG:-debug} cargo run --package kontor -- \
	    serve --data $(TARGET)/dev-data --listen $(LISTEN) --sample examples

lint: ## Formatting, clippy and the links in the documents: what a reviewer should not have to say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

test: ## Everything before a change is handed in: lint, all tests, simulated faults, random requests (15 minutes at first)
	tools/test.sh

prove: ## The long forms: 50 crashes, power cuts, 1,000 bit flips, 10,000 seeds, licences (one to two hours)
	tools/prove.sh

bench: ## Measure against a bare HTTP server and an ordinary service on PostgreSQL, on this machine
	cargo build --release --locked --package kontor --package kontor-load
	tools/bench.sh
