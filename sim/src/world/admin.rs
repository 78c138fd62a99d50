//! The administrator: does the steps of `[[admin]]` one after the other, as they become due.
//!
//! A step that ends without an answer of the controller (there was none, or it was lost) is tried again until it is done
//! or the faults end: as a person would who reads "try again". Changes of configurations, which come in pairs, are made after that
//! too: whoever has forbidden something for a moment permits it again. What was asked and lost may have been done, so that the
//! next try is told "there is no such topic"; that ends the step too.

use std::collections::VecDeque;

use trial_kafka::controller::Voter;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Nanos, OpId, Outcome};

use super::life::{LifeStep, Phase};
use super::slot::SimNode;
use super::{What, World};
use crate::fault::When;
use crate::scenario::{AdminAction, Scenario};

/// Where the administrator is in the scenario's steps.
#[derive(Clone, Debug)]
pub(super) struct Administrator {
    /// As in the scenario.
    steps: Vec<AdminAction>,
    /// When each is due.
    times: Vec<When>,
    /// Those that are due and not done yet, in the order in which they became due.
    due: VecDeque<usize>,
    under_way: bool,
    /// The topics that are there by what was done, and how many partitions they have.
    topics: Vec<(String, i32)>,
}

/// Pause before a step is tried again.
const AGAIN_AFTER: Nanos = 100_000_000;

impl Administrator {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let steps = scenario.admin.iter().map(|step| step.action.clone()).collect();
        let times = crate::fault::admin_times(scenario, seed);
        let topics = scenario.topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect();
        Administrator { steps, times, due: VecDeque::new(), under_way: false, topics }
    }

    /// The step is done: which topics are there now?
    fn follow(&mut self, action: &AdminAction) {
        match action {
            AdminAction::CreateTopic(topic) => {
                self.topics.retain(|(name, _)| *name != topic.name);
                self.topics.push((topic.name.clone(), topic.partitions));
            }
            AdminAction::DeleteTopic { topic } => self.topics.retain(|(name, _)| name != topic),
            AdminAction::CreatePartitions { topic, partitions } => {
                let known = self.topics.iter_mut().find(|(name, _)| name == topic);
                known.into_iter().for_each(|(_, count)| *count = *partitions);
            }
            AdminAction::AlterConfig { .. }
            | AdminAction::ElectLeaders { .. }
            | AdminAction::Reassign { .. }
            | AdminAction::DeleteRecords { .. }
            | AdminAction::DeleteGroup { .. }
            | AdminAction::DeleteOffsets { .. }
            | AdminAction::AddVoter { .. }
            | AdminAction::RemoveVoter { .. } => {}
        }
    }
}

/// Is it so already, by an earlier try whose answer was lost?
fn is_so_already(action: &AdminAction, error: &str) -> bool {
    matches!(
        (action, error),
        (AdminAction::CreateTopic(_), "TOPIC_ALREADY_EXISTS")
            | (AdminAction::DeleteTopic { .. }, "UNKNOWN_TOPIC_OR_PARTITION")
            | (AdminAction::DeleteGroup { .. }, "GROUP_ID_NOT_FOUND")
            | (AdminAction::AddVoter { .. }, "DUPLICATE_VOTER")
            | (AdminAction::RemoveVoter { .. }, "VOTER_NOT_FOUND")
    )
}

/// Does the administrator leave it at one try?
fn is_tried_once(action: &AdminAction) -> bool {
    matches!(action, AdminAction::AddVoter { once: true, .. } | AdminAction::RemoveVoter { once: true, .. })
}

/// Nobody said no.
fn is_worth_another_try(error: &str) -> bool {
    matches!(
        error,
        "NOT_CONTROLLER"
            | "TIMEOUT"
            | "REQUEST_TIMED_OUT"
            | "NETWORK_EXCEPTION"
            | "NOT_LEADER_OR_FOLLOWER"
            | "NOT_COORDINATOR"
            | "COORDINATOR_NOT_AVAILABLE"
            | "COORDINATOR_LOAD_IN_PROGRESS"
    )
}

