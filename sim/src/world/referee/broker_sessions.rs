//! What becomes of brokers: who is heard of, fenced, let in, let go. A second `BrokerHeartbeatManager`, for the referee alone.
//!
//! ```text
//!   FENCED ──wants in, knows its registration──▶ UNFENCED ──wants to stop, leads──▶ CONTROLLED_SHUTDOWN
//!     ▲                                             │ wants to stop, leads nothing        │ leads nothing, all know
//!     └────────── silent for too long ──────────────┤                                     ▼
//!                                                   └───────────────────────────▶ SHUTDOWN_NOW
//! ```
//!
//! Sources: KIP-631, `BrokerHeartbeatManager`, `ClusterControlManager.registerBroker`.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use trial_checker::Word;
use trial_kafka::controller::Controller;
use trial_kafka::event::Event;
use trial_kafka::metadata::{BrokerRegistration, MetadataImage};
use trial_kafka::node::{Nanos, ms};
use trial_kafka::protocol::errors::code_name;

use super::Speaker;
use super::controllers::is_not_controller;

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Stand {
    fn is_fenced(self) -> bool {
        matches!(self, Stand::Fenced | Stand::ShutdownNow)
    }
}

#[derive(Clone, Debug)]
struct Session {
    last_contact: Nanos,
    metadata_offset: i64,
    /// What the others must have replayed before it may stop.
    shutdown_offset: Option<i64>,
    fenced: bool,
}

impl Session {
    fn begin(now: Nanos, fenced: bool) -> Self {
        Session { last_contact: now, metadata_offset: -1, shutdown_offset: None, fenced }
    }
    fn stand(&self) -> Stand {
        match self {
            Session { shutdown_offset: Some(_), .. } => Stand::ControlledShutdown,
            Session { fenced: true, .. } => Stand::Fenced,
            _ => Stand::Unfenced,
        }
    }
}

/// The sessions of the brokers at one controller, for as long as it is active.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    of: BTreeMap<i32, Session>,
    timeout: Nanos,
}

/// What a heartbeat must lead to.
#[derive(Clone, Debug)]
pub(super) struct HeartbeatDue {
    broker: i32,
    offset: i64,
    is_caught_up: bool,
    next: Stand,
    /// As the metadata had it before.
    was_stopping: bool,
    was_fenced: bool,
}

/// What a registration must lead to.
#[derive(Clone, Debug)]
pub(super) struct RegistrationDue {
    broker: i32,
    error: i16,
    /// The registration before, if the same incarnation comes again.
    same: Option<BrokerRegistration>,
    /// Its predecessor, or nobody, stopped in an orderly way.
    is_clean: bool,
    request: Box<BrokerRegistrationRequest>,
    /// What it was registered with.
    broker_epoch: i64,
}

impl Sessions {
    /// A controller begins to decide: every broker is given a fresh session.
    pub(super) fn begin(controller: &Controller, now: Nanos) -> Self {
        let timeout = ms(controller.setup().config.broker_session_timeout_ms);
        let brokers = controller.image().brokers.iter();
        Sessions { of: brokers.map(|(id, broker)| (*id, Session::begin(now, broker.fenced))).collect(), timeout }
    }

    fn is_stale(&self, session: &Session, now: Nanos) -> bool {
        now > session.last_contact.saturating_add(self.timeout)
    }

    /// Of those that were silent for too long the one that was silent for longest: one at a time is fenced.
    pub(super) fn stale(&self, now: Nanos) -> Option<i32> {
        let unfenced = self.of.iter().filter(|(_, session)| !session.fenced);
        let (id, session) = unfenced.min_by_key(|(id, session)| (session.last_contact, **id))?;
        self.is_stale(session, now).then_some(*id)
    }

    /// Whose session runs out first, and when.
    pub(super) fn first_to_run_out(&self) -> Option<(i32, Nanos)> {
        let unfenced = self.of.iter().filter(|(_, session)| !session.fenced);
        let (id, session) = unfenced.min_by_key(|(id, session)| (session.last_contact, **id))?;
        Some((*id, session.last_contact.saturating_add(self.timeout)))
    }

    /// What must come of a heartbeat of a broker that is registered as it says.
    pub(super) fn to_heartbeat(
        &self,
        controller: &Controller,
        request: &BrokerHeartbeatRequest,
    ) -> Option<HeartbeatDue> {
        let (broker, offset) = (request.broker_id.0, request.current_metadata_offset);
        let registered = controller.image().brokers.get(&broker)?;
        let session = self.of.get(&broker)?;
        let is_caught_up = offset >= controller.registration_offset(broker)?;
        let next = match (session.stand(), request.want_fence, request.want_shut_down) {
            (Stand::Fenced, _, true) => Stand::ShutdownNow,
            (Stand::Fenced, false, false) if is_caught_up => Stand::Unfenced,
            (Stand::Fenced, ..) => Stand::Fenced,
            (Stand::Unfenced, false, false) => Stand::Unfenced,
            (Stand::Unfenced, true, false) => Stand::Fenced,
            (Stand::Unfenced, false, true) if leads(controller.image(), broker) => Stand::ControlledShutdown,
            (Stand::Unfenced, _, true) => Stand::ShutdownNow,
            (Stand::ControlledShutdown, ..) if self.all_know(session) && !leads(controller.image(), broker) => {
                Stand::ShutdownNow
            }
            (Stand::ControlledShutdown, ..) => Stand::ControlledShutdown,
            (Stand::ShutdownNow, ..) => Stand::ShutdownNow,
        };
        let (was_stopping, was_fenced) = (registered.in_controlled_shutdown, registered.fenced);
        Some(HeartbeatDue { broker, offset, is_caught_up, next, was_stopping, was_fenced })
    }

