//! Groups, as their members saw them: who owned what, who committed what, and what was processed how often.
//!
//! ```text
//!   joined, assigned, revoked, lost ► owners ──┐
//!   commits sent and answered ──────► register ┼─► findings (one file each) ─► judge
//!   reads, positions, processed ────► in hand ─┘        └─► delivery: how often each record was processed
//! ```
//!
//! Of a group's coordinator nothing is known here. The findings on histories from elsewhere
//! ([`crate::operations`]) are the same by name; there, who owns what and what was committed has to be guessed from
//! operations, so that most of them are UNKNOWN.

pub(crate) mod commit_beyond_position;
pub(crate) mod commit_regression;
pub(crate) mod commits;
pub mod delivery;
pub(crate) mod dual_ownership;
pub(crate) mod group_start;
mod handed_out_while_revoking;
pub(crate) mod never_processed;
pub(crate) mod out_of_assignment_read;
pub(crate) mod ownership;
mod violation;
pub(crate) mod zombie_commit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::History;
use crate::observation::{EventRef, MemberStep, Partition, ResetCause};
use crate::partitions::Partitions;
use crate::settings::{self, MemberSettings, Reset};
use commits::{Commit, Commits};
use handed_out_while_revoking::LastCommit;
pub use never_processed::Because;
pub use ownership::End;
use ownership::Ownership;
pub use violation::{GroupViolation, Place};

/// A partition as the members of one group share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    owners: Vec<Ownership>,
    commits: Commits,
    /// The group was handed everything below, or began behind it.
    handed: i64,
    /// What was committed while somebody had it in hand, not processed: offsets from, up to, and by whom.
    unprocessed: Vec<(i64, i64, u32, EventRef)>,
    /// What it was taken over, offsets from and up to, and why.
    passed: Vec<(i64, i64, Because)>,
}

impl Shared {
    fn owner(&mut self, consumer: u32) -> Option<&mut Ownership> {
        self.owners.iter_mut().rev().find(|own| own.consumer == consumer && own.is_open())
    }

    fn end(&mut self, consumer: u32, at: EventRef, end: End) {
        if let Some(own) = self.owner(consumer) {
            own.until = Some((at, end));
        }
    }

    fn why_passed(&self, offset: i64) -> Because {
        let covers = |(from, to, ..): &&(i64, i64, u32, EventRef)| *from <= offset && offset < *to;
        if let Some((.., consumer, at)) = self.unprocessed.iter().find(covers) {
            return Because::CommittedUnprocessed { consumer: *consumer, at: *at };
        }
        let passed = self.passed.iter().find(|(from, to, _)| *from <= offset && offset < *to);
        passed.map_or(Because::Unknown, |(.., because)| *because)
    }
}

/// One group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupState {
    partitions: BTreeMap<u32, Shared>,
    /// How often records were processed.
    processed: BTreeMap<u64, u32>,
}

/// A commit without an answer.
#[derive(Clone, Debug)]
struct Asked {
    at: EventRef,
    generation: i32,
    /// Was it no member of its group then?
    left: bool,
    offsets: Vec<(Partition, i64)>,
}

/// A consumer that is a member, or would be.
#[derive(Clone, Debug, Default)]
struct Member {
    instance: Option<Arc<str>>,
    /// The generation that it is in, and since when.
    joined: Option<(i32, EventRef)>,
    /// Its member id, as it was told last.
    id: Option<Arc<str>>,
    /// When it left last, or learnt that it was no member.
    left: Option<EventRef>,
    positions: BTreeMap<u32, i64>,
    /// By partition: the epoch of the leader in whose history it had found its position when it was handed something last.
    followed: BTreeMap<u32, i32>,
    /// Its last poll that gave something.
    polled: EventRef,
    /// By partition: what that gave and was not processed.
    in_hand: BTreeMap<u32, VecDeque<(i64, Option<u64>)>>,
    /// Commits without an answer, in the order in which they were sent.
    asked: Vec<Asked>,
    /// By partition.
    last_commits: BTreeMap<u32, LastCommit>,
}

/// All consumers of groups, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(BTreeMap<u32, Member>);

