#!/usr/bin/env bash
# Installs what is missing, and says what and why. `setup.sh build` is enough to
# build and run; `setup.sh test` adds what the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
need=${1:-build}
say() { printf 'setup: %s\n' "$*"; }

missing=()
want() { # COMMAND PACKAGE REASON
  if ! command -v "$1" >/dev/null 2>&1; then say "$2 is missing: $3"; missing+=("$2"); fi
}
command -v cargo >/dev/null 2>&1 || { say "cargo is missing: install Rust with rustup (https://rustup.rs), then run this again"; exit 1; }
want cc build-essential "the C libraries zstd, blosc and SQLite are compiled"
want clang clang "it compiles the C decoders to WebAssembly; gcc cannot"
if [ "$need" = test ]; then
  want chromium chromium "the browser tests drive a real browser"
  command -v node >/dev/null 2>&1 || { say "node is missing: the browser tests need Node.js 20 or newer"; missing+=(nodejs npm); }
  if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || { say "python3-venv is missing: xarray and zarr are tested as clients"; missing+=(python3-venv); }
  else
    say "python3 is missing: xarray and zarr are tested as clients"; missing+=(python3 python3-venv)
  fi
fi
if [ ${#missing[@]} -gt 0 ]; then
  root=()
  if [ "$(id -u)" -ne 0 ]; then
    say "installing Debian packages needs root: using sudo for apt-get only"
    root=(sudo)
  fi
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  say "installed ${missing[*]}"
fi

sysroot=$(rustc --print sysroot)
if [ ! -d "$sysroot/lib/rustlib/wasm32-unknown-unknown" ]; then
  say "the wasm32-unknown-unknown target is missing: the viewer runs in the browser"
  rustup target add wasm32-unknown-unknown
fi

if [ "$need" = test ]; then
  if [ tests/browser/package-lock.json -nt tests/browser/node_modules/.package-lock.json ]; then
    say "installing the browser driver (playwright-core) into tests/browser/node_modules"
    npm ci --prefix tests/browser --no-audit --no-fund --silent
  fi
  venv=${GRATICULE_VENV:-.venv}
  if [ ! -f "$venv/.installed" ] || [ tests/python/requirements.txt -nt "$venv/.installed" ]; then
    say "installing xarray, zarr and the validators into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/python/requirements.txt
    touch "$venv/.installed"
  fi
fi
