//! Whom this broker takes for the leader of the metadata quorum: the active controller.
//!
//! Only the observer learns, from the answers to its fetches; every other link to the controller looks here. Source:
//! `KafkaRaftClient.maybeHandleCommonResponse` and `maybeTransition`, `RaftControllerNodeProvider`.

use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::fetch_snapshot_response::PartitionSnapshot;
use kafka_protocol::messages::{FetchResponse, FetchSnapshotResponse};

use crate::ids::ControllerNode;
use crate::node::Endpoint;

/// A leader of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownLeader {
    /// `node.id`.
    pub(super) id: i32,
    /// The epoch it leads in.
    pub(super) epoch: i32,
    /// Where it is reached.
    pub(super) endpoint: Endpoint,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct LeaderView {
    bootstrap: Vec<ControllerNode>,
    epoch: i32,
    leader: Option<KnownLeader>,
}

impl LeaderView {
    /// Knows nobody yet but whom the configuration names.
    pub(super) fn new(bootstrap: &[ControllerNode]) -> Self {
        LeaderView { bootstrap: bootstrap.to_vec(), epoch: 0, leader: None }
    }
    /// `controller.quorum.bootstrap.servers`.
    pub(super) fn bootstrap(&self) -> &[ControllerNode] {
        &self.bootstrap
    }
    /// The highest epoch heard of, 0 before the first.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }
    /// The leader of that epoch, if it has one as far as known.
    pub(super) fn leader(&self) -> Option<&KnownLeader> {
        self.leader.as_ref()
    }

    /// Takes leader and epoch from the answer to a fetch. True if that was news. A leader of an older epoch is none any
    /// more: what is told of it is ignored. Its endpoint stands in the answer (KIP-853) or, by its id, in the
    /// configuration; a leader of whom neither tells is as good as unknown.
    pub(super) fn learn(&mut self, response: &FetchResponse, data: &PartitionData) -> bool {
        let (id, epoch) = (data.current_leader.leader_id.0, data.current_leader.leader_epoch);
        let told = response.node_endpoints.iter().find(|node| node.node_id.0 == id);
        let told =
            told.and_then(|node| Some(Endpoint { host: node.host.to_string(), port: u16::try_from(node.port).ok()? }));
        self.learn_of(id, epoch, told)
    }

    /// As [`Self::learn`], from the answer to a fetch of a snapshot.
    pub(super) fn learn_from_snapshot(&mut self, response: &FetchSnapshotResponse, data: &PartitionSnapshot) -> bool {
        let (id, epoch) = (data.current_leader.leader_id.0, data.current_leader.leader_epoch);
        let told = response.node_endpoints.iter().find(|node| node.node_id.0 == id);
        self.learn_of(id, epoch, told.map(|node| Endpoint { host: node.host.to_string(), port: node.port }))
    }

    fn learn_of(&mut self, id: i32, epoch: i32, told: Option<Endpoint>) -> bool {
        if epoch < self.epoch || (epoch == self.epoch && self.leader.is_some()) {
            return false;
        }
        let configured = || self.bootstrap.iter().find(|node| node.id == id).map(|node| node.endpoint.clone());
        let leader = if id < 0 { None } else { told.or_else(configured) };
        let is_news = epoch > self.epoch || leader.is_some();
        self.epoch = epoch;
        self.leader = leader.map(|endpoint| KnownLeader { id, epoch, endpoint });
        is_news
    }
}
