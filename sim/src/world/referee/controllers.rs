//! The referee of controllers: what each handler of one must come to, and whether it did.
//!
//! ```text
//!   before the handler ─▶ look, due ─▶ handler ─▶ look again ─▶ steps (broker_sessions, partition_steps, quorum_steps)
//!                                             └─▶ answers      (broker_sessions, quorum_answers, voter_answers)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_checker::Word;
use trial_kafka::controller::{Controller, QuorumLook, QuorumRole};
use trial_kafka::event::Event;
use trial_kafka::node::{CallId, ConnId, Input, LocalStep, Nanos, Now, ReqId, ms};

use super::broker_sessions::{HeartbeatDue, RegistrationDue, Sessions, fenced_by};
use super::end_of_epoch::{self, EndDue};
use super::partition_steps::{self, PartitionDue};
use super::quorum_answers::{FetchDue, VoteDue};
use super::quorum_steps::{self, Steps};
use super::rehearsal::{Copy, Question};
use super::voter_answers::{self, VotersDue};
use super::{
    Due, Speaker, controller_answers, decision_questions, quorum_answers, quorum_questions, told_by_leader, voter_plays,
};
use crate::trace::NodeIx;
use crate::world::Note;

/// What the referee keeps in mind of controllers.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    sessions: BTreeMap<NodeIx, Sessions>,
    steps: Steps,
    before: Option<Before>,
    /// The kinds of state in which a copy was asked already, in this run.
    asked_in: BTreeSet<u64>,
    /// Up to where the metadata of a controller that decides was looked at last.
    looked_at: i64,
}

/// A controller before the handler under way.
#[derive(Clone, Debug)]
struct Before {
    look: Option<QuorumLook>,
    /// It decides, and its sessions are known.
    is_active: bool,
    /// It looks what is due, and this broker's session has run out.
    tick: Option<Option<i32>>,
    partitions: Vec<PartitionDue>,
}

/// What must come of a request to a controller.
#[derive(Clone, Debug)]
pub(super) struct ControllerDue {
    deed: Deed,
    /// The end of the log behind the decision: the answer tells of it, and waits until it is committed.
    decided: Option<i64>,
}

#[derive(Clone, Debug)]
enum Deed {
    Heartbeat(HeartbeatDue),
    Registration(RegistrationDue),
    Vote(VoteDue),
    Fetch(FetchDue),
    Voters(VotersDue),
    End(EndDue),
}

impl Deed {
    /// It is a request to the active controller, and not to the quorum.
    fn is_decided(&self) -> bool {
        matches!(self, Deed::Heartbeat(_) | Deed::Registration(_))
    }
}

/// A controller that does not decide any more says so, whatever it was asked.
pub(super) fn is_not_controller(code: i16) -> bool {
    code == ResponseError::NotController.code()
}

impl Watch {
    /// A process starts.
    pub(super) fn forget(&mut self, node: NodeIx) {
        self.sessions.remove(&node);
        self.steps.forget(node);
    }

    /// A controller is about to handle this.
    pub(super) fn look(&mut self, node: NodeIx, controller: &Controller, input: &Input, now: Nanos) {
        let sessions = self.sessions.get(&node).filter(|_| controller.is_active());
        let is_tick = matches!(input, Input::Local(LocalStep::Controller(_)));
        self.before = Some(Before {
            look: controller.look(),
            is_active: sessions.is_some(),
            tick: sessions.filter(|_| is_tick).map(|sessions| sessions.stale(now)),
            partitions: Vec::new(),
        });
    }

    /// What must come of this request, where it is known.
    pub(super) fn hear_request(
        &mut self,
        node: NodeIx,
        controller: &Controller,
        request: &RequestKind,
        now: Nanos,
    ) -> Option<Due> {
        let before = self.before.as_mut()?;
        let sessions = self.sessions.get(&node).filter(|_| controller.is_active());
        due(controller, &before.look?, sessions, request, now, &mut before.partitions)
    }

