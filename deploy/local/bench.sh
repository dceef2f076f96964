#!/usr/bin/env bash
# Measures the product on a Kafka and a PostgreSQL of its own, prints one table and keeps it in target/bench:
#   bench.sh [ROW,ROW...]
# Environment:
#   SIZE=tiny        only whether it works; its figures mean nothing
#   PROFILE=debug    the programs of `make build` instead of optimised ones; for work on the bench itself
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$REPO"
PROFILE=${PROFILE:-release}
DIR=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-bench.XXXXXX")
OUT=target/bench/$(date -u +%Y-%m-%d-%H%M).md
PACKAGES=(bench storefront-ingest order-router erp-adapter inventory-sync dead-letter-replayer cli)

finish() {
  local code=$?
  for part in kafka postgres; do
    if [ -d "$DIR/$part" ]; then "deploy/local/$part.sh" stop "$DIR/$part" || true; fi
  done
  if [ "$code" = 0 ]; then rm -rf "$DIR"; else say "logs are kept in $DIR"; fi
}
trap finish EXIT

# Confluent's Parallel Consumer, which runs beside us in row 9. Without it that row has our figures only.
PEER_VERSION=0.5.3.3
peer() {
  local folder=$LOCAL/parallel-consumer-$PEER_VERSION
  if ! command -v javac >/dev/null || ! command -v mvn >/dev/null; then
    say "row 9 runs without its peer: it takes a JDK (javac) and Maven (mvn)"
    return
  fi
  if [ ! -f "$folder/libs/.complete" ]; then
    say "Parallel Consumer $PEER_VERSION: getting it"
    if ! mvn -q -B -f tests/bench/peer/pom.xml "-Dpeer.version=$PEER_VERSION" \
      dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder/libs" >&2; then
      say "row 9 runs without its peer: Maven could not get it"
      return
    fi
    touch "$folder/libs/.complete"
  fi
  mkdir -p "$DIR/peer"
  ln -s "$folder/libs" "$DIR/peer/libs"
  javac -cp "$folder/libs/*" -d "$DIR/peer/classes" tests/bench/peer/Peer.java
  PEER=(--peer "$DIR/peer")
}

FLAGS=()
if [ "$PROFILE" = release ]; then FLAGS+=(--release); fi
for package in "${PACKAGES[@]}"; do FLAGS+=(-p "$package"); done
cargo build --quiet "${FLAGS[@]}"

# The measured process has the first core for itself, everything else shares the others.
CORES=$(nproc --all)
if [ "$CORES" -gt 1 ]; then
  OTHERS=(taskset -c "1-$((CORES - 1))")
  PARTY=(--party-core 0)
else
  OTHERS=()
  PARTY=()
fi

say "Kafka and PostgreSQL ..."
KAFKA=$(sed -n 's/^VERSION=//p' deploy/local/kafka.sh)
BROKERS=$(OWNER=$$ HEAP=1g JVM_FLAGS=-XX:+UseG1GC "${OTHERS[@]}" deploy/local/kafka.sh start "$DIR/kafka")
DATABASE=$(OWNER=$$ PG_FSYNC=on "${OTHERS[@]}" deploy/local/postgres.sh start "$DIR/postgres")
mkdir "$DIR/run"
ROWS=()
PEER=()
case ,${1:-9}, in *,9,*) peer ;; esac
SERVERS=$(cat "$DIR/kafka/pid"),$(cat "$DIR/postgres/pid")
if [ -n "${1:-}" ]; then ROWS+=(--rows "$1"); fi
"${OTHERS[@]}" "target/$PROFILE/bench" run --brokers "$BROKERS" --kafka-version "$KAFKA" --database "$DATABASE" --programs "target/$PROFILE" \
  --dir "$DIR/run" --out "$OUT" --size "${SIZE:-full}" --servers "$SERVERS" "${PARTY[@]}" "${PEER[@]}" "${ROWS[@]}"
say "kept in $OUT"
