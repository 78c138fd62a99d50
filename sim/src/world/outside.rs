//! What comes from outside: an application under test, the page. Logged, so that the run replays without its host.
//!
//! ```text
//!   host's clock ──▶ run_until(now) ──▶ external(input) ──▶ … Note::External (the answer to a command)
//!                                           │ log
//!   World of the same scenario and seed ◀── replay(log)
//! ```
//!
//! An input acts at the World's present time. A host first runs the World up to its own present, then hands the input
//! in; [`World::replay`] does the same with the log, so that everything falls into the same order again.

use std::sync::Arc;

use trial_kafka::client::{Client, ClientSetup, Role};
use trial_kafka::event::{Event, Fault as FaultEvent};
use trial_kafka::node::{Command, EventId, Input, Nanos, OpId, Outcome};

use super::life::LifeStep;
use super::machines::bootstrap_of;
use super::slot::{SimNode, Slot};
use super::{Note, Sink, What, World};
use crate::fault::FaultKind;
use crate::scenario::Scenario;
use crate::trace::NodeIx;

/// One input of the log.
#[derive(Clone, Debug)]
pub struct External {
    /// When it came, in virtual time.
    pub at: Nanos,
    /// What came.
    pub input: ExternalInput,
}

/// What may come from outside. An input that names no node of the World has no effect.
#[derive(Clone, Debug)]
pub enum ExternalInput {
    /// A client of an application is there from now on: see [`World::add_client`].
    Join {
        /// Its name, unlike any other node's.
        name: String,
        /// What kind of client.
        role: Role,
    },
    /// An operation. Answered by [`Note::External`]; at once, with the error `CLOSED`, if the node is not up. A node that
    /// dies before it has answered never will.
    Command {
        /// To which node.
        node: NodeIx,
        /// The operation's name. At least [`World::EXTERNAL_OPS`].
        op: OpId,
        /// What is asked.
        command: Command,
    },
    /// A fault, whatever phase the trial is in.
    Fault {
        /// Who is hit.
        node: NodeIx,
        /// What goes wrong.
        kind: FaultKind,
    },
    /// A dead node is started again; nothing happens to one that is up.
    Restart {
        /// Which node.
        node: NodeIx,
    },
    /// What lasts is ended, what is dead is started, clocks are set right; faults of the scenario that are still to come
    /// do not. A node that waits for a disk stalled without a duration waits on, until it is started anew.
    Heal,
}

/// How long a World without end goes on: a hundred years, far from the end of the clock's range.
const WITHOUT_END: Nanos = 100 * 365 * 86_400 * 1_000_000_000;

impl World {
    /// A World whose phase of faults never ends: the application says when it is over. The scenario's own faults are
    /// drawn as for its own duration; what of them lasts "until the cluster is healed" lasts until
    /// [`ExternalInput::Heal`].
    pub fn without_end(scenario: &Scenario, seed: u64) -> Self {
        let timeline = crate::fault::timeline(scenario, seed);
        let mut endless = scenario.clone();
        endless.phases.run = WITHOUT_END;
        Self::with_faults(Arc::new(endless), seed, timeline)
    }

    /// Something from outside, now.
    pub fn external(&mut self, input: ExternalInput) {
        self.externals.push(External { at: self.now, input: input.clone() });
        let what = match input {
            ExternalInput::Join { name, role } => {
                let bootstrap = bootstrap_of(&self.scenario);
                let zoo = self.scenario.zoo;
                let client = Client::new(ClientSetup { client_id: name.clone(), bootstrap, role, zoo });
                self.slots.push(Slot::new(name, SimNode::Client(Box::new(client))));
                What::Life(LifeStep::Start(NodeIx(self.slots.len() as u32 - 1)))
            }
            input => What::External(Box::new(input)),
        };
        self.queue.push(self.now, what);
    }

    /// A client for an application, at any time; logged as all that comes from outside. Names `c1`, `b1`, `p1`, `k1`,
    /// `admin` and `reader` are taken; applications call theirs `a1`, `a2` ….
    pub fn add_client(&mut self, name: &str, role: Role) -> NodeIx {
        self.external(ExternalInput::Join { name: name.to_string(), role });
        NodeIx(self.slots.len() as u32 - 1)
    }

    /// What came from outside so far, for replaying the run without its host.
    pub fn externals(&self) -> &[External] {
        &self.externals
    }

    /// Does again what a host did: runs to the time of each input, hands it in, and runs on until `until`. To be called
    /// on a World that has not taken a step.
    pub fn replay(&mut self, log: &[External], until: Nanos, sink: &mut dyn Sink) {
        for external in log {
            self.run_until(external.at, sink);
            self.external(external.input.clone());
        }
        self.run_until(until, sink);
    }

    pub(super) fn on_external(&mut self, input: ExternalInput) {
        let is_node = |node: NodeIx| self.slots.get(node.0 as usize).is_some();
        match input {
            ExternalInput::Command { node, op, command } if is_node(node) => {
                if self.slots[node.0 as usize].is_up() {
                    self.hand_in(node, Input::Command { op, command }, EventId::NONE);
                } else {
                    let outcome = Outcome::Refused { error: "CLOSED".to_string() };
                    self.notes.push(Note::External { node, op, outcome });
                }
            }
            ExternalInput::Fault { node, kind } if is_node(node) => self.fault_from_outside(node, &kind),
            ExternalInput::Restart { node } if is_node(node) => {
                if !self.slots[node.0 as usize].is_up() {
                    let event = self.record(node, Event::Fault(FaultEvent::Restart), &[]);
                    self.start_process(node, &[event]);
                }
            }
            ExternalInput::Heal => {
                self.slots.iter_mut().for_each(|slot| slot.disk.stall_until(self.now));
                self.heal();
            }
            ExternalInput::Join { .. }
            | ExternalInput::Command { .. }
            | ExternalInput::Fault { .. }
            | ExternalInput::Restart { .. } => {}
        }
    }
}
