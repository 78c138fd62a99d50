#!/usr/bin/env bash
# Real clients against three brokers on this machine: kcat (librdkafka), and kafka-python and confluent-kafka if python3
# can make a venv.
#
#   tests/clients/kcat.sh [first port]
#
# Prints one line a check and "N passed, N failed"; exits 1 if one failed, 2 if the checks could not be run. A client
# that is not installed is left out and said so. Needs kcat, cargo, and for kafka-python access to a package index.
set -u

port=${1:-19092}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
servers="127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
server=
passed=0
failed=0

finish() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null
        wait "$server" 2>/dev/null
    fi
    rm -rf "$scratch"
}
trap finish EXIT

give_up() {
    echo "$1" >&2
    exit 2
}

# check <what> <command …>: passes if the command does. What it printed is shown if it does not.
check() {
    local what=$1
    shift
    if "$@" >"$scratch/check.out" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        tail -n 30 "$scratch/check.out" | sed 's/^/        /'
    fi
}

# start <directory> [key=value …]: starts the cluster and waits until it says that it is ready.
start() {
    # An earlier "ready" must not be taken for this one's.
    : >"$scratch/server.out"
    "$target/debug/examples/serve" "$1" "$port" info "${@:2}" >"$scratch/server.out" 2>>"$scratch/server.log" &
    server=$!
    for _ in $(seq 300); do
        grep -q '^ready ' "$scratch/server.out" && return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$scratch/server.log" >&2
    give_up "the cluster is not ready"
}

command -v kcat >/dev/null || give_up "kcat is not installed"
(cd "$root" && cargo build -q --example serve) || give_up "the example does not build"
target=${CARGO_TARGET_DIR:-$root/target}
# Nobody waits for a second member of a group here.
grouped=group.initial.rebalance.delay.ms=0
start "$scratch/logs" "$grouped"

kcat_() {
    timeout 60 kcat -b "$servers" "$@"
}

seq -f 'line %g' 100 >"$scratch/lines"

lists_three_brokers() {
    kcat_ -L >"$scratch/metadata" 2>&1
    cat "$scratch/metadata"
    grep -q '^ 3 brokers:' "$scratch/metadata" &&
        [ "$(grep -c "^  broker [123] at 127.0.0.1:" "$scratch/metadata")" = 3 ]
}
check "kcat -L lists three brokers" lists_three_brokers

produces() {
    kcat_ -P -t "$1" "${@:2}" <"$scratch/lines"
}
check "kcat -P: 100 lines to a topic that is created by that" produces lines -X acks=all

consumes() {
    kcat_ -C -t "$1" -o beginning -e -q >"$scratch/read" && sort -V "$scratch/read" | diff - "$scratch/lines"
}
check "kcat -C -o beginning -e: the same 100 lines" consumes lines

has_leader_and_isr() {
    # Two followers join within a heartbeat or two.
    for _ in $(seq 50); do
        kcat_ -L -t lines >"$scratch/metadata" 2>&1
        grep -Eq '^    partition 0, leader [123], replicas: [123],[123],[123], isrs: [123],[123],[123]$' \
            "$scratch/metadata" && return 0
        sleep 0.2
    done
    cat "$scratch/metadata"
    return 1
}
check "kcat -L -t: a leader, three replicas, all in sync" has_leader_and_isr

# Packed by librdkafka and unpacked by the broker, which looks at each record; read back as librdkafka packed them.
for codec in gzip snappy lz4 zstd; do
    check "kcat -P acks=1 with $codec" produces "packed-$codec" -X acks=1 -z "$codec"
    check "kcat -C: the same lines, unpacked from $codec" consumes "packed-$codec"
done
check "kcat -P acks=0" produces careless -X acks=0
check "kcat -P with an idempotent producer" produces once -X enable.idempotence=true
check "kcat -C: the same lines, each once" consumes once

offset_is() {
    kcat_ -Q -t "$1:0:$2" >"$scratch/offset" 2>&1
    cat "$scratch/offset"
    grep -q "offset $3\$" "$scratch/offset"
}
check "kcat -Q: the end offset" offset_is lines -1 100
check "kcat -Q: the first offset" offset_is lines -2 0

consumes_in_group() {
    kcat_ -G "$1" -X auto.offset.reset=earliest -X session.timeout.ms=6000 -c "$2" -q lines >"$scratch/read" &&
        sort -V "$scratch/read" | diff - "$scratch/lines"
}
check "kcat -G: a group reads the 100 lines, and commits" consumes_in_group readers 100
check "kcat -P: 100 more" produces lines
check "kcat -G: the group goes on behind what it has read" consumes_in_group readers 100

# kafka-python, whose newest release speaks the newest versions.
python=$scratch/venv/bin/python
if python3 -m venv "$scratch/venv" >"$scratch/pip.log" 2>&1 &&
    timeout 120 "$python" -m pip install -q kafka-python==3.0.12 >>"$scratch/pip.log" 2>&1; then
    check "kafka-python: produces 100 records and reads them" timeout 60 "$python" "$here/kafka_python.py" "$servers"
    check "kafka-python: a group, and the admin client" timeout 120 "$python" "$here/kafka_python_group.py" "$servers"
else
    echo "left out: kafka-python cannot be installed"
fi
if [ -x "$python" ] && timeout 120 "$python" -m pip install -q confluent-kafka==2.16.1 >>"$scratch/pip.log" 2>&1; then
    for protocol in classic consumer; do
        check "confluent-kafka: a group of the $protocol protocol" \
            timeout 120 "$python" "$here/confluent_group.py" "$servers" "$protocol"
    done
else
    echo "left out: confluent-kafka cannot be installed"
fi

restarts() {
    kill "$server"
    wait "$server" 2>/dev/null
    start "$scratch/logs" "$grouped"
    consumes once
}
check "killed and started again on the same directory: still the same 100 lines" restarts

goes_on() {
    kcat_ -P -t lines <"$scratch/lines" && consumes_in_group readers 100
}
check "and the group goes on where it was" goes_on

# Packed by the broker, whatever the client did; unpacked by librdkafka.
id=1
for codec in gzip snappy lz4 zstd; do
    kill "$server"
    wait "$server" 2>/dev/null
    start "$scratch/by-$codec" "compression.type=$codec"
    check "kcat -P to brokers that pack with $codec" produces repacked -z none
    check "kcat -C: the same lines, as the broker packed them" consumes repacked
    is_packed() {
        local log
        log=$(find "$scratch/by-$codec" -path '*repacked-0*' -name '*.log' -size +0c | head -n 1)
        # The codec of the first batch: the lowest three bits of its attributes.
        [ "$(($(od -An -tu1 -j 22 -N 1 "$log") & 7))" = "$id" ]
    }
    check "and they are packed so in the log" is_packed
    id=$((id + 1))
done

panics() {
    ! grep -n panicked "$scratch/server.log"
}
check "no server has failed an assertion" panics

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
