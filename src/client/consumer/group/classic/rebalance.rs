//! A rebalance, as far as polls carry it. Source: `AbstractCoordinator.joinGroupIfNeeded`, `ConsumerCoordinator.onJoinPrepare`,
//! `onLeaderElected`, `onJoinComplete`.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::messages::JoinGroupResponse;

use super::super::commit::{BeforeRevocation, Refusal};
use super::{Classic, Cx, Generation, Group, GroupCall, MemberState, NO_GENERATION, Phase, join_timeout_ms, responses};
use crate::client::consumer::retry_backoff;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::group::assignor::client::consumer_protocol::{Assignment, Subscription};
use crate::group::assignor::client::{
    Claims, JoinedMember, LastAssignment, PartitionsPerTopic, RebalanceProtocol, perform_assignment,
};
use crate::ids::{Topic, TopicPartition};
use crate::node::{Rebalanced, ms};
use crate::zoo::Switch;

impl Classic {
    /// Goes on until somebody else is awaited. True if no rebalance is on or to come.
    pub(in super::super) fn advance(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) -> bool {
        if group.subscription.is_none() {
            return true;
        }
        loop {
            match &self.phase {
                Phase::Settled => {
                    if !self.is_to_join(group, cx) {
                        return true;
                    }
                    if !group.knows_its_topics() {
                        cx.consumer.cluster.request_refresh();
                        return false;
                    }
                    if !group.coordinator.is_ready() {
                        return false;
                    }
                    match std::mem::take(&mut self.needs_prepare) {
                        true => self.prepare(group, cx),
                        false => self.join(group, cx),
                    }
                }
                Phase::Committing { give_up_at, retry_at } => {
                    let (give_up_at, retry_at) = (*give_up_at, *retry_at);
                    if !self.has_committed(give_up_at, retry_at, group, cx) {
                        return false;
                    }
                    self.give_up(group, cx);
                }
                Phase::JoinAnswered(..) => {
                    if let Phase::JoinAnswered(answer, sent) = std::mem::replace(&mut self.phase, Phase::Settled) {
                        self.on_joined(answer, &sent, group, cx);
                    }
                }
                Phase::Leading { since_view, .. } => {
                    let view = cx.consumer.cluster.view().version();
                    if view == *since_view && cx.consumer.cluster.is_refreshing() {
                        return false;
                    }
                    if let Phase::Leading { election, .. } = std::mem::replace(&mut self.phase, Phase::Settled) {
                        self.lead(&election, group, cx);
                    }
                }
                Phase::Synced(_) => {
                    if let Phase::Synced(assignment) = std::mem::replace(&mut self.phase, Phase::Settled) {
                        self.complete(assignment, group, cx);
                    }
                }
                Phase::Pausing { until } if *until <= cx.now => self.phase = Phase::Settled,
                Phase::GivingUp { .. }
                | Phase::Joining
                | Phase::Syncing
                | Phase::Revoking { .. }
                | Phase::Assigning
                | Phase::Pausing { .. } => return false,
            }
            if group.failure.is_some() {
                return false;
            }
        }
    }

    /// Source: `ConsumerCoordinator.rejoinNeededOrPending`.
    fn is_to_join(&mut self, group: &Group, cx: &mut Cx<'_, '_>) -> bool {
        if self.topics_have_changed(cx) && self.rejoin.is_none() && GroupClientRule::LeaderWatchesTheTopics.holds() {
            self.request_rejoin("cached metadata has changed");
        }
        let other_topics = self.joined_topics.as_ref().is_some_and(|joined| *joined != group.topics());
        if other_topics && self.rejoin.is_none() {
            self.request_rejoin("subscription has changed");
        }
        self.rejoin.is_some()
    }
    /// Are the group's topics other than its leader knew them when it assigned (`MetadataSnapshot`)?
    fn topics_have_changed(&mut self, cx: &Cx<'_, '_>) -> bool {
        let view = cx.consumer.cluster.view();
        let Some((version, known)) = &mut self.snapshot else { return false };
        if *version == view.version() {
            return false;
        }
        let has_changed = *known != snapshot(cx);
        if !has_changed {
            *version = view.version();
        }
        has_changed
    }

