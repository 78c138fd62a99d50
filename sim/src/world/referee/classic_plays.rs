//! The life of a group of the classic protocol, from nothing, at the copy of a coordinator: when does a rebalance end, and who
//! is in the group then?
//!
//! Sources: KIP-134, KIP-345, KIP-394, `GroupMetadataManager.maybePrepareRebalanceOrCompleteJoin`,
//! `tryCompleteInitialRebalanceElseSchedule`, `completeClassicGroupJoin`, `expirePendingSync`,
//! `expireClassicGroupMemberHeartbeat`.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, JoinGroupResponse, SyncGroupRequest};
use trial_checker::Word;
use trial_kafka::group::api::{AskId, Request, Response};
use trial_kafka::group::classic::ClassicState;
use trial_kafka::group::config::GroupConfig;

use super::Speaker;
use super::classic_questions::{JOIN, Of, SYNC, text};
use super::group_rehearsal::{Copy, Stage, name_what_was_asked};

/// A version of JoinGroup in which a member comes without an id, and is one at once (before KIP-394).
const OLD_JOIN: i16 = 3;
const DELAY_MS: i32 = 5_000;
/// Shorter than two delays: who waits is not late.
const SESSION_MS: i32 = 8_000;
const LONG_SESSION_MS: i32 = 600_000;
/// As the joins of `Of` have it.
const REBALANCE_MS: i64 = 60_000;

fn configured(config: &mut GroupConfig) {
    config.initial_rebalance_delay_ms = DELAY_MS;
    (config.min_session_timeout_ms, config.max_session_timeout_ms) = (1_000, LONG_SESSION_MS);
    (config.max_size, config.new_member_join_timeout_ms) = (i32::MAX, LONG_SESSION_MS);
}

/// A group that nobody has heard of.
pub(super) fn of_nobody(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    of_the_first_rebalance(stage, speaker);
    of_who_does_not_sync(stage, speaker);
    of_who_is_expected(stage, speaker);
    of_static_members(stage, speaker);
    of_a_leader_that_is_away(stage, speaker);
    of_what_is_written(stage, speaker);
}

struct Play<'b> {
    copy: Copy<'b>,
    group: &'b str,
    /// What was answered so far.
    joined: BTreeMap<AskId, JoinGroupResponse>,
}

impl<'b> Play<'b> {
    fn new(stage: &Stage<'b>) -> Self {
        Play { copy: stage.copy_with(configured), group: stage.group, joined: BTreeMap::new() }
    }
    fn join(&self, member: &str, instance: Option<&str>, session_ms: i32) -> Request {
        let request = Of(self.group).join(member, instance, "consumer", session_ms);
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::new());
        Request::JoinGroup(request.with_protocols(vec![protocol]))
    }
    fn joins(&mut self, version: i16, member: &str, instance: Option<&str>, session_ms: i32) -> AskId {
        let (ask, heard) = self.copy.ask_and_hear(version, self.join(member, instance, session_ms));
        self.note(heard);
        ask
    }
    /// The leader says what everybody reads.
    fn leader_syncs(&mut self, leader: &JoinGroupResponse) {
        let (_, heard) = self.copy.ask_and_hear(SYNC, self.sync_of(leader));
        self.note(heard);
    }
    fn sync_of(&self, leader: &JoinGroupResponse) -> Request {
        let assigned = |member: &str| SyncGroupRequestAssignment::default().with_member_id(text(member));
        let assignments = leader.members.iter().map(|member| assigned(&member.member_id)).collect();
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(self.group)))
            .with_member_id(leader.member_id.clone())
            .with_generation_id(leader.generation_id)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments);
        Request::SyncGroup(request)
    }
    fn passes(&mut self, ms: i64) {
        let heard = self.copy.pass_and_hear(ms);
        self.note(heard);
    }
    fn note(&mut self, heard: Vec<(AskId, Response)>) {
        for (ask, answer) in heard {
            if let Response::JoinGroup(answer) = answer {
                self.joined.insert(ask, answer);
            }
        }
    }
    fn answer(&self, ask: AskId) -> Option<&JoinGroupResponse> {
        self.joined.get(&ask)
    }
    /// Is the group of that many members, in that generation, and have these members been answered?
    fn must(
        &self,
        what: &str,
        (members, generation): (usize, i32),
        asks: &[(AskId, bool)],
        speaker: &mut Speaker<'_>,
    ) -> bool {
        let heard = speaker.notes.len();
        let words = |members: usize, generation: i32, answered: Vec<bool>| {
            format!("{members} members in generation {generation}, answered: {answered:?}")
        };
        let (is, in_generation) =
            self.copy.classic().map_or((0, -1), |group| (group.members().len(), group.generation()));
        let answered = asks.iter().map(|(ask, _)| self.answer(*ask).is_some()).collect();
        let due = asks.iter().map(|(_, is_answered)| *is_answered).collect();
        let (said, truth) = (words(is, in_generation, answered), words(members, generation, due));
        let is_so = said == truth;
        speaker.says(Word::GroupRebalance, None, said, truth);
        name_what_was_asked(what, heard, speaker);
        is_so
    }
}

