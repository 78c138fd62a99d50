//! The referee of the wire: is it so what nodes say?
//!
//! ```text
//!   request is handed in ─▶ due: what must its answer be? ─┐
//!   handler ─▶ request leaves ─▶ is it true of its sender? ─┼─▶ Note::Said, where it is not so
//!           └▶ answer leaves ─▶ does it follow? ◀───────────┘
//! ```
//!
//! Rules of Kafka stand one behind the other. Where one is broken the next may hide it from every log and every record, but
//! not from who listens. So the referee compares what is said with the state of the node that says it, at the instant at
//! which the node hands it out: behind the handler, before anything leaves. It is written from Kafka's rules, looks at
//! nodes from outside, draws nothing, records no event, and what it knows decides nothing in a run.
//!
//! Nor does all that a node does show in what it says: `controllers` and `replicas` step the state of each by the rules, a
//! second time, and compare it behind each handler. And much is never asked: `rehearsal`, `leader_rehearsal`
//! and `group_rehearsal` ask a copy, `client_rehearsal` plays with a client of the same make.
//!
//! Not judged: what a request is silent about (a fetch session names what has changed), who forwards the words of others,
//! the brokers' fetches of the metadata log, which assignment a group comes to.

mod asked;
mod broker_answers;
mod broker_copy;
mod broker_disk;
mod broker_sessions;
mod classic_plays;
mod classic_questions;
mod client_copy;
mod client_rehearsal;
mod client_script;
mod consumer_answers;
mod consumer_copy;
mod consumer_group_plays;
mod consumer_plays;
mod consumer_questions;
#[cfg(test)]
mod consumer_rehearsal_tests;
mod consumer_steps;
#[cfg(test)]
mod consumer_tests;
mod controller_answers;
#[cfg(test)]
mod controller_tests;
mod controllers;
mod coordinator_plays;
mod decision_questions;
mod deeds;
mod delete_questions;
mod end_of_epoch;
mod ends;
mod follower_plays;
mod form_questions;
mod group_answers;
mod group_client_copy;
mod group_client_plays;
#[cfg(test)]
mod group_client_rehearsal_tests;
mod group_gate_questions;
mod group_lives;
mod group_rehearsal;
#[cfg(test)]
mod group_rehearsal_tests;
#[cfg(test)]
mod group_tests;
mod isr_plays;
mod leader_rehearsal;
#[cfg(test)]
mod leader_rehearsal_tests;
mod made_batches;
mod made_topics;
mod offset_plays;
mod offset_questions;
mod partition_steps;
mod producer_copy;
mod producer_id_plays;
mod producer_plays;
mod producer_questions;
#[cfg(test)]
mod producer_rehearsal_tests;
mod quorum_answers;
mod quorum_questions;
mod quorum_steps;
mod rehearsal;
mod replicas;
mod requests;
mod restart_plays;
mod session_questions;
mod slice;
#[cfg(test)]
mod tests;
mod throttle_plays;
mod told_by_leader;
mod voter_answers;
mod voter_plays;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_checker::Word;
use trial_kafka::event::Event;
use trial_kafka::group::api::Request;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Effect, EventId, Input, Now, Purpose, ReqId};
use uuid::Uuid;

use super::network::Network;
use super::notes::Note;
use super::slot::{SimNode, Slot};
use super::{WALL_AT_START_MS, World};
use crate::trace::{NodeIx, TraceEvent};
use asked::Fetch;
use broker_disk::Disks;
use controllers::{ControllerDue, Watch};
use deeds::Deeds;
use group_answers::DueOfGroup;
use group_lives::Lives;
use leader_rehearsal::Rehearsed;
use replicas::Replicas;

/// Something that a node said and that is not so.
#[derive(Clone, Debug)]
pub struct Said {
    /// The node.
    pub node: NodeIx,
    /// What it spoke of.
    pub word: Word,
    /// Of which partition.
    pub partition: Option<TopicPartition>,
    /// What it said.
    pub said: String,
    /// What is so.
    pub truth: String,
}

/// A change of in-sync replicas as its leader decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct IsrChange {
    leader_epoch: i32,
    partition_epoch: i32,
    /// With the broker epoch of each member's last fetch; -1: none in this reign.
    members: Vec<(i32, i64)>,
}

