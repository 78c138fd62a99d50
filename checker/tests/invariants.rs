//! The table of invariants and the stories that break them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use trial_checker::invariants;

/// Each invariant is broken by a story in these files, which name what they expect by code and rule. This file, which names
/// nothing, is none of them.
#[test]
fn every_invariant_has_a_story_that_breaks_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let paths = fs::read_dir(dir).expect("there are tests").map(|entry| entry.expect("an entry").path());
    let sources = paths.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let mut text: String = sources.map(|path| fs::read_to_string(path).expect("text")).collect();
    // What no observation can bring about has its story beside the checker.
    text.push_str(include_str!("../src/checker.rs"));
    let without: Vec<_> = invariants::all()
        .into_iter()
        .filter(|i| {
            let expected = match i.rule {
                None => format!("\"{}\", None", i.code),
                Some(rule) => format!("\"{rule}\""),
            };
            !text.contains(&expected) || !text.contains(&format!("\"{}\"", i.code))
        })
        .collect();
    assert!(without.is_empty(), "no story breaks {without:#?}");
}

#[test]
fn each_invariant_stands_there_once_and_says_what_must_hold_and_why() {
    let all = invariants::all();
    let names: BTreeSet<_> = all.iter().map(|i| (i.code, i.rule)).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|i| !i.what.is_empty() && !i.source.is_empty()));
}
