#!/usr/bin/env bash
# Leaves out rules of the conformance table in a build of their own, one at a time, and looks whether search finds it: a
# swarm first, then the chaos scenarios. One line per rule: its name, where it was found first, the codes; or "not found".
#
#   tests/mutants.sh            every rule, in an order of its own
#   tests/mutants.sh 40         the first 40 of that order
#   tests/mutants.sh Rule::Name ...
#
# A rule that only speaks to clients with faults (an error code that no correct client ever sees) cannot be found by
# search; its unit test finds it (tests/conformance.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --quiet --package trial-cli --features mutants --target-dir target/mutants
trial=target/mutants/release/trial

every_rule() {
    awk '/^    [A-Z][A-Za-z]*: "/ { section = $1 } /^        [A-Z][A-Za-z]*: "/ { print section ":" $1 }' \
        src/conformance/*_rules.rs | sed 's/:$//'
}
case ${1:-} in
"") rules=$(every_rule | sort | shuf --random-source=Cargo.toml) ;;
*[!0-9]*) rules=$* ;;
*) rules=$(every_rule | sort | shuf --random-source=Cargo.toml | head -n "$1") ;;
esac

# What is searched, in this order: scenario (none: swarm) and seeds.
campaigns=(":1..150" "quorum-chaos:1..40" "standard:1..12" "groups:1..12" "compression:1..10")
found=0
count=0
for rule in $rules; do
    count=$((count + 1))
    where="not found"
    for campaign in "${campaigns[@]}"; do
        scenario=${campaign%%:*}
        json=$(TRIAL_RULE_OUT=$rule timeout 900 "$trial" search $scenario --seeds "${campaign#*:}" --until-bug --json \
            ${JOBS:+--jobs "$JOBS"} 2>/dev/null) && continue
        codes=$(grep -o '"[a-z0-9-]*":{"count":[0-9]*,"first_seed":[0-9]*,"class":"BUG"' <<<"$json" |
            sed 's/"\([^"]*\)".*"first_seed":\([0-9]*\).*/\1@\2/' | tr '\n' ' ')
        where="${scenario:-swarm} ${codes:-no finding: hung or fell}"
        found=$((found + 1))
        break
    done
    printf '%s\t%s\n' "$rule" "$where"
done
echo "$found of $count rules were missed by somebody"