    /// `onJoinPrepare`. An eager member gives up everything: what is committed now must be the last of it, so no more is
    /// handed out. Zoo switch `fetch-while-revoking`.
    fn prepare(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if !group.commits_by_itself(cx.consumer) || !GroupClientRule::CommitsBeforeItGivesUp.holds() {
            return self.give_up(group, cx);
        }
        let hands_out = cx.consumer.zoo.on(Switch::FetchWhileRevoking)
            || !GroupClientRule::RevokedIsNotHandedOut.holds()
            || self.protocol != RebalanceProtocol::Eager;
        if !hands_out {
            let owned = cx.consumer.owned();
            cx.consumer.mark_pending_revocation(&owned);
        }
        let give_up_at = cx.now.saturating_add(ms(cx.consumer.config.max_poll_interval_ms));
        self.phase = Phase::Committing { give_up_at, retry_at: 0 };
        self.commit_positions(group, cx);
    }
    fn commit_positions(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        group.commit_before_revocation(crate::node::Nanos::MAX, cx);
        let committer = self.committer(group);
        group.send_commits(committer, cx);
    }
    /// Is there nothing to wait for any more?
    fn has_committed(&mut self, give_up_at: u64, retry_at: u64, group: &mut Group, cx: &mut Cx<'_, '_>) -> bool {
        let is_over = give_up_at <= cx.now;
        match group.commits.before_revocation() {
            _ if is_over => {}
            BeforeRevocation::UnderWay => return false,
            BeforeRevocation::Ended(Err(Refusal::Retriable(_))) => {
                let until = cx.now.saturating_add(ms(cx.consumer.config.retry_backoff_ms));
                self.phase = Phase::Committing { give_up_at, retry_at: until };
                group.commits.forget_revocation();
                return false;
            }
            BeforeRevocation::None if retry_at > cx.now => return false,
            BeforeRevocation::None => {
                self.commit_positions(group, cx);
                // There may be nothing to commit, or nobody who may.
                let is_under_way = *group.commits.before_revocation() == BeforeRevocation::UnderWay;
                return !is_under_way && self.has_committed(give_up_at, retry_at, group, cx);
            }
            BeforeRevocation::Ended(_) => {}
        }
        group.commits.forget_revocation();
        true
    }

    /// What does it give up before it joins? All that it has if it is no member any more; all if it is eager; what it is no
    /// longer subscribed to if it is cooperative.
    fn give_up(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let is_no_member = self.generation.id == NO_GENERATION || self.generation.member.is_empty();
        if is_no_member {
            match group.lose_all(self.owned_in, cx) {
                true => self.phase = Phase::GivingUp { revoked: Vec::new() },
                false => self.prepared(group, cx),
            }
            return;
        }
        let owned = cx.consumer.owned().into_iter();
        let revoked: Vec<TopicPartition> = match self.protocol {
            RebalanceProtocol::Eager => owned.collect(),
            RebalanceProtocol::Cooperative => owned.filter(|id| !group.is_subscribed_to(&id.topic)).collect(),
        };
        if revoked.is_empty() {
            return self.prepared(group, cx);
        }
        group.callbacks.push(Rebalanced::Revoked { partitions: revoked.clone() });
        self.phase = Phase::GivingUp { revoked };
    }
    fn prepared(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        self.is_leader = false;
        cx.consumer.metadata_topics = group.topics();
        cx.consumer.want_topics();
        self.join(group, cx);
    }

