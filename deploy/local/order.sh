#!/usr/bin/env bash
# Places one order in the running stack's shop, waits for the ERP's number and prints it: order.sh
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$REPO"
UP=${UP_DIR:-.local/up}
[ -f "$UP/running" ] || die "the stack is not up; 'make up' starts it"
# shellcheck source=/dev/null
. "$UP/addresses"
TRADEWIND=(target/debug/tradewind --config "$UP/config/tradewind.toml")

# The first value of a key in some JSON.
value() { grep -o "\"$1\": *[^,}]*" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'; }

BODY='{"lines": [["MUG-RED", 1], ["TS-M", 2]], "payment": "paid", "country": "DE"}'
ORDER=$(curl -sf -X POST "$SHOP/_sandbox/orders" -H 'content-type: application/json' -d "$BODY" | value id)
[ -n "$ORDER" ] || die "the sandbox shop did not take the order"
say "order $ORDER was placed, its signed webhook is on its way"
for _ in $(seq 150); do
  NUMBER=$("${TRADEWIND[@]}" --json trace "$ORDER" 2>/dev/null | value erp_number || true)
  if [ -n "$NUMBER" ] && [ "$NUMBER" != null ]; then
    "${TRADEWIND[@]}" trace "$ORDER" >&2
    echo "the ERP's number of order $ORDER is $NUMBER"
    exit 0
  fi
  sleep 0.2
done
"${TRADEWIND[@]}" trace "$ORDER" >&2 || true
die "the ERP gave no number within 30 s; 'tradewind dlq list' may say why"
