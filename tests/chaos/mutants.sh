#!/usr/bin/env bash
# Breaks one guard after the other and asks whether the suite notices: each patch in mutants/ names the invariant that must go
# red, and the schedule under which it does. First, every schedule must leave the product as it is green.
#   mutants.sh [MUTANT...]     beginnings of their names; all of them without
# Works on what is committed, in a checkout of its own below target/mutants.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
HERE=tests/chaos/mutants
WORK=$PWD/target/mutants
TREE=$WORK/tree
export CARGO_TARGET_DIR=$WORK/build
PROGRAMS=(-p storefront-ingest -p order-router -p erp-adapter -p inventory-sync -p dead-letter-replayer -p cli)

say() { printf '%s\n' "$*" >&2; }

prepare() {
  mkdir -p "$WORK/logs" "$WORK/tmp"
  git worktree prune
  if [ -e "$TREE/.git" ]; then
    git -C "$TREE" checkout --quiet --force --detach "$(git rev-parse HEAD)"
  else
    git worktree add --quiet --force --detach "$TREE" HEAD
  fi
  # What is not ours has been compiled by `make build` already.
  if [ ! -d "$CARGO_TARGET_DIR/debug" ] && [ -d target/debug/deps ]; then
    mkdir -p "$CARGO_TARGET_DIR/debug"
    cp -al target/debug/{deps,build,.fingerprint} "$CARGO_TARGET_DIR/debug/"
  fi
}

# The programs as the tree has them now; the oracles stay as they are here.
build() { (cd "$TREE" && cargo build --quiet --bins "${PROGRAMS[@]}"); }

# run NAME SCHEDULE: prints the invariants that are red.
run() {
  local log=$WORK/logs/$1.log
  TMPDIR=$WORK/tmp TRADEWIND_BUILT=1 target/debug/chaos --programs "$CARGO_TARGET_DIR/debug" --schedule "$HERE/schedules/$2" >"$log" 2>&1 || true
  rm -rf "${WORK:?}/tmp"/*
  if grep -q '^everything holds' "$log"; then echo none; else sed -n 's/^red: //p' "$log" | grep . || echo "nothing told, see $log"; fi
}

header() { sed -n "s/^$2: //p;/^\$/q" "$1"; }

wanted() {
  local patch
  for patch in "$HERE"/*.patch; do
    if [ $# = 0 ]; then echo "$patch"; continue; fi
    local name
    for name in "$@"; do [[ $(basename "$patch") == "$name"* ]] && echo "$patch"; done
  done
}

mapfile -t PATCHES < <(wanted "$@")
[ ${#PATCHES[@]} -gt 0 ] || { say "no mutant is called $*; see $HERE"; exit 2; }
prepare
FAILED=0

say "the product as it is ..."
build
for schedule in $(for patch in "${PATCHES[@]}"; do header "$patch" Schedule; done | sort -u); do
  red=$(run "unbroken-${schedule%.json}" "$schedule")
  echo "| as it is | $schedule | nothing | $red |"
  if [ "$red" != none ]; then FAILED=1; fi
done

for patch in "${PATCHES[@]}"; do
  name=$(basename "$patch" .patch)
  say "$name ..."
  git -C "$TREE" apply "$PWD/$patch"
  build
  red=$(run "$name" "$(header "$patch" Schedule)")
  git -C "$TREE" apply --reverse "$PWD/$patch"
  echo "| $name: $(header "$patch" Guard) | $(header "$patch" Schedule) | $(header "$patch" Red) | $red |"
  if ! grep -qw -- "$(header "$patch" Red)" <<<"$red"; then FAILED=1; fi
done
if [ $FAILED = 1 ]; then say "a guard can be broken unseen, or the product does not hold; the logs are in $WORK/logs"; fi
exit $FAILED