/// The first member waits for others, and each that comes prolongs that. Who waits is not late.
fn of_the_first_rebalance(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut play = Play::new(stage);
    let first = play.joins(OLD_JOIN, "", None, SESSION_MS);
    play.passes(i64::from(DELAY_MS) / 2);
    let second = play.joins(OLD_JOIN, "", None, SESSION_MS);
    play.must("to join, and for how long that takes", (2, 0), &[(first, false), (second, false)], speaker);
    play.passes(i64::from(DELAY_MS) / 2 + 1);
    play.must("to join, and how long it waits for others", (2, 0), &[(first, false), (second, false)], speaker);
    play.passes(i64::from(DELAY_MS));
    play.must("to join, and whether it ends", (2, 1), &[(first, true), (second, true)], speaker);
}

/// A group of so many members in its first generation, with the answer that each got; the leader has not synced.
fn grown<'b>(
    stage: &Stage<'b>,
    session_ms: i32,
    instances: &[Option<&str>],
) -> Option<(Play<'b>, Vec<JoinGroupResponse>)> {
    let mut play = Play::new(stage);
    let mut asks = Vec::new();
    for instance in instances.iter().copied() {
        let version = if instance.is_some() { JOIN } else { OLD_JOIN };
        asks.push(play.joins(version, "", instance, session_ms));
    }
    play.passes(2 * i64::from(DELAY_MS) + 1);
    let answers: Option<Vec<_>> = asks.iter().map(|ask| play.answer(*ask).cloned()).collect();
    Some((play, answers?))
}

fn leader_of(answers: &[JoinGroupResponse]) -> Option<&JoinGroupResponse> {
    answers.iter().find(|answer| answer.leader == answer.member_id)
}

/// Who got a generation and does not ask for its share is no member any more.
fn of_who_does_not_sync(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some((mut play, answers)) = grown(stage, LONG_SESSION_MS, &[None, None]) else { return };
    let Some(leader) = leader_of(&answers) else { return };
    play.leader_syncs(leader);
    play.passes(REBALANCE_MS / 2);
    play.must("to go on with one member that has not synced", (2, 1), &[], speaker);
    play.passes(REBALANCE_MS / 2 + 1);
    let heard = speaker.notes.len();
    let is_there =
        |answer: &JoinGroupResponse| play.copy.classic().is_some_and(|group| group.member(&answer.member_id).is_some());
    let others = answers.iter().filter(|answer| answer.member_id != leader.member_id);
    let words = |others: usize| format!("{others} members that have not synced");
    speaker.says(Word::MemberRemoval, None, words(others.filter(|other| is_there(other)).count()), words(0));
    name_what_was_asked("to go on with a member that does not sync in time", heard, speaker);
}

