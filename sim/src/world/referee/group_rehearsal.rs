//! What would a coordinator answer if it were asked? A copy of it is asked what in this run perhaps nobody asks.
//!
//! ```text
//!   question to a group ─▶ judged ─▶ is the group in a state that is new in this run?
//!                                        │ yes
//!   the coordinator ─▶ copies, one for each dialogue ─▶ questions ─▶ due ─▶ state and answers are judged as any others
//! ```
//!
//! Members know who they are and which generation they are in; that a coordinator looks does not show as long as they do.
//! The copy is of one coordinator alone, without its broker: what it writes is appended and committed at once and goes
//! nowhere, and its clock goes on only when the dialogue says so. What it may be told of its configuration is told to the
//! copy, too: else no group of a run were ever full.

use std::borrow::Cow;
use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{DeleteGroupsResponse, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::{Broker, GroupQuestion};
use trial_kafka::group::api::{AskId, Caller, Request, Response};
use trial_kafka::group::classic::ClassicGroup;
use trial_kafka::group::config::GroupConfig;
use trial_kafka::group::consumer::{ConsumerGroup, LEAVE_STATIC, MemberState};
use trial_kafka::group::coordinator::{Context, Group};
use trial_kafka::group::shard::{Effects, Shard};
use trial_kafka::metadata::{MetadataImage, MetadataRecord};
use trial_kafka::node::{Now, ReqId};
use trial_kafka::protocol::errors::code_name;
use trial_kafka::zoo::Zoo;
use uuid::Uuid;

use super::group_answers::{self, DueOfGroup};
use super::{
    Speaker, classic_plays, classic_questions, consumer_group_plays, consumer_questions, coordinator_plays,
    group_gate_questions, offset_plays,
};
use crate::world::Note;

/// Beyond the end of any log: what a copy writes ends here, and further on.
const BEYOND: i64 = i64::MAX / 2;
/// A copy that has more to do than this when its clock goes on is left alone.
const MOST_TIMERS: usize = 1_000;

/// A group of which nobody has heard, and what stands for it among the kinds of states.
const STRANGER: &str = "of the rehearsal";
const NO_SHAPE: u64 = u64::MAX;

/// In which kind of state is this group? What is asked depends on that.
fn shape(group: Option<&Group>) -> u64 {
    let of_size = |size: usize| size.min(2) as u64;
    match group {
        None => 0,
        Some(Group::Classic(group)) => {
            let has_static = group.members().values().any(|member| member.instance().is_some());
            let bits = [has_static, group.generation() > 0, group.leader().is_some()];
            1 << 60 | (group.state() as u64) << 8 | of_size(group.members().len()) << 4 | in_bits(&bits)
        }
        Some(Group::Consumer(group)) => {
            let any =
                |is: &dyn Fn(&trial_kafka::group::consumer::ConsumerMember) -> bool| group.members().values().any(is);
            let bits = [
                any(&|member| member.instance.is_some()),
                any(&|member| member.epoch == LEAVE_STATIC),
                any(&|member| member.state == MemberState::UnrevokedPartitions),
                any(&|member| member.previous_epoch > 0 && member.previous_epoch < member.epoch),
            ];
            2 << 60 | (group.state() as u64) << 8 | of_size(group.members().len()) << 4 | in_bits(&bits)
        }
    }
}

fn in_bits(bits: &[bool]) -> u64 {
    bits.iter().fold(0, |all, bit| all << 1 | u64::from(*bit))
}

/// Asks copies of the coordinator of this group, if that is in a state that is new.
pub(super) fn rehearse(
    rehearsed: &mut BTreeSet<u64>,
    broker: &Broker,
    group: &str,
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    if !rehearsed.insert(shape(broker.coordinated_now(group))) {
        return;
    }
    let Some(stage) = Stage::of(broker, group, now) else { return };
    if rehearsed.insert(NO_SHAPE) {
        group_gate_questions::rehearse(broker, group, now, speaker);
        let stage = Stage { group: STRANGER, ..stage };
        classic_questions::of_nobody(&stage, speaker);
        offset_plays::of_nobody(&stage, speaker);
        classic_plays::of_nobody(&stage, speaker);
        consumer_group_plays::of_nobody(&stage, speaker);
    }
    coordinator_plays::rehearse(rehearsed, broker, group, now, speaker);
    let stage = Stage { group, ..stage };
    match stage.shard.group(group) {
        None => classic_questions::of_nobody(&stage, speaker),
        Some(Group::Classic(group)) => {
            classic_questions::rehearse(&stage, group, speaker);
            offset_plays::of_members(&stage, group, speaker);
        }
        Some(Group::Consumer(group)) => consumer_questions::rehearse(&stage, group, speaker),
    }
}

/// A coordinator of which copies are made.
#[derive(Clone, Copy)]
pub(super) struct Stage<'b> {
    pub(super) shard: &'b Shard,
    metadata: &'b MetadataImage,
    pub(super) group: &'b str,
    now: Now,
}

