//! Commits: which offsets, in whose name, how often, and what a refusal means.
//!
//! ```text
//!   commitSync, close      ─┐                    ┌─▶ committed
//!   commitAsync            ─┼─▶ waiting ──sent──▶┼─▶ tried again: commitSync, close, before a revocation
//!   every interval         ─┤      ▲             └─▶ refused for good
//!   before a revocation    ─┘      └──after a pause──┘
//! ```
//!
//! They are sent in the order in which they were asked for. Source: `ConsumerCoordinator` (classic), `CommitRequestManager`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, RequestKind};
use kafka_protocol::protocol::StrBytes;

use super::{Cx, Group, GroupCall};
use crate::client::TIMEOUT;
use crate::client::consumer::{Consumer, retry_backoff};
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::ids::TopicPartition;
use crate::node::{Nanos, OpId, Outcome, ms};
use crate::protocol::{error_name, topic_name, versions};

/// What an application is told of a commit that its group has refused for good (`CommitFailedException`).
pub(super) const COMMIT_FAILED: &str = "COMMIT_FAILED";

/// A commit, by its place in the order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommitId(u64);

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The application, which waits for its end (`commitSync`) or does not (`commitAsync`).
    Application { op: OpId, waits: bool },
    /// `auto.commit.interval.ms` is over.
    Interval,
    /// Partitions are about to be given up.
    Revocation,
    /// The consumer closes.
    Close,
}

/// In whose name an offset is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committer {
    pub(super) member: String,
    /// -1 of nobody: the group has no members, and only keeps offsets.
    pub(super) generation: i32,
    pub(super) instance: Option<String>,
}

/// Why there is no commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It may be tried again.
    Retriable(String),
    /// The group is rebalancing: a poll goes on with that, and then it may be tried again.
    Rebalancing,
    /// The consumer is no longer the one that may commit (`CommitFailedException`).
    NotAMember,
    /// Something else, which does not get better.
    Fatal(String),
}

impl Refusal {
    fn name(&self) -> String {
        match self {
            Refusal::Retriable(error) | Refusal::Fatal(error) => error.clone(),
            Refusal::Rebalancing => error_name(ResponseError::RebalanceInProgress),
            Refusal::NotAMember => COMMIT_FAILED.to_string(),
        }
    }
}

#[derive(Clone, Debug)]
struct Commit {
    why: Why,
    /// Next offset to read, and leader epoch of the record before it.
    offsets: BTreeMap<TopicPartition, (i64, i32)>,
    give_up_at: Nanos,
    retry_at: Nanos,
    failures: u32,
    /// Sent, in that name.
    sent: Option<Committer>,
}

/// The commit before a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BeforeRevocation {
    /// There is none.
    None,
    /// It has no end yet.
    UnderWay,
    /// It has ended.
    Ended(Result<(), Refusal>),
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Commits {
    next: u64,
    waiting: BTreeMap<CommitId, Commit>,
    before_revocation: BeforeRevocation,
    /// When the positions are committed next, if they are by themselves.
    auto_at: Option<Nanos>,
}

impl Default for Commits {
    fn default() -> Self {
        Commits { next: 0, waiting: BTreeMap::new(), before_revocation: BeforeRevocation::None, auto_at: None }
    }
}

impl Commits {
    /// Nothing is to be committed, and nothing has no answer.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    pub(super) fn before_revocation(&self) -> &BeforeRevocation {
        &self.before_revocation
    }
    /// Whoever waited for the commit before a revocation does so no more.
    pub(super) fn forget_revocation(&mut self) {
        self.before_revocation = BeforeRevocation::None;
    }
    fn has_automatic(&self) -> bool {
        self.waiting.values().any(|commit| matches!(commit.why, Why::Interval | Why::Revocation))
    }
    /// Is it one before a revocation?
    pub(super) fn is_before_revocation(&self, id: CommitId) -> bool {
        self.waiting.get(&id).is_some_and(|commit| commit.why == Why::Revocation)
    }
    /// In whose name it was sent.
    pub(super) fn sent_as(&self, id: CommitId) -> Option<&Committer> {
        self.waiting.get(&id)?.sent.as_ref()
    }
    /// When something is to be done.
    pub(super) fn wake_ups(&self) -> impl Iterator<Item = Nanos> + '_ {
        let of_one = |commit: &Commit| [commit.give_up_at, commit.retry_at];
        self.waiting.values().flat_map(of_one).chain(self.auto_at)
    }
    /// All ends of the application's that are still open, for a consumer that is gone.
    pub(super) fn take_operations(&mut self) -> Vec<OpId> {
        let all = std::mem::take(&mut self.waiting).into_values();
        let of_application = |commit: Commit| match commit.why {
            Why::Application { op, .. } => Some(op),
            _ => None,
        };
        all.filter_map(of_application).collect()
    }
    /// The interval begins anew.
    pub(super) fn restart_interval(&mut self, interval_ms: i64, now: Nanos) {
        self.auto_at = Some(now.saturating_add(ms(interval_ms)));
    }
}