    /// `initiateJoinGroup`.
    fn join(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        self.state = MemberState::PreparingRebalance;
        let topics = group.topics();
        self.joined_topics = Some(topics.clone());
        let owned: Vec<TopicPartition> = cx.consumer.owned().into_iter().collect();
        let rack = &cx.consumer.config.client_rack;
        let subscription = Subscription {
            topics: topics.into_iter().collect(),
            user_data: None,
            owned_partitions: owned,
            generation_id: self.generation_told(cx),
            rack_id: (!rack.is_empty()).then(|| rack.clone()),
            group_instance_id: None,
        };
        let offered = self.assignors.iter().filter_map(|assignor| {
            let user_data = assignor.subscription_user_data(self.last.as_ref());
            let bytes = Subscription { user_data, ..subscription.clone() }.encode().ok()?;
            Some((assignor.name(), bytes))
        });
        let offered = offered.collect();
        let why = self.rejoin.clone().unwrap_or_default();
        let request = responses::join_request(group, &cx.consumer.config, &self.generation.member, offered, &why);
        let call = GroupCall::JoinGroup(self.generation.clone());
        self.phase = Phase::Joining;
        group.coordinator.send(join_timeout_ms(&cx.consumer.config), request, call);
    }

    /// The generation that stands beside what it owns (KIP-792). The zoo switch `sticky-stale-ownership` leaves it out, as before
    /// 3.4: then only the assignor tells one, that of the last assignment.
    fn generation_told(&self, cx: &Cx<'_, '_>) -> Option<i32> {
        let is_told = self.generation.id != NO_GENERATION && !cx.consumer.zoo.on(Switch::StickyStaleOwnership);
        is_told.then_some(self.generation.id)
    }

    /// It is in a generation: as the one that assigns, or not.
    pub(super) fn follow_or_lead(&mut self, answer: Box<JoinGroupResponse>, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if answer.leader != answer.member_id {
            return self.sync(Vec::new(), group, cx);
        }
        let topics = answer.members.iter().filter_map(|member| Subscription::decode(&member.metadata).ok());
        let topics: BTreeSet<Topic> = topics.flat_map(|subscription| subscription.topics).collect();
        let known = cx.consumer.metadata_topics.len();
        cx.consumer.metadata_topics.extend(topics);
        if cx.consumer.metadata_topics.len() > known {
            cx.consumer.cluster.request_refresh();
        }
        cx.consumer.want_topics();
        let since_view = cx.consumer.cluster.view().version();
        self.phase = Phase::Leading { election: answer, since_view };
    }
    /// Assigns. With the zoo switch `sticky-stale-ownership` nothing counts that a member of an older generation says it owns.
    fn lead(&mut self, election: &JoinGroupResponse, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if self.state != MemberState::CompletingRebalance {
            return self.request_rejoin("the generation is over");
        }
        self.is_leader = true;
        let version = cx.consumer.cluster.view().version();
        self.snapshot = Some((version, snapshot(cx)));
        if election.skip_assignment && GroupClientRule::ReturningLeaderLeavesTheAssignment.holds() {
            return self.sync(Vec::new(), group, cx);
        }
        let Some(assignor) = self.generation.protocol else { return };
        let members: Vec<JoinedMember> = election
            .members
            .iter()
            .map(|member| JoinedMember {
                member_id: member.member_id.to_string(),
                group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                metadata: member.metadata.clone(),
            })
            .collect();
        let claims = match cx.consumer.zoo.on(Switch::StickyStaleOwnership) {
            true => Claims::OfHighestGeneration,
            false => Claims::ByGeneration,
        };
        let partitions = cx.consumer.cluster.view().partitions_of(&cx.consumer.metadata_topics);
        match perform_assignment(assignor, &members, &partitions, claims) {
            Ok(assignments) => self.sync(assignments.into_iter().collect(), group, cx),
            Err(error) => {
                self.request_rejoin("the leader cannot assign");
                group.failure = Some(error.to_string());
            }
        }
    }
    fn sync(&mut self, assignments: Vec<(String, Bytes)>, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let request = responses::sync_request(group, &self.generation, assignments);
        let call = GroupCall::SyncGroup(self.generation.clone());
        self.phase = Phase::Syncing;
        group.coordinator.send(cx.consumer.config.request_timeout_ms, request, call);
    }

