//! What a voter of the metadata quorum must answer: to who asks for its vote, to who fetches, to who changes the voters.
//!
//! Judged where the node handles the request at once. While it waits for its disk, requests wait too, and what it is when it
//! comes to them is not known yet.

use std::cmp::Ordering;
use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, VoteRequest, VoteResponse};
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::metadata::snapshot::SnapshotId;
use trial_kafka::protocol::errors::code_name;
use trial_storage::{Batches, Log};
use uuid::Uuid;

use super::Speaker;

/// The snapshot that a cluster is formatted with, which nobody is sent.
const BOOTSTRAP: SnapshotId = SnapshotId { end_offset: 0, epoch: 0 };

/// The answer to who asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoteDue {
    error: i16,
    granted: bool,
    /// The epoch the voter is in behind the request.
    epoch: i32,
    /// Who has the vote then, if it is one.
    candidate: Option<i32>,
}

impl VoteDue {
    /// For whom the vote is, if it is given.
    pub(super) fn candidate(&self) -> Option<i32> {
        self.candidate
    }
}

impl fmt::Display for VoteDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.error, self.granted) {
            (0, true) => write!(f, "yes, in epoch {}", self.epoch),
            (0, false) => write!(f, "no, in epoch {}", self.epoch),
            (error, _) => write!(f, "{}, in epoch {}", code_name(error), self.epoch),
        }
    }
}

/// The epoch of the last record, or of the latest snapshot behind which there is none.
pub(super) fn last_epoch(log: &Log, look: &QuorumLook) -> i32 {
    let of_snapshot = look.snapshots.map(|(_, latest)| latest.epoch);
    log.epochs().last().map(|last| last.epoch).or(of_snapshot).unwrap_or(0)
}

/// Is a request for this node on this disk, as far as it says? Source: `KafkaRaftClient.isValidVoterKey`.
fn is_for(controller: &Controller, look: &QuorumLook, node: i32, directory: Uuid) -> bool {
    let is_this_disk = directory.is_nil() || Some(directory) == look.directory_id;
    node < 0 || node == controller.setup().node_id && is_this_disk
}

/// Sources: KIP-595, KIP-853, KIP-996, `KafkaRaftClient.handleVoteRequest`, `EpochState.canGrantVote`.
pub(super) fn to_vote(controller: &Controller, look: &QuorumLook, request: &VoteRequest) -> Option<VoteDue> {
    let is_ours = request.cluster_id.as_ref().is_none_or(|cluster| cluster.as_str() == controller.setup().cluster_id);
    let asked = request.topics.first().and_then(|topic| topic.partitions.first()).filter(|_| is_ours)?;
    let refused = |error: ResponseError, epoch: i32| {
        Some(VoteDue { error: error.code(), granted: false, epoch, candidate: None })
    };
    let is_below_its_log = match asked.pre_vote {
        true => asked.last_offset_epoch > asked.replica_epoch,
        false => asked.last_offset_epoch >= asked.replica_epoch,
    };
    if asked.last_offset < 0 || asked.last_offset_epoch < 0 || is_below_its_log {
        return refused(ResponseError::InvalidRequest, look.epoch);
    }
    if asked.replica_epoch < look.epoch {
        return refused(ResponseError::FencedLeaderEpoch, look.epoch);
    }
    let epoch = asked.replica_epoch;
    if asked.replica_id.0 < 0 {
        return refused(ResponseError::InvalidRequest, look.epoch);
    }
    if !is_for(controller, look, request.voter_id.0, asked.voter_directory_id) {
        return refused(ResponseError::InvalidVoterKey, epoch);
    }
    let log = controller.log()?;
    let has_everything = (asked.last_offset_epoch, asked.last_offset) >= (last_epoch(log, look), log.log_end_offset());
    let is_new = epoch > look.epoch;
    let granted = if asked.pre_vote {
        let has_a_leader_that_works = look.role == QuorumRole::Leader || look.has_fetched;
        has_everything && (is_new || !has_a_leader_that_works)
    } else if is_new {
        has_everything
    } else {
        match (look.role, look.voted) {
            (QuorumRole::Leader | QuorumRole::Resigned | QuorumRole::Candidate | QuorumRole::Follower { .. }, _) => {
                false
            }
            (_, Some((node, disk))) => {
                let directory = Some(asked.replica_directory_id).filter(|id| !id.is_nil());
                node == asked.replica_id.0 && (disk.is_none() || disk == directory)
            }
            _ => look.leader.is_none() && has_everything,
        }
    };
    let candidate = Some(asked.replica_id.0).filter(|_| !asked.pre_vote);
    Some(VoteDue { error: 0, granted, epoch, candidate })
}

