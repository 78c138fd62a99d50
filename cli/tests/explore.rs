//! `trial explore acks` as scripts and people meet it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn explore(args: &[&str]) -> Output {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explore");
    std::fs::create_dir_all(&directory).expect("the directory for tests can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    command.current_dir(directory).args(["explore", "acks"]).args(args).output().expect("the command starts")
}

fn rows(output: &Output) -> Vec<Value> {
    let whole: Value = serde_json::from_slice(&output.stdout).expect("one object");
    whole["rows"].as_array().expect("rows").clone()
}

#[test]
fn the_table_is_the_same_as_json_and_as_csv_and_with_any_number_of_threads() {
    let two = explore(&["--seeds", "2", "--json", "--jobs", "2", "--csv", "acks.csv"]);
    assert_eq!(two.status.code(), Some(0), "{}", String::from_utf8_lossy(&two.stderr));
    assert_eq!(two.stdout, explore(&["--seeds", "2", "--json", "--jobs", "1"]).stdout);

    let rows = rows(&two);
    assert_eq!(rows.len(), 8 * 7);
    let keys: BTreeSet<&str> = rows[0].as_object().expect("an object").keys().map(String::as_str).collect();
    for key in "acks min_insync_replicas unclean elr fault runs runs_with_loss p low high sent promised lost dropped \
                unavailable_ms produce_p99_ms"
        .split_whitespace()
    {
        assert!(keys.contains(key), "{key} is not in {keys:?}");
    }
    let csv =
        std::fs::read_to_string(Path::new(env!("CARGO_TARGET_TMPDIR")).join("explore/acks.csv")).expect("it is there");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + rows.len());
    let header: Vec<&str> = lines[0].split(',').collect();
    let sent = header.iter().position(|key| *key == "sent").expect("a column");
    for (line, row) in lines[1..].iter().zip(&rows) {
        assert_eq!(line.split(',').nth(sent).map(str::to_owned), Some(row["sent"].to_string()), "{line}");
    }
}

#[test]
fn the_line_of_a_cell_brings_its_worst_run_back() {
    let rows = rows(&explore(&["--seeds", "2", "--json"]));
    let row = rows.iter().find(|row| row["fault"] == "leader-cut-off" && row["acks"] == "1").expect("a cell");
    assert_eq!((row["runs"].as_u64(), row["runs_with_loss"].as_u64()), (Some(2), Some(2)));
    let line = row["reproduce"].as_str().expect("a line").split_whitespace().skip(1);
    let again = Command::new(env!("CARGO_BIN_EXE_trial")).args(line).args(["--json"]).output().expect("it starts");
    let again: Value = serde_json::from_slice(&again.stdout).expect("one object");
    let lost = again["counters"]["lost_allowed"].as_u64().expect("a counter");
    // It is the worst of two, so it lost at least half of both.
    assert!(lost > 0 && 2 * lost >= row["lost"].as_u64().expect("a count"), "{lost} of {}", row["lost"]);
}

#[test]
fn a_zero_is_never_written_as_if_it_were_certain() {
    let text = String::from_utf8(explore(&["--seeds", "3"]).stdout).expect("UTF-8");
    assert!(text.contains("0 / 3") && text.contains("(≤ 56 %)"), "{text}");
    assert!(!text.contains(" 0 %"), "{text}");
    assert!(text.contains("nothing"), "acks=0 is promised nothing");
}
