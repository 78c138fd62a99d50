//! A cluster in a directory of its own, and our own clients.

#![allow(dead_code)] // each test takes what it needs

use std::path::PathBuf;
use std::time::Duration;

use trial_kafka::client::{ClientSetup, Role};
use trial_kafka::ids::Topic;
use trial_kafka::node::{Command, Outcome};
use trial_server::{ClientProcess, Cluster, ClusterSetup, ProcessEnded};
use uuid::Uuid;

/// For what should be a matter of milliseconds, on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is removed with the value.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("trial-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        Directory(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Brokers that notice each other's ends sooner than Kafka's defaults.
pub fn quick(brokers: u16, directory: &Directory) -> ClusterSetup {
    let mut setup = ClusterSetup::new(brokers, &directory.0);
    setup.config.broker_heartbeat_interval_ms = 100;
    setup.config.broker_session_timeout_ms = 1_000;
    setup
}

pub async fn start(setup: ClusterSetup) -> Cluster {
    let cluster = Cluster::start(setup).await.expect("starts");
    cluster.ready(PATIENCE).await.expect("is ready");
    cluster
}

pub fn client(cluster: &Cluster, client_id: &str, role: Role) -> ClientProcess {
    let setup =
        ClientSetup { client_id: client_id.to_string(), bootstrap: cluster.bootstrap(), role, zoo: Default::default() };
    ClientProcess::start(setup).expect("starts")
}

pub async fn outcome(waiting: impl Future<Output = Result<Outcome, ProcessEnded>>) -> Outcome {
    tokio::time::timeout(PATIENCE, waiting).await.expect("is settled in time").expect("the client lives")
}

/// Where a topic's replicas go.
pub enum Replicas {
    /// One partition on these brokers, the first of which leads.
    On(Vec<i32>),
    /// So many partitions of three replicas each, where the controller likes.
    Placed { partitions: i32 },
}

/// Creates a topic with min.insync.replicas=2 and waits until every broker knows it. Returns its id.
pub async fn create_topic(cluster: &Cluster, topic: &str, replicas: Replicas) -> Uuid {
    let admin = client(cluster, "admin", Role::Admin { request_timeout_ms: 10_000 });
    let (partitions, replication_factor, assignments) = match replicas {
        Replicas::On(brokers) => (-1, -1, vec![brokers]),
        Replicas::Placed { partitions } => (partitions, 3, Vec::new()),
    };
    let command = Command::CreateTopic {
        topic: Topic::new(topic),
        partitions,
        replication_factor,
        assignments,
        configs: vec![("min.insync.replicas".to_string(), "2".to_string())],
    };
    assert_eq!(outcome(admin.command(command)).await, Outcome::Done);
    let mut topic_id = Uuid::nil();
    for id in 1.. {
        let Some(broker) = cluster.process(id) else { break };
        loop {
            let name = topic.to_string();
            let known = broker.look(move |server| Some(server.broker()?.image().topic(&name)?.topic_id)).await;
            if let Some(id) = known.expect("the broker lives") {
                topic_id = id;
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    topic_id
}
