//! group-epoch-regression: generations of a classic group, the epoch of a group of the consumer protocol and those of its members
//! never go back, as long as group and member are there (`ClassicGroup.nextGenerationId`, `ConsumerGroup.setGroupEpoch`,
//! KIP-848). A static member that goes away for a while stands at -2, and begins anew.

use super::fold::Fold;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::GroupRecord;

/// See the table of invariants.
pub(super) const GENERATION: Invariant = Invariant {
    code: "group-epoch-regression",
    rule: Some("generation"),
    what: "generations of a classic group never go back",
    source: "`ClassicGroup.nextGenerationId`",
};

/// See the table of invariants.
pub(super) const GROUP_EPOCH: Invariant = Invariant {
    code: "group-epoch-regression",
    rule: Some("group-epoch"),
    what: "the epoch of a group never goes back",
    source: "KIP-848, `ConsumerGroup.setGroupEpoch`",
};

/// See the table of invariants.
pub(super) const MEMBER_EPOCH: Invariant = Invariant {
    code: "group-epoch-regression",
    rule: Some("member-epoch"),
    what: "the epoch of a member never goes back",
    source: "KIP-848",
};

/// A record that is not in the fold yet.
pub(super) fn check(fold: &Fold, record: &GroupRecord, found: &mut Vec<Violation>) {
    let of = |group| fold.groups.get(group);
    let (group, what, before, now) = match record {
        GroupRecord::Generation { group, value: Some(now) } => {
            let before = of(group).and_then(|g| g.generation.as_ref()).map(|before| before.number);
            (group, GENERATION, before, now.number)
        }
        GroupRecord::GroupEpoch { group, epoch: Some(now) } => {
            (group, GROUP_EPOCH, of(group).and_then(|g| g.epoch), *now)
        }
        GroupRecord::Member { group, member, value: Some(now) } if now.epoch >= 0 => {
            let before = of(group).and_then(|g| g.members.get(member)).map(|before| before.epoch);
            (group, MEMBER_EPOCH, before, now.epoch)
        }
        _ => return,
    };
    if let Some(before) = before.filter(|before| *before > now) {
        let what = what.rule.unwrap_or_default();
        found.push(Violation::EpochWentBack { group: group.clone(), what, before, now });
    }
}