    /// It has handled it.
    pub(super) fn judge<'e>(
        &mut self,
        mut due: Option<&mut Due>,
        events: impl Iterator<Item = &'e Event> + Clone,
        now: Nanos,
        speaker: &mut Speaker<'_>,
    ) {
        let Some(before) = self.before.take() else { return };
        let slot = speaker.slot;
        let Some(controller) = slot.controller() else { return };
        if let Some(Due::Controller(due)) = &due
            && let Deed::Fetch(fetch) = &due.deed
        {
            self.steps.note_fetch(speaker.node, fetch.told());
        }
        self.judge_decision(&before, due.as_deref_mut(), events.clone(), controller, now, speaker);
        let (then, Some(look)) = (before.look, controller.look()) else { return };
        if let Some(Due::Controller(due)) = &due {
            due.judge_quorum(&look, now, speaker);
        }
        // In one process with a broker the events of the two are not told apart: the broker loads snapshots too.
        let has_loaded =
            |then: QuorumLook| then.takes_snapshot && !look.takes_snapshot && then.snapshots != look.snapshots;
        if then.is_none_or(has_loaded) {
            quorum_steps::judge_begun(&look, speaker);
        }
        if let Some(then) = then {
            self.steps.judge(&then, &look, now, controller, speaker);
            for event in events {
                quorum_steps::judge_event(event, &look, controller, speaker);
            }
        }
    }

    fn judge_decision<'e>(
        &mut self,
        before: &Before,
        due: Option<&mut Due>,
        events: impl Iterator<Item = &'e Event> + Clone,
        controller: &Controller,
        now: Nanos,
        speaker: &mut Speaker<'_>,
    ) {
        if !controller.is_active() {
            self.sessions.remove(&speaker.node);
            return;
        }
        if events.clone().any(|event| matches!(event, Event::ControllerActive { .. })) {
            self.sessions.insert(speaker.node, Sessions::begin(controller, now));
            return;
        }
        let Some(sessions) = self.sessions.get_mut(&speaker.node).filter(|_| before.is_active) else { return };
        if let Some(stale) = before.tick {
            sessions.after_tick(stale, &fenced_by(events), speaker);
        }
        decided(sessions, &before.partitions, due, controller, now, speaker);
    }

    /// Asks a copy of the controller what nobody asks, in a state that is new in this run.
    /// `fetch`: it has just fetched from its leader.
    pub(super) fn rehearse(&mut self, fetch: Option<(ConnId, CallId)>, now: Now, speaker: &mut Speaker<'_>) {
        let slot = speaker.slot;
        let Some(controller) = slot.controller() else { return };
        let Some(look) = controller.look() else { return };
        let (of_quorum, of_decisions) =
            (quorum_questions::shape(controller, &look), self.shape_of_decisions(controller));
        if of_quorum.is_some_and(|shape| self.asked_in.insert(shape << 1)) {
            for dialogue in quorum_questions::dialogues(controller, &look) {
                self.hold(&dialogue, false, controller, now, speaker);
            }
            voter_plays::rehearse(controller, &look, now, speaker);
        }
        let follows = matches!(look.role, QuorumRole::Follower { .. }) && !look.takes_snapshot && !look.waits_for_disk;
        if let Some(fetch) = fetch.filter(|_| follows && look.has_fetched) {
            let has =
                (u64::from(look.is_voter), u64::from(look.snapshots.is_some()), u64::from(look.voters_offset >= 0));
            let shape = 1 << 60 | has.0 << 2 | has.1 << 1 | has.2;
            if self.asked_in.insert(shape) {
                told_by_leader::rehearse(controller, &look, fetch, now, speaker);
            }
        }
        if of_decisions.is_some_and(|shape| self.asked_in.insert(shape << 1 | 1)) {
            for dialogue in decision_questions::dialogues(controller) {
                self.hold(&dialogue, true, controller, now, speaker);
            }
            self.of_silence(controller, now, speaker);
        }
    }

    /// All brokers fall silent: the first whose session runs out is fenced at once, by a copy that needs nobody to commit that.
    /// Source: `BrokerHeartbeatManager.nextCheckTimeNs`.
    fn of_silence(&self, controller: &Controller, now: Now, speaker: &mut Speaker<'_>) {
        let first = self.sessions.get(&speaker.node).and_then(Sessions::first_to_run_out);
        let Some((broker, at)) = first.filter(|(_, at)| controller.voters().len() == 1 && *at > now.mono) else {
            return;
        };
        let mut copy = Copy::of(controller, speaker.slot.disk.view(), now);
        // It may wait for a step that it has set itself, of which the copy does not hear.
        copy.play(Input::Local(LocalStep::Controller(trial_kafka::controller::Step::Tick)));
        copy.pass((at - now.mono).div_ceil(ms(1)) as i64 + 2);
        let is_fenced = copy.controller.image().brokers.get(&broker).is_none_or(|registered| registered.fenced);
        if !is_fenced && copy.controller.is_active() {
            let said = format!("b{broker} not fenced (when a copy of it heard of nobody)");
            speaker.wrong(Word::SessionStep, None, said, format!("b{broker} fenced"));
        }
    }

    /// It is looked at once for each time that the metadata has changed, and that is committed.
    fn shape_of_decisions(&mut self, controller: &Controller) -> Option<u64> {
        let at = controller.log().map_or(0, |log| log.log_end_offset());
        let is_news = at != self.looked_at && controller.is_active() && controller.high_watermark() == at;
        self.looked_at = if is_news { at } else { self.looked_at };
        if is_news { decision_questions::shape(controller) } else { None }
    }

    /// A dialogue with a copy, each question of which is judged as any request. `commits`: what it writes is committed
    /// between one question and the next.
    fn hold(&self, dialogue: &[Question], commits: bool, controller: &Controller, now: Now, speaker: &mut Speaker<'_>) {
        let mut copy = Copy::of(controller, speaker.slot.disk.view(), now);
        let mut sessions = self.sessions.get(&speaker.node).cloned();
        let mut steps = Steps::default();
        for question in dialogue {
            let Some(before) = copy.controller.look().filter(|look| !look.waits_for_disk) else { return };
            let of_broker = sessions.as_ref().filter(|_| copy.controller.is_active());
            let mut partitions = Vec::new();
            let mut due = due(&copy.controller, &before, of_broker, &question.request, now.mono, &mut partitions);
            let answer = copy.ask(question);
            let heard = speaker.notes.len();
            let Some(after) = copy.controller.look() else { return };
            steps.judge(&before, &after, now.mono, &copy.controller, speaker);
            if let Some(sessions) = sessions.as_mut().filter(|_| copy.controller.is_active()) {
                decided(sessions, &partitions, due.as_mut(), &copy.controller, now.mono, speaker);
            }
            if let Some(Due::IsrChanges { sender, changes }) = &mut due {
                controller_answers::look_who_leads(&copy.controller, *sender, changes);
            }
            let answer = answer.or_else(|| {
                let fetches = quorum_questions::all_is_replicated(&copy.controller, &after);
                commits.then(|| copy.commit(&fetches)).flatten()
            });
            if let Some(Due::Controller(due)) = &due {
                due.judge_quorum(&after, now.mono, speaker);
                if answer.is_none() && due.is_refused() {
                    speaker.wrong(Word::VotersAnswer, None, "nothing".to_string(), "a refusal".to_string());
                }
            }
            if let Some(answer) = answer {
                judge_rehearsed(due, &answer, &copy.controller, speaker);
            }
            for note in &mut speaker.notes[heard..] {
                if let Note::Said(said) = note {
                    said.said.push_str(" (when a copy of it was asked ");
                    said.said.push_str(question.what);
                    said.said.push(')');
                }
            }
        }
    }

    /// A controller that leads no more has told so to all who waited. Source: `DeferredEventQueue.failAll`.
    pub(super) fn judge_silence<'e>(
        waiting: &BTreeMap<(NodeIx, ReqId), Due>,
        mut events: impl Iterator<Item = &'e Event>,
        speaker: &mut Speaker<'_>,
    ) {
        if !events.any(|event| matches!(event, Event::ControllerStoodDown { .. })) {
            return;
        }
        let of_it = waiting.range((speaker.node, ReqId(0))..=(speaker.node, ReqId(u64::MAX)));
        let is_forgotten = |due: &Due| match due {
            Due::Controller(due) => due.deed.is_decided(),
            Due::IsrChanges { .. } => true,
            _ => false,
        };
        if of_it.into_iter().any(|(_, due)| is_forgotten(due)) {
            let said = "nothing to who waits, though it decides no more,".to_string();
            speaker.wrong(Word::CommitWait, None, said, "NOT_CONTROLLER".to_string());
        }
    }

    /// An answer of the quorum: what it tells of the epoch is durable.
    pub(super) fn judge_durable(&mut self, response: &ResponseKind, due: Option<&Due>, speaker: &mut Speaker<'_>) {
        let (epoch, voted) = match response {
            ResponseKind::Vote(response) => {
                let Some(answer) = response.topics.first().and_then(|topic| topic.partitions.first()) else { return };
                (answer.leader_epoch, answer.vote_granted)
            }
            ResponseKind::BeginQuorumEpoch(response) => {
                let Some(answer) = response.topics.first().and_then(|topic| topic.partitions.first()) else { return };
                (answer.leader_epoch, false)
            }
            ResponseKind::EndQuorumEpoch(response) => {
                let Some(answer) = response.topics.first().and_then(|topic| topic.partitions.first()) else { return };
                (answer.leader_epoch, false)
            }
            _ => return,
        };
        let vote = match due {
            Some(Due::Controller(due)) if voted => match &due.deed {
                Deed::Vote(vote) => vote.candidate(),
                _ => None,
            },
            _ => None,
        };
        self.steps.judge_durable(epoch, vote, speaker);
    }

    /// A request of the quorum.
    pub(super) fn judge_request(&self, request: &RequestKind, speaker: &mut Speaker<'_>) {
        if let RequestKind::EndQuorumEpoch(request) = request {
            self.steps.judge_successors(request, speaker);
        }
    }
}

