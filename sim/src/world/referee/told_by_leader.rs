//! What becomes of a follower of the metadata quorum that its leader tells what no leader says? A copy of it is told.
//!
//! Sources: KIP-595, KIP-630, KIP-853, `KafkaRaftClient.handleFetchResponse`, `KRaftControlRecordStateMachine`.

use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData, SnapshotId as WireSnapshotId,
};
use kafka_protocol::messages::{BrokerId, FetchResponse, RequestKind};
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole, Voter};
use trial_kafka::metadata::METADATA_TOPIC_ID;
use trial_kafka::metadata::voters_record::{KRAFT_VOTERS, control_key, encode_voters};
use trial_kafka::node::{CallId, ConnId, Effect, Endpoint, Input, Now};
use trial_storage::{BuildOptions, NewRecord, build_batch};
use uuid::Uuid;

use super::quorum_answers::last_epoch;
use super::rehearsal::Copy;
use super::{Speaker, quorum_questions, voter_answers};

/// A node that is none.
const STRANGER: i32 = 9_999;

/// The leader whose fetch a copy waits for, and what is known of both.
struct Told<'a> {
    controller: &'a Controller,
    look: &'a QuorumLook,
    leader: i32,
    end: i64,
    last_epoch: i32,
    fetch: (ConnId, CallId),
    now: Now,
}

/// A follower has sent a fetch: what if it were answered with …?
pub(super) fn rehearse(
    controller: &Controller,
    look: &QuorumLook,
    fetch: (ConnId, CallId),
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    let (QuorumRole::Follower { leader }, Some(log)) = (look.role, controller.log()) else { return };
    let (end, last_epoch) = (log.log_end_offset(), last_epoch(log, look));
    let told = Told { controller, look, leader, end, last_epoch, fetch, now };
    if look.high_watermark > log.log_start_offset() {
        told.of_what_is_committed(speaker);
    }
    told.of_other_voters(speaker);
    told.of_a_snapshot(speaker);
    if look.is_voter && !look.shuts_down {
        told.of_its_endpoint(speaker);
    }
}

