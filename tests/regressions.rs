//! What once failed by a fault of ours, and must not again: shrunk scenarios, each with the story of its bug, and seeds of
//! built-in scenarios for those that nobody has shrunk. A seed's run changes with the code, a shrunk scenario says what matters.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trial_checker::Outcome;
use trial_sim::scenario;
use trial_tests::{built_in, reproduce, run, run_all};

/// Scenario, seed, and what was wrong.
const SEEDS: &[(&str, u64, &str)] = &[
    ("standard", 435, "a producer that a leader had forgotten was refused the first sequence it told again"),
    ("standard", 705, "a snapshot of the producers' state that had only the last batch passed for a divergence"),
    ("standard", 1169, "a batch taken out of the middle by a leader that had forgotten its producer"),
    (
        "topic-recreated",
        1015,
        "a producer that waited for a deleted topic was answered by a leader of the next, the referee thought",
    ),
    ("groups", 128, "a static member was fenced before it ever worked under its new id"),
    (
        "groups",
        717,
        "a member was not told a loss that was followed by another, and committed old offsets in the new epoch",
    ),
    (
        "groups",
        1942,
        "a static member's return whose write timed out was taken back though its record was committed later",
    ),
    ("groups", 2217, "a static member was fenced by a heartbeat between JoinGroup and SyncGroup"),
    (
        "groups",
        3152,
        "a fenced member that began anew with epoch 0 was fenced until its session was over (KAFKA-19233)",
    ),
];

fn shrunk() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/regressions");
    let entries = fs::read_dir(dir).expect("the corpus is a directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn what_was_shrunk_stays_mended() {
    let files = shrunk();
    assert!(!files.is_empty(), "the corpus has scenarios");
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a scenario is text");
        assert!(text.starts_with('#'), "{name} begins with the story of its bug");
        let scenario = Arc::new(scenario::parse(&name, &text, &[]).unwrap_or_else(|error| panic!("{name}: {error}")));
        let seeds = text.lines().find_map(|line| line.strip_prefix("# seeds: ")).expect("it says which seeds failed");
        let seeds = seeds.split(' ').map(|seed| run(&scenario, seed.parse().expect("a seed is a whole number")));
        for report in run_all(&scenario, 1..=4).into_iter().chain(seeds) {
            let what = format!("scenarios/regressions/{name}.toml, seed {}: {:?}", report.seed, report.verdict.groups);
            // Some are too small for anything to be lost in them.
            assert_ne!(report.verdict.outcome, Outcome::Fail, "{what}");
        }
    }
}

#[test]
fn seeds_that_once_failed_pass() {
    for (name, seed, was) in SEEDS {
        let report = run(&built_in(name, &[]), *seed);
        let verdict = &report.verdict;
        assert_eq!(verdict.outcome, Outcome::Pass, "{}: {:?}; once {was}", reproduce(&report, &[]), verdict.groups);
    }
}
