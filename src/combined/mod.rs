//! A broker and a controller in one process, on one disk: `process.roles=broker,controller`. Source: `KafkaRaftServer`,
//! `SharedServer`.
//!
//! ```text
//!                    ┌──────────────── Combined ────────────────┐
//!   inputs ─▶ whose? ├─▶ Broker      listener 9092, topic logs   ├─▶ effects; who made a connection or
//!                    └─▶ Controller  listener 9093, metadata log ┘   a sync is noted on the way out
//! ```
//!
//! The two share a node id, a process and a disk, and nothing else: what they have to tell each other goes through the
//! network, as between machines. An input belongs to the side whose listener it came on, or that dialed the connection,
//! asked for the sync, deferred the step. A `Halt` of either ends the process. Lanes are those of the sides, which share
//! none but the timer's.
//!
//! The process starts the controller, then the broker, and stops the broker, then the controller (`KafkaRaftServer.startup`,
//! `shutdown`): while a broker of a small cluster moves its leaderships away, somebody has to decide where to. Both sides
//! start with the incarnation of the process; that it is up is told once, by the broker.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trial_storage::Disk;
use uuid::Uuid;

use crate::broker::{Broker, BrokerSetup};
use crate::controller::{Controller, ControllerSetup};
use crate::event::Event;
use crate::node::{
    Command, ConnId, Effect, Effects, EventId, Host, Input, Lane, Listener, LocalStep, Nanos, Node, Now, OpId,
    RandomFor, Ticket,
};

/// A deferred step of the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The controller has started: now the broker.
    StartBroker {
        /// Of the process.
        incarnation: Uuid,
    },
    /// The broker has stopped in an orderly way: now the controller.
    StopController,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Broker,
    Controller,
}

/// How far an orderly stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// The broker was told, by this command.
    Broker(OpId),
    /// The broker has stopped.
    Controller(OpId),
}

/// Who made what the process is to hear of again.
#[derive(Clone, Debug, Default)]
struct Owners {
    conns: BTreeMap<ConnId, Side>,
    syncs: BTreeMap<Ticket, Side>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Combined {
    broker: Broker,
    controller: Controller,
    owners: Owners,
    stop: Stop,
}

/// Whom an input is for.
enum For {
    Side(Side),
    /// Each that has something due.
    Both,
    Process(Step),
    Nobody,
}

impl Combined {
    /// A node that has not started. Both sides have the broker's `node.id`, since a process has one.
    pub fn new(broker: BrokerSetup, controller: ControllerSetup) -> Self {
        let controller = ControllerSetup { node_id: broker.node_id, ..controller };
        Combined {
            broker: Broker::new(broker),
            controller: Controller::new(controller),
            owners: Owners::default(),
            stop: Stop::No,
        }
    }
    /// Another empty disk will be formatted with this `directory.id`. For a node that has not started.
    pub fn format_anew(&mut self, directory_id: Uuid) {
        self.controller = Controller::new(ControllerSetup { directory_id, ..self.controller.setup().clone() });
    }
    /// Its broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }
    /// Its controller.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    fn addressee(&self, input: &Input) -> For {
        let side = match input {
            Input::Start { .. } => Some(Side::Controller),
            Input::Deadline => return For::Both,
            Input::Request { header, .. } => Some(match header.listener {
                Listener::Broker => Side::Broker,
                Listener::Controller => Side::Controller,
            }),
            Input::Opened { conn }
            | Input::DialFailed { conn }
            | Input::Closed { conn }
            | Input::Response { conn, .. } => self.owners.conns.get(conn).copied(),
            Input::Synced { ticket, .. } => self.owners.syncs.get(ticket).copied(),
            Input::Local(LocalStep::Broker(_)) | Input::Command { .. } => Some(Side::Broker),
            Input::Local(LocalStep::Controller(_)) => Some(Side::Controller),
            Input::Local(LocalStep::Combined(step)) => return For::Process(*step),
            Input::Local(LocalStep::Client(_)) => None,
        };
        side.map_or(For::Nobody, For::Side)
    }

    /// Nothing will be heard of these any more.
    fn forget_owner(&mut self, input: &Input) {
        match input {
            Input::DialFailed { conn } | Input::Closed { conn } => {
                self.owners.conns.remove(conn);
            }
            Input::Synced { ticket, .. } => {
                self.owners.syncs.remove(ticket);
            }
            _ => {}
        }
    }