/// What must be answered to a request in hand.
#[derive(Clone, Debug)]
enum Due {
    /// To AlterPartition, of each partition: this error, or NONE.
    IsrChanges { sender: i32, changes: Vec<((Uuid, i32), i16)> },
    /// The sender is not registered with the broker epoch it names.
    StaleBrokerEpoch,
    /// These partitions of a produce request must not be appended to: this is the error.
    NoAppend(Vec<(TopicPartition, i16)>),
    /// A fetch of the metadata log must be refused: the epoch it is of, and whether that is over.
    NoMetadata { asked: i32, fenced: bool },
    /// The vote must not be given, since …
    NoVote(&'static str),
    /// A client asks for an offset of these partitions, by these timestamps; what it is told of their ends is noted.
    Ends(BTreeMap<TopicPartition, i64>),
    /// A coordinator is asked.
    Group(DueOfGroup),
    /// A controller is asked.
    Controller(Box<ControllerDue>),
}

/// What the referee keeps in mind.
#[derive(Clone, Debug, Default)]
pub(super) struct Referee {
    /// What was asked on each connection on which somebody fetches.
    fetches: BTreeMap<u64, Fetch>,
    /// The last change that each leader decided on.
    changes: BTreeMap<(NodeIx, Uuid, i32), IsrChange>,
    due: BTreeMap<(NodeIx, ReqId), Due>,
    lives: Lives,
    deeds: Deeds,
    controllers: Watch,
    disks: Disks,
    replicas: Replicas,
    /// The kinds of groups of which a coordinator's copy was asked already, in this run.
    rehearsed: BTreeSet<u64>,
    /// The dialogues that were held about replicas of a kind already, in this run.
    rehearsed_replicas: Rehearsed,
    /// The kinds of clients that were played with already, in this run.
    rehearsed_clients: BTreeSet<client_rehearsal::Kind>,
}

impl Referee {
    /// A process starts: what its predecessor decided and was asked is gone.
    pub(super) fn forget(&mut self, node: NodeIx, had_no_power: bool) {
        self.deeds.forget(node, had_no_power);
        self.controllers.forget(node);
        self.disks.forget(node);
        self.replicas.forget(node);
        self.changes.retain(|(leader, ..), _| *leader != node);
        self.due.retain(|(acceptor, _), _| *acceptor != node);
        self.lives.retain(|(coordinator, ..), _| *coordinator != node);
    }

    /// A leader has decided on another ISR: on what grounds?
    fn note_decision(&mut self, node: NodeIx, slot: &Slot, id: &TopicPartition, isr: &[i32]) {
        let Some(broker) = slot.broker() else { return };
        let Some(partition) = broker.partition(id) else { return };
        let Some(state) = partition.leader_state() else { return };
        let broker_epoch = |member: i32| match member == broker.node_id() {
            true => broker.broker_epoch(),
            false => state.remote(member).and_then(|remote| remote.broker_epoch),
        };
        let change = IsrChange {
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            members: isr.iter().map(|member| (*member, broker_epoch(*member).unwrap_or(-1))).collect(),
        };
        self.changes.insert((node, partition.topic_id, id.partition), change);
    }
}

/// What one node says.
struct Speaker<'a> {
    node: NodeIx,
    slot: &'a Slot,
    notes: &'a mut Vec<Note>,
}

impl Speaker<'_> {
    /// Is it so?
    fn says<T: PartialEq + Display>(&mut self, word: Word, partition: Option<&TopicPartition>, said: T, truth: T) {
        if said != truth {
            self.wrong(word, partition, said.to_string(), truth.to_string());
        }
    }
    /// It is not.
    fn wrong(&mut self, word: Word, partition: Option<&TopicPartition>, said: String, truth: String) {
        let partition = partition.cloned();
        self.notes.push(Note::Said(Box::new(Said { node: self.node, word, partition, said, truth })));
    }
}