impl<'b> Stage<'b> {
    /// `None`: the broker does not coordinate this group, or does not know its groups yet.
    pub(super) fn of(broker: &'b Broker, group: &'b str, now: Now) -> Option<Self> {
        let shard = broker.coordinator_of(group)?;
        Some(Stage { shard, metadata: broker.image(), group, now })
    }
    /// A copy as it is.
    pub(super) fn copy(&self) -> Copy<'b> {
        self.copy_with(|_| {})
    }
    /// A copy that is configured otherwise.
    pub(super) fn copy_with(&self, configure: impl FnOnce(&mut GroupConfig)) -> Copy<'b> {
        let mut config = self.shard.config().clone();
        configure(&mut config);
        let shard = self.shard.clone().with_config(config);
        let metadata = Cow::Borrowed(self.metadata);
        Copy { shard, metadata, group: self.group.to_string(), now: self.now, asked: 0 }
    }
}

/// A copy of a coordinator.
pub(super) struct Copy<'b> {
    shard: Shard,
    metadata: Cow<'b, MetadataImage>,
    group: String,
    now: Now,
    asked: u64,
}

impl Copy<'_> {
    pub(super) fn group(&self) -> Option<&Group> {
        self.shard.group(&self.group)
    }
    pub(super) fn name(&self) -> &str {
        &self.group
    }
    /// Time passes of which it takes no notice.
    pub(super) fn wait(&mut self, ms: i64) {
        let ahead = u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        self.now = Now { mono: self.now.mono.saturating_add(ahead), wall: self.now.wall.saturating_add(ms) };
    }
    pub(super) fn classic(&self) -> Option<&ClassicGroup> {
        match self.group() {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }
    pub(super) fn consumer(&self) -> Option<&ConsumerGroup> {
        match self.group() {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }
    pub(super) fn config(&self) -> &GroupConfig {
        self.shard.config()
    }

    /// Asks it what is judged as any question.
    pub(super) fn ask(&mut self, what: &str, version: i16, request: impl Into<Asked>, speaker: &mut Speaker<'_>) {
        let request = request.into().0;
        let (group, config) = (request.group().and_then(|id| self.shard.group(id)), self.shard.config());
        let question = GroupQuestion { req: ReqId(0), api_version: version, request: &request, group, config };
        if let Some((_, due)) = group_answers::to_question(&question, self.now.mono) {
            self.put(what, version, request, due, speaker);
        }
    }
    /// Asks it what must be answered with this error.
    pub(super) fn ask_in_vain(
        &mut self,
        what: &str,
        version: i16,
        request: impl Into<Asked>,
        error: ResponseError,
        speaker: &mut Speaker<'_>,
    ) {
        let due = DueOfGroup::refused(&self.group, error);
        self.put(what, version, request.into().0, due, speaker);
    }

    fn put(&mut self, what: &str, version: i16, request: Request, mut due: DueOfGroup, speaker: &mut Speaker<'_>) {
        let heard = speaker.notes.len();
        let (ask, handled) = self.hand_in(version, request);
        let appended = self.append(&handled);
        group_answers::look_at(&mut due, self.shard.group(&self.group), speaker);
        let committed = self.commit();
        let answers = [handled, appended, committed].into_iter().flat_map(|effects| effects.answers);
        let answer = answers.into_iter().find(|(of, _)| *of == ask).and_then(|(_, answer)| of_wire(answer));
        match (answer, due.refusal()) {
            (None, Some(error)) => {
                speaker.wrong(Word::GroupAnswer, None, "nothing".to_string(), code_name(error.code()));
            }
            (Some(answer), Some(error)) => {
                // Here is no log that could be in trouble.
                let is_other = |code: &i16| *code != error.code();
                if let Some(code) = group_answers::codes(&answer).into_iter().find(is_other) {
                    speaker.wrong(Word::GroupAnswer, None, code_name(code), code_name(error.code()));
                }
            }
            (Some(answer), None) => group_answers::judge_group(&due, &answer, speaker),
            (None, None) => {}
        }
        name_what_was_asked(what, heard, speaker);
    }

    /// Hands it a request. What it wants to be written by that is not written yet.
    pub(super) fn hand_in(&mut self, version: i16, request: Request) -> (AskId, Effects) {
        self.asked += 1;
        let ask = AskId(u64::MAX - self.asked);
        let caller = Caller {
            ask,
            api_version: version,
            client_id: "rehearsal".to_string(),
            client_host: "/127.0.0.1".to_string(),
            fresh_id: Uuid::from_u128(u128::MAX - u128::from(self.asked)),
        };
        (ask, self.shard.handle(Context { now: self.now, metadata: &self.metadata }, &caller, request))
    }
    /// What it wants to be written cannot be.
    pub(super) fn fail_to_append(&mut self) -> Effects {
        let cx = Context { now: self.now, metadata: &self.metadata };
        self.shard.not_appended(cx, ResponseError::KafkaStorageError)
    }
    /// What it wants to be written is written.
    pub(super) fn append(&mut self, effects: &Effects) -> Effects {
        let cx = Context { now: self.now, metadata: &self.metadata };
        self.asked += 1;
        match effects.records.is_empty() {
            true => Effects::default(),
            false => self.shard.appended(cx, BEYOND + self.asked as i64),
        }
    }
    /// All that is written is committed.
    pub(super) fn commit(&mut self) -> Effects {
        self.shard.committed(Context { now: self.now, metadata: &self.metadata }, i64::MAX)
    }

    /// Its clock goes on, and nobody says anything. What it answers meanwhile, with what is due by then.
    pub(super) fn pass_and_hear(&mut self, by_ms: i64) -> Vec<(AskId, Response)> {
        let mut heard = Vec::new();
        let end = self.now.mono.saturating_add(u64::try_from(by_ms).unwrap_or(0).saturating_mul(1_000_000));
        for _ in 0..MOST_TIMERS {
            let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) else { break };
            let ahead = i64::try_from(due.saturating_sub(self.now.mono) / 1_000_000).unwrap_or(0);
            self.now = Now { mono: due.max(self.now.mono), wall: self.now.wall.saturating_add(ahead) };
            while let Some(fired) = self.shard.fire(Context { now: self.now, metadata: &self.metadata }) {
                let (appended, committed) = (self.append(&fired), self.commit());
                heard.extend([fired, appended, committed].into_iter().flat_map(|effects| effects.answers));
            }
        }
        let ahead = i64::try_from(end.saturating_sub(self.now.mono) / 1_000_000).unwrap_or(0);
        self.now = Now { mono: end, wall: self.now.wall.saturating_add(ahead) };
        heard
    }
    /// Asks it, and has what is written committed. All that it answers by that, to whomever.
    pub(super) fn ask_and_hear(&mut self, version: i16, request: Request) -> (AskId, Vec<(AskId, Response)>) {
        let (ask, handled) = self.hand_in(version, request);
        let (appended, committed) = (self.append(&handled), self.commit());
        (ask, [handled, appended, committed].into_iter().flat_map(|effects| effects.answers).collect())
    }
    /// Its clock goes on while nothing is committed. Returns what it does first by that, of what is due by then.
    pub(super) fn pass_uncommitted(&mut self, by_ms: i64) -> Option<Effects> {
        self.wait(by_ms);
        self.shard.fire(Context { now: self.now, metadata: &self.metadata })
    }
    /// Time passes of which it takes no notice but that it looks for offsets that are too old.
    pub(super) fn look_for_expired(&mut self, after_ms: i64) {
        self.wait(after_ms);
        let looked = self.shard.look_for_expired(Context { now: self.now, metadata: &self.metadata });
        self.append(&looked);
        self.commit();
    }
    /// It hears these records about a topic, as its broker would tell it of them.
    pub(super) fn hears(&mut self, topic: &str, records: &[MetadataRecord]) {
        let image = self.metadata.to_mut();
        records.iter().for_each(|record| image.apply(image.next_offset, record));
        self.shard.on_topics_changed(&[topic.to_string()].into());
    }
    /// Its coordinator begins to load its log.
    pub(super) fn load_anew(&mut self) {
        self.shard = Shard::new(self.shard.config().clone(), Zoo::default());
    }
    /// A topic that the group is subscribed to, of those that there are.
    pub(super) fn subscribed_topic(&self) -> Option<String> {
        let topics = self.metadata.topics.values().map(|topic| topic.name.as_str());
        topics
            .into_iter()
            .find(|topic| self.group().is_some_and(|group| group.is_subscribed_to(topic)))
            .map(String::from)
    }
    /// Its clock goes on, and nobody says anything. It does one by one what is due by then. False: there is no end of it.
    pub(super) fn pass(&mut self, until_ms: i64) -> bool {
        let start = self.now;
        let ahead = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        let end = start.mono.saturating_add(ahead(until_ms));
        for _ in 0..MOST_TIMERS {
            let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) else {
                self.now = Now { mono: end, wall: start.wall.saturating_add(until_ms) };
                return true;
            };
            let mono = due.max(self.now.mono);
            let wall = start.wall.saturating_add(i64::try_from((mono - start.mono) / 1_000_000).unwrap_or(0));
            self.now = Now { mono, wall };
            while let Some(fired) = self.shard.fire(Context { now: self.now, metadata: &self.metadata }) {
                self.append(&fired);
                self.commit();
            }
        }
        false
    }
}

