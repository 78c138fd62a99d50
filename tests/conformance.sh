#!/usr/bin/env bash
# Leaves out every rule of the conformance table, one by one, and demands that its test fails without it and passes with
# it. Prints how many rules and survivors there are; the exit code is not 0 if there is a survivor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo test --quiet -p trial-kafka --lib -- --exact --nocapture \
    conformance::tests::every_rule_left_out_fails_its_test
