#!/usr/bin/env bash
# A real Tryton ERP on loopback, on a database of its own in a PostgreSQL cluster that runs already.
#
#   tryton.sh setup                     builds the template once (minutes): modules, a small company, goods, users
#   tryton.sh start DIR PGURL [PORT]    prints http://127.0.0.1:PORT/<database>/rpc/ when it answers (seconds)
#   tryton.sh stop DIR
#
# DIR holds trytond.conf, log, database, pid, port, url and ids.json: every id and credential that a connector needs.
# Starting again on DIR finds the same database; a new DIR gets a fresh copy of the template.
# Environment:
#   OWNER=PID    stop by itself when that process has ended; stop only what that process started
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SERIES=8.2
HOME_DIR=$LOCAL/tryton-$SERIES
VENV=$HOME_DIR/venv
MODULES=(account account_invoice account_invoice_stock account_payment account_product carrier company country currency
  party product sale sale_payment sale_shipment_cost stock stock_shipment_cost web_shop web_user)
# What the template is made of, and the year, for which it has fiscal years. Anything else means another template.
KEY=$(cat "$HERE/tryton/requirements.txt" "$HERE/tryton_seed.py" <(echo "${MODULES[*]} $(date -u +%Y)") | sha256sum | head -c 12)
TEMPLATE=$HOME_DIR/template-$KEY

usage() { say "usage: tryton.sh setup | start DIR PGURL [PORT] | stop DIR"; exit 2; }

export PGOPTIONS='-c client_min_messages=warning'

client() { # PROGRAM, then its arguments: a PostgreSQL client program
  local bin
  for bin in "${PG_BIN:-}" /usr/lib/postgresql/{15,16,17,18}/bin; do
    if [ -x "$bin/$1" ]; then "$bin/$1" "${@:2}"; return; fi
  done
  die "PostgreSQL 15 is not installed: run deploy/local/setup.sh demo"
}

