//! dual-ownership (coordinator): what is written of a group gives no partition to two members: in a generation of the classic
//! protocol, and at any time in the consumer protocol, where a partition belongs to a member until it has given it back
//! (`ConsumerGroup.addPartitionEpochs`, KIP-848).

use crate::invariants::Invariant;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::fold::GroupFold;
use super::violation::Violation;
use crate::observation::Partition;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "dual-ownership",
    rule: Some("coordinator"),
    what: "a partition belongs to one member of a group",
    source: "KIP-429, KIP-848",
};

/// The records of one batch were taken in that concern this group.
pub(super) fn check(name: &Arc<str>, group: &GroupFold, found: &mut Vec<Violation>) {
    let mut owners: BTreeMap<&Partition, &Arc<str>> = BTreeMap::new();
    let classic = group.generation.iter().flat_map(|generation| &generation.members);
    let classic = classic.flat_map(|(member, partitions)| partitions.iter().map(move |p| (member, p)));
    let modern = group
        .members
        .iter()
        .flat_map(|(member, has)| has.assigned.iter().chain(&has.revoking).map(move |partition| (member, partition)));
    let epoch = group.generation.as_ref().map(|generation| generation.number).or(group.epoch).unwrap_or(-1);
    for (member, partition) in classic.chain(modern) {
        if let Some(other) = owners.insert(partition, member).filter(|other| *other != member) {
            let (first, second) = (other.clone(), member.clone());
            found.push(Violation::TwoOwners {
                group: name.clone(),
                partition: partition.clone(),
                first,
                second,
                generation: epoch,
            });
        }
    }
}