impl World {
    /// Operations of the administrator.
    const ADMIN_OP: OpId = OpId(super::life::CONTROL_OPS - 4);

    /// All partitions of the topics that are there: the scenario's, and what its administrator made of them.
    pub fn all_partitions(&self) -> Vec<TopicPartition> {
        let of = |(name, count): &(String, i32)| {
            let topic = Topic::new(name);
            (0..*count).map(move |partition| TopicPartition::new(&topic, partition)).collect::<Vec<_>>()
        };
        self.life.administrator.topics.iter().flat_map(of).collect()
    }

    pub(super) fn begin_administration(&mut self) {
        let times = std::mem::take(&mut self.life.administrator.times);
        self.schedule_admin_steps(times);
    }

    pub(super) fn on_admin_step_due(&mut self, step: usize) {
        self.life.administrator.due.push_back(step);
        self.administer();
    }

    /// Does the next step that is due.
    pub(super) fn administer(&mut self) {
        let administrator = &mut self.life.administrator;
        if administrator.under_way || self.life.phase > Phase::Heal {
            return;
        }
        if self.life.phase > Phase::Faults {
            let steps = &administrator.steps;
            administrator.due.retain(|step| matches!(steps[*step], AdminAction::AlterConfig { .. }));
        }
        let Some(action) = administrator.due.front().map(|step| administrator.steps[*step].clone()) else { return };
        administrator.under_way = true;
        let command = action.command(|controller, as_it_stands| self.voter_named(controller, as_it_stands));
        self.command(self.life.admin, World::ADMIN_OP, command);
    }

    /// A controller, with the disk that it stands there with; or with that by which the quorum has it for a voter, as the
    /// controller says that knows most of it.
    fn voter_named(&self, n: u32, as_it_stands: bool) -> Voter {
        let slot = &self.slots[self.controller_ix(n).map_or(0, |node| node.0 as usize)];
        let setup = match &slot.blank {
            SimNode::Controller(blank) => blank.setup().clone(),
            SimNode::Combined(blank) => blank.controller().setup().clone(),
            SimNode::Broker(_) | SimNode::Client(_) => unreachable!("a scenario's controllers stand first"),
        };
        let here = Voter { id: setup.node_id, directory_id: setup.directory_id, endpoint: setup.endpoint };
        if as_it_stands {
            return here;
        }
        let running = self.controllers().filter(|(node, _)| self.slots[node.0 as usize].is_up());
        let knows_most = running.max_by_key(|(_, c)| (c.is_active(), c.epoch(), c.high_watermark()));
        let voters = knows_most.map_or_else(Vec::new, |(_, controller)| controller.voters());
        voters.into_iter().find(|voter| voter.id == here.id).unwrap_or(here)
    }

    /// Is nothing left to do for the administrator?
    pub(super) fn administrator_is_done(&self) -> bool {
        self.life.administrator.due.is_empty() && !self.life.administrator.under_way
    }

    /// The administrator's operation has ended. False if it was somebody else's.
    pub(super) fn on_administered(&mut self, op: OpId, outcome: &Outcome) -> bool {
        if op != World::ADMIN_OP {
            return false;
        }
        let administrator = &mut self.life.administrator;
        administrator.under_way = false;
        let Some(action) = administrator.due.front().map(|step| administrator.steps[*step].clone()) else {
            return true;
        };
        let done = match outcome {
            Outcome::Refused { error } if is_worth_another_try(error) && !is_tried_once(&action) => {
                self.queue.push(self.now + AGAIN_AFTER, What::Life(LifeStep::Administer));
                return true;
            }
            Outcome::Refused { error } => is_so_already(&action, error),
            _ => true,
        };
        if done {
            administrator.follow(&action);
        }
        administrator.due.pop_front();
        self.queue.push(self.now, What::Life(LifeStep::Administer));
        true
    }
}
