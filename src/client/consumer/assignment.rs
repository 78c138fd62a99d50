//! Which partitions does it read? Those that the application names, or those that its group gives it.
//!
//! Source: `SubscriptionState`.

use std::collections::BTreeSet;

use super::Consumer;
use super::group::NO_OFFSET;
use super::position::{Assigned, Position, State, reset_by_policy};
use crate::config::OffsetReset;
use crate::ids::{Topic, TopicPartition};
use crate::node::{Effects, OpId, Outcome};

impl Consumer {
    /// Replaces the assignment. A partition that stays and is given no offset keeps its position and its buffer.
    /// Source: `KafkaConsumer.assign`, then `seek`.
    pub(super) fn assign(&mut self, partitions: Vec<(TopicPartition, Option<i64>)>) {
        let mut before = std::mem::take(&mut self.assigned);
        self.turns.clear();
        self.fetch_order.clear();
        for (partition, offset) in partitions {
            let kept = before.remove(&partition).filter(|_| offset.is_none());
            let assigned = kept.unwrap_or_else(|| match offset {
                Some(offset) => {
                    let leader = self.cluster.view().leader(&partition);
                    Assigned::new(State::Fetching(Position { offset: offset.max(0), offset_epoch: None, leader }))
                }
                None => self.without_position(&partition),
            });
            if self.assigned.insert(partition.clone(), assigned).is_none() {
                self.turns.push_back(partition.clone());
                self.fetch_order.push_back(partition);
            }
        }
        self.assignment += 1;
        self.want_topics();
        self.errors.retain(|(partition, _)| self.assigned.contains_key(partition));
    }
    fn without_position(&mut self, partition: &TopicPartition) -> Assigned {
        if self.membership.is_some() {
            return Assigned::new(State::Initializing);
        }
        if self.config.auto_offset_reset == OffsetReset::None {
            self.errors.push((partition.clone(), NO_OFFSET.to_string()));
        }
        Assigned::new(reset_by_policy(self.config.auto_offset_reset, "no position"))
    }

    /// `KafkaConsumer.pause`, `resume`: all of them or none.
    pub(super) fn set_paused(&mut self, op: OpId, partitions: &[TopicPartition], paused: bool, fx: &mut Effects<'_>) {
        if partitions.iter().any(|id| !self.assigned.contains_key(id)) {
            // "No current assignment for partition".
            return fx.deliver(op, crate::client::refused_by_role());
        }
        for id in partitions {
            if let Some(assigned) = self.assigned.get_mut(id) {
                assigned.paused = paused;
            }
        }
        fx.deliver(op, Outcome::Done);
    }

    /// The partitions it reads, of which these are new ones with that state; what stays keeps its position and its buffer.
    /// Source: `SubscriptionState.assignFromSubscribed`.
    pub(super) fn set_assignment(&mut self, partitions: &BTreeSet<TopicPartition>, new: State) {
        self.assignment += 1;
        self.assigned.retain(|id, _| partitions.contains(id));
        for id in partitions {
            if !self.assigned.contains_key(id) {
                self.assigned.insert(id.clone(), Assigned::new(new.clone()));
                self.turns.push_back(id.clone());
                self.fetch_order.push_back(id.clone());
            }
        }
        self.turns.retain(|id| partitions.contains(id));
        self.fetch_order.retain(|id| partitions.contains(id));
        self.errors.retain(|(id, _)| partitions.contains(id));
        self.want_topics();
    }
    /// Asks for the metadata of what it reads and of what its group does.
    pub(super) fn want_topics(&mut self) {
        let of_assigned = self.assigned.keys().map(|id| id.topic.clone());
        let topics: BTreeSet<Topic> = of_assigned.chain(self.metadata_topics.iter().cloned()).collect();
        topics.iter().for_each(|topic| self.cluster.want(topic));
        self.cluster.want_only(|topic| topics.contains(topic));
    }
    /// What it reads, in order.
    pub(super) fn owned(&self) -> BTreeSet<TopicPartition> {
        self.assigned.keys().cloned().collect()
    }
    /// Nothing of these is handed out from now on (`SubscriptionState.markPendingRevocation`).
    pub(super) fn mark_pending_revocation<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        for id in partitions {
            if let Some(assigned) = self.assigned.get_mut(id) {
                assigned.pending_revocation = true;
            }
        }
    }
}
