#!/usr/bin/env bash
# One Apache Kafka node (KRaft: broker and controller in one process) on loopback.
#
#   kafka.sh start DIR [PORT]    prints 127.0.0.1:PORT when it answers clients
#   kafka.sh stop DIR            clean stop
#   kafka.sh kill DIR            SIGKILL, for fault tests; start brings it back with its data on the same port
#   kafka.sh warm-up             once, by setup.sh: writes down the loaded classes, which saves every start a second
#
# DIR holds data/, log, server.properties, pid, port and url. Starting what runs prints its address.
# Environment:
#   ADVERTISED=PORT  the port that clients are told to use, when a proxy stands in front of the node
#   HEAP=384m        the most memory for objects
#   JVM_FLAGS=...    default: quick start, small footprint. Benchmarks set it to "-XX:+UseG1GC" or to nothing
#   OWNER=PID        stop by itself when that process has ended; stop only what that process started
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=4.3.1
LIBS=$LOCAL/kafka-$VERSION/libs
# Java ignores it by itself when it does not fit the machine.
CLASSES=$LOCAL/kafka-$VERSION/classes.jsa

usage() { say "usage: kafka.sh start DIR [PORT] | stop DIR | kill DIR"; exit 2; }

write_settings() { # PORT CONTROLLER_PORT
  cat >"$DIR/server.properties" <<C
node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:${ADVERTISED:-$1},CONTROLLER://127.0.0.1:$2
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$2
log.dirs=$DIR/data

# A topic that nobody created is a mistake in our topic table, not something to make up.
auto.create.topics.enable=false

# One node, so one copy of everything; few partitions, so that a start is quick.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A group starts with its first member instead of waiting three seconds for more.
group.initial.rebalance.delay.ms=0

# A killed node is let in again only when its old session has expired.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400

# The buffer that compacts topics takes 128 MB unless told otherwise: a third of the heap, for topics this small.
log.cleaner.dedupe.buffer.size=16777216
C
}

# The command line up to what is to run, in JAVA.
java_command() {
  JAVA=(java -cp "$LIBS/*" "-Dlog4j2.configurationFile=$HERE/kafka/log4j2.xml")
  if [ -n "${ARCHIVE_TO:-}" ]; then JAVA+=("-XX:ArchiveClassesAtExit=$ARCHIVE_TO")
  elif [ -f "$CLASSES" ]; then JAVA+=("-XX:SharedArchiveFile=$CLASSES"); fi
}

format() {
  if [ -f "$DIR/data/meta.properties" ]; then return; fi
  # A cluster id is 16 random bytes in URL-safe base64; asking Kafka for one costs another second. It must not begin
  # with a dash, which would look like an option.
  local id
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_')
  id=T${id:1:21}
  ARCHIVE_TO='' java_command
  "${JAVA[@]}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format --standalone \
    --cluster-id "$id" --config "$DIR/server.properties" >>"$DIR/log" 2>&1 ||
    { tail -n 20 "$DIR/log" >&2; die "could not format $DIR/data"; }
}

# An open port is not yet a broker: it must name itself as alive. Sends a Metadata request (version 1, no topics) and
# reads the length, our correlation id and the number of live brokers.
answers() { # PORT
  local reply
  # shellcheck disable=SC2016  # expanded by the inner shell
  reply=$(timeout 2 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf "\0\0\0\016\0\003\0\001\0\0\0\007\377\377\0\0\0\0" >&3
    head -c 12 <&3 | od -An -v -tx1 | tr -d " \n"' - "$1" 2>/dev/null) || return 1
  [ "${reply:8:8}" = 00000007 ] && [ "${reply:16:8}" != 00000000 ]
}

launch() { # PORT: succeeds when the node answers, fails when it ended or takes too long
  local flags pid
  read -ra flags <<<"${JVM_FLAGS--XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
  java_command
  setsid "${JAVA[@]}" -Xms128m "-Xmx${HEAP:-384m}" "${flags[@]}" kafka.Kafka "$DIR/server.properties" \
    </dev/null >>"$DIR/log" 2>&1 8>&- &
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

start() {
  local pid port controller chosen=no
  pid=$(cat "$DIR/pid" 2>/dev/null || true)
  if runs "$pid" "$DIR/server.properties"; then adopt "$DIR" "$HERE/kafka.sh"; cat "$DIR/url"; return; fi
  if [ ! -f "$LIBS/.complete" ] || ! command -v java >/dev/null; then
    die "Kafka is not installed: run deploy/local/setup.sh full"
  fi
  # Restarts keep both ports: they stand in the addresses that clients and the node itself remember.
  port=${1:-$(cat "$DIR/port" 2>/dev/null || true)}
  controller=$(cat "$DIR/controller-port" 2>/dev/null || free_port)
  if [ -z "$port" ]; then port=$(free_port) chosen=yes; fi
  for attempt in 1 2 3; do
    write_settings "$port" "$controller"
    format
    if launch "$port"; then break; fi
    if [ "$chosen" = no ] || [ "$attempt" = 3 ]; then
      tail -n 20 "$DIR/log" >&2
      die "Kafka did not start on port $port, see $DIR/log"
    fi
    # Somebody took one of the two ports that we chose: nothing is in the node yet, so begin anew.
    rm -rf "$DIR/data"
    port=$(free_port) controller=$(free_port)
  done
  echo "$port" >"$DIR/port"
  echo "$controller" >"$DIR/controller-port"
  echo "127.0.0.1:$port" >"$DIR/url"
  adopt "$DIR" "$HERE/kafka.sh"
  cat "$DIR/url"
}

warm_up() {
  if [ -f "$CLASSES" ]; then return; fi
  DIR=$(own_dir "$LOCAL/kafka-$VERSION/warm-up")
  ARCHIVE_TO=$DIR/classes.jsa OWNER=$$ start "" >/dev/null
  # The classes are written when the node ends.
  end_server "$DIR" "$DIR/server.properties" TERM
  mv "$DIR/classes.jsa" "$CLASSES"
  rm -rf "$DIR"
}

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = warm-up ]; then warm_up; exit; fi
[ $# -ge 2 ] || usage
DIR=$(own_dir "$2")
lock_dir "$DIR"
case $1 in
  start) start "${3:-}" ;;
  stop) if may_stop "$DIR"; then end_server "$DIR" "$DIR/server.properties" TERM; fi ;;
  kill) end_server "$DIR" "$DIR/server.properties" KILL ;;
  *) usage ;;
esac
