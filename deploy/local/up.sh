#!/usr/bin/env bash
# The whole stack with real parts, each service a process of its own: up.sh
#   UP_DIR=.local/up   BASE_PORT=18080 (and the seven ports after it)
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$REPO"
UP=$(own_dir "${UP_DIR:-.local/up}")
BASE_PORT=${BASE_PORT:-18080}
BIN=$REPO/target/debug
SERVICES=(dead-letter-replayer erp-adapter inventory-sync order-router storefront-ingest)

# start_program NAME COMMAND...: in the background, its output in NAME.log, its number in NAME/pid.
start_program() {
  local name=$1; shift
  mkdir -p "$UP/$name"
  setsid "$@" >"$UP/$name/out" 2>"$UP/$name/log" </dev/null 8>&- &
  echo $! >"$UP/$name/pid"
}

# wait_for WHAT SECONDS COMMAND...
wait_for() {
  local what=$1 seconds=$2; shift 2
  for _ in $(seq $((seconds * 5))); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  die "$what did not come up within $seconds s, see $UP"
}

[ ! -f "$UP/running" ] || die "the stack is up already; 'make down' stops it"
[ -x "$BIN/tradewind" ] || die "no programs in $BIN: run 'make build' first"
trap '[ $? = 0 ] || { say "stopping what was started"; deploy/local/down.sh; }' EXIT

say "PostgreSQL ..."
SERVER=$(deploy/local/postgres.sh start "$UP/postgres")
say "Kafka ..."
BROKERS=$(deploy/local/kafka.sh start "$UP/kafka")
say "Tryton ..."
ERP=$(deploy/local/tryton.sh start "$UP/tryton" "$SERVER")

DATABASE=${SERVER%/*}/tradewind
psql -q "$SERVER" -tc "select 1 from pg_database where datname = 'tradewind'" | grep -q 1 || psql -q "$SERVER" -c 'create database tradewind'

say "sandbox shop and services ..."
start_program sandbox "$BIN/tradewind" --json sandbox --shop-only --port $((BASE_PORT + 10)) --door "http://127.0.0.1:$BASE_PORT/webhooks/shop-eu"
wait_for "the sandbox shop" 20 grep -q '^}' "$UP/sandbox/out"
"$BIN/tradewind" local-config --dir "$UP/config" --brokers "$BROKERS" --database "$DATABASE" --shop "$UP/sandbox/out" \
  --erp-url "$ERP" --erp-ids "$UP/tryton/ids.json" --base-port "$BASE_PORT" >"$UP/addresses"
"$BIN/tradewind" --config "$UP/config/tradewind.toml" migrate >/dev/null ||
  die "the database kept in $UP is not one of this version; 'make down; rm -r $UP' begins anew"
"$BIN/tradewind" --config "$UP/config/tradewind.toml" topics apply >/dev/null
for service in "${SERVICES[@]}"; do
  start_program "$service" "$BIN/$service" --config "$UP/config/$service.toml"
done
# shellcheck source=/dev/null
. "$UP/addresses"
for service in "${SERVICES[@]}"; do
  variable=$(tr 'a-z-' 'A-Z_' <<<"$service")
  wait_for "$service" 60 curl -sf "${!variable}/ready"
done
touch "$UP/running"
echo "up: door $DOOR, shop $SHOP, ERP $ERP"
echo "    export TRADEWIND_CONFIG=$UP/config/tradewind.toml   # then: tradewind account, tradewind dlq list, ..."
echo "    make order places an order, make down stops everything"
