#!/usr/bin/env bash
# The end of the servers that test processes share (src/shared.rs starts them).
#
#   shared.sh watch PID    in the background: once process PID has ended and no other run goes on, stop them
#   shared.sh stop         as soon as no test process uses them
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
shared=$repository/.local/run/shared
mkdir -p "$shared"

# Whoever wants to use the servers meanwhile waits for us, and then starts new ones.
stop() {
  local server
  for server in tryton kafka postgres; do
    [ -d "$shared/$server" ] || continue
    "$repository/deploy/local/$server.sh" stop "$shared/$server" 9>&-
    # for whoever wants to know why a test failed
    [ ! -f "$shared/$server/log" ] || mv "$shared/$server/log" "$shared/last-$server.log"
    rm -rf "${shared:?}/$server"
  done
}

# Another run has a watcher of its own, and may just be between two test processes.
another_run_goes_on() {
  local file
  for file in "$shared"/.watches-*; do
    [ -d "/proc/${file##*-}" ] || continue
    # a file that nobody holds was left by a watcher that was killed
    flock --exclusive --nonblock "$file" true || return 0
  done
  return 1
}

watching() { # PID
  exec 8>"$shared/.watches-$1"
  # a second watcher of the same run
  flock --exclusive --nonblock 8 || return 0
  while [ -d "/proc/$1" ]; do sleep 0.5; done
  rm -f "$shared/.watches-$1"
  exec 9>>"$shared/.users"
  until flock --exclusive --nonblock 9; do
    ! another_run_goes_on || return 0
    sleep 0.5
  done
  another_run_goes_on || stop
}

case ${1:-} in
  watch) setsid "${BASH_SOURCE[0]}" watching "$2" </dev/null >/dev/null 2>&1 & ;;
  watching) watching "$2" ;;
  stop)
    exec 9>>"$shared/.users"
    flock --exclusive 9
    stop
    ;;
  *)
    echo "usage: shared.sh watch PID | stop" >&2
    exit 2
    ;;
esac
