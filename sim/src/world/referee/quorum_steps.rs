//! What a node of the metadata quorum does, and what it is behind each handler: it follows from what it was and what it was told.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::EndQuorumEpochRequest;
use serde::Deserialize;
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::event::Event;
use trial_kafka::metadata::MetadataRecord;
use trial_kafka::metadata::snapshot::{SnapshotId, decode};
use trial_kafka::metadata::voters_record::{KRAFT_VOTERS, control_type, decode_voters};
use trial_kafka::node::{Nanos, ms};
use trial_storage::{Batches, LogError};

use super::{Speaker, voter_answers};
use crate::trace::NodeIx;

/// Where the metadata log lies.
const LOG_DIR: &str = "__cluster_metadata-0";
/// More than any batch or snapshot has.
const MOST_BYTES: usize = 1 << 28;
/// The most voters whose ends are compared without asking for memory.
const MANY: usize = 16;

/// What the referee keeps in mind of the quorum.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// How far each voter had the log, by the last word of who led.
    ends: BTreeMap<NodeIx, Vec<(i32, i64)>>,
    /// Up to which epoch the disk of each node is known to have its state.
    durable_epochs: BTreeMap<NodeIx, i32>,
    /// How often in this run somebody was not more patient than it must.
    least_patience: u32,
}

impl Steps {
    /// A process starts; its disk may have lost what it was.
    pub(super) fn forget(&mut self, node: NodeIx) {
        self.ends.remove(&node);
        self.durable_epochs.remove(&node);
    }

    /// A handler of a controller is over.
    pub(super) fn judge(
        &mut self,
        before: &QuorumLook,
        now: &QuorumLook,
        time: Nanos,
        controller: &Controller,
        speaker: &mut Speaker<'_>,
    ) {
        if now.epoch < before.epoch {
            let (said, truth) = (format!("epoch {}", now.epoch), format!("epoch {} or a later one", before.epoch));
            speaker.wrong(Word::QuorumStep, None, said, truth);
        }
        if now.high_watermark != before.high_watermark {
            judge_high_watermark(before, now, controller, speaker);
        }
        if now.role == QuorumRole::Leader {
            self.note_ends(controller, speaker);
            judge_removed(now, speaker);
            judge_check_quorum(before, now, controller, speaker);
        }
        if now.takes_snapshot && !matches!(now.role, QuorumRole::Follower { .. }) {
            let said = "one that takes a snapshot and follows nobody".to_string();
            speaker.wrong(Word::QuorumStep, None, said, "none that takes one".to_string());
        }
        if let Some(id) = now.snapshot_under_way {
            judge_snapshot_under_way(id, before, now, controller, speaker);
        }
        if before.waits_for_disk && speaker.slot.disk.is_unsynced(LOG_DIR, "quorum-state") {
            let truth = "a name only for what is durable".to_string();
            speaker.wrong(Word::DurableState, None, "quorum-state out of unsynced bytes".to_string(), truth);
        }
        let goes_on = now.has_lost && now.pauses_until.is_none() && !now.waits_for_disk && !now.is_stopping;
        if now.role == QuorumRole::Candidate && goes_on {
            let said = "a candidate that has lost and goes on".to_string();
            speaker.wrong(Word::QuorumStep, None, said, "a pause before it tries again".to_string());
        }
        if let Some(until) = now.pauses_until.filter(|until| before.pauses_until != Some(*until)) {
            let most = ms(controller.setup().config.controller_quorum_election_backoff_max_ms);
            if until > time.saturating_add(most) {
                let said = format!("a pause of {} ns before it tries again", until - time);
                speaker.wrong(Word::QuorumStep, None, said, format!("one of no more than {most} ns"));
            }
        }
        self.judge_patience(before, now, time, controller, speaker);
    }

    /// What each voter had, for when the leader resigns.
    fn note_ends(&mut self, controller: &Controller, speaker: &Speaker<'_>) {
        let ends = self.ends.entry(speaker.node).or_default();
        ends.clear();
        ends.extend(controller.ends_of_voters());
    }

    /// A replica has told that it has everything below an offset.
    pub(super) fn note_fetch(&mut self, node: NodeIx, told: Option<(i32, i64)>) {
        let Some((replica, offset)) = told else { return };
        let known = self.ends.get_mut(&node).and_then(|ends| ends.iter_mut().find(|(id, _)| *id == replica));
        if let Some((_, end)) = known {
            *end = offset;
        }
    }