impl Members {
    fn generation(&self, consumer: u32) -> Option<i32> {
        self.0.get(&consumer)?.joined.map(|(generation, _)| generation)
    }
    fn joined_at(&self, consumer: u32) -> Option<EventRef> {
        self.0.get(&consumer)?.joined.map(|(_, at)| at)
    }
    /// Its member id, if it had left before that.
    fn came_again(&self, consumer: u32, since: EventRef) -> Option<Arc<str>> {
        let member = self.0.get(&consumer).filter(|member| member.left.is_some_and(|left| left.id < since.id))?;
        member.id.clone()
    }
    /// Do they go by one group.instance.id?
    fn are_one_static_member(&self, one: u32, other: u32) -> bool {
        let instance = |consumer: u32| self.0.get(&consumer).and_then(|member| member.instance.as_deref());
        instance(one).is_some() && instance(one) == instance(other)
    }
}

/// What happened how often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) joins: u64,
    pub(crate) partitions_lost: u64,
    pub(crate) commits: u64,
    pub(crate) commits_failed: u64,
    pub(crate) processed: u64,
    /// Records that were delivered to a group again.
    pub(crate) redelivered: u64,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupHistory {
    groups: BTreeMap<Arc<str>, GroupState>,
    members: Members,
    /// Topics that were deleted: who is assigned one goes on with another of that name.
    deleted: BTreeSet<Arc<str>>,
    found: Vec<GroupViolation>,
    pub(crate) counts: Counts,
}

impl GroupHistory {
    /// What was found, with what only the end can tell.
    pub(super) fn finish(&self, history: &History, found: &mut Vec<super::Violation>) {
        let mut all = self.found.clone();
        never_processed::find(self, history, &mut all);
        found.extend(all.into_iter().map(super::Violation::Group));
    }

    fn shared(&mut self, group: &Arc<str>, number: u32) -> &mut Shared {
        self.groups.entry(group.clone()).or_default().partitions.entry(number).or_default()
    }

    /// A member has a record in hand. What is left of an earlier poll it has given up.
    pub(super) fn read(&mut self, at: EventRef, consumer: u32, number: u32, offset: i64, record: Option<u64>) {
        let member = self.members.0.entry(consumer).or_default();
        if member.polled.id != at.id {
            member.polled = at;
            member.in_hand.clear();
        }
        member.in_hand.entry(number).or_default().push_back((offset, record));
    }

    /// A poll gave a member these records of a partition.
    fn handed_out(&mut self, at: EventRef, consumer: u32, place: &Place, number: u32, (first, last): (i64, i64)) {
        let begins = self.shared(&place.group, number).owner(consumer).is_some_and(|own| own.start.is_none());
        if begins {
            // Nobody told where: at what it was handed first.
            self.begin(at, consumer, place, number, first, ResetCause::Other);
        }
        let shared = self.groups.entry(place.group.clone()).or_default().partitions.entry(number).or_default();
        let next = last.saturating_add(1);
        let is_known = !shared.owners.is_empty() || !self.deleted.contains(&place.partition.topic);
        if is_known && out_of_assignment_read::check(place, &shared.owners, consumer, first, at, &mut self.found) {
            self.counts.redelivered += shared.handed.min(next).saturating_sub(first).max(0).unsigned_abs();
            shared.handed = shared.handed.max(next);
        }
        let member = self.members.0.entry(consumer).or_default();
        member.positions.insert(number, next);
        if let Some(last) = member.last_commits.get_mut(&number) {
            last.handed_out(next);
        }
    }

    /// What a consumer is handed from here on it takes for what a leader of that epoch has.
    pub(super) fn leader_followed(&mut self, consumer: u32, number: u32, leader_epoch: i32) {
        self.members.0.entry(consumer).or_default().followed.insert(number, leader_epoch);
    }

    /// A consumer's position was set from outside.
    pub(super) fn position_reset(
        &mut self,
        at: EventRef,
        consumer: u32,
        settings: &MemberSettings,
        (number, partition): (u32, &Partition),
        to: i64,
        cause: ResetCause,
    ) {
        let member = self.members.0.entry(consumer).or_default();
        member.last_commits.entry(number).and_modify(LastCommit::moved);
        let before = member.positions.insert(number, to);
        let shared = self.shared(&settings.group, number);
        let Some(own) = shared.owner(consumer) else { return };
        let begins = own.start.is_none();
        own.moved |= !begins;
        if !begins {
            own.farthest = own.farthest.max(before.unwrap_or(0));
        }
        let from = if begins { 0 } else { before.unwrap_or(0) };
        if cause != ResetCause::Committed && from < to {
            let because = match settings.reset {
                Reset::Latest => Because::Reset { consumer, at },
                _ => Because::LogBeganLater { consumer, at },
            };
            shared.passed.push((from, to, because));
        }
        if begins {
            let place = Place { group: settings.group.clone(), partition: partition.clone() };
            self.begin(at, consumer, &place, number, to, cause);
        }
    }

