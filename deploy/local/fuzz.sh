#!/usr/bin/env bash
# Gives every parser that reads what strangers send to libFuzzer, for so many seconds each. Fails when something was found.
#
#   fuzz.sh SECONDS [TARGET...]    targets are the files of tests/fuzz/fuzz_targets; all of them by default
#
# It takes a nightly compiler and cargo-fuzz, and gets what is missing; nothing else here needs either. What it learns stays in
# tests/fuzz/corpus, what it finds in tests/fuzz/artifacts.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CARGO_FUZZ=0.13.2
TOOLS=$LOCAL/tools/fuzz
FUZZ=$REPO/tests/fuzz

[[ "${1:-}" =~ ^[0-9]+$ ]] || { say "usage: fuzz.sh SECONDS [TARGET...]"; exit 2; }
time=$1
shift
if [ $# = 0 ]; then
  for file in "$FUZZ"/fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done
fi

if ! cargo +nightly --version >/dev/null 2>&1; then
  say "rustup: nightly"
  rustup toolchain install nightly --profile minimal >&2
fi
if [ "$("$TOOLS/bin/cargo-fuzz" --version 2>/dev/null)" != "cargo-fuzz $CARGO_FUZZ" ]; then
  say "cargo install: cargo-fuzz $CARGO_FUZZ"
  cargo install --quiet --locked --version "$CARGO_FUZZ" --root "$TOOLS" cargo-fuzz >&2
fi

# What is fuzzed is what is shipped: the product's versions, and the fuzzer's own beside them.
cp "$REPO/Cargo.lock" "$FUZZ/Cargo.lock"
fuzz() { PATH=$TOOLS/bin:$PATH cargo +nightly fuzz "$1" --fuzz-dir "$FUZZ" --target-dir "$REPO/target/fuzz" "${@:2}"; }

cd "$REPO"
fuzz build >&2

found=()
for target in "$@"; do
  say "$target: $time s"
  mkdir -p "$FUZZ/corpus/$target" "$FUZZ/artifacts/$target"
  # An allocation or an input's time beyond these is a finding, as a panic is.
  limits=(-max_total_time="$time" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len=65536 -print_final_stats=1)
  dictionary=$FUZZ/dictionaries/$target.dict
  if [ -f "$dictionary" ]; then limits+=(-dict="$dictionary"); fi
  log=$FUZZ/artifacts/$target.log
  if fuzz run "$target" "$FUZZ/corpus/$target" "$FUZZ/seeds/$target" -- "${limits[@]}" >"$log" 2>&1; then
    grep -E 'Done|number_of_executed|peak_rss' "$log" >&2 || true
  else
    tail -n 60 "$log" >&2
    found+=("$target")
  fi
done
if [ ${#found[@]} -gt 0 ]; then
  die "found something: ${found[*]}. The inputs are in $FUZZ/artifacts; keep what you fix as tests/fuzz/seeds/<target>/found-<what>"
fi
