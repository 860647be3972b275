# `make demo` shows the map; `make test` proves the rest.
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release/graticule
BIND ?= 127.0.0.1:8080
VENV := $(or $(GRATICULE_VENV),.venv)
CLIENT_SOURCES := $(shell find client shared formats assets/styles assets/fonts assets/vector assets/colormaps xtask/src -type f -not -path '*/target/*' 2>/dev/null) index.html Cargo.lock Cargo.toml

.PHONY: demo build test unit e2e browser python lint size setup clean

## the explorer on real data, at http://127.0.0.1:8080
demo: build
	exec $(BIN) serve --demo --data .demo --bind $(BIND)

## target/release/graticule, the built client inside
build: setup dist/index.html
	$(CARGO) build --release -p graticule

dist/index.html: $(CLIENT_SOURCES)
	$(CARGO) run --release -p xtask -- client

setup:
	@scripts/setup.sh build

## everything: unit and end-to-end tests, Python clients, a real browser
test: build
	@scripts/setup.sh test
	$(MAKE) unit python browser

# Two selections: one would unify features and compile every dependency again.
unit:
	GRATICULE_BIN=$(abspath $(BIN)) $(CARGO) test --release -p graticule -p graticule-shared -p graticule-formats -p graticule-tests
	$(CARGO) test --release -p graticule-client -p graticule-decode -p graticule-files

python:
	GRATICULE_BIN=$(abspath $(BIN)) $(VENV)/bin/python -m pytest -q tests/python

browser:
	cd tests/browser && GRATICULE_BIN=$(abspath $(BIN)) node --test --test-concurrency=1 --test-reporter=spec

## formatting, warnings as errors, licences
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --profile wasm --target wasm32-unknown-unknown -p graticule-client -p graticule-decode -p graticule-files -- -D warnings
	scripts/licences.sh

## what a browser downloads before its first map
size: dist/index.html
	$(CARGO) run --release -p xtask -- size

clean:
	rm -rf dist .demo
	$(CARGO) clean