write_config() { # FILE PGURL PORT
  cat >"$1" <<C
[database]
uri = ${2%/*}/
maxconn = 16
# dumps by name, never a list for everybody
list = False

[web]
listen = 127.0.0.1:$3

[session]
# Tests log in from one address as fast as they can.
max_attempt = 1000
max_attempt_ip_network = 100000

[queue]
# No worker process: what a request queues runs before the request is answered.
worker = False
C
}

setup() {
  [ -f "$VENV/.complete" ] || die "Tryton is not installed: run deploy/local/setup.sh full"
  [ ! -f "$TEMPLATE/.complete" ] || return 0
  lock_dir "$HOME_DIR" 900
  [ ! -f "$TEMPLATE/.complete" ] || return 0
  rm -rf "$TEMPLATE"
  mkdir -p "$TEMPLATE"
  local build=$TEMPLATE/build url
  mkdir "$build"
  # shellcheck disable=SC2064  # the folder as it is now
  trap "'$HERE/postgres.sh' stop '$build/postgres'" EXIT
  url=$(OWNER=$$ PG_FSYNC=off "$HERE/postgres.sh" start "$build/postgres")
  client createdb --maintenance-db="$url" tryton
  write_config "$build/trytond.conf" "postgresql${url#postgres}" 0
  head -c 18 /dev/urandom | base64 >"$build/admin-password"
  say "tryton: activating ${#MODULES[@]} modules (1 to 4 minutes, once)"
  TRYTONPASSFILE=$build/admin-password "$VENV/bin/trytond-admin" -c "$build/trytond.conf" -d tryton \
    --email admin@example.com -u ir res "${MODULES[@]}" --activate-dependencies >"$build/log" 2>&1 ||
    { tail -n 20 "$build/log" >&2; die "trytond-admin failed, see $build/log"; }
  say "tryton: seeding"
  "$VENV/bin/python" "$HERE/tryton_seed.py" --config "$build/trytond.conf" --database tryton \
    --out "$TEMPLATE/ids.json" >&2 2>>"$build/log" || { tail -n 20 "$build/log" >&2; die "the seed failed, see $build/log"; }
  chmod 600 "$TEMPLATE/ids.json"
  client pg_dump --no-owner --format=custom --file="$TEMPLATE/database.dump" "${url%/*}/tryton"
  "$HERE/postgres.sh" stop "$build/postgres"
  trap - EXIT
  rm -rf "$build"
  : >"$TEMPLATE/.complete"
}

# The template becomes a database of the cluster at first use; from then on a copy takes a second. It gets its name
# only when it is whole.
template_in() { # PGURL
  local name=tryton_template_$KEY
  if client psql -XAtq "$1" -c "select 1 from pg_database where datname = '$name'" | grep -q 1; then echo "$name"; return; fi
  client psql -XAtq "$1" -c "drop database if exists ${name}_new" -c "create database ${name}_new template template0" >&2
  client pg_restore --no-owner --jobs=2 --dbname="${1%/*}/${name}_new" "$TEMPLATE/database.dump" >&2
  client psql -XAtq "$1" -c "alter database ${name}_new rename to $name" >&2
  echo "$name"
}

create_database() { # PGURL NAME
  local template
  # One at a time for all clusters: a copy needs its template without sessions.
  exec 7>"$HOME_DIR/.copy-lock"
  flock 7
  template=$(template_in "$1" 7>&-)
  client psql -XAtq "$1" -c "create database $2 template $template" >&2 7>&-
  exec 7>&-
}

answers() { # PORT
  curl -sf -o /dev/null --max-time 5 -H 'Content-Type: application/json' \
    -d '{"id":1,"method":"common.server.version","params":[]}' "http://127.0.0.1:$1/rpc/" 2>/dev/null
}

launch() { # PORT DATABASE: succeeds when the server answers, fails when it ended or takes too long
  local pid
  setsid "$VENV/bin/python" "$VENV/bin/trytond" -c "$DIR/trytond.conf" -d "$2" </dev/null >>"$DIR/log" 2>&1 8>&- &
  pid=$!
  echo "$pid" >"$DIR/pid"
  for _ in $(seq 600); do
    if answers "$1" && kill -0 "$pid" 2>/dev/null; then return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$DIR/pid"
  return 1
}

start() { # PGURL [PORT]
  local port database pid chosen=no
  pid=$(cat "$DIR/pid" 2>/dev/null || true)
  if runs "$pid" "$DIR/trytond.conf"; then adopt "$DIR" "$HERE/tryton.sh"; cat "$DIR/url"; return; fi
  [ -f "$VENV/.complete" ] || die "Tryton is not installed: run deploy/local/setup.sh full"
  if [ ! -f "$DIR/database" ]; then
    [ -f "$TEMPLATE/.complete" ] || die "the template is not built: run deploy/local/setup.sh full"
    database=tryton_$(head -c 6 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    create_database "$1" "$database"
    # The ids belong to this copy: a later template may count otherwise.
    install -m 600 "$TEMPLATE/ids.json" "$DIR/ids.json"
    echo "$database" >"$DIR/database"
  fi
  database=$(cat "$DIR/database")
  port=${2:-$(cat "$DIR/port" 2>/dev/null || true)}
  if [ -z "$port" ]; then port=$(free_port) chosen=yes; fi
  for attempt in 1 2 3; do
    write_config "$DIR/trytond.conf" "postgresql://${1#*://}" "$port"
    if launch "$port" "$database"; then break; fi
    if [ "$chosen" = no ] || [ "$attempt" = 3 ]; then
      tail -n 20 "$DIR/log" >&2
      die "Tryton did not start on port $port, see $DIR/log"
    fi
    port=$(free_port)
  done
  echo "$port" >"$DIR/port"
  echo "http://127.0.0.1:$port/$database/rpc/" >"$DIR/url"
  adopt "$DIR" "$HERE/tryton.sh"
  cat "$DIR/url"
}

case ${1:-} in
  setup) setup ;;
  start)
    [ $# -ge 3 ] || usage
    DIR=$(own_dir "$2")
    lock_dir "$DIR"
    start "$3" "${4:-}"
    ;;
  stop)
    [ $# -ge 2 ] || usage
    DIR=$(own_dir "$2")
    lock_dir "$DIR"
    if may_stop "$DIR"; then end_server "$DIR" "$DIR/trytond.conf" TERM; fi
    ;;
  *) usage ;;
esac
