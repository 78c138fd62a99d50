//! What the coordinators of a broker know, for whoever looks at a run from outside.

use super::GroupStep;
use super::tell::named;
use crate::broker::{Broker, Step};
use crate::group::api::Request;
use crate::group::assignor::client::consumer_protocol::Assignment;
use crate::group::config::GroupConfig;
use crate::group::coordinator::Group;
use crate::group::shard::Shard;
use crate::ids::TopicPartition;
use crate::node::{LocalStep, ReqId};

/// A partition of `__consumer_offsets` that the broker coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatedPartition {
    /// Which one.
    pub partition: i32,
    /// The epoch in which it is led.
    pub leader_epoch: i32,
    /// Its log is loaded, and groups are served. Else nothing is known of them.
    pub loaded: bool,
    /// Its groups as they are now, committed or not.
    pub groups: Vec<CoordinatedGroup>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatedGroup {
    /// `group.id`.
    pub id: String,
    /// `classic` or `consumer`.
    pub protocol: &'static str,
    /// As Kafka's tools show it, for instance `Stable`.
    pub state: &'static str,
    /// The generation, or the group epoch.
    pub generation: i32,
    /// Its members, by their ids.
    pub members: Vec<CoordinatedMember>,
    /// How far it has come, as far as that is committed: what a client would be told.
    pub offsets: Vec<(TopicPartition, i64)>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatedMember {
    /// Member id.
    pub id: String,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// `group.instance.id`, if it is a static member.
    pub instance: Option<String>,
    /// The group's generation, or the member's own epoch.
    pub generation: i32,
    /// What it has, in order.
    pub assigned: Vec<TopicPartition>,
    /// What it is to give back (KIP-848).
    pub revoking: Vec<TopicPartition>,
}

/// A question that the coordinator of a group is about to hear, and what it knows before.
#[derive(Clone, Copy, Debug)]
pub struct GroupQuestion<'a> {
    /// The request that it is, or is a part of.
    pub req: ReqId,
    /// Its version.
    pub api_version: i16,
    /// What is asked.
    pub request: &'a Request,
    /// The group that it is about, as it is now, committed or not.
    pub group: Option<&'a Group>,
    /// What the coordinator is configured with.
    pub config: &'a GroupConfig,
}

impl Broker {
    /// The question that this step puts to a coordinator which knows its groups.
    pub fn group_question<'a>(&'a self, step: &'a LocalStep) -> Option<GroupQuestion<'a>> {
        let LocalStep::Broker(Step::Groups(GroupStep::Ask(question))) = step else { return None };
        let slot = self.groups.slots.get(&question.partition).filter(|slot| slot.shard.is_active())?;
        Some(GroupQuestion {
            req: self.groups.asks.request_of(question.caller.ask)?,
            api_version: question.caller.api_version,
            request: &question.request,
            group: slot.shard.group(question.request.group()?),
            config: slot.shard.config(),
        })
    }
    /// A group that this broker coordinates, as it is now, committed or not.
    pub fn coordinated_now(&self, id: &str) -> Option<&Group> {
        let slot = self.groups.slots.get(&self.groups.partition_for(id))?;
        slot.shard.group(id).filter(|_| slot.shard.is_active())
    }

    /// The coordinator of a group, if it serves groups. A copy of it can be asked what nobody asks.
    pub fn coordinator_of(&self, id: &str) -> Option<&Shard> {
        let slot = self.groups.slots.get(&self.groups.partition_for(id))?;
        Some(&slot.shard).filter(|shard| shard.is_active())
    }

    /// The partition of `__consumer_offsets` that a group is kept in, as this broker counts them.
    pub fn coordinates_in(&self, id: &str) -> Option<i32> {
        Some(self.groups.partition_for(id)).filter(|partition| self.groups.slots.contains_key(partition))
    }
    /// The groups of one partition of `__consumer_offsets` that this broker coordinates, and what its coordinator is
    /// configured with.
    pub fn groups_in(&self, partition: i32) -> impl Iterator<Item = (&str, &Group, &GroupConfig)> {
        let slot = self.groups.slots.get(&partition).filter(|slot| slot.shard.is_active());
        slot.into_iter().flat_map(|slot| slot.shard.groups().map(|(id, group)| (id, group, slot.shard.config())))
    }

    /// The partitions of `__consumer_offsets` that this broker coordinates, with their groups.
    pub fn coordinated(&self) -> impl Iterator<Item = CoordinatedPartition> {
        self.groups.slots.iter().map(|(partition, slot)| CoordinatedPartition {
            partition: *partition,
            leader_epoch: slot.leader_epoch,
            loaded: slot.shard.is_active(),
            groups: match slot.shard.is_active() {
                true => slot.shard.groups().map(|(id, group)| self.coordinated_group(*partition, id, group)).collect(),
                false => Vec::new(),
            },
        })
    }

    fn coordinated_group(&self, partition: i32, id: &str, group: &Group) -> CoordinatedGroup {
        let (protocol, state, generation, members) = match group {
            Group::Classic(group) => {
                let one = |(id, member): (&String, &crate::group::classic::ClassicMember)| CoordinatedMember {
                    id: id.clone(),
                    client_id: member.client_id().to_string(),
                    client_host: member.client_host().to_string(),
                    instance: member.instance().map(str::to_string),
                    generation: group.generation(),
                    assigned: assigned(member.assignment()),
                    revoking: Vec::new(),
                };
                ("classic", group.state().name(), group.generation(), group.members().iter().map(one).collect())
            }
            Group::Consumer(group) => {
                let one = |member: &crate::group::consumer::ConsumerMember| CoordinatedMember {
                    id: member.id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    instance: member.instance.clone(),
                    generation: member.epoch,
                    assigned: named(&member.assigned, &self.image),
                    revoking: named(&member.pending_revocation, &self.image),
                };
                ("consumer", group.state().name(), group.epoch(), group.members().values().map(one).collect())
            }
        };
        let slot = self.groups.slots.get(&partition);
        let offsets = slot.map(|slot| slot.shard.committed_offsets(id)).unwrap_or_default();
        CoordinatedGroup { id: id.to_string(), protocol, state, generation, members, offsets }
    }
}

/// What is assigned in the clients' format. Bytes that are not a consumer's are nobody's business here.
fn assigned(bytes: &[u8]) -> Vec<TopicPartition> {
    let mut partitions = Assignment::decode(bytes).map(|assignment| assignment.partitions).unwrap_or_default();
    partitions.sort();
    partitions
}
