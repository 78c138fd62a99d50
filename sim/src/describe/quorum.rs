//! The metadata quorum, in the form of `kafka-metadata-quorum describe --status` and `--replication`. Source of the form
//! and of the lags: `MetadataQuorumCommand` in apache/kafka.

use std::fmt;

use kafka_protocol::messages::describe_quorum_response::ReplicaState as WireReplica;
use serde::Serialize;
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::node::{Endpoint, Now};

use super::{kafka_uuid, power_name, role_name};
use crate::world::{Power, World};

/// The quorum: what its leader tells, and what each controller really has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuorumDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// What the leader tells; `None` if no controller that runs leads: Kafka's tool would wait, and then give up.
    pub leader: Option<LeaderDescription>,
    /// Every controller as it is.
    pub controllers: Vec<ControllerDescription>,
}

/// What a leader tells of its quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaderDescription {
    /// Its node id.
    pub leader_id: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// Everything below it is committed; -1 while it does not know.
    pub high_watermark: i64,
    /// So many records the slowest voter is behind.
    pub max_follower_lag: i64,
    /// So many milliseconds ago the slowest voter had caught up last; -1 if it never had.
    pub max_follower_lag_time_ms: i64,
    /// The voters.
    pub current_voters: Vec<ReplicaState>,
    /// Who replicates without a vote: the brokers.
    pub current_observers: Vec<ReplicaState>,
}

/// One replica of the metadata log as the leader knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaState {
    /// Its node id.
    pub node_id: i32,
    /// Its directory id; `None` if the leader does not know it.
    pub directory_id: Option<String>,
    /// Where a voter is reached.
    pub endpoint: Option<String>,
    /// Its log end offset.
    pub log_end_offset: i64,
    /// So many records it is behind the leader.
    pub lag: i64,
    /// Wall time of its last fetch in milliseconds, -1 if there was none.
    pub last_fetch_timestamp: i64,
    /// Wall time in milliseconds at which it is known to have had everything, -1 if never.
    pub last_caught_up_timestamp: i64,
    /// `Leader`, `Follower` or `Observer`.
    pub status: &'static str,
}

/// A controller as it is. One that is down: as it was when it went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControllerDescription {
    /// Its name in the log.
    pub controller: String,
    /// Its node id.
    pub node_id: i32,
    /// `running`, `paused`, `dead` (the process) or `off` (the machine).
    pub state: &'static str,
    /// What it takes itself for.
    pub role: &'static str,
    /// Whom it believes to lead.
    pub believed_leader: Option<i32>,
    /// Does it decide about the cluster?
    pub active: bool,
    /// The epoch it knows.
    pub epoch: i32,
    /// The high watermark it knows, -1 for none.
    pub high_watermark: i64,
    /// Its log end offset; `None` before its first start.
    pub log_end_offset: Option<i64>,
}

/// The quorum as the running leader of the highest epoch tells it.
pub fn quorum(world: &World) -> QuorumDescription {
    let running = world.controllers().filter(|(ix, _)| world.power(*ix) == Power::Running);
    let leading = running.filter(|(_, controller)| controller.role() == QuorumRole::Leader);
    let leader = leading.max_by_key(|(_, controller)| controller.epoch());
    let cluster_id = world.controllers().next().map(|(_, controller)| controller.setup().cluster_id.clone());
    let controllers = world.controllers().map(|(ix, controller)| ControllerDescription {
        controller: world.node_name(ix).to_string(),
        node_id: controller.setup().node_id,
        state: power_name(world.power(ix)),
        role: role_name(controller.role()),
        believed_leader: match controller.role() {
            QuorumRole::Leader => Some(controller.setup().node_id),
            QuorumRole::Follower { leader } => Some(leader),
            _ => None,
        },
        active: controller.is_active(),
        epoch: controller.epoch(),
        high_watermark: controller.high_watermark(),
        log_end_offset: controller.log().map(|log| log.log_end_offset()),
    });
    QuorumDescription {
        cluster_id: cluster_id.unwrap_or_default(),
        leader: leader.and_then(|(ix, controller)| describe_leader(controller, world.clocks(ix))),
        controllers: controllers.collect(),
    }
}

fn describe_leader(controller: &Controller, now: Now) -> Option<LeaderDescription> {
    let told = controller.describe_quorum(now)?;
    let leader_id = told.leader_id.0;
    // A leader that was removed is among the observers.
    let mut replicas = told.current_voters.iter().chain(&told.observers);
    let leader_end = replicas.find(|voter| voter.replica_id.0 == leader_id)?.log_end_offset;
    let known = controller.voters();
    let describe = |replica: &WireReplica, status: &'static str| {
        let voter = known.iter().find(|voter| voter.id == replica.replica_id.0);
        ReplicaState {
            node_id: replica.replica_id.0,
            directory_id: Some(replica.replica_directory_id).filter(|id| !id.is_nil()).map(kafka_uuid),
            endpoint: voter.map(|voter| endpoint_name(&voter.endpoint)),
            log_end_offset: replica.log_end_offset,
            lag: leader_end - replica.log_end_offset,
            last_fetch_timestamp: replica.last_fetch_timestamp,
            last_caught_up_timestamp: replica.last_caught_up_timestamp,
            status,
        }
    };
    let status = |voter: &WireReplica| if voter.replica_id.0 == leader_id { "Leader" } else { "Follower" };
    let voters: Vec<ReplicaState> = told.current_voters.iter().map(|voter| describe(voter, status(voter))).collect();
    let (max_follower_lag, max_follower_lag_time_ms) = max_follower_lag(&voters);
    Some(LeaderDescription {
        leader_id,
        leader_epoch: told.leader_epoch,
        high_watermark: told.high_watermark,
        max_follower_lag,
        max_follower_lag_time_ms,
        current_voters: voters,
        current_observers: told.observers.iter().map(|observer| describe(observer, "Observer")).collect(),
    })
}

