//! Who of a group lives, as far as its coordinator has heard: nobody who does is removed for silence.

use std::collections::BTreeMap;

use trial_checker::Word;
use trial_kafka::event::Event;
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
pub(super) fn note_life(lives: &mut Lives, node: NodeIx, due: &DueOfGroup, sign: Option<Sign>, now: Nanos) {
    if let Some((member, session_ms, is_static)) = sign {
        lives.insert((node, due.group.clone(), member), Life { heard: now, session_ms, is_static });
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
