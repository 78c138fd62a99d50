//! What a coordinator knows: the groups of one partition of `__consumer_offsets` and their committed offsets.
//!
//! Two kinds of state stand side by side, as in Kafka. What follows from records (groups of the consumer protocol, offsets,
//! and that a group is there at all) is a [`Timeline`]: it can be taken back. What a group of the classic protocol does
//! between two generations stands in the group alone, and no record tells of it: it is changed where it stands.

use kafka_protocol::error::ResponseError;

use super::api::{Answers, AskId, Response};
use super::classic::ClassicGroup;
use super::config::GroupConfig;
use super::consumer::ConsumerGroup;
use super::records::{OffsetValue, Record};
use super::shard::Happened;
use super::timeline::Timeline;
use super::timers::{Note, Timer, Timers};
use crate::event::Event;
use crate::ids::Topic;
use crate::metadata::MetadataImage;
use crate::node::{Now, ms};
use crate::zoo::Zoo;

/// What a handler may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The clocks.
    pub now: Now,
    /// The cluster's metadata as the broker knows it.
    pub metadata: &'a MetadataImage,
}

/// A group of one protocol or the other.
#[derive(Clone, Debug)]
pub enum Group {
    /// Of the classic protocol, or one that only has offsets.
    Classic(ClassicGroup),
    /// Of the consumer protocol (KIP-848).
    Consumer(ConsumerGroup),
}

impl Group {
    /// Is nobody in it?
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.is_empty(),
        }
    }
    /// Does anybody in it consume this topic, as far as is known?
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }
}

/// Where an offset is committed: group, topic, partition.
pub type OffsetKey = (String, Topic, i32);

/// What is done once the records of a write are committed, or when they never will be.
#[derive(Clone, Debug)]
pub(super) enum OnCommitted {
    /// A group was made that has no generation yet.
    NewGroup,
    /// The assignment of a generation: it is told to its members.
    Assignment(super::classic::sync::AssignmentWrite),
    /// A static member came again under a new member id.
    StaticRejoin(super::classic::static_rejoin::RejoinWrite),
}

/// What came of an operation (`CoordinatorResult`).
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub records: Vec<Record>,
    /// Told when the records are committed; without any, when everything that was written before is.
    pub answer: Option<Response>,
    /// Do the records change the state? Those of the classic protocol tell what was changed already.
    pub replays: bool,
    pub then: Option<OnCommitted>,
}

impl Written {
    /// Nothing is written, and the answer is given elsewhere or not at all.
    pub fn nothing() -> Written {
        Written { records: Vec::new(), answer: None, replays: true, then: None }
    }
    pub fn answer(answer: Response) -> Written {
        Written { answer: Some(answer), ..Written::nothing() }
    }
    pub fn records(records: Vec<Record>, answer: Option<Response>) -> Written {
        Written { records, answer, ..Written::nothing() }
    }
    /// A record that tells of what the group of the classic protocol has done.
    pub fn classic(records: Vec<Record>, then: Option<OnCommitted>) -> Written {
        Written { records, answer: None, replays: false, then }
    }
    pub fn is_nothing(&self) -> bool {
        self.records.is_empty() && self.answer.is_none() && self.then.is_none()
    }
}

pub(super) type Outcome = Result<Written, ResponseError>;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Coordinator {
    pub config: GroupConfig,
    pub zoo: Zoo,
    pub groups: Timeline<String, Group>,
    pub offsets: Timeline<OffsetKey, OffsetValue>,
    pub timers: Timers,
    pub answers: Answers,
    /// What no record tells of, since the last effects.
    pub happened: Vec<Happened>,
    /// End of what is written: changes are made as part of what comes next.
    pub written: i64,
    /// What readers see (`lastCommittedOffset`).
    pub committed: i64,
}

impl Coordinator {
    pub fn new(config: GroupConfig, zoo: Zoo) -> Coordinator {
        Coordinator {
            config,
            zoo,
            groups: Timeline::default(),
            offsets: Timeline::default(),
            timers: Timers::default(),
            answers: Answers::default(),
            happened: Vec::new(),
            written: 0,
            committed: 0,
        }
    }

    /// The group as readers may see it. What a group of the classic protocol does is seen at once.
    pub fn committed_group(&self, id: &str) -> Option<&Group> {
        let committed = self.groups.get_at(id, self.committed)?;
        match (committed, self.groups.get(id)) {
            (Group::Classic(_), Some(now @ Group::Classic(_))) => Some(now),
            _ => Some(committed),
        }
    }
    /// A group of the classic protocol.
    pub fn classic(&self, id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }
    /// A group of the classic protocol, to be changed where it stands.
    pub fn classic_mut(&mut self, id: &str) -> Option<&mut ClassicGroup> {
        match self.groups.in_place(id) {
            Some(Group::Classic(group)) => Some(group),
            _ => None,
        }
    }
    /// A group of the consumer protocol.
    pub fn consumer(&self, id: &str) -> Option<&ConsumerGroup> {
        match self.groups.get(id) {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }
    /// The group of the classic protocol, made if there is none and it may be.
    /// Source: `GroupMetadataManager.getOrMaybeCreateClassicGroup`.
    pub fn classic_or_new(&mut self, cx: Context<'_>, id: &str, create: bool) -> Result<(), ResponseError> {
        match self.groups.get(id) {
            Some(Group::Classic(_)) => Ok(()),
            None if create => {
                let group = ClassicGroup::new(id, cx.now.wall);
                self.groups.insert(self.written, id.to_string(), Group::Classic(group));
                Ok(())
            }
            _ => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// The records that make a group no more, without its offsets (`Group.createGroupTombstoneRecords`).
    pub fn group_tombstones(group: &str, what: &Group, records: &mut Vec<Record>) {
        match what {
            Group::Classic(_) => records.push(Record::ClassicGroup { group: group.to_string(), value: None }),
            Group::Consumer(consumer) => consumer.tombstones(records),
        }
    }

    pub fn set_timer(&mut self, cx: Context<'_>, timer: Timer, after_ms: i64, note: Note) {
        self.timers.set(timer, cx.now.mono.saturating_add(ms(after_ms)), note);
    }
    /// A member of the classic protocol is none any more; it is so at once.
    pub fn tell_member_removed(&mut self, group: &str, member: &str, why: impl Into<String>) {
        let event = Event::MemberRemoved { group: group.to_string(), member: member.to_string(), why: why.into() };
        self.happened.push(Happened { event, if_written: false });
    }
    /// Answers a question that waits.
    pub fn answer(&mut self, ask: AskId, response: Response) {
        self.answers.give(ask, response);
    }
}
