//! `trial search` over what seeds draw.

use std::process::{Command, Output};

use serde_json::Value;

fn trial(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trial")).args(args).output().expect("the command starts")
}

fn found(args: &[&str]) -> (Value, Value) {
    let output = trial(args);
    let whole: Value = serde_json::from_slice(&output.stdout).expect("one object");
    (whole["findings"].clone(), whole["coverage"].clone())
}

/// The second generation, of which these seeds see the beginning, varies what the first one reached.
#[test]
fn a_guided_campaign_does_not_depend_on_the_number_of_threads() {
    let guided = |jobs| found(&["search", "--seeds", "1..131", "--guided", "--json", "--jobs", jobs]);
    assert_eq!(guided("1"), guided("3"));
}

#[test]
fn a_variation_is_a_scenario_that_is_printed_by_one_line() {
    let text = |args: &[&str]| String::from_utf8(trial(args).stdout).expect("UTF-8");
    let varied = text(&["scenario", "swarm", "--seed", "7", "--vary", "130,400"]);
    assert!(varied.contains("name = \"swarm-7-130-400\""), "{varied}");
    assert_ne!(varied, text(&["scenario", "swarm", "--seed", "7"]));
}

#[test]
fn a_guided_campaign_is_of_everything_that_seeds_draw() {
    for args in [
        &["search", "chaos", "--seeds", "1..2", "--guided"][..],
        &["search", "--seeds", "1..2", "--guided", "--shard", "1/2"],
    ] {
        assert_eq!(trial(args).status.code(), Some(2), "{args:?}");
    }
}
