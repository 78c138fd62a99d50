//! A group of the classic protocol: members that join, agree on a leader, and let it assign.
//!
//! ```text
//!              first member            all joined, or time is up      leader's assignment is committed
//!   Empty ───────────────▶ PreparingRebalance ──────▶ CompletingRebalance ──────▶ Stable
//!     ▲                        │        ▲                      │                    │
//!     └────── nobody left ─────┘        └── a member comes, goes, or changes ───────┘
//! ```
//!
//! Source: `ClassicGroup`, `GroupMetadataManager.classicGroup*`. One state of Kafka's is not here: Dead is that of a group
//! whose shard is gone, and its questions are answered when it goes. Where Kafka follows the order of a Java hash map (the
//! leader's successor, the winner of two protocols with as many votes), here it is the order of the names.

mod describe;
mod heartbeat;
mod join;
mod leave;
mod load;
mod rebalance;
pub(in crate::group) mod static_rejoin;
pub(in crate::group) mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::protocol::Decodable;

use super::api::AskId;
use crate::conformance::ClassicGroupRule;
use crate::node::Millis;

/// The protocol type of consumers (`ConsumerProtocol.PROTOCOL_TYPE`).
pub const CONSUMER: &str = "consumer";

/// Where a group stands; see the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassicState {
    /// Nobody is in it.
    Empty,
    /// Its members are to join.
    PreparingRebalance,
    /// Its leader is to assign.
    CompletingRebalance,
    /// Its members consume.
    Stable,
}

impl ClassicState {
    /// As Kafka's tools show it.
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// A member (`ClassicGroupMember`).
#[derive(Clone, Debug)]
pub struct ClassicMember {
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Assignors it can do, the one it likes best first, with its subscription in their format.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) parked_join: Option<AskId>,
    pub(super) parked_sync: Option<AskId>,
    /// It has never had an answer to its join.
    pub(super) is_new: bool,
}

impl ClassicMember {
    /// Does it say the same as before (`ClassicGroupMember.matches`)?
    fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|((name, metadata), other)| *name == *other.name && *metadata == other.metadata)
    }
    /// What its client calls itself.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
    /// Where it is.
    pub fn client_host(&self) -> &str {
        &self.client_host
    }
    /// `group.instance.id` of a static member.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
    /// `session.timeout.ms`.
    pub fn session_timeout_ms(&self) -> i32 {
        self.session_timeout_ms
    }
    /// Assignors it can do, the one it likes best first, with its subscription in their format.
    pub fn protocols(&self) -> &[(String, Bytes)] {
        &self.protocols
    }
    /// What it has, in the clients' format; empty before its generation is complete.
    pub fn assignment(&self) -> &Bytes {
        &self.assignment
    }
    /// Does it wait for its group, to have all members or an assignment? Until it has its answer nobody expects to hear of it.
    pub fn waits(&self) -> bool {
        self.parked_join.is_some() || self.parked_sync.is_some()
    }
    fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    id: String,
    state: ClassicState,
    previous_state: Option<ClassicState>,
    state_since: Option<Millis>,
    generation: i32,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, ClassicMember>,
    static_members: BTreeMap<String, String>,
    /// Who was given a member id and has not joined with it.
    pending_joins: BTreeSet<String>,
    /// Who has joined this generation and not asked for its assignment.
    pending_syncs: BTreeSet<String>,
    subscribed_topics: Option<BTreeSet<String>>,
    new_member_added: bool,
}

