//! non-monotonic-view: the end offset that a leader tells clients (ListOffsets, latest) never goes back (KIP-207). A young leader, whose
//! high watermark may be behind what was committed, refuses until it has caught up with its own epoch.
//!
//! A deposed leader may tell what it knew. Where a leader took over without records that were committed, that is told as
//! unsafe-election or allowed, and the view begins anew there.

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "non-monotonic-view",
    rule: None,
    what: "the end offset that a leader tells never goes back",
    source: "KIP-207, `Partition.fetchOffsetForTimestamp`",
};

/// An end offset as clients were told it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TheEnd {
    offset: i64,
    broker: i32,
    at: EventRef,
    /// How often a leader had taken over without committed records.
    rebases: usize,
}

/// A broker has just told a client where the partition ends.
pub(super) fn check(
    truth: &mut PartitionTruth,
    broker: i32,
    offset: i64,
    at: EventRef,
    settings: &Settings,
    found: &mut Findings,
) {
    let replica = truth.replicas.get(&broker);
    if truth.leader != broker || replica.is_none_or(|replica| replica.leader_epoch != truth.leader_epoch) {
        return;
    }
    let rebases = truth.ghost.rebases();
    let told = truth.end_told.filter(|told| told.rebases == rebases);
    let Some(before) = told.filter(|told| offset < told.offset) else {
        truth.end_told = Some(TheEnd { offset, broker, at, rebases });
        return;
    };
    found.add(Headline::bug(INVARIANT.code, &truth.name, Some(offset), at), || {
        let (name, other, partition) = (settings.broker_name(broker), settings.broker_name(before.broker), &truth.name);
        let told = before.offset;
        let summary = format!("{name} told {offset} as the end offset of {partition}, after {other} had told {told}");
        let earlier = format!("{other} told {told} as the end offset of {partition} at {}", seconds(before.at.time));
        let epoch = truth.leader_epoch;
        let later = format!("{name}, the leader in epoch {epoch}, told {offset} at {}", seconds(at.time));
        (summary, vec![step(before.at, other, earlier), step(at, name, later)])
    });
}
