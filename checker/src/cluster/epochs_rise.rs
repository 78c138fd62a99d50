//! epoch-regression: leader and partition epochs only rise (`PartitionRegistration.merge`): every change of a partition
//! takes a new partition epoch, every change of its leader a new leader epoch. A quorum that was robbed of its metadata by its
//! disks begins again with older ones.

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "epoch-regression",
    rule: None,
    what: "leader and partition epochs only rise; a new leader takes a new leader epoch",
    source: "`PartitionRegistration.merge`",
};

/// The controller is about to change the partition; `leader` if that is part of the change.
pub(crate) fn check(
    truth: &PartitionTruth,
    at: EventRef,
    leader: Option<i32>,
    leader_epoch: i32,
    partition_epoch: i32,
    quorum_has_forgotten: bool,
    found: &mut Findings,
) {
    if truth.partition_epoch < 0 {
        return; // the first word of this partition
    }
    let (old_leader_epoch, old_partition_epoch) = (truth.leader_epoch, truth.partition_epoch);
    let same_leader = leader.is_none_or(|leader| leader == truth.leader);
    let leader_epoch_rises =
        if same_leader { leader_epoch >= old_leader_epoch } else { leader_epoch > old_leader_epoch };
    if leader_epoch_rises && partition_epoch > old_partition_epoch {
        return;
    }
    let headline = Headline::bug(INVARIANT.code, &truth.name, None, at).of_a_quorum_that(quorum_has_forgotten);
    found.add(headline, || {
        let sentence = format!(
            "the controller changed {} at {} from leader epoch {old_leader_epoch}, partition epoch {old_partition_epoch} \
             to leader epoch {leader_epoch}, partition epoch {partition_epoch}",
            truth.name,
            seconds(at.time)
        );
        (format!("an epoch of {} did not rise", truth.name), vec![step(at, "controller", sentence)])
    });
}
