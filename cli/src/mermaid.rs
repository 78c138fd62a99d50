//! A causal chain as a Mermaid flowchart.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use trial_checker::Step;
use trial_sim::log::Milliseconds;

use crate::explain::Causes;

/// One box per step. A solid arrow stands for a recorded cause, perhaps over events that are not steps; a dotted one
/// only for the order in time, where no cause among the steps is recorded.
pub fn flowchart(chain: &[Step], causes: &Causes) -> String {
    let mut text = String::from("flowchart TD\n");
    for (nth, step) in chain.iter().enumerate() {
        let label = format!("{} ms: {}", Milliseconds(step.virtual_ns), step.sentence);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  s{nth}[\"{}\"]", escape(&label));
    }
    for (nth, step) in chain.iter().enumerate().skip(1) {
        let caused_by = nearest_steps(&chain[..nth], step.event, causes);
        for cause in &caused_by {
            let _ = writeln!(text, "  s{cause} --> s{nth}");
        }
        if caused_by.is_empty() {
            let _ = writeln!(text, "  s{} -.-> s{nth}", nth - 1);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The steps from which causes lead to an event without passing another step.
fn nearest_steps(earlier: &[Step], event: u64, causes: &Causes) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut waiting: VecDeque<u64> = causes.of(event).iter().copied().collect();
    // No step lies before the first one, so nothing before it needs to be looked at.
    let first = earlier.iter().map(|step| step.event).min().unwrap_or_default();
    while let Some(cause) = waiting.pop_front() {
        if cause < first || !seen.insert(cause) {
            continue;
        }
        match earlier.iter().rposition(|step| step.event == cause) {
            Some(step) => {
                found.insert(step);
            }
            None => waiting.extend(causes.of(cause)),
        }
    }
    found
}

fn escape(label: &str) -> String {
    label.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