/// A member that was given its id is expected to come with it.
fn of_who_is_expected(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some((mut play, answers)) = grown(stage, SESSION_MS, &[None]) else { return };
    let Some(first) = leader_of(&answers).cloned() else { return };
    play.leader_syncs(&first);
    let named = play.joins(JOIN, "", None, LONG_SESSION_MS);
    let Some(id) = play.answer(named).map(|answer| answer.member_id.to_string()) else { return };
    let other = play.joins(OLD_JOIN, "", None, LONG_SESSION_MS);
    let again = play.joins(JOIN, &first.member_id, None, SESSION_MS);
    // Who waits for an answer is not late, however short its session.
    play.passes(2 * i64::from(SESSION_MS));
    let what = "to rebalance while a member is expected";
    if play.must(what, (2, 1), &[(other, false), (again, false)], speaker) {
        let comes = play.joins(JOIN, &id, None, LONG_SESSION_MS);
        let all = [(other, true), (again, true), (comes, true)];
        play.must("to rebalance when it has come", (3, 2), &all, speaker);
    }
}

/// A static member that misses a rebalance is a member still.
fn of_static_members(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some((mut play, answers)) = grown(stage, LONG_SESSION_MS, &[None, Some("of the play")]) else { return };
    let Some(leader) = leader_of(&answers).cloned() else { return };
    play.leader_syncs(&leader);
    let dynamic = answers[0].clone();
    let other = play.joins(OLD_JOIN, "", None, LONG_SESSION_MS);
    let again = play.joins(JOIN, &dynamic.member_id, None, LONG_SESSION_MS);
    play.passes(REBALANCE_MS + 1);
    let what = "to rebalance without a static member";
    play.must(what, (3, 2), &[(other, true), (again, true)], speaker);
}

/// Who leads is one that has joined.
fn of_a_leader_that_is_away(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some((mut play, answers)) = grown(stage, LONG_SESSION_MS, &[Some("of the play")]) else { return };
    play.leader_syncs(&answers[0]);
    let other = play.joins(OLD_JOIN, "", None, LONG_SESSION_MS);
    play.passes(REBALANCE_MS + 1);
    let Some(answer) = play.answer(other) else { return };
    let heard = speaker.notes.len();
    let words = |leads: bool| format!("that the only one that has joined leads: {leads}");
    speaker.says(Word::GroupRebalance, None, words(answer.leader == answer.member_id), words(true));
    name_what_was_asked("to rebalance without the leader", heard, speaker);
}

/// A new group is written at once; an assignment that is committed when its generation is over is not taken.
fn of_what_is_written(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut play = Play::new(stage);
    let heard = speaker.notes.len();
    let (_, handled) = play.copy.hand_in(OLD_JOIN, play.join("", None, LONG_SESSION_MS));
    let words = |is_written: bool| format!("that it is written: {is_written}");
    speaker.says(Word::GroupRebalance, None, words(!handled.records.is_empty()), words(true));
    name_what_was_asked("to begin a group", heard, speaker);

    let Some((mut play, answers)) = grown(stage, LONG_SESSION_MS, &[None]) else { return };
    let (_, handled) = play.copy.hand_in(SYNC, play.sync_of(&answers[0]));
    play.copy.append(&handled);
    for member in ["", answers[0].member_id.as_str()] {
        let (_, handled) = play.copy.hand_in(OLD_JOIN, play.join(member, None, LONG_SESSION_MS));
        play.copy.append(&handled);
    }
    let state = |play: &Play<'_>| play.copy.classic().map_or("no group", |group| group.state().name()).to_string();
    let before = state(&play);
    let heard = speaker.notes.len();
    play.copy.commit();
    speaker.says(Word::GroupRebalance, None, state(&play), before);
    name_what_was_asked("to go on, when the assignment of the generation before is committed", heard, speaker);
    // Nor is one that is never committed: a coordinator that comes after would not know of it.
    let Some((mut play, answers)) = grown(stage, LONG_SESSION_MS, &[None]) else { return };
    let (_, handled) = play.copy.hand_in(SYNC, play.sync_of(&answers[0]));
    play.copy.append(&handled);
    let mut patience = play.copy.config().offset_commit_timeout_ms;
    while let Some(effects) = play.copy.pass_uncommitted(std::mem::take(&mut patience)) {
        play.copy.append(&effects);
    }
    let heard = speaker.notes.len();
    speaker.says(Word::GroupRebalance, None, state(&play), ClassicState::PreparingRebalance.name().to_string());
    name_what_was_asked("for an assignment that is never committed", heard, speaker);
}
