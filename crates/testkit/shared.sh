#!/usr/bin/env bash
# The end of the servers that test processes share (src/shared.rs starts them).
#
#   shared.sh watch PID    in the background: once process PID has ended, and every process that uses the servers, stop
#   shared.sh stop         the same, without a PID to wait for
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
shared=$repository/.local/run/shared
mkdir -p "$shared"

# Waits for the last user. Whoever comes meanwhile waits for us and then starts servers of his own.
stop() {
  local server
  exec 9>>"$shared/.users"
  flock --exclusive --wait 900 9
  for server in tryton kafka postgres; do
    [ -d "$shared/$server" ] || continue
    "$repository/deploy/local/$server.sh" stop "$shared/$server" 9>&-
    # for whoever wants to know why a test failed
    [ ! -f "$shared/$server/log" ] || mv "$shared/$server/log" "$shared/last-$server.log"
    rm -rf "${shared:?}/$server"
  done
}

case ${1:-} in
  watch)
    # Returns at once; a second watcher of the same process ends by itself.
    setsid "${BASH_SOURCE[0]}" watching "$2" </dev/null >/dev/null 2>&1 &
    ;;
  watching)
    exec 8>"$shared/.watches-$2"
    flock --exclusive --nonblock 8 || exit 0
    while [ -d "/proc/$2" ]; do sleep 0.5; done
    rm -f "$shared/.watches-$2"
    stop
    ;;
  stop) stop ;;
  *)
    echo "usage: shared.sh watch PID | stop" >&2
    exit 2
    ;;
esac