    /// It begins there, having been assigned the partition.
    fn begin(&mut self, at: EventRef, consumer: u32, place: &Place, number: u32, start: i64, cause: ResetCause) {
        let shared = self.groups.entry(place.group.clone()).or_default().partitions.entry(number).or_default();
        let Some(own) = shared.owner(consumer) else { return };
        own.start = Some(start);
        let own = *own;
        let before = self.found.len();
        group_start::check(place, &own, &shared.commits, start, cause, at, &mut self.found);
        if self.found.len() == before {
            group_start::redelivers(place, consumer, start, shared.handed, at, &mut self.found);
        }
    }

    /// A topic was deleted; its partitions had these numbers.
    pub(super) fn topic_deleted(&mut self, topic: &str, numbers: &[u32]) {
        self.deleted.insert(Arc::from(topic));
        for group in self.groups.values_mut() {
            numbers.iter().for_each(|number| {
                group.partitions.remove(number);
            });
        }
    }

    /// A member's step.
    pub(super) fn step(
        &mut self,
        at: EventRef,
        consumer: u32,
        settings: &MemberSettings,
        what: &MemberStep,
        partitions: &mut Partitions,
    ) {
        let group = &settings.group;
        let member = self.members.0.entry(consumer).or_default();
        member.instance.clone_from(&settings.instance);
        match what {
            MemberStep::Joined { generation, member: id } => {
                self.counts.joins += 1;
                member.id = Some(id.clone());
                member.joined = Some((*generation, at));
                let of_group = self.groups.get(group).into_iter().flat_map(|state| &state.partitions);
                for (number, shared) in of_group {
                    let place = Place { group: group.clone(), partition: partitions.name(*number).clone() };
                    dual_ownership::joined(&place, &shared.owners, consumer, at, &self.members, &mut self.found);
                }
            }
            MemberStep::Left => (member.joined, member.left) = (None, Some(at)),
            // Whether there was a reason the side of its coordinator decides ([`crate::groups`]).
            MemberStep::Fenced { .. } | MemberStep::GaveUp { .. } => {}
            MemberStep::Assigned { generation, partitions: assigned } => {
                for partition in assigned {
                    self.assigned(at, consumer, group, *generation, partition, partitions.number(partition));
                }
            }
            MemberStep::Revoked { partitions: revoked, .. } => {
                for partition in revoked {
                    let number = partitions.number(partition);
                    if settings.commits == settings::Commits::Auto && !settings.cooperative {
                        self.revoked(at, consumer, group, partition, number);
                    }
                    self.shared(group, number).end(consumer, at, End::Revoked);
                }
            }
            MemberStep::Lost { partitions: lost, .. } => {
                self.counts.partitions_lost += lost.len() as u64;
                for partition in lost {
                    self.shared(group, partitions.number(partition)).end(consumer, at, End::Lost);
                }
            }
            MemberStep::HandedOut { partition, first_offset, last_offset } => {
                let place = Place { group: group.clone(), partition: partition.clone() };
                let number = partitions.number(partition);
                self.handed_out(at, consumer, &place, number, (*first_offset, *last_offset));
            }
            MemberStep::Processed { partition, first_offset, last_offset } => {
                self.processed(consumer, group, partitions.number(partition), (*first_offset, *last_offset));
            }
            MemberStep::CommitSent { generation, offsets } => {
                for (partition, offset) in offsets {
                    let place = Place { group: group.clone(), partition: partition.clone() };
                    self.commit_sent(at, consumer, &place, partitions.number(partition), *offset);
                }
                let member = self.members.0.entry(consumer).or_default();
                let (offsets, left) = (offsets.clone(), member.joined.is_none());
                member.asked.push(Asked { at, generation: *generation, left, offsets });
            }
            MemberStep::CommitAnswered { generation, offsets, error } => {
                let asked = self.take_asked(consumer, *generation, offsets);
                let (sent, left) = asked.map_or((at, false), |asked| (asked.at, asked.left));
                self.counts.commits += u64::from(error.is_none());
                self.counts.commits_failed += u64::from(error.is_some());
                for (partition, offset) in offsets.iter().filter(|_| error.is_none()) {
                    let place = Place { group: group.clone(), partition: partition.clone() };
                    let (offset, generation) = (*offset, *generation);
                    let last = self.members.0.entry(consumer).or_default();
                    let last = last.last_commits.get_mut(&partitions.number(partition));
                    if let Some(last) = last.filter(|last| last.offset == offset) {
                        last.acknowledged = Some(at);
                    }
                    let commit = Commit { offset, sent, answered: at, consumer, generation, left };
                    self.committed(&place, partitions.number(partition), commit);
                }
            }
            MemberStep::Stopped => {
                *member = Member { instance: member.instance.take(), ..Member::default() };
                let of_group = self.groups.get_mut(group).into_iter().flat_map(|state| state.partitions.values_mut());
                of_group.for_each(|shared| shared.end(consumer, at, End::Stopped));
            }
        }
    }

