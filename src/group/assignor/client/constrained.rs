//! The sticky assignment of a group in which everybody subscribes to the same topics.
//!
//! With P partitions and N members everybody gets ⌊P/N⌋, and P mod N members one more. Members keep what they own up to that;
//! what is left goes round, members with fewer than ⌊P/N⌋ first, near ones first where racks matter.
//! Source: `AbstractStickyAssignor.ConstrainedAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Assignments;
use super::racks::{PartitionsPerTopic, RackInfo};
use super::sticky::{Ownership, StickyAssignment};
use crate::ids::TopicPartition;

struct Builder<'a> {
    racks: &'a RackInfo<'a>,
    claimed_by_several: BTreeSet<TopicPartition>,
    /// What members may have to give up, and who owns it.
    maybe_revoked: BTreeMap<TopicPartition, &'a str>,
    /// Members that still have fewer than `min_quota`.
    under_min: Vec<&'a str>,
    /// Members with `min_quota` that may get one more.
    at_min: VecDeque<&'a str>,
    min_quota: usize,
    max_quota: usize,
    /// How many members are to have more than `min_quota`: 0 where the partitions divide evenly.
    expected_over_min: usize,
    over_min: usize,
    assigned: BTreeMap<&'a str, Vec<TopicPartition>>,
    transferring: BTreeMap<TopicPartition, String>,
}

/// The assignment, and what moves from one member to another in it.
pub(super) fn assign<'a>(
    partitions: &PartitionsPerTopic,
    racks: &'a RackInfo<'a>,
    ownership: Ownership<'a>,
) -> StickyAssignment {
    let Ownership { order, owned, claimed_by_several, .. } = ownership;
    let total: usize = partitions.values().map(Vec::len).sum();
    let members = order.len().max(1);
    let mut builder = Builder {
        racks,
        claimed_by_several,
        maybe_revoked: BTreeMap::new(),
        under_min: Vec::new(),
        at_min: VecDeque::new(),
        min_quota: total / members,
        max_quota: total.div_ceil(members),
        expected_over_min: total % members,
        over_min: 0,
        assigned: order.iter().map(|member| (*member, Vec::new())).collect(),
        transferring: BTreeMap::new(),
    };
    for member in order {
        builder.keep_owned(member, owned.get(member).map_or(&[], Vec::as_slice));
    }
    builder.under_min.sort();
    builder.at_min.make_contiguous().sort();
    let mut unassigned = builder.unassigned(partitions);
    racks.sort_by_rack_consumers(&mut unassigned);
    if racks.is_used() {
        unassigned = builder.assign_nearby(unassigned);
    }
    builder.assign_round_robin(unassigned);
    let assignments: Assignments =
        builder.assigned.into_iter().map(|(member, partitions)| (member.to_string(), partitions)).collect();
    StickyAssignment { assignments, transferring: Some(builder.transferring) }
}

impl<'a> Builder<'a> {
    /// A member keeps what it owns, up to its quota (`assignOwnedPartitions`). Who comes first may keep one more.
    fn keep_owned(&mut self, member: &'a str, owned: &[TopicPartition]) {
        let (far, mut owned): (Vec<_>, Vec<_>) =
            owned.iter().cloned().partition(|partition| self.racks.mismatch(member, partition));
        self.maybe_revoked.extend(far.into_iter().map(|partition| (partition, member)));
        // By number first, so that what is given up comes from all topics alike (KAFKA-16277).
        owned.sort_by(|a, b| (a.partition, &a.topic).cmp(&(b.partition, &b.topic)));
        owned.retain(|partition| !self.claimed_by_several.contains(partition));
        if owned.len() < self.min_quota {
            self.under_min.push(member);
        } else if owned.len() >= self.max_quota && self.over_min < self.expected_over_min {
            self.over_min += 1;
            if self.over_min == self.expected_over_min {
                self.at_min.clear();
            }
            self.give_up_beyond(self.max_quota, member, &mut owned);
        } else {
            self.give_up_beyond(self.min_quota, member, &mut owned);
            if self.over_min < self.expected_over_min {
                self.at_min.push_back(member);
            }
        }
        self.assigned.insert(member, owned);
    }

    fn give_up_beyond(&mut self, quota: usize, member: &'a str, owned: &mut Vec<TopicPartition>) {
        self.maybe_revoked.extend(owned.drain(quota..).map(|partition| (partition, member)));
    }

    /// What nobody kept, by topic and number (`getUnassignedPartitions`).
    fn unassigned(&self, partitions: &PartitionsPerTopic) -> Vec<TopicPartition> {
        let kept: BTreeSet<&TopicPartition> = self.assigned.values().flatten().collect();
        let mut all = Vec::new();
        for (topic, racks) in partitions {
            all.extend((0..racks.len() as i32).map(|partition| TopicPartition::new(topic, partition)));
        }
        all.retain(|partition| !kept.contains(partition));
        all
    }

    fn count(&self, member: &str) -> usize {
        self.assigned.get(member).map_or(0, Vec::len)
    }

    /// Gives partitions to members that are near, under the quotas; answers what is left (`assignRackAwareRoundRobin`).
    fn assign_nearby(&mut self, unassigned: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let mut left = Vec::new();
        let mut turn = 0;
        for partition in unassigned {
            if let Some(place) = self.racks.next_rack_consumer(&partition, &self.under_min, turn) {
                let member = self.under_min[place];
                let count = self.count(member) + 1;
                let mut next = place + 1;
                if count >= self.min_quota {
                    self.under_min.remove(place);
                    next = place;
                    if count < self.max_quota && self.over_min < self.expected_over_min {
                        self.at_min.push_back(member);
                    }
                }
                turn = next.checked_rem(self.under_min.len()).unwrap_or(0);
                self.assign(partition, member);
                continue;
            }
            let candidates = self.at_min.make_contiguous();
            let Some(place) = self.racks.next_rack_consumer(&partition, candidates, 0) else {
                left.push(partition);
                continue;
            };
            let member = candidates[place];
            if self.count(member) + 1 == self.max_quota {
                self.at_min.remove(place);
                self.over_min += 1;
                if self.over_min == self.expected_over_min {
                    self.at_min.clear();
                }
            }
            self.assign(partition, member);
        }
        left
    }

    /// Round after round, one partition for each member that is under its quota (`assignRoundRobin`).
    fn assign_round_robin(&mut self, unassigned: Vec<TopicPartition>) {
        let mut turn = 0;
        for partition in unassigned {
            if turn >= self.under_min.len() {
                turn = 0;
            }
            let (member, in_turn) = match self.under_min.get(turn) {
                Some(member) => (*member, true),
                None => match self.at_min.pop_front() {
                    Some(member) => (member, false),
                    // More partitions than the quotas hold: they are made so that this cannot be.
                    None => return,
                },
            };
            self.assign(partition, member);
            if in_turn && self.count(member) == self.min_quota {
                self.under_min.remove(turn);
                self.at_min.push_back(member);
            } else if in_turn {
                turn += 1;
            }
        }
    }

    /// A partition that somebody else owned, or several claimed, changes hands (`assignNewPartition`).
    fn assign(&mut self, partition: TopicPartition, member: &'a str) {
        let of_another = self.maybe_revoked.get(&partition).is_some_and(|owner| *owner != member);
        if of_another || self.claimed_by_several.contains(&partition) {
            self.transferring.insert(partition.clone(), member.to_string());
        }
        self.assigned.entry(member).or_default().push(partition);
    }
}
