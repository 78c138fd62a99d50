//! Who of a group lives, as far as its coordinator has heard: nobody who does is removed for silence.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::event::Event;
use trial_kafka::group::classic::{ClassicMember, ClassicState};
use trial_kafka::group::coordinator::Group;
use trial_kafka::group::partition_for::OFFSETS_TOPIC;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Nanos, ReqId};

use super::group_answers::DueOfGroup;
use super::replicas::min_isr;
use super::{Due, Speaker};
use crate::trace::NodeIx;

/// When a coordinator last heard of each member, and how long that one may be silent.
pub(super) type Lives = BTreeMap<(NodeIx, String, String), Life>;

/// See [`Lives`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    heard: Nanos,
    session_ms: i32,
    is_static: bool,
    /// How often it was looked at after its time, and when for the last time.
    looks: (u32, Nanos),
    /// From here on its silence counts against who does not remove it.
    silent_from: Nanos,
    /// What its group, if of the classic protocol, went through when it was looked at last.
    phase: Option<(i32, ClassicState)>,
}

/// So long after its time a member may still be there: whoever removes it has something else to do first.
const GRACE: Nanos = 1_000_000_000;
/// Nor is one look enough: a process that stood still has not come to its timers yet.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Nanos = 500_000_000;

impl Life {
    fn new(heard: Nanos, session_ms: i32, is_static: bool) -> Life {
        Life { heard, session_ms, is_static, looks: (0, 0), silent_from: heard, phase: None }
    }
}

/// A member lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) member: String,
    /// How long it may be silent.
    pub(super) session_ms: i32,
    pub(super) is_static: bool,
    /// When it was heard.
    pub(super) at: Nanos,
}

/// A member asks anew, or lives on: what it waited for before it has an answer to, or has given up.
pub(super) fn forget_earlier_waits(dues: &mut BTreeMap<(NodeIx, ReqId), Due>, now: &DueOfGroup) {
    let Some(member) = now.waits.as_ref().or(now.sign.as_ref().map(|sign| &sign.member)) else { return };
    for due in dues.values_mut() {
        if let Due::Group(due) = due
            && due.group == now.group
            && due.waits.as_ref() == Some(member)
        {
            due.waits = None;
        }
    }
}

/// A member says something by which its time may begin anew: from here on its silence counts. What cannot be written is answered with an
/// error, but its timer runs.
pub(super) fn note_word(lives: &mut Lives, node: NodeIx, group: &str, member: &str, now: Nanos) {
    if let Some(life) = lives.get_mut(&(node, group.to_string(), member.to_string())) {
        (life.silent_from, life.looks.0) = (now, 0);
    }
}

/// A member lives: what it said has come to pass, and was answered. Where that goes wrong its timer may run as before: whoever
/// fails to assign anything comes to no timer.
pub(super) fn note_life(lives: &mut Lives, node: NodeIx, group: &str, sign: Sign) {
    let life = Life::new(sign.at, sign.session_ms, sign.is_static);
    match lives.entry((node, group.to_string(), sign.member)) {
        Entry::Vacant(vacant) => drop(vacant.insert(life)),
        Entry::Occupied(mut known) => {
            let silent_from = known.get().silent_from.max(life.silent_from);
            let heard = known.get().heard.max(life.heard);
            *known.get_mut() = Life { heard, silent_from, ..life };
        }
    }
}

/// A member that is removed for its silence was silent, and did not wait for its group; a static one is not removed because
/// it did not join. Source: KIP-345, `GroupMetadataManager.expireClassicGroupMemberHeartbeat`, `completeClassicGroupJoin`.
pub(super) fn judge_removal(
    lives: &mut Lives,
    due: &BTreeMap<(NodeIx, ReqId), Due>,
    event: &Event,
    now: Nanos,
    speaker: &mut Speaker<'_>,
) {
    let Event::MemberRemoved { group, member, why } = event else { return };
    let life = lives.remove(&(speaker.node, group.clone(), member.clone()));
    let (of_silence, of_rebalance) = (why.contains("silent"), why.contains("did not join"));
    let waits = |due: &Due| matches!(due, Due::Group(due) if due.group == *group && due.waits.as_ref() == Some(member));
    let mine = (speaker.node, ReqId(0))..=(speaker.node, ReqId(u64::MAX));
    if of_silence && due.range(mine).any(|(_, due)| waits(due)) {
        return speaker.wrong(Word::MemberRemoval, None, why.clone(), "that it waits for its group".to_string());
    }
    let Some(life) = life else { return };
    let silent_ms = (now - life.heard) / 1_000_000;
    if of_silence && silent_ms + 1 < u64::try_from(life.session_ms).unwrap_or(0) {
        let truth = format!("that it was for {silent_ms} of {} ms", life.session_ms);
        speaker.wrong(Word::MemberRemoval, None, why.clone(), truth);
    }
    if of_rebalance && life.is_static {
        speaker.wrong(Word::MemberRemoval, None, why.clone(), "that it is a static one, which stays".to_string());
    }
}