    /// Who draws its patience draws the very least next to never. Source: `QuorumState.randomElectionTimeoutMs`.
    fn judge_patience(
        &mut self,
        before: &QuorumLook,
        now: &QuorumLook,
        time: Nanos,
        controller: &Controller,
        speaker: &mut Speaker<'_>,
    ) {
        let is_drawn = matches!(now.role, QuorumRole::Unattached | QuorumRole::Resigned | QuorumRole::Prospective);
        let Some(until) = now.patient_until.filter(|until| is_drawn && before.patient_until != Some(*until)) else {
            return;
        };
        let least = ms(controller.setup().config.controller_quorum_election_timeout_ms);
        if until == time.saturating_add(least) {
            self.least_patience += 1;
            if self.least_patience == 2 {
                let said = "the election timeout to the nanosecond, twice".to_string();
                speaker.wrong(Word::QuorumStep, None, said, "a patience that is drawn".to_string());
            }
        }
    }

    /// A leader that resigns names those first that have most. Source: `LeaderState.nonLeaderVotersByDescendingFetchOffset`.
    pub(super) fn judge_successors(&self, request: &EndQuorumEpochRequest, speaker: &mut Speaker<'_>) {
        let Some(ends) = self.ends.get(&speaker.node) else { return };
        let end_of = |id: i32| ends.iter().find(|(voter, _)| *voter == id).map(|(_, end)| *end);
        for said in request.topics.iter().flat_map(|topic| &topic.partitions) {
            let named = || said.preferred_candidates.iter().map(|candidate| candidate.candidate_id.0);
            let ends = || named().filter_map(end_of);
            if !ends().zip(ends().skip(1)).all(|(one, next)| one >= next) {
                let said: Vec<_> = named().map(|id| format!("{id} (end {})", end_of(id).unwrap_or(-1))).collect();
                let truth = "the order of what they have, most first".to_string();
                speaker.wrong(Word::Successors, None, said.join(", "), truth);
            }
        }
    }

    /// Nobody is told of an epoch or a vote that a loss of power could undo. Source: `QuorumState.durableTransitionTo`.
    pub(super) fn judge_durable(&mut self, epoch: i32, vote: Option<i32>, speaker: &mut Speaker<'_>) {
        let known = self.durable_epochs.get(&speaker.node);
        if vote.is_none() && known.is_some_and(|known| *known >= epoch) {
            return;
        }
        let state = speaker.slot.disk.durable_bytes(LOG_DIR, "quorum-state", 0, 1 << 12);
        let state = state.and_then(|bytes: Bytes| serde_json::from_slice::<Stored>(&bytes).ok());
        let is_durable = state.as_ref().is_some_and(|state| {
            state.leader_epoch > epoch
                || state.leader_epoch == epoch && vote.is_none_or(|candidate| state.voted_id == candidate)
        });
        if is_durable || epoch == 0 {
            self.durable_epochs.insert(speaker.node, epoch);
            return;
        }
        let voted = vote.map_or(String::new(), |candidate| format!(" and its vote for {candidate}"));
        let kept = state.map_or("nothing".to_string(), |state| {
            format!("epoch {} and a vote for {}", state.leader_epoch, state.voted_id)
        });
        speaker.wrong(Word::DurableState, None, format!("epoch {epoch}{voted}"), format!("{kept} on its disk"));
    }
}

/// The fields of the file `quorum-state` that are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    leader_epoch: i32,
    voted_id: i32,
}

/// The high watermark rises, to what more than half of the voters have, and that reaches into the leader's own epoch.
/// Source: `LeaderState.maybeUpdateHighWatermark`.
fn judge_high_watermark(before: &QuorumLook, now: &QuorumLook, controller: &Controller, speaker: &mut Speaker<'_>) {
    let (from, to) = (before.high_watermark, now.high_watermark);
    if to < from {
        return speaker.wrong(Word::QuorumHighWatermark, None, to.to_string(), format!("{from} or more"));
    }
    let Some(start) = now.epoch_start_offset.filter(|_| now.role == QuorumRole::Leader && before.epoch == now.epoch)
    else {
        return;
    };
    let mut ends = [-1; MANY];
    let mut count = 0;
    let own = controller.setup().node_id;
    for (id, end) in controller.ends_of_voters().take(MANY) {
        // It counts itself with what is durable, whatever it has written.
        ends[count] = if id == own { end.min(now.synced_end_offset) } else { end };
        count += 1;
    }
    let ends = &mut ends[..count];
    ends.sort_unstable_by(|one, other| other.cmp(one));
    let majority = ends.get(count / 2).copied().unwrap_or(-1);
    if to > majority {
        speaker.says(Word::QuorumHighWatermark, None, to, majority);
    } else if to <= start {
        speaker.wrong(Word::QuorumHighWatermark, None, to.to_string(), format!("nothing up to {start}"));
    }
}