    fn hand_to(&mut self, side: Side, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if side == Side::Broker && self.broker_has_stopped() {
            // Its part of the process is gone.
            if let Input::Request { conn, .. } = input {
                fx.hang_up(conn);
            }
            return;
        }
        let mut host = SideHost {
            host: fx.host(),
            side,
            owners: &mut self.owners,
            stops_alone: matches!(self.stop, Stop::Broker(_)) && side == Side::Broker,
            has_stopped: false,
        };
        let mut effects = Effects::new(&mut host);
        match side {
            Side::Broker => self.broker.handle(now, input, disk, &mut effects),
            Side::Controller => self.controller.handle(now, input, disk, &mut effects),
        }
        let has_stopped = host.has_stopped;
        if let Stop::Broker(op) = self.stop
            && has_stopped
        {
            self.stop = Stop::Controller(op);
            fx.defer(Lane::Raft, LocalStep::Combined(Step::StopController));
        }
    }

    fn broker_has_stopped(&self) -> bool {
        matches!(self.stop, Stop::Controller(_))
    }

    fn on_step(&mut self, now: Now, step: Step, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match (step, self.stop) {
            (Step::StartBroker { incarnation }, _) => {
                self.hand_to(Side::Broker, now, Input::Start { incarnation }, disk, fx);
            }
            (Step::StopController, Stop::Controller(op)) => {
                let input = Input::Command { op, command: Command::ShutDown };
                self.hand_to(Side::Controller, now, input, disk, fx);
            }
            (Step::StopController, _) => {}
        }
    }

    fn is_due(deadline: Option<Nanos>, now: Now) -> bool {
        deadline.is_some_and(|deadline| deadline <= now.mono)
    }
}

impl Node for Combined {
    fn lane(&self, input: &Input) -> Lane {
        match self.addressee(input) {
            For::Side(Side::Broker) => self.broker.lane(input),
            For::Side(Side::Controller) => self.controller.lane(input),
            For::Process(Step::StartBroker { .. }) => Lane::Log,
            For::Process(Step::StopController) => Lane::Raft,
            For::Both | For::Nobody => Lane::Timer,
        }
    }

    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let addressee = self.addressee(&input);
        self.forget_owner(&input);
        match (addressee, input) {
            (For::Side(Side::Controller), input @ Input::Start { incarnation }) => {
                self.hand_to(Side::Controller, now, input, disk, fx);
                fx.defer(Lane::Log, LocalStep::Combined(Step::StartBroker { incarnation }));
            }
            (For::Side(side), input) => {
                if let (Input::Command { op, command: Command::ShutDown }, Stop::No) = (&input, self.stop) {
                    self.stop = Stop::Broker(*op);
                }
                self.hand_to(side, now, input, disk, fx);
            }
            (For::Both, input) => {
                if Self::is_due(self.controller.next_deadline(), now) {
                    self.hand_to(Side::Controller, now, input.clone(), disk, fx);
                }
                if Self::is_due(self.broker.next_deadline(), now) {
                    self.hand_to(Side::Broker, now, input, disk, fx);
                }
            }
            (For::Process(step), _) => self.on_step(now, step, disk, fx),
            (For::Nobody, _) => {}
        }
    }

    fn next_deadline(&self) -> Option<Nanos> {
        let of_broker = if self.broker_has_stopped() { None } else { self.broker.next_deadline() };
        [of_broker, self.controller.next_deadline()].into_iter().flatten().min()
    }
}

/// The host as one side sees it.
struct SideHost<'a> {
    host: &'a mut dyn Host,
    side: Side,
    owners: &'a mut Owners,
    /// Its orderly end is not yet that of the process.
    stops_alone: bool,
    /// It has come to its orderly end.
    has_stopped: bool,
}

impl Host for SideHost<'_> {
    fn fresh(&mut self) -> u64 {
        self.host.fresh()
    }
    fn random(&mut self, purpose: RandomFor) -> u64 {
        self.host.random(purpose)
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        match event {
            // The process is up when its logs are loaded too, and its stop was an orderly one when its logs were flushed:
            // the broker tells both.
            Event::Started { .. } | Event::ShutDownCleanly if self.side == Side::Controller => return EventId::NONE,
            Event::ShutDownCleanly if self.stops_alone => self.has_stopped = true,
            _ => {}
        }
        self.host.record(event, also_because)
    }
    fn effect(&mut self, effect: Effect) {
        match &effect {
            Effect::Dial { conn, .. } => {
                self.owners.conns.insert(*conn, self.side);
            }
            Effect::Sync { ticket, .. } => {
                self.owners.syncs.insert(*ticket, self.side);
            }
            Effect::Halt { .. } if self.has_stopped => return,
            _ => {}
        }
        self.host.effect(effect);
    }
    fn charge(&mut self, work: Nanos) {
        self.host.charge(work);
    }
}