impl World {
    /// A node is about to handle this. Returns the request, if it is one that has to be answered in a way that is known.
    pub(super) fn hear(&mut self, node: NodeIx, input: &Input) -> Option<ReqId> {
        let heard = self.hear_question(node, input);
        self.foresee(node, input);
        heard
    }
    fn hear_question(&mut self, node: NodeIx, input: &Input) -> Option<ReqId> {
        let World { referee, slots, network, now, .. } = self;
        let slot = &slots[node.0 as usize];
        if let Some(controller) = slot.controller() {
            referee.controllers.look(node, controller, input, *now);
        }
        if let Some(broker) = slot.broker() {
            referee.disks.look(node, broker, &slot.disk);
        }
        if let Input::Local(step) = input {
            let question = slot.broker()?.group_question(step)?;
            if let Request::JoinGroup(request) = question.request {
                group_lives::forget_life(&mut referee.lives, node, &request.group_id, &request.member_id);
            }
            if let Request::ConsumerGroupHeartbeat(request) = question.request {
                group_lives::note_word(&mut referee.lives, node, &request.group_id, &request.member_id, *now);
            }
            let (req, due) = group_answers::to_question(&question, *now)?;
            group_lives::forget_earlier_waits(&mut referee.due, &due);
            if let Some(sign) = &due.sign {
                group_lives::note_word(&mut referee.lives, node, &due.group, &sign.member, *now);
            }
            referee.due.insert((node, req), Due::Group(due));
            return Some(req);
        }
        let Input::Request { req, conn, header, body } = input else { return None };
        let due = match &**body {
            RequestKind::Fetch(request) => match network.conns.get(&conn.0)?.purpose {
                Purpose::Raft => referee.controllers.hear_request(node, slot.controller()?, body, *now),
                _ => {
                    asked::note_fetch(referee, network, conn.0, header.api_version, request);
                    None
                }
            },
            RequestKind::Produce(request) => broker_answers::to_produce(slot, request),
            RequestKind::ListOffsets(request) => ends::to_list_offsets(request),
            body => referee.controllers.hear_request(node, slot.controller()?, body, *now),
        }?;
        referee.due.insert((node, *req), due);
        Some(*req)
    }

    /// A node has handled something; `heard` is what [`Self::hear`] gave, and of the events those from `first_event` on are
    /// of this handler. Is it so what it says?
    pub(super) fn judge(
        &mut self,
        node: NodeIx,
        heard: Option<ReqId>,
        first_event: usize,
        effects: &[(Effect, EventId)],
    ) {
        let World { referee, slots, network, tracer, notes, now, .. } = self;
        let slot = &slots[node.0 as usize];
        let events = tracer.fresh.get(first_event..).unwrap_or_default().iter().map(|traced| &traced.event);
        let due = heard.and_then(|req| referee.due.get_mut(&(node, req)));
        referee.controllers.judge(due, events.clone(), *now, &mut Speaker { node, slot, notes });
        let syncs = effects.iter().any(|(effect, _)| matches!(effect, Effect::Sync { .. }));
        referee.disks.judge(events.clone(), syncs, &mut Speaker { node, slot, notes });
        if let Some(Due::IsrChanges { sender, changes }) = heard.and_then(|req| referee.due.get_mut(&(node, req)))
            && let Some(controller) = slot.controller()
        {
            controller_answers::look_who_leads(controller, *sender, changes);
        }
        for TraceEvent { event, .. } in tracer.fresh.get(first_event..).unwrap_or_default() {
            if let Event::IsrChangeAsked { partition, isr, .. } = event {
                referee.note_decision(node, slot, partition, isr);
            }
        }
        let wall = *now as i64 / 1_000_000 + slot.wall_offset_ms;
        let mut speaker = Speaker { node, slot, notes };
        for TraceEvent { event, .. } in tracer.fresh.get(first_event..).unwrap_or_default() {
            group_lives::note_loaded(&mut referee.lives, event, *now, &speaker);
            group_lives::judge_removal(&mut referee.lives, &referee.due, event, *now, &mut speaker);
            referee.deeds.judge_event(event, wall, &mut speaker);
        }
        if let Some(Due::Group(due)) = heard.and_then(|req| referee.due.get_mut(&(node, req))) {
            group_answers::look_what_became(due, &mut speaker);
            group_lives::look_for_the_late(&mut referee.lives, *now, &mut speaker);
            if let Some(broker) = slot.broker() {
                let clocks = Now { mono: *now, wall: WALL_AT_START_MS + wall };
                group_rehearsal::rehearse(&mut referee.rehearsed, broker, &due.group, clocks, &mut speaker);
            }
        }
        let traced = tracer.fresh.get(first_event..).unwrap_or_default();
        replicas::judge(&mut referee.replicas, network, *now, traced, effects, &mut speaker);
        let clocks = Now { mono: *now, wall: WALL_AT_START_MS + wall };
        let touched: BTreeSet<_> = traced.iter().filter_map(|traced| traced.event.partition()).collect();
        for id in touched {
            leader_rehearsal::rehearse(&mut referee.rehearsed_replicas, id, clocks, &mut speaker);
        }
        client_rehearsal::rehearse(&mut referee.rehearsed_clients, effects, clocks, &mut speaker);
        for (effect, _) in effects {
            let Effect::Call { call, conn, request, .. } = effect else { continue };
            let (rehearsed, waiting) = (&mut referee.rehearsed_replicas, (*conn, *call));
            let is_to_leader = || network.conns.get(&conn.0).is_some_and(|conn| conn.purpose == Purpose::Fetcher);
            match &**request {
                RequestKind::Fetch(fetch) if is_to_leader() => {
                    follower_plays::rehearse(rehearsed, fetch, waiting, clocks, &mut speaker);
                }
                RequestKind::AlterPartition(request) => {
                    isr_plays::rehearse(rehearsed, request, waiting, clocks, &mut speaker);
                }
                _ => {}
            }
        }
        let mut isr_changes_sent = 0;
        for (effect, _) in effects {
            match effect {
                Effect::Call { conn, request, .. } => {
                    let Some(conn) = network.conns.get(&conn.0) else { continue };
                    if let RequestKind::AlterPartition(_) = **request {
                        isr_changes_sent += 1;
                        let at_a_time = conn.calls.len() + isr_changes_sent;
                        speaker.says(Word::IsrRequestsAtATime, None, at_a_time, 1);
                    }
                    if let RequestKind::BrokerRegistration(said) = &**request {
                        referee.deeds.judge_registration(said, &mut speaker);
                    }
                    referee.controllers.judge_request(request, &mut speaker);
                    requests::judge(referee, conn.purpose, request, &mut speaker);
                }
                Effect::Answer { req, response } => answer(referee, network, *req, response, &mut speaker),
                Effect::SettleSilently { req } => {
                    referee.due.remove(&(node, *req));
                }
                _ => {}
            }
        }
        Watch::judge_silence(&referee.due, events, &mut speaker);
        // In one process with a broker a controller's fetches are not told apart from that broker's.
        let is_alone = matches!(slot.node, SimNode::Controller(_));
        let fetch = effects.iter().rev().filter(|_| is_alone).find_map(|(effect, _)| match effect {
            Effect::Call { call, conn, request, .. } if matches!(**request, RequestKind::Fetch(_)) => {
                let raft = network.conns.get(&conn.0).is_some_and(|conn| conn.purpose == Purpose::Raft);
                raft.then_some((*conn, *call))
            }
            _ => None,
        });
        referee.controllers.rehearse(fetch, Now { mono: *now, wall: WALL_AT_START_MS + wall }, &mut speaker);
    }
}