impl ClassicGroup {
    /// A group without anything.
    pub fn new(id: &str, now: Millis) -> ClassicGroup {
        ClassicGroup {
            id: id.to_string(),
            state: ClassicState::Empty,
            previous_state: None,
            state_since: Some(now),
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            subscribed_topics: None,
            new_member_added: false,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> ClassicState {
        self.state
    }
    /// Since when, by the wall clock, if that is known.
    pub fn state_since(&self) -> Option<Millis> {
        self.state_since
    }
    /// What its clients are.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }
    /// Its generation.
    pub fn generation(&self) -> i32 {
        self.generation
    }
    /// Is nobody in it?
    pub fn is_empty(&self) -> bool {
        self.state == ClassicState::Empty
    }
    /// It has offsets and never had members (`ClassicGroup.isSimpleGroup`).
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.is_empty() && self.pending_joins.is_empty()
    }
    /// Its members.
    pub fn members(&self) -> &BTreeMap<String, ClassicMember> {
        &self.members
    }
    /// One of its members.
    pub fn member(&self, id: &str) -> Option<&ClassicMember> {
        self.members.get(id)
    }
    /// Who leads it: the member that assigns.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }
    /// Was this id given to somebody who has not joined with it yet?
    pub fn is_awaited(&self, id: &str) -> bool {
        self.pending_joins.contains(id)
    }
    /// The assignor that its members agreed on.
    pub fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }
    /// Is it known what its members are subscribed to?
    pub fn knows_its_topics(&self) -> bool {
        self.uses_consumer_protocol() && self.subscribed_topics.is_some()
    }
    /// Does it consume this topic? A group of consumers of which that is not known may consume any.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics.as_ref().map_or(self.uses_consumer_protocol(), |topics| topics.contains(topic))
    }
    fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }
    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// May this member say how far the group has come? A group with members hears only them, of its generation; a leader
    /// that is assigning has not heard of what others commit. Source: `ClassicGroup.validateOffsetCommit`.
    pub fn check_commit(&self, member: &str, instance: Option<&str>, generation: i32) -> Result<(), ResponseError> {
        if generation < 0 && (self.is_empty() || !ClassicGroupRule::StrangersCommitToEmptyGroups.holds()) {
            return Ok(());
        }
        if generation < 0 && member.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        self.check_member(member, instance)?;
        if generation != self.generation && ClassicGroupRule::CommitNamesTheGeneration.holds() {
            return Err(ResponseError::IllegalGeneration);
        }
        let is_assigning = self.state == ClassicState::CompletingRebalance;
        match is_assigning && ClassicGroupRule::NoCommitWhileAssigning.holds() {
            true => Err(ResponseError::RebalanceInProgress),
            false => Ok(()),
        }
    }
    /// Source: `ClassicGroup.validateOffsetDelete`.
    pub fn check_offset_delete(&self) -> Result<(), ResponseError> {
        match self.is_empty() || self.uses_consumer_protocol() {
            true => Ok(()),
            false => Err(ResponseError::NonEmptyGroup),
        }
    }

    /// A static member is who has the instance id now: an earlier one is fenced. Source: `ClassicGroup.validateMember`.
    fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(now) if now != member && ClassicGroupRule::EarlierInstanceIsFenced.holds() => {
                    return Err(ResponseError::FencedInstanceId);
                }
                Some(_) => {}
            }
        }
        match self.members.contains_key(member) {
            true => Ok(()),
            false => Err(ResponseError::UnknownMemberId),
        }
    }

    fn transition(&mut self, to: ClassicState, now: Millis) {
        self.previous_state = Some(self.state);
        self.state = to;
        self.state_since = Some(now);
    }
    /// Everybody who is known has come, and nobody has an id without having joined (`ClassicGroup.hasAllMembersJoined`).
    fn has_all_members_joined(&self) -> bool {
        let nobody_pending =
            self.pending_joins.is_empty() || !ClassicGroupRule::RebalanceWaitsForPendingMembers.holds();
        nobody_pending && self.members.values().all(|member| member.parked_join.is_some())
    }
    fn parked_joins(&self) -> usize {
        self.members.values().filter(|member| member.parked_join.is_some()).count()
    }
    /// The longest that any member asks for.
    fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Could someone with these protocols be a member? Source: `ClassicGroup.supportsProtocols`.
    fn supports(&self, protocol_type: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|p| self.members.values().all(|member| member.supports(&p.name)))
    }
    /// Each member votes for the first of its protocols that all can do; the most votes win.
    /// Source: `ClassicGroup.selectProtocol`.
    fn select_protocol(&self) -> Option<String> {
        let by_all = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, u32> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| by_all(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = *votes.values().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_string())
    }

    fn add(&mut self, id: &str, protocol_type: &str, member: ClassicMember) {
        if let Some(instance) = &member.instance {
            self.static_members.insert(instance.clone(), id.to_string());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_string());
        }
        self.leader.get_or_insert_with(|| id.to_string());
        self.members.insert(id.to_string(), member);
        self.pending_joins.remove(id);
    }
    /// What it was waiting for is told by the caller. Another member leads in its place.
    fn remove(&mut self, id: &str) -> Option<ClassicMember> {
        let removed = self.members.remove(id);
        if let Some(instance) = removed.as_ref().and_then(|member| member.instance.as_ref()) {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        removed
    }
    /// A leader that has joined, if there is anybody who has. Source: `ClassicGroup.maybeElectNewJoinedLeader`.
    fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        let has_joined = |member: &ClassicMember| member.parked_join.is_some();
        let leads_on = self.members.get(leader).is_some_and(has_joined) || !ClassicGroupRule::LeaderHasJoined.holds();
        if leads_on {
            return true;
        }
        let next = self.members.iter().find(|(_, member)| has_joined(member)).map(|(id, _)| id.clone());
        let found = next.is_some();
        if found {
            self.leader = next;
        }
        found
    }

    /// Source: `ClassicGroup.initNextGeneration`.
    fn next_generation(&mut self, now: Millis) {
        if ClassicGroupRule::RebalanceRaisesTheGeneration.holds() {
            self.generation += 1;
        }
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let next = if self.members.is_empty() { ClassicState::Empty } else { ClassicState::CompletingRebalance };
        self.transition(next, now);
        self.pending_syncs.clear();
    }
    /// What the members say in the consumers' format, as far as that can be read.
    /// Source: `ClassicGroup.computeSubscribedTopics`.
    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let protocol = self.protocol_name.as_deref()?;
            let mut metadata = member.metadata(protocol);
            if metadata.len() < 2 {
                return None;
            }
            // Every version begins with what version 0 has.
            metadata.advance(2);
            let subscription = ConsumerProtocolSubscription::decode(&mut metadata, 0).ok()?;
            topics.extend(subscription.topics.iter().map(ToString::to_string));
        }
        Some(topics)
    }
}