/// Of the voter with the least log end offset, and the time against the leader's own
/// (`MetadataQuorumCommand.handleDescribeStatus`).
fn max_follower_lag(voters: &[ReplicaState]) -> (i64, i64) {
    let leader = voters.iter().find(|voter| voter.status == "Leader");
    let (Some(leader), Some(slowest)) = (leader, voters.iter().min_by_key(|voter| voter.log_end_offset)) else {
        return (0, 0);
    };
    let time = match (leader.last_caught_up_timestamp, slowest.last_caught_up_timestamp) {
        _ if leader.node_id == slowest.node_id => 0,
        (leader, slowest) if leader >= 0 && slowest >= 0 => leader - slowest,
        _ => -1,
    };
    (slowest.lag, time)
}

/// As `RaftVoterEndpoint` names it.
fn endpoint_name(endpoint: &Endpoint) -> String {
    format!("CONTROLLER://{}:{}", endpoint.host, endpoint.port)
}

/// The lines of `--status`.
impl fmt::Display for LeaderDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LeaderId:               {}", self.leader_id)?;
        writeln!(f, "LeaderEpoch:            {}", self.leader_epoch)?;
        writeln!(f, "HighWatermark:          {}", self.high_watermark)?;
        writeln!(f, "MaxFollowerLag:         {}", self.max_follower_lag)?;
        writeln!(f, "MaxFollowerLagTimeMs:   {}", self.max_follower_lag_time_ms)?;
        writeln!(f, "CurrentVoters:          {}", replicas(&self.current_voters))?;
        write!(f, "CurrentObservers:       {}", replicas(&self.current_observers))
    }
}

fn replicas(replicas: &[ReplicaState]) -> String {
    let shown = replicas.iter().map(|replica| {
        let directory = replica.directory_id.iter().map(|id| format!(", \"directoryId\": \"{id}\""));
        let endpoint = replica.endpoint.iter().map(|endpoint| format!(", \"endpoints\": [\"{endpoint}\"]"));
        format!("{{\"id\": {}{}}}", replica.node_id, directory.chain(endpoint).collect::<String>())
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}

impl LeaderDescription {
    /// The table of `--replication`: padded columns with a tab between, the leader first.
    pub fn replication(&self) -> String {
        let head =
            ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
        let row = |replica: &ReplicaState| {
            [
                replica.node_id.to_string(),
                replica.directory_id.clone().unwrap_or_else(|| kafka_uuid(uuid::Uuid::nil())),
                replica.log_end_offset.to_string(),
                replica.lag.to_string(),
                replica.last_fetch_timestamp.to_string(),
                replica.last_caught_up_timestamp.to_string(),
                replica.status.to_string(),
            ]
        };
        let (leader, followers): (Vec<_>, Vec<_>) = self.current_voters.iter().partition(|v| v.status == "Leader");
        let rows = leader.into_iter().chain(followers).chain(&self.current_observers).map(row);
        let rows: Vec<[String; 7]> = [head.map(str::to_string)].into_iter().chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &[String; 7]| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("\t").trim_end().to_string()
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(node_id: i32, status: &'static str, log_end_offset: i64, caught_up: i64) -> ReplicaState {
        ReplicaState {
            node_id,
            directory_id: Some(kafka_uuid(uuid::Uuid::from_u128(node_id as u128))),
            endpoint: (status != "Observer").then(|| format!("CONTROLLER://c{node_id}:9093")),
            log_end_offset,
            lag: 100 - log_end_offset,
            last_fetch_timestamp: caught_up,
            last_caught_up_timestamp: caught_up,
            status,
        }
    }
    fn told(voters: Vec<ReplicaState>) -> LeaderDescription {
        let (max_follower_lag, max_follower_lag_time_ms) = max_follower_lag(&voters);
        LeaderDescription {
            leader_id: 2,
            leader_epoch: 7,
            high_watermark: 98,
            max_follower_lag,
            max_follower_lag_time_ms,
            current_voters: voters,
            current_observers: vec![replica(11, "Observer", 97, -1)],
        }
    }

    #[test]
    fn status_and_replication_have_kafkas_form() {
        let voters = vec![
            replica(1, "Follower", 98, 1_700_000_000_400),
            replica(2, "Leader", 100, 1_700_000_000_500),
            replica(3, "Follower", 90, 1_700_000_000_000),
        ];
        let told = told(voters);
        insta::assert_snapshot!("status", told.to_string());
        insta::assert_snapshot!("replication", told.replication().replace('\t', "<tab>"));
    }

    #[test]
    fn the_lag_is_that_of_the_slowest_voter() {
        let of = |slowest: ReplicaState| {
            let told = told(vec![replica(2, "Leader", 100, 500), replica(1, "Follower", 99, 450), slowest]);
            (told.max_follower_lag, told.max_follower_lag_time_ms)
        };
        assert_eq!(of(replica(3, "Follower", 90, 200)), (10, 300));
        assert_eq!(of(replica(3, "Follower", 0, -1)), (100, -1), "it has never caught up");
        assert_eq!(max_follower_lag(&[replica(2, "Leader", 100, 500)]), (0, 0), "alone");
    }
}
