#!/usr/bin/env bash
# Breaks one guard after the other and asks whether the suite notices: each patch in mutants/ names the invariant that must go
# red, and the schedule under which it does. First, every schedule must leave the product as it is green.
#   mutants.sh [MUTANT...]   beginnings of their names; all of them without
# Works on what is committed, in a checkout of its own below target/mutants.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
HERE=tests/chaos/mutants
WORK=$PWD/target/mutants
TREE=$WORK/tree
export CARGO_TARGET_DIR=$WORK/build
SELF=$PWD/tests/chaos/mutants.sh
PACKAGES=(-p storefront-ingest -p order-router -p erp-adapter -p inventory-sync -p dead-letter-replayer -p cli)
PROGRAMS=(storefront-ingest order-router erp-adapter inventory-sync dead-letter-replayer tradewind)

say() { printf '%s\n' "$*" >&2; }

prepare() {
  mkdir -p "$WORK/logs" "$WORK/tmp" "$WORK/kept"
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

# build NAME [PATCH]: the programs of the tree, changed by the patch, into a folder of their own. The oracles stay as they are here.
# With kill points, for the guards that only matter at one moment; nobody dies there whom no schedule asks.
build() {
  local name=$1 programs=$WORK/programs/$1
  if [ -n "${2:-}" ]; then git -C "$TREE" apply "$PWD/$2"; fi
  (cd "$TREE" && cargo build --quiet --bins --features kill-point/armed "${PACKAGES[@]}")
  if [ -n "${2:-}" ]; then git -C "$TREE" apply --reverse "$PWD/$2"; fi
  mkdir -p "$programs"
  for program in "${PROGRAMS[@]}"; do cp "$CARGO_TARGET_DIR/debug/$program" "$programs/"; done
}

# While another one runs.
build_ahead() {
  setsid "$SELF" --build "$@" &
  BUILDING=$!
}

# run NAME PROGRAMS SCHEDULE: prints the invariants that are red.
run() {
  local log=$WORK/logs/$1.log
  TMPDIR=$WORK/tmp TRADEWIND_BUILT=1 target/debug/chaos --programs "$WORK/programs/$2" --schedule "$HERE/schedules/$3" >"$log" 2>&1 || true
  # What a broken product leaves behind teaches nothing; what the product as it is leaves is a fault to be found.
  case $1 in
    unbroken-*) mv "$WORK/tmp"/* "$WORK/kept/" 2>/dev/null || true ;;
    *) rm -rf "${WORK:?}/tmp"/* ;;
  esac
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

if [ "${1:-}" = --build ]; then
  # As a session of its own it takes what the run leaves of the processors; not every kernel knows that.
  echo 19 2>/dev/null >/proc/self/autogroup || true
  build "${@:2}"
  exit
fi

mapfile -t PATCHES < <(wanted "$@")
[ ${#PATCHES[@]} -gt 0 ] || { say "no mutant is called $*; see $HERE"; exit 2; }
prepare
FAILED=0

say "the product as it is ..."
build unbroken
build_ahead "$(basename "${PATCHES[0]}" .patch)" "${PATCHES[0]}"
for schedule in $(for patch in "${PATCHES[@]}"; do header "$patch" Schedule; done | sort -u); do
  red=$(run "unbroken-${schedule%.json}" unbroken "$schedule")
  echo "| as it is | $schedule | nothing | $red |"
  if [ "$red" != none ]; then FAILED=1; fi
done

for index in "${!PATCHES[@]}"; do
  patch=${PATCHES[$index]} next=${PATCHES[$((index + 1))]:-}
  name=$(basename "$patch" .patch)
  say "$name ..."
  wait "$BUILDING" || { say "$name does not build"; exit 1; }
  if [ -n "$next" ]; then build_ahead "$(basename "$next" .patch)" "$next"; fi
  red=$(run "$name" "$name" "$(header "$patch" Schedule)")
  rm -rf "${WORK:?}/programs/$name"
  echo "| $name: $(header "$patch" Guard) | $(header "$patch" Schedule) | $(header "$patch" Red) | $red |"
  if ! grep -qw -- "$(header "$patch" Red)" <<<"$red"; then FAILED=1; fi
done
if [ $FAILED = 1 ]; then say "a guard can be broken unseen, or the product does not hold; the logs are in $WORK/logs, the folders in $WORK/kept"; fi
exit $FAILED
