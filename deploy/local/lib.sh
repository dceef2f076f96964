# shellcheck shell=bash
# What the scripts of the local stack share. Sourced, never run.
#
# Every server gets a folder of its own. There stand its data, its log, `pid` (while it runs), `url` (what its clients
# connect to) and `port` (kept, so that a restart finds its clients again).

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Downloads and built templates, by version. Shared by every checkout that sets the variable.
# shellcheck disable=SC2034  # for the scripts that source this
LOCAL=${TRADEWIND_LOCAL:-$REPO/.local}

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Makes DIR and prints its absolute path: servers change their folder, relative paths would break.
own_dir() { mkdir -p "$1" && (cd "$1" && pwd); }

# Takes the lock of DIR until the script ends, so that two callers don't start the same server twice.
# A server must be started with `8>&-`, or it keeps the lock for as long as it runs.
lock_dir() {
  exec 8>"$1/.lock"
  flock -w "${2:-120}" 8 || die "another start or stop in $1 does not end"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port nobody listens on, from below the range that the kernel gives to outgoing connections. Somebody else may take
# it before we do: callers try again with another one.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    listens "$port" || { echo "$port"; return; }
  done
  die "no free port between 20000 and 32000"
}

# Whether PID runs and has WORD on its command line. Numbers are reused after a reboot; strangers are never signalled.
runs() {
  local pid=$1 word=$2
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$word"
}

# end_server DIR WORD SIGNAL: signals the server of DIR and waits until it is gone.
end_server() {
  local dir=$1 word=$2 signal=$3 pid
  pid=$(cat "$dir/pid" 2>/dev/null) || return 0
  if runs "$pid" "$word"; then
    kill "-$signal" "$pid" 2>/dev/null || true
    for _ in $(seq 600); do
      runs "$pid" "$word" || break
      sleep 0.05
    done
    if runs "$pid" "$word"; then die "process $pid did not end within 30 s of SIG$signal, see $dir"; fi
  fi
  rm -f "$dir/pid"
}

# adopt DIR SCRIPT: if OWNER names a process, the server of DIR is stopped as soon as that process has ended, unless
# somebody else has adopted it by then. So a test run that dies takes its servers with it, and not those of the next run.
adopt() {
  if [ -z "${OWNER:-}" ]; then rm -f "$1/owner"; return; fi
  echo "$OWNER" >"$1/owner"
  # shellcheck disable=SC2016  # expanded by the inner shell
  OWNER=$OWNER setsid bash -c '
    while [ -d "/proc/$OWNER" ]; do sleep 1; [ -f "$1/pid" ] || exit 0; done
    exec "$2" stop "$1"
  ' tradewind-owner-watch "$1" "$2" </dev/null >/dev/null 2>&1 8>&- &
}

# Whether the caller may stop the server of DIR: one that comes as an OWNER stops its own only.
may_stop() { [ -z "${OWNER:-}" ] || [ "$(cat "$1/owner" 2>/dev/null)" = "$OWNER" ]; }