/// A coordinator has loaded its groups: from now on it watches their members, whenever it last heard of them. Source:
/// `GroupMetadataManager.onLoaded`.
pub(super) fn note_loaded(lives: &mut Lives, event: &Event, now: Nanos, speaker: &Speaker<'_>) {
    let Event::CoordinatorLoaded { partition, .. } = event else { return };
    let Some(broker) = speaker.slot.broker() else { return };
    lives.retain(|(node, group, _), _| {
        *node != speaker.node || broker.coordinates_in(group) != Some(partition.partition)
    });
    for (id, group, config) in broker.groups_in(partition.partition) {
        let mut insert = |member: &str, session_ms, is_static| {
            lives.insert((speaker.node, id.to_string(), member.to_string()), Life::new(now, session_ms, is_static));
        };
        match group {
            Group::Classic(group) => {
                for (id, member) in group.members() {
                    insert(id, member.session_timeout_ms(), member.instance().is_some());
                }
            }
            Group::Consumer(group) => {
                for (id, member) in group.members() {
                    insert(id, config.consumer_session_timeout_ms, member.instance.is_some());
                }
            }
        }
    }
}

/// A member asks to join, and may wait for its group: it lives as long as it waits, and nobody hears of it.
pub(super) fn forget_life(lives: &mut Lives, node: NodeIx, group: &str, member: &str) {
    lives.remove(&(node, group.to_string(), member.to_string()));
}

/// Is anybody still in a group who was to be removed for its silence? Source:
/// `GroupMetadataManager.scheduleConsumerGroupSessionTimeout`, `rescheduleClassicGroupMemberHeartbeat`.
pub(super) fn look_for_the_late(lives: &mut Lives, now: Nanos, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    let mine = (speaker.node, String::new(), String::new())..(NodeIx(speaker.node.0 + 1), String::new(), String::new());
    for ((_, group, member), life) in lives.range_mut(mine) {
        let coordinated = broker.coordinated_now(group);
        // Who waits for its group has its answer when that goes on, and its time begins then. What is heard of it meanwhile is of
        // its former life, on another connection.
        if let Some(Group::Classic(group)) = coordinated {
            let phase = Some((group.generation(), group.state()));
            if life.phase != phase || group.member(member).is_some_and(ClassicMember::waits) {
                (life.phase, life.silent_from, life.looks.0) = (phase, now, 0);
            }
        }
        let session = u64::try_from(life.session_ms).unwrap_or(0) * 1_000_000;
        if now < life.silent_from + session + GRACE || now < life.looks.1 + BETWEEN_LOOKS {
            continue;
        }
        let is_there = match coordinated {
            Some(Group::Classic(group)) => group.member(member).is_some(),
            Some(Group::Consumer(group)) => group.members().contains_key(member),
            None => false,
        };
        if !is_there {
            continue;
        }
        if !commits(broker, group) {
            // That it was removed may have been taken back, to be tried again.
            (life.silent_from, life.looks.0) = (now, 0);
            continue;
        }
        life.looks = (life.looks.0 + 1, now);
        if life.looks.0 == LOOKS {
            let silent_ms = (now - life.silent_from) / 1_000_000;
            let said = format!("nothing, silent for {silent_ms} ms,");
            speaker.wrong(Word::LateMember, None, said, format!("its removal after {} ms", life.session_ms));
        }
    }
}

/// Is all that the coordinator of this group has written committed, and may it write more?
fn commits(broker: &Broker, group: &str) -> bool {
    let log = |partition| broker.partition(&TopicPartition::new(&Topic::new(OFFSETS_TOPIC), partition));
    broker.coordinates_in(group).and_then(log).is_some_and(|log| {
        let may_append = log.leader_state().is_some_and(|state| state.isr.committed().len() >= min_isr(log));
        may_append && log.high_watermark() == log.log_end_offset()
    })
}