    /// Has everybody who works replayed what the shutdown of this broker began with?
    fn all_know(&self, stopping: &Session) -> bool {
        let mut working = self.of.values().filter(|other| !other.fenced && other.shutdown_offset.is_none());
        stopping.shutdown_offset.is_some_and(|offset| working.all(|other| other.metadata_offset >= offset))
    }

    /// What must come of a registration, as far as it follows from sessions and metadata.
    pub(super) fn to_registration(
        &self,
        controller: &Controller,
        request: &BrokerRegistrationRequest,
        now: Nanos,
    ) -> Option<RegistrationDue> {
        let broker = request.broker_id.0;
        if broker < 0 || request.is_migrating_zk_broker || request.listeners.is_empty() {
            return None;
        }
        let existing = controller.image().brokers.get(&broker);
        let same = existing.filter(|existing| existing.incarnation == request.incarnation_id);
        let session_is_valid =
            self.of.get(&broker).is_some_and(|session| !session.fenced && !self.is_stale(session, now));
        let is_kept_out =
            same.is_none() && existing.is_some_and(|existing| !existing.in_controlled_shutdown) && session_is_valid;
        let error = if request.cluster_id.as_str() != controller.setup().cluster_id {
            ResponseError::InconsistentClusterId.code()
        } else if is_kept_out {
            ResponseError::DuplicateBrokerRegistration.code()
        } else {
            0
        };
        let is_clean = existing.is_some_and(|existing| existing.broker_epoch == request.previous_broker_epoch);
        let (same, request) = (same.cloned(), Box::new(request.clone()));
        Some(RegistrationDue { broker, error, same, is_clean, request, broker_epoch: -1 })
    }

    /// A heartbeat was handled: the session goes on, and the metadata says what it must.
    pub(super) fn after_heartbeat(
        &mut self,
        due: &HeartbeatDue,
        controller: &Controller,
        now: Nanos,
        speaker: &mut Speaker<'_>,
    ) {
        if let Some(session) = self.of.get_mut(&due.broker) {
            session.last_contact = now;
            session.metadata_offset = due.offset;
            session.fenced = due.next.is_fenced();
            match due.next {
                Stand::ControlledShutdown => {
                    session.shutdown_offset.get_or_insert(log_end_offset(controller) - 1);
                }
                Stand::Fenced | Stand::ShutdownNow => session.shutdown_offset = None,
                Stand::Unfenced => {}
            }
        }
        due.judge_state(controller, speaker);
    }

    /// A registration was handled.
    pub(super) fn after_registration(
        &mut self,
        due: &mut RegistrationDue,
        controller: &Controller,
        now: Nanos,
        speaker: &mut Speaker<'_>,
    ) {
        if due.error == 0 {
            due.judge_state(controller, speaker);
            let registered = controller.image().brokers.get(&due.broker);
            let fenced = registered.is_some_and(|registered| registered.fenced);
            self.of.insert(due.broker, Session::begin(now, fenced));
        }
    }

    /// A controller has looked whose session has run out: exactly the one that was silent for longest is fenced.
    pub(super) fn after_tick(&mut self, stale: Option<i32>, fenced: &[i32], speaker: &mut Speaker<'_>) {
        if fenced != stale.as_slice() {
            speaker.wrong(Word::SessionStep, None, Fencing(fenced).to_string(), Fencing(stale.as_slice()).to_string());
        }
        for broker in fenced {
            if let Some(session) = self.of.get_mut(broker) {
                session.fenced = true;
            }
        }
    }
}

/// `that b2 is fenced`
struct Fencing<'a>(&'a [i32]);

impl fmt::Display for Fencing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nobody fenced"),
            brokers => {
                let names: Vec<_> = brokers.iter().map(|broker| format!("b{broker}")).collect();
                write!(f, "{} fenced", names.join(", "))
            }
        }
    }
}

fn log_end_offset(controller: &Controller) -> i64 {
    controller.log().map_or(0, |log| log.log_end_offset())
}

/// Does it lead anything?
fn leads(image: &MetadataImage, broker: i32) -> bool {
    image.topics.values().any(|topic| topic.partitions.iter().any(|partition| partition.leader == broker))
}

fn in_words(fenced: bool, stopping: bool) -> String {
    let fenced = if fenced { "fenced" } else { "unfenced" };
    format!("{fenced}{}", if stopping { " and in controlled shutdown" } else { "" })
}

