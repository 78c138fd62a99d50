//! The administrator: does the steps of `[[admin]]` one after the other.
//!
//! A step that ends without an answer of the controller (there was none, or it was lost) is tried again until it is done
//! or the faults end: as a person would who reads "try again". What was asked and lost may have been done, so that the
//! next try is told "there is no such topic"; that ends the step too.

use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Nanos, OpId, Outcome};

use super::life::{LifeStep, Phase};
use super::{What, World};
use crate::scenario::{AdminAction, AdminStep, Scenario};

/// Where the administrator is in the scenario's steps.
#[derive(Clone, Debug)]
pub(super) struct Administrator {
    /// In the order in which they are done.
    steps: Vec<AdminStep>,
    next: usize,
    under_way: bool,
    /// The topics that are there by what was done, and how many partitions they have.
    topics: Vec<(String, i32)>,
}

/// Pause before a step is tried again.
const AGAIN_AFTER: Nanos = 100_000_000;

impl Administrator {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut steps = scenario.admin.clone();
        steps.sort_by_key(|step| step.at);
        let topics = scenario.topics.iter().map(|topic| (topic.name.clone(), topic.partitions)).collect();
        Administrator { steps, next: 0, under_way: false, topics }
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
            AdminAction::AlterConfig { .. } | AdminAction::ElectLeaders { .. } | AdminAction::Reassign { .. } => {}
        }
    }
}

/// Is it so already, by an earlier try whose answer was lost?
fn is_so_already(action: &AdminAction, error: &str) -> bool {
    matches!(
        (action, error),
        (AdminAction::CreateTopic(_), "TOPIC_ALREADY_EXISTS")
            | (AdminAction::DeleteTopic { .. }, "UNKNOWN_TOPIC_OR_PARTITION")
    )
}

/// Nobody said no.
fn is_worth_another_try(error: &str) -> bool {
    matches!(error, "NOT_CONTROLLER" | "TIMEOUT" | "REQUEST_TIMED_OUT" | "NETWORK_EXCEPTION")
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
        if let Some(step) = self.life.administrator.steps.first() {
            self.queue.push(step.at, What::Life(LifeStep::Administer));
        }
    }

    /// Does the next step, if its time has come.
    pub(super) fn administer(&mut self) {
        let administrator = &mut self.life.administrator;
        let Some(step) = administrator.steps.get(administrator.next).filter(|_| !administrator.under_way) else {
            return;
        };
        if self.life.phase > Phase::Faults {
            return;
        }
        if step.at > self.now {
            let at = step.at;
            return self.queue.push(at, What::Life(LifeStep::Administer));
        }
        let command = step.action.command();
        administrator.under_way = true;
        self.command(self.life.admin, World::ADMIN_OP, command);
    }

    /// The administrator's operation has ended. False if it was somebody else's.
    pub(super) fn on_administered(&mut self, op: OpId, outcome: &Outcome) -> bool {
        if op != World::ADMIN_OP {
            return false;
        }
        let administrator = &mut self.life.administrator;
        administrator.under_way = false;
        let Some(step) = administrator.steps.get(administrator.next).cloned() else { return true };
        let done = match outcome {
            Outcome::Refused { error } if is_worth_another_try(error) => {
                self.queue.push(self.now + AGAIN_AFTER, What::Life(LifeStep::Administer));
                return true;
            }
            Outcome::Refused { error } => is_so_already(&step.action, error),
            _ => true,
        };
        if done {
            administrator.follow(&step.action);
        }
        administrator.next += 1;
        self.queue.push(self.now, What::Life(LifeStep::Administer));
        true
    }
}
