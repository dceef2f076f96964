#!/usr/bin/env bash
# Stops what up.sh started, by its own numbers: down.sh
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$REPO"
UP=${UP_DIR:-.local/up}
for service in storefront-ingest order-router inventory-sync erp-adapter dead-letter-replayer; do
  end_server "$UP/$service" "$service" TERM
done
end_server "$UP/sandbox" tradewind TERM
for part in tryton kafka postgres; do
  if [ -d "$UP/$part" ]; then "deploy/local/$part.sh" stop "$UP/$part"; fi
done
rm -f "$UP/running"
echo "down; data and logs are kept in $UP"
