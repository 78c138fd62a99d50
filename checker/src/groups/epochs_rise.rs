//! group-epoch-regression: generations of a classic group, the epoch of a group of the consumer protocol and those of its members
//! never go back, as long as group and member are there (`ClassicGroup.nextGenerationId`, `ConsumerGroup.setGroupEpoch`,
//! KIP-848). A static member that goes away for a while stands at -2, and begins anew.

use super::fold::Fold;
use super::violation::Violation;
use crate::observation::GroupRecord;

/// A record that is not in the fold yet.
pub(super) fn check(fold: &Fold, record: &GroupRecord, found: &mut Vec<Violation>) {
    let of = |group| fold.groups.get(group);
    let (group, what, before, now) = match record {
        GroupRecord::Generation { group, value: Some(now) } => {
            let before = of(group).and_then(|g| g.generation.as_ref()).map(|before| before.number);
            (group, "generation", before, now.number)
        }
        GroupRecord::GroupEpoch { group, epoch: Some(now) } => {
            (group, "group-epoch", of(group).and_then(|g| g.epoch), *now)
        }
        GroupRecord::Member { group, member, value: Some(now) } if now.epoch >= 0 => {
            let before = of(group).and_then(|g| g.members.get(member)).map(|before| before.epoch);
            (group, "member-epoch", before, now.epoch)
        }
        _ => return,
    };
    if let Some(before) = before.filter(|before| *before > now) {
        found.push(Violation::EpochWentBack { group: group.clone(), what, before, now });
    }
}
