//! A trial in which nothing happened has not passed: why it is vacuous, in words.

use std::collections::BTreeMap;

use crate::checker::Counts;
use crate::settings::Settings;

/// All reasons; none if the trial says something.
pub(crate) fn reasons(
    settings: &Settings,
    counts: &Counts,
    (reads, final_reads): (u64, u64),
    processed: u64,
    fault_kinds: &BTreeMap<String, u64>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let promised = match settings.producers.is_empty() {
        true => counts.unpromised == 0,
        false => settings.producers.values().any(|p| p.acks != 0),
    };
    if counts.sends == 0 {
        reasons.push("no record was sent".to_owned());
    } else if promised && counts.acked == 0 {
        reasons.push("no record was acknowledged".to_owned());
    } else if !promised && counts.batches == 0 {
        reasons.push("no record was appended".to_owned());
    }
    if reads + final_reads == 0 {
        reasons.push("no record was read".to_owned());
    }
    if !settings.members.is_empty() && processed == 0 {
        reasons.push("no record was processed by a group".to_owned());
    }
    for kind in &settings.expected_fault_kinds {
        let own = match kind.as_str() {
            "crash" => counts.crashes,
            "power-loss" => counts.power_losses,
            "restart" => counts.restarts,
            _ => 0,
        };
        if own + fault_kinds.get(kind).copied().unwrap_or(0) == 0 {
            reasons.push(format!("the scheduled fault {kind} never took effect"));
        }
    }
    reasons
}