/// What is wrong with a copy is said with what it was asked.
pub(super) fn name_what_was_asked(what: &str, from: usize, speaker: &mut Speaker<'_>) {
    for note in speaker.notes.iter_mut().skip(from) {
        if let Note::Said(said) = note {
            said.said.push_str(&format!(" (when a copy of it was asked {what})"));
        }
    }
}

/// A request of whatever kind.
pub(super) struct Asked(Request);

macro_rules! asked {
    ($($kind:ident($request:ident)),+) => {
        $(impl From<kafka_protocol::messages::$request> for Asked {
            fn from(request: kafka_protocol::messages::$request) -> Asked {
                Asked(Request::$kind(request))
            }
        })+
    };
}
asked!(
    JoinGroup(JoinGroupRequest),
    SyncGroup(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    LeaveGroup(LeaveGroupRequest),
    OffsetCommit(OffsetCommitRequest),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest)
);

impl From<Request> for Asked {
    fn from(request: Request) -> Asked {
        Asked(request)
    }
}

/// The answer as it goes over the wire.
fn of_wire(answer: Response) -> Option<ResponseKind> {
    Some(match answer {
        Response::JoinGroup(answer) => answer.into(),
        Response::SyncGroup(answer) => answer.into(),
        Response::Heartbeat(answer) => answer.into(),
        Response::LeaveGroup(answer) => answer.into(),
        Response::OffsetCommit(answer) => answer.into(),
        Response::ConsumerGroupHeartbeat(answer) => answer.into(),
        Response::DeleteGroups(groups) => DeleteGroupsResponse::default().with_results(groups).into(),
        _ => return None,
    })
}
