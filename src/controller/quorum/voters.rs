//! Who may vote? The set of voters, each a node id on one disk (KIP-853, `VoterSet`, `ReplicaKey`).
//!
//! The set is the one the cluster was formatted with. Whatever asks for voters asks here, so that a set that changes has
//! one place to change in.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::conformance::QuorumRule;
use crate::controller::Voter;
use crate::node::Endpoint;
use crate::zoo::{Switch, Zoo};

/// A replica of the metadata log: a node on one disk. Requests of older versions, and of clients that
/// are no replicas, name no directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaKey {
    /// `node.id`.
    pub id: i32,
    /// `directory.id` of its metadata log directory, if it is known.
    pub directory_id: Option<Uuid>,
}

impl ReplicaKey {
    /// As messages carry it: the nil id stands for none.
    pub fn of(id: i32, directory_id: Uuid) -> Self {
        ReplicaKey { id, directory_id: Some(directory_id).filter(|id| !id.is_nil()) }
    }
    /// As messages carry it.
    pub fn wire_directory_id(self) -> Uuid {
        self.directory_id.unwrap_or_default()
    }
}

/// The voters.
#[derive(Clone, Debug)]
pub struct VoterSet {
    by_id: BTreeMap<i32, Voter>,
    zoo: Zoo,
}

impl VoterSet {
    /// The voters a cluster was formatted with.
    pub fn new(voters: &[Voter], zoo: Zoo) -> Self {
        VoterSet { by_id: voters.iter().map(|voter| (voter.id, voter.clone())).collect(), zoo }
    }
    /// All voters by node id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.by_id.values()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
    /// Where a voter is reached.
    pub fn endpoint(&self, id: i32) -> Option<&Endpoint> {
        self.by_id.get(&id).map(|voter| &voter.endpoint)
    }
    /// A voter's directory id.
    pub fn directory_id(&self, id: i32) -> Option<Uuid> {
        self.by_id.get(&id).map(|voter| voter.directory_id)
    }
    /// Is this replica a voter? The same node with another disk is not: it has forgotten how it voted. Nor is one that does
    /// not say which disk it is on, since the voters of this set all have theirs.
    /// Source: KIP-853, `VoterSet.isVoter`. Zoo: `raft-blank-disk-same-id` goes by the node id alone.
    pub fn is_voter(&self, key: ReplicaKey) -> bool {
        self.by_id.get(&key.id).is_some_and(|voter| {
            self.zoo.on(Switch::RaftBlankDiskSameId)
                || !QuorumRule::VoterIsANodeOnItsDisk.holds()
                || key.directory_id == Some(voter.directory_id)
        })
    }
    /// Is this replica the only voter? Source: `VoterSet.isOnlyVoter`.
    pub fn is_only_voter(&self, key: ReplicaKey) -> bool {
        self.len() == 1 && self.is_voter(key)
    }
}