/// Does the answer of a copy follow?
fn judge_rehearsed(due: Option<Due>, answer: &ResponseKind, copy: &Controller, speaker: &mut Speaker<'_>) {
    match (due, answer) {
        (Some(Due::Controller(due)), answer) => due.judge(answer, copy, speaker),
        (Some(due @ Due::IsrChanges { .. }), ResponseKind::AlterPartition(response)) => {
            controller_answers::judge_alter_partition(&due, response, speaker);
        }
        (Some(due @ Due::StaleBrokerEpoch), ResponseKind::AlterPartition(response)) => {
            controller_answers::judge_alter_partition(&due, response, speaker);
        }
        (Some(Due::StaleBrokerEpoch), ResponseKind::BrokerHeartbeat(response)) => {
            controller_answers::judge_stale(Word::HeartbeatAnswer, response.error_code, speaker);
        }
        (Some(Due::StaleBrokerEpoch), ResponseKind::AllocateProducerIds(response)) => {
            controller_answers::judge_stale(Word::ProducerIdsAnswer, response.error_code, speaker);
        }
        _ => {}
    }
}

/// A request was decided upon: is the metadata what it must be?
fn decided(
    sessions: &mut Sessions,
    partitions: &[PartitionDue],
    due: Option<&mut Due>,
    controller: &Controller,
    now: Nanos,
    speaker: &mut Speaker<'_>,
) {
    for partition in partitions {
        partition.judge(controller, speaker);
    }
    let Some(Due::Controller(due)) = due else { return };
    match &mut due.deed {
        Deed::Heartbeat(heartbeat) => sessions.after_heartbeat(heartbeat, controller, now, speaker),
        Deed::Registration(registration) => sessions.after_registration(registration, controller, now, speaker),
        _ => return,
    }
    due.decided = controller.log().map(|log| log.log_end_offset());
}

