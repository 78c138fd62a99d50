//! Who may vote? The set of voters, each a node id on one disk (KIP-853, `VoterSet`, `ReplicaKey`).
//!
//! A set never changes: adding, removing or moving a voter makes another. Which of them is in force is told by
//! [`super::voter_history`].

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
    /// The set with one more. `None` if a voter has that node id already, on whatever disk.
    /// Source: `VoterSet.addVoter`.
    pub fn add_voter(&self, voter: Voter) -> Option<VoterSet> {
        if self.by_id.contains_key(&voter.id) && QuorumRule::NodeIsAVoterOnce.holds() {
            return None;
        }
        Some(self.with(voter))
    }
    /// The set without one. `None` if it is not a voter, by node id and disk, or the only one.
    /// Source: `VoterSet.removeVoter`.
    pub fn remove_voter(&self, key: ReplicaKey) -> Option<VoterSet> {
        let voter = self.by_id.get(&key.id)?;
        let is_this = key.directory_id == Some(voter.directory_id) || !QuorumRule::OnlyAVoterIsRemoved.holds();
        let others_remain = self.len() > 1 || !QuorumRule::LastVoterStays.holds();
        (is_this && others_remain).then(|| {
            let mut by_id = self.by_id.clone();
            by_id.remove(&key.id);
            VoterSet { by_id, zoo: self.zoo }
        })
    }
    /// The set with a voter at another endpoint. `None` if it is not a voter, by node id and disk.
    /// Source: `VoterSet.updateVoter`.
    pub fn update_voter(&self, voter: Voter) -> Option<VoterSet> {
        let known = self.by_id.get(&voter.id)?;
        (known.directory_id == voter.directory_id || !QuorumRule::OnlyAVoterIsUpdated.holds()).then(|| self.with(voter))
    }
    fn with(&self, voter: Voter) -> VoterSet {
        let mut by_id = self.by_id.clone();
        by_id.insert(voter.id, voter);
        VoterSet { by_id, zoo: self.zoo }
    }
}