/// `OffsetAndMetadata` of every position (`SubscriptionState.allConsumed`).
fn all_consumed(consumer: &Consumer) -> BTreeMap<TopicPartition, (i64, i32)> {
    let assigned = consumer.assigned.iter();
    let positions = assigned.filter_map(|(partition, assigned)| Some((partition, assigned.consumed()?)));
    positions.map(|(id, at)| (id.clone(), (at.offset, at.offset_epoch.unwrap_or(-1)))).collect()
}

impl Group {
    /// Are positions committed without being told to (`enable.auto.commit`)?
    pub(super) fn commits_by_itself(&self, consumer: &Consumer) -> bool {
        consumer.config.enable_auto_commit
    }

    /// `commitSync`, `commitAsync`.
    pub(super) fn commit(
        &mut self,
        op: OpId,
        offsets: Option<Vec<(TopicPartition, i64)>>,
        waits: bool,
        cx: &mut Cx<'_, '_>,
    ) {
        let offsets = match offsets {
            None => all_consumed(cx.consumer),
            Some(offsets) => offsets.into_iter().map(|(partition, offset)| (partition, (offset, -1))).collect(),
        };
        if offsets.values().any(|(offset, _)| *offset < 0) {
            return cx.fx.deliver(op, crate::client::refused_by_role());
        }
        let timeout_ms = cx.consumer.config.default_api_timeout_ms;
        let give_up_at = if waits { cx.now.saturating_add(ms(timeout_ms)) } else { Nanos::MAX };
        self.add_commit(Why::Application { op, waits }, offsets, give_up_at, cx);
    }
    /// Commits the positions when the interval is over; the pause after a failure that may pass is shorter.
    /// Source: `maybeAutoCommitOffsetsAsync`.
    pub(super) fn commit_now_and_then(&mut self, one_at_a_time: bool, cx: &mut Cx<'_, '_>) {
        if !self.commits_by_itself(cx.consumer) {
            return;
        }
        let interval_ms = cx.consumer.config.auto_commit_interval_ms;
        let Some(at) = self.commits.auto_at else { return self.commits.restart_interval(interval_ms, cx.now) };
        if at <= cx.now && !(one_at_a_time && self.commits.has_automatic()) {
            self.commits.restart_interval(interval_ms, cx.now);
            self.add_commit(Why::Interval, all_consumed(cx.consumer), Nanos::MAX, cx);
        }
    }
    /// Commits the positions before partitions are given up.
    pub(super) fn commit_before_revocation(&mut self, give_up_at: Nanos, cx: &mut Cx<'_, '_>) {
        self.commits.before_revocation = BeforeRevocation::UnderWay;
        self.add_commit(Why::Revocation, all_consumed(cx.consumer), give_up_at, cx);
    }
    /// Commits the positions for the last time.
    pub(super) fn commit_to_close(&mut self, give_up_at: Nanos, cx: &mut Cx<'_, '_>) {
        self.add_commit(Why::Close, all_consumed(cx.consumer), give_up_at, cx);
    }
    fn add_commit(
        &mut self,
        why: Why,
        offsets: BTreeMap<TopicPartition, (i64, i32)>,
        give_up_at: Nanos,
        cx: &mut Cx<'_, '_>,
    ) {
        let commit = Commit { why, offsets, give_up_at, retry_at: 0, failures: 0, sent: None };
        if commit.offsets.is_empty() {
            return self.end_commit(commit, Ok(()), cx);
        }
        self.commits.next += 1;
        self.commits.waiting.insert(CommitId(self.commits.next), commit);
    }

    /// Sends what waits, in its order, in the name of `committer`, or refuses it where nobody may commit now.
    pub(super) fn send_commits(&mut self, committer: Result<Committer, Refusal>, cx: &mut Cx<'_, '_>) {
        let ids: Vec<CommitId> = self.commits.waiting.keys().copied().collect();
        for id in ids {
            let Some(commit) = self.commits.waiting.get_mut(&id) else { continue };
            if commit.give_up_at <= cx.now {
                self.close_commit(id, Err(Refusal::Retriable(TIMEOUT.to_string())), cx);
                continue;
            }
            if commit.sent.is_some() || commit.retry_at > cx.now || !self.coordinator.is_ready() {
                continue;
            }
            match &committer {
                Err(refusal) => self.close_commit(id, Err(refusal.clone()), cx),
                Ok(committer) => {
                    commit.sent = Some(committer.clone());
                    let request = (versions::OFFSET_COMMIT, request(&self.id, &commit.offsets, committer));
                    let offsets = told(&commit.offsets);
                    let (group, generation) = (self.id.clone(), committer.generation);
                    cx.fx.record(Event::CommitSent { group, generation, offsets });
                    let timeout_ms = cx.consumer.config.request_timeout_ms;
                    self.coordinator.send(timeout_ms, request, GroupCall::Commit(id));
                }
            }
        }
    }