/// What must come of this request, where it is known. `partitions`: what it changes of those.
fn due(
    controller: &Controller,
    look: &QuorumLook,
    sessions: Option<&Sessions>,
    request: &RequestKind,
    now: Nanos,
    partitions: &mut Vec<PartitionDue>,
) -> Option<Due> {
    let deed = match request {
        RequestKind::EndQuorumEpoch(_)
        | RequestKind::Vote(_)
        | RequestKind::Fetch(_)
        | RequestKind::AddRaftVoter(_)
        | RequestKind::RemoveRaftVoter(_)
        | RequestKind::UpdateRaftVoter(_)
            if look.waits_for_disk =>
        {
            return controller_answers::to_who_waits(controller, request);
        }
        RequestKind::Vote(request) => Deed::Vote(quorum_answers::to_vote(controller, look, request)?),
        RequestKind::Fetch(request) => Deed::Fetch(quorum_answers::to_fetch(controller, look, request)?),
        RequestKind::EndQuorumEpoch(request) => Deed::End(end_of_epoch::to_end(controller, look, request)?),
        RequestKind::AddRaftVoter(_) | RequestKind::RemoveRaftVoter(_) | RequestKind::UpdateRaftVoter(_) => {
            Deed::Voters(voter_answers::to_voter_change(controller, look, request)?)
        }
        RequestKind::AlterPartition(request) => {
            let due = controller_answers::to_alter_partition(controller, request)?;
            if let Due::IsrChanges { changes, .. } = &due {
                let is_refused = |key| changes.iter().any(|(of, error)| *of == key && *error != 0);
                *partitions = partition_steps::to_alter_partition(controller, request, is_refused);
            }
            return Some(due);
        }
        RequestKind::AllocateProducerIds(request) => {
            return controller_answers::to_broker(controller, request.broker_id.0, request.broker_epoch);
        }
        RequestKind::BrokerHeartbeat(request) => {
            let stale = controller_answers::to_broker(controller, request.broker_id.0, request.broker_epoch);
            if stale.is_some() {
                return stale;
            }
            Deed::Heartbeat(sessions?.to_heartbeat(controller, request)?)
        }
        RequestKind::BrokerRegistration(request) => {
            Deed::Registration(sessions?.to_registration(controller, request, now)?)
        }
        _ => return None,
    };
    Some(Due::Controller(Box::new(ControllerDue { deed, decided: None })))
}

