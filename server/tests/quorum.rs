//! Several controllers on real sockets and files: one dies, another takes over, and the cluster goes on. With roles apart,
//! and with both in one process.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Directory, PATIENCE, Replicas, client, outcome};
use trial_kafka::client::Role;
use trial_kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Belief, Command, Outcome};
use trial_server::{Cluster, ClusterSetup, Exit};

/// Three controllers that notice each other's ends and elect in fractions of a second.
fn three_controllers(combined: bool, directory: &Directory) -> ClusterSetup {
    let mut setup = ClusterSetup { controllers: 3, combined, ..common::quick(3, directory) };
    setup.config.controller_quorum_fetch_timeout_ms = 600;
    setup.config.controller_quorum_election_timeout_ms = 300;
    setup.config.controller_quorum_election_backoff_max_ms = 200;
    setup.config.controller_quorum_request_timeout_ms = 600;
    setup
}

/// Waits until there is an active controller, and it is another.
async fn next_active_controller(cluster: &Cluster, former: i32) -> i32 {
    let elected = async {
        loop {
            match cluster.active_controller().await {
                Some(id) if id != former => return id,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, elected).await.expect("another controller is elected")
}

/// Writes a record to partition 0 and reads the partition from its start.
async fn write_and_read(cluster: &Cluster, topic: &Topic, value: &'static str) -> Vec<Bytes> {
    let producer = client(cluster, "producer", Role::Producer(ProducerConfig::default()));
    let send = producer.command(Command::Produce {
        topic: topic.clone(),
        partition: Some(0),
        key: None,
        value: Some(Bytes::from_static(value.as_bytes())),
        headers: Vec::new(),
    });
    let Outcome::Produced { belief: Belief::Acked { offset }, .. } = outcome(send).await else { panic!("not acked") };
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let consumer = client(cluster, "consumer", Role::Consumer(config));
    let partitions = vec![(TopicPartition::new(topic, 0), None)];
    assert_eq!(outcome(consumer.command(Command::Assign { partitions })).await, Outcome::Done);
    let mut values = Vec::new();
    while values.len() as i64 <= offset {
        match outcome(consumer.command(Command::Poll { max_wait_ms: 500 })).await {
            Outcome::Polled { records, .. } => values.extend(records.into_iter().filter_map(|record| record.value)),
            other => panic!("{other:?}"),
        }
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_dies_and_another_goes_on() {
    let directory = Directory::new("controller-dies");
    let mut cluster = common::start(three_controllers(false, &directory)).await;
    let before = Topic::new("before");
    common::create_topic(&cluster, "before", Replicas::On(vec![1, 2, 3])).await;
    assert_eq!(write_and_read(&cluster, &before, "one").await, ["one"]);

    let former = cluster.active_controller().await.expect("an active controller");
    assert_eq!(cluster.kill_one(former).await, Some(Exit::Killed));
    // Data needs no controller.
    assert_eq!(write_and_read(&cluster, &before, "two").await, ["one", "two"]);
    next_active_controller(&cluster, former).await;
    let after = Topic::new("after");
    common::create_topic(&cluster, "after", Replicas::On(vec![2, 3, 1])).await;
    assert_eq!(write_and_read(&cluster, &after, "three").await, ["three"]);
    // And brokers that die are still noticed.
    assert_eq!(cluster.kill_one(2).await, Some(Exit::Killed));
    assert_eq!(write_and_read(&cluster, &after, "four").await, ["three", "four"]);
    cluster.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_and_controller_die_together_and_the_others_go_on() {
    let directory = Directory::new("both-die");
    let setup = three_controllers(true, &directory);
    let mut cluster = common::start(setup.clone()).await;
    let orders = Topic::new("orders");
    let former = cluster.active_controller().await.expect("an active controller");
    let others: Vec<i32> = (1..=3).filter(|id| *id != former).collect();
    // Led by the one that will die.
    common::create_topic(&cluster, "orders", Replicas::On(vec![former, others[0], others[1]])).await;
    assert_eq!(write_and_read(&cluster, &orders, "one").await, ["one"]);

    assert_eq!(cluster.kill_one(former).await, Some(Exit::Killed));
    assert_eq!(write_and_read(&cluster, &orders, "two").await, ["one", "two"]);
    assert!(others.contains(&next_active_controller(&cluster, former).await));
    cluster.kill().await;

    // All of them come back on their disks, each of which holds two kinds of log.
    let cluster = common::start(setup).await;
    assert_eq!(write_and_read(&cluster, &orders, "three").await, ["one", "two", "three"]);
    cluster.kill().await;
}

/// The broker first, then the controller, which hands over to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_both_roles_stops_in_an_orderly_way() {
    let directory = Directory::new("both-stop");
    let cluster = common::start(three_controllers(true, &directory)).await;
    let former = cluster.active_controller().await.expect("an active controller");
    let process = cluster.process(former).expect("it runs");
    drop(process.command(Command::ShutDown));
    let ended = async {
        while process.look(|_| ()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("it stops by itself");
    assert!(directory.0.join(format!("broker-{former}/.kafka_cleanshutdown")).exists());
    next_active_controller(&cluster, former).await;
    cluster.kill().await;
}
