#!/usr/bin/env bash
# A private PostgreSQL cluster on loopback.
#
#   postgres.sh start DIR [PORT]    prints postgres://tradewind@127.0.0.1:PORT/postgres when it answers
#   postgres.sh stop DIR
#   postgres.sh kill DIR            SIGKILL, for fault tests; start brings it back with its data on the same port
#
# The first start creates the cluster. DIR then holds data/, log, pid, port and url. Starting what runs prints its url.
# Environment:
#   PG_FSYNC=off   for tests: a power cut may lose the cluster, a killed process may not
#   PG_BIN=DIR     the server's programs, when they are not where Debian puts them
#   OWNER=PID      stop by itself when that process has ended; stop only what that process started
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { say "usage: postgres.sh start DIR [PORT] | stop DIR | kill DIR"; exit 2; }

pg_bin() {
  local bin
  for bin in "${PG_BIN:-}" /usr/lib/postgresql/{15,16,17,18}/bin; do
    if [ -x "$bin/initdb" ]; then echo "$bin"; return; fi
  done
  die "PostgreSQL 15 is not installed: run deploy/local/setup.sh demo"
}

# PostgreSQL refuses to run as root. In a user namespace of its own it has another id and still owns its files. Where
# such namespaces are forbidden it runs as the account that its package made.
as_server() {
  if [ "$(id -u)" != 0 ]; then "$@"
  elif unshare --user --map-user=1000 true 2>/dev/null; then unshare --user --map-user=1000 "$@"
  else
    chown -R postgres "$DIR/data" "$DIR/log"
    runuser -u postgres -- "$@"
  fi
}

create() {
  local sync=()
  if [ "${PG_FSYNC:-on}" = off ]; then sync=(--no-sync); fi
  if [ -f "$DIR/.created" ]; then return; fi
  # What an earlier attempt left that was cut short: initdb refuses a folder with something in it.
  rm -rf "$DIR/data"
  mkdir -m 700 "$DIR/data"
  as_server "$BIN/initdb" -D "$DIR/data" -U tradewind -A trust -E UTF8 --locale=C.UTF-8 "${sync[@]}" >>"$DIR/log" 2>&1 ||
    { tail -n 20 "$DIR/log" >&2; die "initdb failed, see $DIR/log"; }
  : >"$DIR/.created"
}

launch() { # PORT
  local options=(
    -p "$1"
    -c listen_addresses=127.0.0.1
    -c "unix_socket_directories=''"
    -c max_connections=200
    -c shared_buffers=64MB
    # UTC: the day of a time stamp must not depend on the machine
    -c timezone=UTC -c log_timezone=UTC
    -c log_min_messages=warning
  )
  if [ "${PG_FSYNC:-on}" = off ]; then options+=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off); fi
  as_server "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w -t 60 -o "${options[*]}" start </dev/null >/dev/null 2>&1 8>&-
}

start() {
  local port=${1:-$(cat "$DIR/port" 2>/dev/null || true)} chosen=no
  local pid
  pid=$(cat "$DIR/pid" 2>/dev/null || true)
  if runs "$pid" "$DIR/data"; then adopt "$DIR" "$HERE/postgres.sh"; cat "$DIR/url"; return; fi
  rm -f "$DIR/pid"
  : >>"$DIR/log"
  create
  if [ -z "$port" ]; then port=$(free_port) chosen=yes; fi
  for attempt in 1 2 3 4 5; do
    if launch "$port"; then break; fi
    if [ "$attempt" = 5 ]; then
      tail -n 20 "$DIR/log" >&2
      die "PostgreSQL did not start on port $port, see $DIR/log"
    fi
    # Only a port that we chose ourselves may be another one now. Otherwise the processes of a killed server may need
    # a moment to notice that it is gone.
    if [ "$chosen" = yes ]; then port=$(free_port); else sleep 0.5; fi
  done
  head -n 1 "$DIR/data/postmaster.pid" >"$DIR/pid"
  echo "$port" >"$DIR/port"
  echo "postgres://tradewind@127.0.0.1:$port/postgres" >"$DIR/url"
  adopt "$DIR" "$HERE/postgres.sh"
  cat "$DIR/url"
}

[ $# -ge 2 ] || usage
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=$(own_dir "$2")
lock_dir "$DIR"
# The server's account may not be allowed to look into the caller's folder.
cd /
case $1 in
  start) BIN=$(pg_bin); start "${3:-}" ;;
  # INT is PostgreSQL's fast stop: open sessions are ended, not waited for
  stop) if may_stop "$DIR"; then end_server "$DIR" "$DIR/data" INT; fi ;;
  kill) end_server "$DIR" "$DIR/data" KILL ;;
  *) usage ;;
esac