    /// `onJoinComplete`. A cooperative member gives up what the assignment takes away, and joins again without it.
    fn complete(&mut self, assignment: Bytes, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if self.generation.is_reset() || self.state != MemberState::Stable {
            return self.reset("the generation ended before its assignment was taken", true, group, cx);
        }
        self.needs_prepare = true;
        if !self.is_leader {
            self.snapshot = None;
        }
        let assigned: BTreeSet<TopicPartition> = match Assignment::decode(&assignment) {
            Ok(assignment) => assignment.partitions.into_iter().collect(),
            Err(error) => return group.failure = Some(format!("the assignment cannot be read: {error}")),
        };
        if assigned.iter().any(|id| !group.is_subscribed_to(&id.topic)) {
            return self.request_rejoin("received assignment does not match the current subscription");
        }
        let owned = cx.consumer.owned();
        let revoked: Vec<TopicPartition> = owned.difference(&assigned).cloned().collect();
        if !revoked.is_empty() && GroupClientRule::CooperativeRevokesAndRejoins.holds() {
            group.callbacks.push(Rebalanced::Revoked { partitions: revoked.clone() });
            self.phase = Phase::Revoking { assigned, revoked };
            return;
        }
        self.take(&assigned, group, cx);
    }
    fn take(&mut self, assigned: &BTreeSet<TopicPartition>, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let generation = self.generation.id;
        let owned = cx.consumer.owned();
        let added = assigned.difference(&owned).cloned().collect();
        self.last = Some(LastAssignment { partitions: assigned.iter().cloned().collect(), generation });
        self.owned_in = generation;
        group.commits.restart_interval(cx.consumer.config.auto_commit_interval_ms, cx.now);
        group.assign(generation, assigned, added, cx);
        self.phase = Phase::Assigning;
    }

    /// The listener is done with that.
    pub(in super::super) fn on_listener_done(&mut self, what: Rebalanced, group: &mut Group, cx: &mut Cx<'_, '_>) {
        match (std::mem::replace(&mut self.phase, Phase::Settled), what) {
            (Phase::GivingUp { revoked }, Rebalanced::Revoked { .. } | Rebalanced::Lost { .. }) => {
                group.revoke(self.owned_in, revoked, cx);
                self.prepared(group, cx);
            }
            (Phase::Revoking { assigned, revoked }, Rebalanced::Revoked { .. }) => {
                group.revoke(self.owned_in, revoked, cx);
                self.request_rejoin("need to revoke partitions and re-join");
                self.take(&assigned, group, cx);
            }
            (Phase::Assigning, Rebalanced::Assigned { .. }) => {}
            (phase, _) => self.phase = phase,
        }
    }

    /// The calls of a rebalance that got no answer, or an error that may pass: it is tried again after a pause.
    pub(super) fn pause(&mut self, why: &str, cx: &mut Cx<'_, '_>) {
        self.request_rejoin(why);
        let until = cx.now.saturating_add(retry_backoff(&cx.consumer.config).pause(0, cx.fx));
        self.phase = Phase::Pausing { until };
    }
    /// A call that got no answer.
    pub(in super::super) fn on_failed(&mut self, call: &GroupCall, cx: &mut Cx<'_, '_>) {
        match call {
            GroupCall::Heartbeat(_) => self.heartbeat.failed(cx),
            GroupCall::JoinGroup(_) if matches!(self.phase, Phase::Joining) => {
                self.pause("the coordinator did not answer", cx);
            }
            GroupCall::SyncGroup(_) if matches!(self.phase, Phase::Syncing) => {
                self.pause("the coordinator did not answer", cx);
            }
            _ => {}
        }
    }

    /// SyncGroup brought an assignment.
    pub(super) fn on_assignment(&mut self, assignment: Bytes, group: &Group, cx: &mut Cx<'_, '_>) {
        self.state = MemberState::Stable;
        self.rejoin = None;
        self.phase = Phase::Synced(assignment);
        let Generation { id: generation, member, .. } = self.generation.clone();
        cx.fx.record(Event::GroupJoined { group: group.id.clone(), member, generation });
    }
}

/// What the leader's metadata tells of the group's topics. Racks count where the member tells its own.
fn snapshot(cx: &Cx<'_, '_>) -> PartitionsPerTopic {
    let mut known = cx.consumer.cluster.view().partitions_of(&cx.consumer.metadata_topics);
    if cx.consumer.config.client_rack.is_empty() {
        known.values_mut().flatten().for_each(|racks| racks.clear());
    }
    known
}
