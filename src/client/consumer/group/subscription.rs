//! To what is it subscribed, and what does it have of that?
//!
//! Source: `SubscriptionState`; patterns of the classic protocol are matched by the client
//! (`ConsumerCoordinator.updatePatternSubscription`), by the crate `regex-lite` and not `java.util.regex`: names of topics
//! are ASCII, and Unicode classes are refused as invalid, as are look-around and back-references.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use regex_lite::Regex;

use super::{Cx, Group, Member, Membership};
use crate::client::consumer::position::State;
use crate::config::GroupProtocol;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::ids::{Topic, TopicPartition};
use crate::node::{OpId, Outcome, Rebalanced, Subscription};
use crate::protocol::error_name;

/// A subscription, and the topics that it comes to as far as the client knows.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub(super) to: Subscription,
    pub(super) topics: BTreeSet<Topic>,
    /// The version of the client's view by which a pattern was resolved.
    resolved_by: Option<u64>,
}

impl Subscribed {
    /// The pattern, if it is one.
    pub(super) fn pattern(&self) -> Option<&str> {
        match &self.to {
            Subscription::Topics(_) => None,
            Subscription::Pattern(pattern) => Some(pattern),
        }
    }
}

/// The pattern, to be matched against whole names; it must be one by itself.
fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()?;
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

impl Membership {
    /// `KafkaConsumer.subscribe`: the group is joined by the next polls. What is assigned of other topics stays until the
    /// rebalance, but what was fetched of them is forgotten.
    pub(crate) fn subscribe(&mut self, op: OpId, to: Subscription, cx: &mut Cx<'_, '_>) {
        let is_classic = matches!(self.member, Member::Classic(_));
        if let Subscription::Pattern(pattern) = &to
            && is_classic
            && compile(pattern).is_none()
        {
            let error = error_name(ResponseError::InvalidRegularExpression);
            return cx.fx.deliver(op, Outcome::Refused { error });
        }
        let topics = match &to {
            Subscription::Topics(topics) => topics.iter().cloned().collect(),
            Subscription::Pattern(_) => BTreeSet::new(),
        };
        if self.group.subscription.is_none() {
            // What was assigned by hand is replaced.
            cx.consumer.set_assignment(&BTreeSet::new(), State::Initializing);
        }
        let is_pattern = matches!(to, Subscription::Pattern(_));
        if !is_pattern {
            let others = cx.consumer.assigned.iter_mut().filter(|(id, _)| !topics.contains(&id.topic));
            others.for_each(|(_, assigned)| assigned.buffer.clear());
        }
        cx.consumer.metadata_topics = topics.clone();
        cx.consumer.cluster.want_all(is_pattern && is_classic);
        cx.consumer.want_topics();
        self.group.subscription = Some(Subscribed { to, topics, resolved_by: None });
        if let Member::Modern(member) = &mut self.member {
            member.on_subscribed();
        }
        cx.fx.deliver(op, Outcome::Done);
    }

    /// What is assigned by hand takes the place of a subscription.
    pub(crate) fn unsubscribe_to_assign(&mut self, cx: &mut Cx<'_, '_>) {
        if self.group.subscription.is_some() {
            self.unsubscribe(cx);
        }
    }
    /// `KafkaConsumer.unsubscribe`.
    pub(crate) fn unsubscribe(&mut self, cx: &mut Cx<'_, '_>) {
        if self.group.subscription.is_some() {
            self.leave("the consumer unsubscribed from all topics", cx);
        }
        self.group.subscription = None;
        cx.consumer.metadata_topics.clear();
        cx.consumer.cluster.want_all(false);
        cx.consumer.set_assignment(&BTreeSet::new(), State::Initializing);
    }
    /// Gives up what it has, and tells the coordinator.
    pub(super) fn leave(&mut self, why: &str, cx: &mut Cx<'_, '_>) {
        self.group.callbacks.forget_untold();
        match &mut self.member {
            Member::Classic(member) => member.leave(why, &mut self.group, cx),
            Member::Modern(member) => member.leave(why, &mut self.group, cx),
        }
    }
}

impl Group {
    /// The topics it is subscribed to, as far as they are known.
    pub(super) fn topics(&self) -> BTreeSet<Topic> {
        self.subscription.as_ref().map(|subscribed| subscribed.topics.clone()).unwrap_or_default()
    }
    /// Looks which topics a pattern means, when there is something new to know.
    pub(super) fn resolve_pattern(&mut self, cx: &mut Cx<'_, '_>) {
        if cx.consumer.config.group_protocol != GroupProtocol::Classic || !cx.consumer.cluster.has_all() {
            return;
        }
        let view = cx.consumer.cluster.view();
        let Some(subscribed) = &mut self.subscription else { return };
        if subscribed.resolved_by == Some(view.version()) {
            return;
        }
        let Some(regex) = subscribed.pattern().and_then(compile) else { return };
        let topics: BTreeSet<Topic> =
            view.public_topics().filter(|topic| regex.is_match(topic.as_str())).cloned().collect();
        subscribed.resolved_by = Some(view.version());
        if topics != subscribed.topics {
            cx.consumer.metadata_topics.extend(topics.iter().cloned());
            subscribed.topics = topics;
        }
    }
    /// Is it known what the subscription means? A pattern waits for metadata of all topics.
    pub(super) fn knows_its_topics(&self) -> bool {
        self.subscription.as_ref().is_some_and(|of| of.pattern().is_none() || of.resolved_by.is_some())
    }
    /// May this be assigned to it?
    pub(super) fn is_subscribed_to(&self, topic: &Topic) -> bool {
        self.subscription.as_ref().is_some_and(|of| match of.pattern().map(compile) {
            None => of.topics.contains(topic),
            Some(regex) => regex.is_some_and(|regex| regex.is_match(topic.as_str())),
        })
    }

    /// It has these now, and begins in the new ones where the group has come to. The listener is told.
    pub(super) fn assign(
        &mut self,
        generation: i32,
        assigned: &BTreeSet<TopicPartition>,
        added: Vec<TopicPartition>,
        cx: &mut Cx<'_, '_>,
    ) {
        cx.consumer.set_assignment(assigned, State::Initializing);
        let (group, partitions) = (self.id.clone(), added.clone());
        cx.fx.record(Event::PartitionsAssigned { group, generation, partitions });
        self.callbacks.push(Rebalanced::Assigned { partitions: added, generation });
    }
    /// It no longer has these, which it has given up: the listener was told before.
    pub(super) fn revoke(&mut self, generation: i32, revoked: Vec<TopicPartition>, cx: &mut Cx<'_, '_>) {
        if revoked.is_empty() {
            return;
        }
        let kept = cx.consumer.assigned.keys().filter(|id| !revoked.contains(id)).cloned().collect();
        cx.consumer.set_assignment(&kept, State::Initializing);
        cx.fx.record(Event::PartitionsRevoked { group: self.id.clone(), generation, partitions: revoked });
    }
    /// It has lost everything: others may have it already. True if the listener is to be told.
    pub(super) fn lose_all(&mut self, generation: i32, cx: &mut Cx<'_, '_>) -> bool {
        let lost: Vec<TopicPartition> = cx.consumer.assigned.keys().cloned().collect();
        self.callbacks.forget_untold();
        if lost.is_empty() {
            return false;
        }
        if GroupClientRule::LostIsGivenUp.holds() {
            cx.consumer.set_assignment(&BTreeSet::new(), State::Initializing);
        }
        cx.fx.record(Event::PartitionsLost { group: self.id.clone(), generation, partitions: lost.clone() });
        self.callbacks.push(Rebalanced::Lost { partitions: lost });
        true
    }
}