/// A leader that was removed for good leads no more. Source: KIP-853, `RemoveVoterHandler.highWatermarkUpdated`.
fn judge_removed(now: &QuorumLook, speaker: &mut Speaker<'_>) {
    let is_for_good = now.high_watermark > now.voters_offset;
    let has_committed = now.epoch_start_offset.is_some_and(|start| now.high_watermark > start);
    if !now.is_voter && is_for_good && has_committed && !now.waits_for_disk {
        let said = "the leader, though it is no voter any more".to_string();
        speaker.wrong(Word::QuorumStep, None, said, "one that has resigned".to_string());
    }
}

/// Enough of the other voters have fetched, or the clock does not begin anew. Source: KAFKA-15489, KAFKA-16531,
/// `LeaderState.updateCheckQuorumForFollowingVoter`.
fn judge_check_quorum(before: &QuorumLook, now: &QuorumLook, controller: &Controller, speaker: &mut Speaker<'_>) {
    let (Some(then), Some(at)) = (before.check_quorum_at, now.check_quorum_at) else { return };
    // What came while the disk was waited for is all taken at once.
    if at == then || before.epoch != now.epoch || before.waits_for_disk {
        return;
    }
    let enough = controller.voters().len() / 2 + 1 - usize::from(now.is_voter);
    if before.fetched_voters + 1 < enough {
        let said = format!("a leader that {} of {enough} voters are enough for", before.fetched_voters + 1);
        speaker.wrong(Word::QuorumStep, None, said, "one that waits for more fetches".to_string());
    }
}

/// A snapshot bears the epoch of its last record, and gets its name when its bytes are durable.
fn judge_snapshot_under_way(
    id: SnapshotId,
    before: &QuorumLook,
    now: &QuorumLook,
    controller: &Controller,
    speaker: &mut Speaker<'_>,
) {
    if speaker.slot.disk.is_unsynced(LOG_DIR, &id.file_name()) {
        let truth = "a name only for what is durable".to_string();
        speaker.wrong(Word::DurableState, None, "a snapshot out of unsynced bytes".to_string(), truth);
    }
    let is_its_own = !now.takes_snapshot && before.snapshot_under_way != Some(id);
    let Some(log) = controller.log().filter(|_| is_its_own) else { return };
    let last = log.epochs().iter().rfind(|entry| entry.start_offset < id.end_offset).map(|entry| entry.epoch);
    if let Some(epoch) = last.filter(|epoch| *epoch != id.epoch) {
        let said = format!("a snapshot up to {} of epoch {}", id.end_offset, id.epoch);
        speaker.wrong(Word::QuorumStep, None, said, format!("one of epoch {epoch}"));
    }
}

/// A node has started, or its log begins anew at a snapshot: the voters are those that the snapshot tells, if it tells any,
/// or later ones.
pub(super) fn judge_begun(look: &QuorumLook, speaker: &mut Speaker<'_>) {
    let Some((_, latest)) = look.snapshots.filter(|(_, latest)| look.voters_offset < latest.end_offset - 1) else {
        return;
    };
    let bytes = speaker.slot.disk.cached_bytes(LOG_DIR, &latest.file_name(), MOST_BYTES);
    let tells = bytes.and_then(|bytes| decode(latest, &bytes).ok()).is_some_and(|told| !told.voters.is_empty());
    if tells {
        let said = format!("those of a set at {}", look.voters_offset);
        speaker.wrong(Word::VotersStep, None, said, format!("those of its snapshot, at {}", latest.end_offset - 1));
    }
}

/// A node has appended, cut, or taken a snapshot.
pub(super) fn judge_event(event: &Event, look: &QuorumLook, controller: &Controller, speaker: &mut Speaker<'_>) {
    match event {
        Event::MetadataAppended { first_offset, last_offset, as_leader, .. } => {
            judge_appended((*first_offset, *last_offset), *as_leader, look, controller, speaker);
        }
        Event::MetadataTruncated { to, .. } if look.voters_offset >= *to => {
            let said = format!("those of a set at {}", look.voters_offset);
            speaker.wrong(Word::VotersStep, None, said, format!("those of the last set below {to}"));
        }
        Event::SnapshotWritten { end_offset, epoch } => {
            judge_snapshot(SnapshotId { end_offset: *end_offset, epoch: *epoch }, look, controller, speaker);
        }
        _ => {}
    }
}

