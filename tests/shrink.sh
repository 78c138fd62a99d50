#!/usr/bin/env bash
# Shrinks the first find of every scenario of the zoo, one at a time, and looks how small it got. One line per scenario:
# its name, the seed, the finding, brokers, controllers, faults, records, tries, seconds; then what is over a limit.
#
#   tests/shrink.sh                  every scenario of the zoo
#   tests/shrink.sh partial-load ... these switches
#
# TRIAL is the binary (default: a release build of this tree), JOBS the number of threads, OUT a directory for what is left.
# The exit code is not 0 if a scenario shows nothing, or something is over its limit. Negative controls show nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z ${TRIAL:-} ]]; then
    cargo build --release --quiet --package trial-cli
    TRIAL=target/release/trial
fi
most_brokers=3
most_faults=5
most_records=20
most_seconds=60

case $# in
0) files=$(ls scenarios/zoo-*.toml) ;;
*) files=$(for switch in "$@"; do ls "scenarios/zoo-$switch".toml; done) ;;
esac

over=0
within=0
count=0
for file in $files; do
    name=$(basename "$file" .toml)
    found=$("$TRIAL" search "$file" --seeds 1..200 --until-bug --json ${JOBS:+--jobs "$JOBS"} 2>/dev/null || true)
    seed=$(jq '[.findings[] | select(.class == "BUG") | .first_seed] | min // empty' <<<"$found")
    if [[ -z $seed ]]; then
        printf '%s\tnothing found\n' "$name"
        grep -q 'negative control' "$file" || over=$((over + 1))
        continue
    fi
    count=$((count + 1))
    began=$(date +%s%N)
    shrunk=$("$TRIAL" shrink "$file" --seed "$seed" --json ${JOBS:+--jobs "$JOBS"} 2>/dev/null)
    tenths=$((($(date +%s%N) - began) / 100000000))
    [[ -z ${OUT:-} ]] || jq -r .toml <<<"$shrunk" >"$OUT/$name.toml"
    line=$(jq -r '[.finding.code, .after.brokers, .after.controllers, .after.faults, .after.records, .tries] | @tsv' \
        <<<"$shrunk")
    read -r _ brokers _ faults records _ <<<"$line"
    too_much=""
    [[ $brokers -le $most_brokers ]] || too_much+=" brokers"
    [[ $faults -le $most_faults ]] || too_much+=" faults"
    [[ $records -le $most_records ]] || too_much+=" records"
    [[ $tenths -le $((most_seconds * 10)) ]] || too_much+=" seconds"
    [[ -z $too_much ]] && within=$((within + 1)) || over=$((over + 1))
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$seed" "$line" "$((tenths / 10)).$((tenths % 10))" "${too_much:+over:$too_much}"
done
echo "$within of $count are within the limits"
[[ $over -eq 0 ]]