impl Told<'_> {
    fn answer(&self, change: impl FnOnce(&mut PartitionData)) -> FetchResponse {
        let leader =
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(self.leader)).with_leader_epoch(self.look.epoch);
        let mut partition =
            PartitionData::default().with_high_watermark(self.look.high_watermark).with_current_leader(leader);
        change(&mut partition);
        let topic = FetchableTopicResponse::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition]);
        FetchResponse::default().with_responses(vec![topic])
    }

    fn copy<'d>(&self, speaker: &Speaker<'d>) -> Copy<'d> {
        Copy::of(self.controller, speaker.slot.disk.view(), self.now)
    }

    /// What is committed is neither cut nor replaced by less: who is told to gives up.
    fn of_what_is_committed(&self, speaker: &mut Speaker<'_>) {
        let (epoch, end_offset) = (self.last_epoch, self.look.high_watermark - 1);
        let cut = self
            .answer(|p| p.diverging_epoch = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset));
        let replaced =
            self.answer(|p| p.snapshot_id = WireSnapshotId::default().with_epoch(epoch).with_end_offset(end_offset));
        for (what, response) in [("to cut", cut), ("to take a snapshot up to", replaced)] {
            let mut copy = self.copy(speaker);
            copy.tell(self.fetch, response);
            if copy.controller.look().is_some() {
                let said = format!("a follower that goes on (when a copy of it was told {what} {end_offset})");
                let truth = format!("one that gives up: {} is committed", self.look.high_watermark);
                speaker.wrong(Word::QuorumStep, None, said, truth);
            }
        }
    }

    /// A set of voters counts as soon as it is appended, and no longer than it is there.
    fn of_other_voters(&self, speaker: &mut Speaker<'_>) {
        let before = self.controller.voters();
        let endpoint = Endpoint { host: "elsewhere".to_string(), port: 9093 };
        let stranger = Voter { id: STRANGER, directory_id: Uuid::from_u128(0xd15c_0005), endpoint };
        let voters: Vec<Voter> = before.iter().cloned().chain([stranger]).collect();
        let record = NewRecord {
            timestamp: self.now.wall,
            key: Some(control_key(KRAFT_VOTERS)),
            value: Some(encode_voters(&voters)),
            headers: vec![],
        };
        let options = BuildOptions {
            control: true,
            base_offset: self.end,
            partition_leader_epoch: self.look.epoch,
            ..BuildOptions::default()
        };
        let mut copy = self.copy(speaker);
        let batch = build_batch(&[record], options);
        let next = copy.tell(self.fetch, self.answer(|p| p.records = Some(batch)));
        let end_of = |copy: &Copy<'_>| copy.controller.log().map(|log| log.log_end_offset());
        if copy.controller.look().is_none() || end_of(&copy) != Some(self.end + 1) {
            return;
        }
        let is_as = |copy: &Copy<'_>, voters: &[Voter]| {
            let ids = |of: &[Voter]| of.iter().map(|voter| voter.id).collect::<Vec<_>>();
            ids(&copy.controller.voters()) == ids(voters)
        };
        let mut wrong = |copy: &Copy<'_>, what: &str, truth: &[Voter]| {
            let said =
                format!("{} (when a copy of it was told {what})", voter_answers::in_words(&copy.controller.voters()));
            speaker.wrong(Word::VotersStep, None, said, voter_answers::in_words(truth));
        };
        if !is_as(&copy, &voters) {
            return wrong(&copy, "of one more", &voters);
        }
        let Some(next) = next else { return };
        let (epoch, end_offset) = (self.look.epoch, self.end);
        let cut = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
        copy.tell(next, self.answer(|p| p.diverging_epoch = cut));
        if copy.controller.look().is_some() && end_of(&copy) == Some(self.end) && !is_as(&copy, &before) {
            wrong(&copy, "to cut one more", &before);
        }
    }

    /// After some rounds of fetches it tells where it is reached, if the set of voters says otherwise.
    fn of_its_endpoint(&self, speaker: &mut Speaker<'_>) {
        let rounds_ms = 3 * self.controller.setup().config.controller_quorum_fetch_timeout_ms;
        let me = self.controller.setup().node_id;
        let Some(known) = self.controller.voters().into_iter().find(|voter| voter.id == me) else { return };
        let elsewhere = Endpoint { host: "elsewhere".to_string(), port: 9093 };
        for (what, endpoint, truth) in
            [("where the voters say", known.endpoint, false), ("elsewhere than the voters say", elsewhere, true)]
        {
            let mut copy = self.copy(speaker);
            copy.controller = copy.controller.at_endpoint(endpoint);
            copy.wait(rounds_ms);
            let (conn, call) = self.fetch;
            let response = Ok(Box::new(self.answer(|_| {}).into()));
            let effects = copy.play(Input::Response { conn, call, result: response });
            let is_it = |effect: &Effect| match effect {
                Effect::Call { request, .. } => matches!(**request, RequestKind::UpdateRaftVoter(_)),
                _ => false,
            };
            let words = |tells: bool| if tells { "tells where it is reached" } else { "says nothing of where it is" };
            let (said, truth) = (words(effects.iter().any(is_it)), words(truth));
            if said != truth && copy.controller.look().is_some() {
                let said = format!("a voter that {said} (a copy of it, reached {what})");
                speaker.wrong(Word::VotersStep, None, said, format!("one that {truth}"));
            }
        }
    }

    /// Who follows no more takes no snapshot.
    fn of_a_snapshot(&self, speaker: &mut Speaker<'_>) {
        let mut copy = self.copy(speaker);
        let id = WireSnapshotId::default().with_epoch(self.look.epoch).with_end_offset(self.end + 10);
        copy.tell(self.fetch, self.answer(|p| p.snapshot_id = id));
        let takes = |copy: &Copy<'_>| copy.controller.look().is_some_and(|look| look.takes_snapshot);
        if !takes(&copy) {
            let said = "a follower that takes no snapshot (when a copy of it was told to)".to_string();
            return speaker.wrong(Word::QuorumStep, None, said, "one that takes it".to_string());
        }
        copy.ask(&quorum_questions::vote_in_a_later_epoch(self.controller, self.look));
        let follows = |look: QuorumLook| matches!(look.role, QuorumRole::Follower { .. });
        if takes(&copy) && !copy.controller.look().is_some_and(follows) {
            let said = "one that takes a snapshot and follows nobody (when a copy of it came into a later epoch)";
            speaker.wrong(Word::QuorumStep, None, said.to_string(), "none that takes one".to_string());
        }
    }
}
