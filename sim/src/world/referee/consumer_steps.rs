//! How a group of the consumer protocol goes on with a member's heartbeat: KIP-848 a second time, from what was there before.
//!
//! ```text
//!   heartbeat ─▶ group and member before ─┐
//!   handler   ─▶ the target, which others have what ─▶ the member as it has to be now ─▶ is it? is it told so?
//! ```
//!
//! Not judged: what the assignor gives to whom, whether topics have changed. What is written may be taken back: it counts
//! once the member is answered.

use std::collections::BTreeSet;
use std::fmt;

use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_checker::Word;
use trial_kafka::group::consumer::{ConsumerGroup, ConsumerMember, LEAVE, LEAVE_STATIC, MemberState};
use trial_kafka::group::coordinator::Group;
use trial_kafka::group::records::Partitions;
use uuid::Uuid;

use super::Speaker;

pub(super) type Shares = BTreeSet<(Uuid, i32)>;

/// A heartbeat that the group must take, and what there was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heartbeat {
    said: i32,
    before: Member,
    owned: Option<Shares>,
    group_epoch: i32,
    /// The group's epoch must rise for what the member says, or because it comes.
    must_rise: bool,
    /// The member says all that it has to say, and is told all.
    says_all: bool,
    /// What was so behind the handler, and what has to be.
    steps: Vec<(Word, String, String)>,
    due: Option<Member>,
}

/// A member as far as it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) has: Shares,
    pub(super) gives_back: Shares,
}

impl Member {
    fn of(member: &ConsumerMember) -> Member {
        Member {
            id: member.id.clone(),
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            state: member.state,
            has: shares(&member.assigned),
            gives_back: shares(&member.pending_revocation),
        }
    }
    fn new(id: &str) -> Member {
        let (has, gives_back) = (Shares::new(), Shares::new());
        Member { id: id.to_string(), epoch: 0, previous_epoch: 0, state: MemberState::Stable, has, gives_back }
    }

    /// What the member is to have next, while others have what they have. Source: `CurrentAssignmentBuilder.build`,
    /// `computeNextAssignment`.
    pub(super) fn next(&self, target_epoch: i32, target: &Shares, held: &Shares, owned: Option<&Shares>) -> Member {
        let owns_any = |these: &Shares| owned.is_none_or(|owned| !owned.is_disjoint(these));
        let epoch = match self.state {
            MemberState::Stable if self.epoch == target_epoch => return self.clone(),
            MemberState::UnrevokedPartitions if owns_any(&self.gives_back) => return self.clone(),
            MemberState::UnrevokedPartitions => self.epoch + 1,
            MemberState::Stable | MemberState::UnreleasedPartitions | MemberState::Unknown(_) => self.epoch,
        };
        let kept: Shares = self.has.intersection(target).copied().collect();
        let revoked: Shares = self.has.difference(target).copied().collect();
        let next = |epoch, state, has, gives_back| Member {
            id: self.id.clone(),
            epoch,
            previous_epoch: self.epoch,
            state,
            has,
            gives_back,
        };
        if !revoked.is_empty() && owns_any(&revoked) {
            return next(epoch, MemberState::UnrevokedPartitions, kept, revoked);
        }
        // What it was to give back itself is free from its next heartbeat on.
        let is_held = |share: &&(Uuid, i32)| held.contains(*share) || self.gives_back.contains(*share);
        let (withheld, added): (Shares, Shares) = target.difference(&self.has).partition(|share| is_held(share));
        let state = if withheld.is_empty() { MemberState::Stable } else { MemberState::UnreleasedPartitions };
        next(target_epoch, state, &kept | &added, Shares::new())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted =
            |shares: &Shares| shares.iter().map(|(_, partition)| partition.to_string()).collect::<Vec<_>>().join(" ");
        let state = match self.state {
            MemberState::Stable => "stable",
            MemberState::UnrevokedPartitions => "unrevoked",
            MemberState::UnreleasedPartitions => "unreleased",
            MemberState::Unknown(_) => "unknown",
        };
        write!(f, "epoch {} after {}, {state}, with [{}]", self.epoch, self.previous_epoch, counted(&self.has))?;
        match self.gives_back.is_empty() {
            true => Ok(()),
            false => write!(f, " giving back [{}]", counted(&self.gives_back)),
        }
    }
}

fn shares(partitions: &Partitions) -> Shares {
    partitions.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition))).collect()
}