impl HeartbeatDue {
    /// The metadata says of the broker what follows.
    pub(super) fn judge_state(&self, controller: &Controller, speaker: &mut Speaker<'_>) {
        let Some(now) = controller.image().brokers.get(&self.broker) else { return };
        let stopping = self.was_stopping || self.next == Stand::ControlledShutdown;
        // Whoever is fenced for its silence while it stops stays in controlled shutdown, and fenced (`BrokerHeartbeatManager.fence`).
        let fenced = match self.next {
            Stand::ControlledShutdown => self.was_fenced,
            next => next.is_fenced(),
        };
        let (said, truth) = (in_words(now.fenced, now.in_controlled_shutdown), in_words(fenced, stopping));
        speaker.says(Word::BrokerStep, None, said, truth);
    }

    /// So does the answer.
    pub(super) fn judge_answer(&self, response: &BrokerHeartbeatResponse, speaker: &mut Speaker<'_>) {
        if is_not_controller(response.error_code) {
            return;
        }
        if response.error_code != 0 {
            return speaker.wrong(Word::HeartbeatAnswer, None, code_name(response.error_code), code_name(0));
        }
        let told = |fenced: bool, stop: bool, caught_up: bool| {
            format!("isFenced {fenced}, shouldShutDown {stop}, isCaughtUp {caught_up}")
        };
        let said = (response.is_fenced, response.should_shut_down, response.is_caught_up);
        let truth = (self.next.is_fenced(), self.next == Stand::ShutdownNow, self.is_caught_up);
        if said != truth {
            let (said, truth) = (told(said.0, said.1, said.2), told(truth.0, truth.1, truth.2));
            speaker.wrong(Word::HeartbeatAnswer, None, said, truth);
        }
    }
}

impl RegistrationDue {
    /// The metadata has the broker as it must. Source: `ClusterControlManager.registerBroker`,
    /// `ReplicationControlManager.handleBrokerShutdown`.
    pub(super) fn judge_state(&mut self, controller: &Controller, speaker: &mut Speaker<'_>) {
        if self.error != 0 {
            return;
        }
        let image = controller.image();
        let Some(now) = image.brokers.get(&self.broker).filter(|now| now.incarnation == self.request.incarnation_id)
        else {
            let (said, truth) = ("that it is not registered".to_string(), "that it is registered".to_string());
            return speaker.wrong(Word::BrokerStep, None, said, truth);
        };
        self.broker_epoch = now.broker_epoch;
        let (fenced, stopping, broker_epoch) = match &self.same {
            Some(same) => (same.fenced, same.in_controlled_shutdown, same.broker_epoch),
            // The registration is the last record of its batch.
            None => (true, false, log_end_offset(controller) - 1),
        };
        let with = |state: String, epoch: i64| format!("{state}, with broker epoch {epoch}");
        let said = with(in_words(now.fenced, now.in_controlled_shutdown), now.broker_epoch);
        speaker.says(Word::BrokerStep, None, said, with(in_words(fenced, stopping), broker_epoch));
        if self.same.is_none() {
            self.judge_partitions(image, speaker);
        }
    }

    /// A new incarnation is in sync nowhere, but where it is the last and eligible leaders are off; after an unclean stop it
    /// is not eligible either.
    fn judge_partitions(&self, image: &MetadataImage, speaker: &mut Speaker<'_>) {
        let has_elr = image.features.get("eligible.leader.replicas.version").is_some_and(|level| *level > 0);
        for partition in image.topics.values().flat_map(|topic| &topic.partitions) {
            let stays_in_sync = partition.isr.contains(&self.broker) && (has_elr || partition.isr.len() > 1);
            let stays_eligible = partition.elr.contains(&self.broker) && has_elr && !self.is_clean;
            if stays_in_sync || stays_eligible {
                let said = if stays_in_sync { "that it is in sync yet" } else { "that it is eligible yet" };
                let truth = if self.is_clean { "not in sync" } else { "neither in sync nor eligible" };
                return speaker.wrong(Word::BrokerStep, None, said.to_string(), truth.to_string());
            }
        }
    }

    /// The answer says so.
    pub(super) fn judge_answer(&self, response: &BrokerRegistrationResponse, speaker: &mut Speaker<'_>) {
        if is_not_controller(response.error_code) {
            return;
        }
        if response.error_code != self.error {
            let (said, truth) = (code_name(response.error_code), code_name(self.error));
            return speaker.wrong(Word::RegistrationAnswer, None, said, truth);
        }
        if self.error == 0 {
            let told = |epoch: i64| format!("with broker epoch {epoch}");
            speaker.says(Word::RegistrationAnswer, None, told(response.broker_epoch), told(self.broker_epoch));
        }
    }
}

/// Whom a handler has fenced.
pub(super) fn fenced_by<'a>(events: impl Iterator<Item = &'a Event>) -> Vec<i32> {
    let fenced = events.filter_map(|event| match event {
        Event::BrokerFenced { broker, .. } => Some(*broker),
        _ => None,
    });
    fenced.collect()
}
