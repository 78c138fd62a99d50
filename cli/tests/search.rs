//! `trial search` over what seeds draw.

use std::fs;
use std::path::Path;
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
fn a_guided_campaign_does_not_depend_on_the_number_of_threads_nor_on_when_it_was_stopped() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guided");
    let _ = fs::remove_dir_all(&directory);
    let out = directory.to_str().expect("UTF-8");
    let guided = ["search", "--seeds", "1..131", "--guided", "--json", "--jobs"];
    let at_once = found(&[&guided[..], &["1"]].concat());
    let kept = || found(&[&guided[..], &["3", "--out", out]].concat());
    assert_eq!(kept(), at_once);

    // As if it had been killed: what is written down last is cut short.
    let lines = directory.join("trials.jsonl");
    let text = fs::read_to_string(&lines).expect("it is there");
    let last = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
    fs::write(&lines, &text[..(last + text.len()) / 2]).expect("it can be written");
    assert_eq!(kept(), at_once);
    assert_eq!(fs::read_to_string(&lines).expect("it is there").lines().next(), text.lines().next());
    let of_all = trial(&["search", "--seeds", "1..131", "--out", out]);
    assert_eq!(of_all.status.code(), Some(2), "this one is guided");
    assert_eq!(trial(&["merge", out]).status.code(), Some(2), "there are no shards to join");
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