impl ControllerDue {
    /// Does the answer follow?
    pub(super) fn judge(&self, response: &ResponseKind, controller: &Controller, speaker: &mut Speaker<'_>) {
        match (&self.deed, response) {
            (Deed::Heartbeat(due), ResponseKind::BrokerHeartbeat(response)) => {
                due.judge_answer(response, speaker);
                self.judge_wait(response.error_code, controller, speaker);
            }
            (Deed::Registration(due), ResponseKind::BrokerRegistration(response)) => {
                due.judge_answer(response, speaker);
                self.judge_wait(response.error_code, controller, speaker);
            }
            (Deed::Vote(due), ResponseKind::Vote(response)) => quorum_answers::judge_vote(*due, response, speaker),
            (Deed::Fetch(due), ResponseKind::Fetch(response)) => {
                quorum_answers::judge_fetch(due, response, controller, speaker)
            }
            (Deed::Voters(due), response) => voter_answers::judge(due, response, controller, speaker),
            _ => {}
        }
    }

    /// Is the node of the quorum what it must be, behind the handler?
    fn judge_quorum(&self, look: &QuorumLook, now: Nanos, speaker: &mut Speaker<'_>) {
        match &self.deed {
            Deed::End(due) => due.judge(look, now, speaker),
            Deed::Voters(due) => due.judge_begun(look, speaker),
            _ => {}
        }
    }

    /// Must it be answered at once, if the disk keeps nobody waiting?
    fn is_refused(&self) -> bool {
        match &self.deed {
            Deed::Voters(due) => due.is_refused(),
            _ => false,
        }
    }

    /// An answer waits until all that was decided is committed. Source: `QuorumController.ControllerWriteEvent.run`.
    fn judge_wait(&self, error: i16, controller: &Controller, speaker: &mut Speaker<'_>) {
        let Some(decided) = self.decided else { return };
        let committed = controller.high_watermark();
        if error == 0 && committed < decided {
            let said = format!("what is written up to {decided}");
            speaker.wrong(Word::CommitWait, None, said, format!("nothing behind {committed}, which is committed,"));
        }
    }
}