    /// The coordinator has answered, or never will: `raw` is what it said.
    pub(super) fn on_commit_end(
        &mut self,
        id: CommitId,
        raw: Option<ResponseError>,
        end: Result<(), Refusal>,
        cx: &mut Cx<'_, '_>,
    ) {
        let Some(commit) = self.commits.waiting.get_mut(&id) else { return };
        if let Some(sent) = commit.sent.take() {
            let (group, generation, offsets) = (self.id.clone(), sent.generation, told(&commit.offsets));
            cx.fx.record(Event::CommitAnswered { group, generation, offsets, error: raw.map(error_name) });
        }
        let is_tried_again = match commit.why {
            Why::Application { waits, .. } => waits,
            Why::Close => true,
            // Whoever wants these tries again with the positions of that moment.
            Why::Interval | Why::Revocation => false,
        };
        if is_tried_again && matches!(end, Err(Refusal::Retriable(_))) && GroupClientRule::SyncCommitIsRetried.holds() {
            let pause = retry_backoff(&cx.consumer.config).pause(commit.failures, cx.fx);
            commit.retry_at = cx.now.saturating_add(pause);
            commit.failures = commit.failures.saturating_add(1);
            return;
        }
        self.close_commit(id, end, cx);
    }
    /// Nobody coordinates the group for now: commits that are not waited for end with that.
    /// Source: `ConsumerCoordinator.commitOffsetsAsync`.
    pub(super) fn fail_unsent_async_commits(&mut self, error: ResponseError, cx: &mut Cx<'_, '_>) {
        let is_async = |commit: &Commit| {
            commit.sent.is_none() && matches!(commit.why, Why::Application { waits: false, .. } | Why::Interval)
        };
        let waiting = self.commits.waiting.iter();
        let ids: Vec<CommitId> = waiting.filter(|(_, commit)| is_async(commit)).map(|(id, _)| *id).collect();
        for id in ids {
            self.close_commit(id, Err(Refusal::Retriable(error_name(error))), cx);
        }
    }

    fn close_commit(&mut self, id: CommitId, end: Result<(), Refusal>, cx: &mut Cx<'_, '_>) {
        if let Some(commit) = self.commits.waiting.remove(&id) {
            self.end_commit(commit, end, cx);
        }
    }
    fn end_commit(&mut self, commit: Commit, end: Result<(), Refusal>, cx: &mut Cx<'_, '_>) {
        match commit.why {
            Why::Application { op, .. } => cx.fx.deliver(
                op,
                match end {
                    Ok(()) => Outcome::Done,
                    Err(refusal) => Outcome::Refused { error: refusal.name() },
                },
            ),
            Why::Interval => {
                if matches!(end, Err(Refusal::Retriable(_))) {
                    self.commits.restart_interval(cx.consumer.config.retry_backoff_ms, cx.now);
                }
            }
            Why::Revocation => {
                if self.commits.before_revocation == BeforeRevocation::UnderWay {
                    self.commits.before_revocation = BeforeRevocation::Ended(end);
                }
            }
            Why::Close => {}
        }
    }
}

fn told(offsets: &BTreeMap<TopicPartition, (i64, i32)>) -> Vec<(TopicPartition, i64)> {
    offsets.iter().map(|(partition, (offset, _))| (partition.clone(), *offset)).collect()
}

fn request(group: &str, offsets: &BTreeMap<TopicPartition, (i64, i32)>, committer: &Committer) -> RequestKind {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (partition, (offset, leader_epoch)) in offsets {
        let asked = OffsetCommitRequestPartition::default()
            .with_partition_index(partition.partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(*leader_epoch)
            .with_committed_metadata(Some(StrBytes::default()));
        match topics.last_mut().filter(|topic| topic.name.as_str() == partition.topic.as_str()) {
            Some(topic) => topic.partitions.push(asked),
            None => topics.push(
                OffsetCommitRequestTopic::default()
                    .with_name(topic_name(&partition.topic))
                    .with_partitions(vec![asked]),
            ),
        }
    }
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_string())))
        .with_generation_id_or_member_epoch(committer.generation)
        .with_member_id(StrBytes::from_string(committer.member.clone()))
        .with_group_instance_id(committer.instance.clone().map(StrBytes::from_string))
        .with_topics(topics);
    RequestKind::OffsetCommit(request)
}

/// The first error of an answer; all partitions of one request mostly have the same.
pub(super) fn error_of(answer: &OffsetCommitResponse) -> Option<ResponseError> {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(|partition| ResponseError::try_from_code(partition.error_code)).next()
}