    fn assigned(
        &mut self,
        at: EventRef,
        consumer: u32,
        group: &Arc<str>,
        generation: i32,
        partition: &Partition,
        number: u32,
    ) {
        let member = self.members.0.entry(consumer).or_default();
        member.positions.remove(&number);
        member.last_commits.remove(&number);
        let place = Place { group: group.clone(), partition: partition.clone() };
        let shared = self.groups.entry(group.clone()).or_default().partitions.entry(number).or_default();
        // It cannot have it twice: what was not told to have ended ends here.
        shared.end(consumer, at, End::Lost);
        shared.owners.push(Ownership::new(consumer, generation, at));
        dual_ownership::assigned(&place, &shared.owners, &self.members, &mut self.found);
    }

    /// A member that commits by itself is about to have given it up.
    fn revoked(&mut self, at: EventRef, consumer: u32, group: &Arc<str>, partition: &Partition, number: u32) {
        let place = Place { group: group.clone(), partition: partition.clone() };
        let shared = self.groups.entry(group.clone()).or_default().partitions.entry(number).or_default();
        let Some(member) = self.members.0.get(&consumer) else { return };
        let last = member.last_commits.get(&number);
        if let Some(own) = shared.owner(consumer) {
            handed_out_while_revoking::check(&place, own, last, at, &mut self.found);
        }
    }

    fn processed(&mut self, consumer: u32, group: &Arc<str>, number: u32, (first, last): (i64, i64)) {
        let state = self.groups.entry(group.clone()).or_default();
        let in_hand = self.members.0.entry(consumer).or_default().in_hand.entry(number).or_default();
        let mut done = BTreeMap::new();
        while let Some((offset, record)) = in_hand.front().copied().filter(|(offset, _)| *offset <= last) {
            in_hand.pop_front();
            // What it left out it has in hand no more.
            if let Some(record) = record.filter(|_| offset >= first) {
                done.insert(offset, record);
            }
        }
        self.counts.processed += done.len() as u64;
        for record in done.into_values() {
            *state.processed.entry(record).or_default() += 1;
        }
    }

    fn commit_sent(&mut self, at: EventRef, consumer: u32, place: &Place, number: u32, offset: i64) {
        let member = self.members.0.entry(consumer).or_default();
        let position = member.positions.get(&number).copied();
        let followed = member.followed.get(&number).copied();
        member.last_commits.insert(number, LastCommit::sent(offset, at, followed));
        let first_in_hand = member.in_hand.get(&number).and_then(|in_hand| in_hand.front()).map(|(offset, _)| *offset);
        let shared = self.groups.entry(place.group.clone()).or_default().partitions.entry(number).or_default();
        if let Some(first) = first_in_hand.filter(|first| *first < offset) {
            shared.unprocessed.push((first, offset, consumer, at));
        }
        let owners = &mut shared.owners;
        commit_beyond_position::check(place, owners, consumer, position, offset, at, &mut self.found);
        shared.commits.asked(offset);
    }

    /// The commit that is answered now.
    fn take_asked(&mut self, consumer: u32, generation: i32, offsets: &[(Partition, i64)]) -> Option<Asked> {
        let asked = &mut self.members.0.entry(consumer).or_default().asked;
        let exactly = asked.iter().position(|asked| asked.generation == generation && asked.offsets == *offsets);
        let place = exactly.or_else(|| asked.iter().position(|asked| asked.offsets == *offsets))?;
        Some(asked.remove(place))
    }

    fn committed(&mut self, place: &Place, number: u32, commit: Commit) {
        let shared = self.groups.entry(place.group.clone()).or_default().partitions.entry(number).or_default();
        zombie_commit::check(place, &shared.owners, &commit, &self.members, &mut self.found);
        commit_regression::check(place, &shared.owners, &shared.commits, &commit, &mut self.found);
        shared.commits.acknowledged(commit);
    }
}
