//! Who of a group lives, as far as its coordinator has heard: nobody who does is removed for silence.

use std::collections::BTreeMap;

use trial_checker::Word;
use trial_kafka::event::Event;
use trial_kafka::group::coordinator::Group;
use trial_kafka::node::{Nanos, ReqId};

use super::group_answers::DueOfGroup;
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
}

/// So long after its time a member may still be there: whoever removes it has something else to do first.
const GRACE: Nanos = 1_000_000_000;
/// Nor is one look enough: a process that stood still has not come to its timers yet.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Nanos = 500_000_000;

impl Life {
    fn new(heard: Nanos, session_ms: i32, is_static: bool) -> Life {
        Life { heard, session_ms, is_static, looks: (0, 0) }
    }
}

/// A member lives: its id, how long it may be silent, and whether it is a static one.
pub(super) type Sign = (String, i32, bool);

/// A member asks anew, or lives on: what it waited for before it has an answer to, or has given up.
pub(super) fn forget_earlier_waits(dues: &mut BTreeMap<(NodeIx, ReqId), Due>, now: &DueOfGroup, sign: Option<&Sign>) {
    let Some(member) = now.waits.as_ref().or(sign.map(|(member, ..)| member)) else { return };
    for due in dues.values_mut() {
        if let Due::Group(due) = due
            && due.group == now.group
            && due.waits.as_ref() == Some(member)
        {
            due.waits = None;
        }
    }
}

/// A member lives.
pub(super) fn note_life(lives: &mut Lives, node: NodeIx, group: &str, sign: Option<Sign>, now: Nanos) {
    if let Some((member, session_ms, is_static)) = sign {
        lives.insert((node, group.to_string(), member), Life::new(now, session_ms, is_static));
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
        let session = u64::try_from(life.session_ms).unwrap_or(0) * 1_000_000;
        if now < life.heard + session + GRACE || now < life.looks.1 + BETWEEN_LOOKS {
            continue;
        }
        let is_there = match broker.coordinated_now(group) {
            Some(Group::Classic(group)) => group.member(member).is_some(),
            Some(Group::Consumer(group)) => group.members().contains_key(member),
            None => false,
        };
        if !is_there {
            continue;
        }
        life.looks = (life.looks.0 + 1, now);
        if life.looks.0 == LOOKS {
            let silent_ms = (now - life.heard) / 1_000_000;
            let said = format!("nothing, silent for {silent_ms} ms,");
            speaker.wrong(Word::LateMember, None, said, format!("its removal after {} ms", life.session_ms));
        }
    }
}