/// What has been written in one go: in which order, and is a set of voters in force at once? Sources: KIP-853,
/// `KRaftControlRecordStateMachine.updateState`; `ReplicationControlManager.handleBrokerFenced`.
fn judge_appended(
    (first, last): (i64, i64),
    as_leader: bool,
    look: &QuorumLook,
    controller: &Controller,
    speaker: &mut Speaker<'_>,
) {
    let Some(log) = controller.log() else { return };
    let Ok(bytes) = log.read(&mut speaker.slot.disk.view(), first, last + 1, MOST_BYTES, true) else { return };
    let mut voters = None;
    for batch in Batches::new(bytes).map_while(Result::ok) {
        if batch.header.is_control() {
            let records = trial_storage::records(&batch.bytes).unwrap_or_default();
            let sets = records.iter().filter(|record| control_type(record.key.as_deref()) == Some(KRAFT_VOTERS));
            let last = sets.last().and_then(|record| Some((record.offset, record.value.as_deref()?.to_vec())));
            voters = last.or(voters);
        } else if as_leader && batch.header.last_offset() > batch.header.base_offset {
            judge_order(&batch.bytes, speaker);
        }
    }
    let Some((offset, Ok(written))) = voters.map(|(offset, value)| (offset, decode_voters(&value))) else { return };
    let in_force = controller.voters();
    let keys = |voters: &[trial_kafka::controller::Voter]| -> Vec<_> {
        let mut keys: Vec<_> = voters.iter().map(|voter| (voter.id, voter.directory_id)).collect();
        keys.sort_unstable();
        keys
    };
    // The handler may have cut it off again.
    let is_there = offset < log.log_end_offset();
    if is_there && look.voters_offset <= offset && keys(&in_force) != keys(&written) {
        let (said, truth) = (voter_answers::in_words(&in_force), voter_answers::in_words(&written));
        speaker.wrong(Word::VotersStep, None, said, truth);
    }
}

/// The changes of partitions stand before the record that fences or registers a broker.
fn judge_order(batch: &Bytes, speaker: &mut Speaker<'_>) {
    let records: Result<Vec<_>, LogError> = trial_storage::records(batch).map_err(LogError::from);
    let Ok(records) = records else { return };
    let mut after = None;
    for record in &records {
        match record.value.as_deref().map(MetadataRecord::decode) {
            Some(Ok(MetadataRecord::BrokerRegistrationChange(change))) if change.fenced == Some(true) => {
                after = Some("the record that fences the broker");
            }
            Some(Ok(MetadataRecord::RegisterBroker { .. } | MetadataRecord::UnregisterBroker { .. })) => {
                after = Some("the record that registers the broker");
            }
            Some(Ok(MetadataRecord::PartitionChange(_))) if after.is_some() => {
                let said = format!("a change of a partition behind {}", after.unwrap_or_default());
                return speaker.wrong(Word::BatchOrder, None, said, "before it".to_string());
            }
            _ => {}
        }
    }
}

/// A snapshot counts once it is durable, for then the log below it goes. Source: KIP-630, `FileRawSnapshotWriter.freeze`.
fn judge_snapshot(id: SnapshotId, look: &QuorumLook, controller: &Controller, speaker: &mut Speaker<'_>) {
    let log =
        controller.log().filter(|log| log.log_start_offset() < id.end_offset && id.end_offset <= log.log_end_offset());
    if let Some(log) = log {
        let said = format!("a log that begins at {}", log.log_start_offset());
        speaker.wrong(
            Word::QuorumStep,
            None,
            said,
            format!("one that begins at its snapshot's end, {}", id.end_offset),
        );
    }
    let kept = speaker.slot.disk.durable_bytes(LOG_DIR, &id.file_name(), 0, MOST_BYTES);
    if kept.is_none_or(|kept| !is_whole(&kept)) {
        let said = format!("a snapshot up to {} that counts", id.end_offset);
        speaker.wrong(Word::QuorumStep, None, said, "one that is durable".to_string());
    }
    if id.end_offset > look.high_watermark {
        let said = format!("a snapshot up to {}", id.end_offset);
        speaker.wrong(Word::QuorumStep, None, said, format!("one up to {} at most", look.high_watermark));
    }
}

/// A snapshot ends with a batch of control records, its footer.
fn is_whole(bytes: &Bytes) -> bool {
    let mut end = 0;
    let mut last = None;
    for batch in Batches::new(bytes.clone()) {
        let Ok(batch) = batch else { return false };
        end += batch.bytes.len();
        last = Some(batch.header.is_control());
    }
    end == bytes.len() && last == Some(true)
}