impl Heartbeat {
    /// A heartbeat that has nothing wrong with it. `None`: not judged.
    pub(super) fn of(
        request: &ConsumerGroupHeartbeatRequest,
        group: Option<&Group>,
        known: Option<&ConsumerMember>,
    ) -> Option<Heartbeat> {
        let id = request.member_id.as_str();
        let group = match group {
            Some(Group::Consumer(group)) => Some(group),
            Some(Group::Classic(_)) => return None,
            None => None,
        };
        let group_epoch = group.map_or(0, ConsumerGroup::epoch);
        let of_instance = request
            .instance_id
            .as_deref()
            .and_then(|instance| group?.members().values().find(|member| member.instance.as_deref() == Some(instance)));
        // A static member that comes again goes on from where it was, under another id and without an epoch.
        let known = known.or(of_instance.filter(|_| request.member_epoch == 0));
        if matches!(known, Some(ConsumerMember { state: MemberState::Unknown(_), .. })) {
            return None;
        }
        let mut before = known.map_or_else(|| Member::new(id), Member::of);
        // It keeps its id, or has another one.
        if before.id != id || (request.member_epoch == 0 && before.epoch == LEAVE_STATIC) {
            before = Member { id: id.to_string(), epoch: 0, previous_epoch: 0, ..before };
        }
        let names: Option<BTreeSet<&str>> =
            request.subscribed_topic_names.as_ref().map(|names| names.iter().map(|name| name.as_str()).collect());
        let named: BTreeSet<&str> =
            known.iter().flat_map(|member| &member.subscribed_topic_names).map(String::as_str).collect();
        let old = known.and_then(|member| member.subscribed_topic_regex.as_deref()).filter(|regex| !regex.is_empty());
        let loses_regex =
            old.is_some() && request.subscribed_topic_regex.as_deref().is_some_and(|new| Some(new) != old);
        let owned = request.topic_partitions.as_ref().map(|owned| {
            owned.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index))).collect()
        });
        let says_all = request.member_epoch == 0
            || (request.rebalance_timeout_ms != -1
                && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
                && request.topic_partitions.is_some());
        Some(Heartbeat {
            said: request.member_epoch,
            before,
            owned,
            group_epoch,
            must_rise: group_epoch == 0 || names.is_some_and(|names| names != named) || loses_regex,
            says_all,
            steps: Vec::new(),
            due: None,
        })
    }

    /// The handler is through: has become of group and member what must?
    pub(super) fn look(&mut self, group: Option<&Group>) {
        let Some(Group::Consumer(group)) = group else { return };
        let now = group.members().get(&self.before.id);
        let rises = group.epoch() - self.group_epoch;
        let may_rise = match self.said {
            LEAVE => 1..=1,
            LEAVE_STATIC => 0..=0,
            _ if self.must_rise => 1..=1,
            _ => 0..=1,
        };
        if !may_rise.contains(&rises) {
            let truth = format!("{}", self.group_epoch + may_rise.start());
            self.steps.push((Word::GroupEpoch, group.epoch().to_string(), truth));
        }
        let due = match self.said {
            LEAVE => None,
            LEAVE_STATIC => Some(Member { epoch: LEAVE_STATIC, gives_back: Shares::new(), ..self.before.clone() }),
            _ => {
                if group.target_epoch() != group.epoch() {
                    let (said, truth) = (group.target_epoch().to_string(), group.epoch().to_string());
                    self.steps.push((Word::TargetEpoch, said, truth));
                }
                let target = group.target(&self.before.id).map(shares).unwrap_or_default();
                let others = group.members().values().filter(|member| member.id != self.before.id);
                let held: Shares =
                    others.flat_map(|member| &shares(&member.assigned) | &shares(&member.pending_revocation)).collect();
                Some(self.before.next(group.target_epoch(), &target, &held, self.owned.as_ref()))
            }
        };
        let in_words = |member: Option<&Member>| member.map_or("gone".to_string(), Member::to_string);
        let now = now.map(Member::of);
        if now != due {
            self.steps.push((Word::MemberStep, in_words(now.as_ref()), in_words(due.as_ref())));
        }
        self.due = due;
    }

    /// The member is answered: what was done is so, and what is told follows from it.
    pub(super) fn judge(&self, response: &ConsumerGroupHeartbeatResponse, speaker: &mut Speaker<'_>) {
        if response.error_code != 0 {
            return;
        }
        for (word, said, truth) in &self.steps {
            speaker.wrong(*word, None, said.clone(), truth.clone());
        }
        let Some(due) = self.due.as_ref().filter(|_| self.said >= 0 && self.steps.is_empty()) else { return };
        speaker.says(Word::ToldEpoch, None, response.member_epoch, due.epoch);
        let told = response.assignment.as_ref().map(|told| {
            let of = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
                topic.partitions.iter().map(|index| (topic.topic_id, *index)).collect::<Vec<_>>()
            };
            told.topic_partitions.iter().flat_map(of).collect::<Shares>()
        });
        let is_news = self.says_all || self.before.has != due.has;
        if told.as_ref() != Some(&due.has).filter(|_| is_news) {
            let in_words = |has: Option<&Shares>| match has {
                None => "nothing".to_string(),
                Some(has) => Member { has: has.clone(), gives_back: Shares::new(), ..due.clone() }.to_string(),
            };
            let truth = in_words(Some(&due.has).filter(|_| is_news));
            speaker.wrong(Word::ToldAssignment, None, in_words(told.as_ref()), truth);
        }
    }
}