/// Does the answer follow?
fn answer(referee: &mut Referee, network: &Network, req: ReqId, response: &ResponseKind, speaker: &mut Speaker<'_>) {
    let due = referee.due.remove(&(speaker.node, req));
    referee.controllers.judge_durable(response, due.as_ref(), speaker);
    match (response, due) {
        (response, Some(Due::Controller(due))) => {
            if let Some(controller) = speaker.slot.controller() {
                due.judge(response, controller, speaker);
            }
        }
        (ResponseKind::Fetch(response), Some(Due::NoMetadata { asked, fenced })) => {
            controller_answers::judge_fetch((asked, fenced), response, speaker);
        }
        (ResponseKind::Fetch(response), _) => {
            if let Some(fetch) = network.requests.get(&req).and_then(|conn| referee.fetches.get(conn)) {
                broker_answers::judge_fetch(fetch, response, speaker);
            }
        }
        (ResponseKind::Produce(response), Some(Due::NoAppend(partitions))) => {
            broker_answers::judge_produce(&partitions, response, speaker);
        }
        (ResponseKind::AlterPartition(response), Some(due)) => {
            controller_answers::judge_alter_partition(&due, response, speaker);
        }
        (ResponseKind::BrokerHeartbeat(response), Some(Due::StaleBrokerEpoch)) => {
            controller_answers::judge_stale(Word::HeartbeatAnswer, response.error_code, speaker);
        }
        (ResponseKind::AllocateProducerIds(response), Some(Due::StaleBrokerEpoch)) => {
            controller_answers::judge_stale(Word::ProducerIdsAnswer, response.error_code, speaker);
        }
        (ResponseKind::Vote(response), Some(Due::NoVote(why))) => {
            controller_answers::judge_vote(why, response, speaker);
        }
        (response, Some(Due::Group(due))) => {
            group_answers::judge_group(&due, response, speaker);
            if let Some(sign) = due.sign.filter(|_| group_answers::has_gone_well(response)) {
                group_lives::note_life(&mut referee.lives, speaker.node, &due.group, sign);
            }
        }
        (ResponseKind::ListOffsets(response), Some(Due::Ends(asked))) => ends::note(&asked, response, speaker),
        _ => {}
    }
}