pub(super) fn judge_vote(due: VoteDue, response: &VoteResponse, speaker: &mut Speaker<'_>) {
    let Some(answer) = response.topics.first().and_then(|topic| topic.partitions.first()) else { return };
    let said = VoteDue { error: answer.error_code, granted: answer.vote_granted, epoch: answer.leader_epoch, ..due };
    speaker.says(Word::VoteAnswer, None, said, due);
}

/// What a fetch of the metadata log comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Error(i16),
    Snapshot(SnapshotId),
    Diverging { epoch: i32, end_offset: i64 },
    Records,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Error(code) => f.write_str(&code_name(*code)),
            Outcome::Snapshot(id) => write!(f, "with the snapshot of epoch {} up to {}", id.epoch, id.end_offset),
            Outcome::Diverging { epoch, end_offset } => write!(f, "that epoch {epoch} ends at {end_offset}"),
            Outcome::Records => f.write_str("as to one of the same history"),
        }
    }
}

/// A fetch, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchDue {
    epoch: i32,
    offset: i64,
    last_epoch: i32,
    replica: i32,
    directory: Uuid,
    outcome: Outcome,
}

impl FetchDue {
    /// Which replica tells by it that it has everything below which offset.
    pub(super) fn told(&self) -> Option<(i32, i64)> {
        (self.outcome == Outcome::Records).then_some((self.replica, self.offset))
    }
}

pub(super) fn to_fetch(controller: &Controller, look: &QuorumLook, request: &FetchRequest) -> Option<FetchDue> {
    let is_ours = request.cluster_id.as_ref().is_none_or(|cluster| cluster.as_str() == controller.setup().cluster_id);
    let asked = request.topics.first().and_then(|topic| topic.partitions.first()).filter(|_| is_ours)?;
    let is_possible = request.max_wait_ms >= 0
        && asked.fetch_offset >= 0
        && (0..=asked.current_leader_epoch).contains(&asked.last_fetched_epoch);
    let replica = if request.replica_id.0 >= 0 { request.replica_id } else { request.replica_state.replica_id };
    let mut due = FetchDue {
        epoch: asked.current_leader_epoch,
        offset: asked.fetch_offset,
        last_epoch: asked.last_fetched_epoch,
        replica: replica.0,
        directory: asked.replica_directory_id,
        outcome: Outcome::Error(ResponseError::InvalidRequest.code()),
    };
    if is_possible {
        due.outcome = outcome(controller, look, &due)?;
    }
    Some(due)
}

/// Sources: KIP-595, KIP-630, `KafkaRaftClient.validateLeaderOnlyRequest`, `tryCompleteFetchRequest`,
/// `ReplicatedLog.validateOffsetAndEpoch`.
fn outcome(controller: &Controller, look: &QuorumLook, asked: &FetchDue) -> Option<Outcome> {
    let error = |error: ResponseError| Some(Outcome::Error(error.code()));
    match asked.epoch.cmp(&look.epoch) {
        Ordering::Less => return error(ResponseError::FencedLeaderEpoch),
        Ordering::Greater => return error(ResponseError::UnknownLeaderEpoch),
        Ordering::Equal if look.role != QuorumRole::Leader => return error(ResponseError::NotLeaderOrFollower),
        Ordering::Equal if look.shuts_down => return error(ResponseError::BrokerNotAvailable),
        Ordering::Equal => {}
    }
    let log = controller.log()?;
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    if let Some((earliest, latest)) = look.snapshots {
        let has_nothing = asked.offset == 0 && latest != BOOTSTRAP;
        let parts_at_the_start = asked.offset == start && asked.last_epoch != earliest.epoch;
        let is_behind = asked.offset < start || parts_at_the_start || asked.last_epoch < earliest.epoch;
        if has_nothing || is_behind && (start, asked.offset) != (0, 0) {
            return Some(Outcome::Snapshot(latest));
        }
    }
    if (start, asked.offset) == (0, 0) {
        return Some(Outcome::Records);
    }
    let (epoch, end_offset) = end_of_epoch(log, look, asked.last_epoch).unwrap_or((last_epoch(log, look), end));
    match epoch != asked.last_epoch || end_offset < asked.offset {
        true => Some(Outcome::Diverging { epoch, end_offset }),
        false => Some(Outcome::Records),
    }
}

