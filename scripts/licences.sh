#!/usr/bin/env bash
# Every dependency's licence is one that this project may ship with, and every
# dependency comes from the registry: nothing unpinned, nothing of unknown terms.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo metadata --format-version 1 --locked | python3 -c '
import json, re, sys
allowed = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD",
           "Unicode-3.0", "Unicode-DFS-2016", "CC0-1.0", "Unlicense", "BSL-1.0", "MPL-2.0", "MIT-0", "OpenSSL", "CDLA-Permissive-2.0", "NCSA"}
bad = []
packages = json.load(sys.stdin)["packages"]
for p in packages:
    if p["source"] is None:
        continue
    if not p["source"].startswith("registry+"):
        bad.append("%s %s comes from %s" % (p["name"], p["version"], p["source"]))
    text = (p["license"] or "").replace("/", " OR ")
    # Good if some alternative consists of allowed licences only.
    alternatives = [re.split(r"\s+AND\s+", a.strip(" ()")) for a in re.split(r"\s+OR\s+", text)]
    if not any(all(part.strip(" ()") in allowed for part in a) for a in alternatives if a != [""]):
        bad.append("%s %s: licence %r" % (p["name"], p["version"], p["license"]))
for line in bad:
    print("licences:", line)
print("licences: %d dependencies checked, %d refused" % (len(packages), len(bad)))
sys.exit(bool(bad))
'