/// The largest epoch at or below this one, and where it ends. Where that is the end of the oldest snapshot it has the
/// epoch of the snapshot. Source: `KafkaMetadataLog.endOffsetForEpoch`.
fn end_of_epoch(log: &Log, look: &QuorumLook, epoch: i32) -> Option<(i32, i64)> {
    let epochs = log.epochs();
    if epochs.last()?.epoch == epoch {
        return Some((epoch, log.log_end_offset()));
    }
    let next = epochs.iter().position(|entry| entry.epoch > epoch)?;
    let end_offset = epochs[next].start_offset;
    let floor = next.checked_sub(1).map_or(epoch, |floor| epochs[floor].epoch);
    let is_of_snapshot = |earliest: &SnapshotId| earliest.end_offset == end_offset && floor == epoch;
    let of_snapshot = look.snapshots.map(|(earliest, _)| earliest).filter(is_of_snapshot);
    Some((of_snapshot.map_or(floor, |earliest| earliest.epoch), end_offset))
}

/// A fetch may wait for records, and the log may begin elsewhere by then, or the epoch be over; it never parts from one whose
/// history it had.
pub(super) fn judge_fetch(
    due: &FetchDue,
    response: &FetchResponse,
    controller: &Controller,
    speaker: &mut Speaker<'_>,
) {
    let Some(answer) = response.responses.first().and_then(|topic| topic.partitions.first()) else { return };
    let Some(look) = controller.look() else { return };
    let told = told(answer);
    if told == Outcome::Error(ResponseError::UnknownServerError.code()) {
        return; // the disk
    }
    let has_led = matches!(look.role, QuorumRole::Resigned | QuorumRole::Unattached | QuorumRole::Prospective);
    let is_over = told == Outcome::Error(ResponseError::NotLeaderOrFollower.code());
    let meanwhile = || outcome(controller, &look, due);
    let is_late = due.outcome == Outcome::Records && is_over && (has_led || look.epoch > due.epoch);
    if told != due.outcome && !is_late && meanwhile() != Some(told) {
        speaker.wrong(Word::RaftFetchAnswer, None, told.to_string(), due.outcome.to_string());
    }
    if told == Outcome::Records {
        judge_records(due, answer, controller, &look, speaker);
    }
}

fn told(answer: &PartitionData) -> Outcome {
    if answer.error_code != 0 {
        Outcome::Error(answer.error_code)
    } else if answer.snapshot_id.end_offset >= 0 {
        let (end_offset, epoch) = (answer.snapshot_id.end_offset, answer.snapshot_id.epoch);
        Outcome::Snapshot(SnapshotId { end_offset, epoch })
    } else if answer.diverging_epoch.end_offset >= 0 {
        Outcome::Diverging { epoch: answer.diverging_epoch.epoch, end_offset: answer.diverging_epoch.end_offset }
    } else {
        Outcome::Records
    }
}

/// An observer is shown what is committed and no more, and nobody is told a high watermark that is none.
fn judge_records(
    due: &FetchDue,
    answer: &PartitionData,
    controller: &Controller,
    look: &QuorumLook,
    speaker: &mut Speaker<'_>,
) {
    let high_watermark = look.high_watermark;
    if answer.high_watermark > high_watermark {
        speaker.says(Word::RaftFetchedHighWatermark, None, answer.high_watermark, high_watermark);
    }
    let Some(records) = answer.records.as_ref().filter(|records| !records.is_empty()) else { return };
    let is_voter =
        controller.voters().iter().any(|voter| (voter.id, voter.directory_id) == (due.replica, due.directory));
    if is_voter || look.role != QuorumRole::Leader {
        return;
    }
    let last = Batches::new(records.clone()).filter_map(Result::ok).last();
    if let Some(end) = last.map(|batch| batch.header.next_offset()).filter(|end| *end > high_watermark) {
        let (said, truth) = (format!("with records up to {end}"), format!("nothing behind {high_watermark}"));
        speaker.wrong(Word::RaftFetchAnswer, None, said, truth);
    }
}
