//! Stories of three voters: who decides, who takes over, and what becomes of what was decided.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    BrokerRegistrationRequest, CreateTopicsRequest, DescribeQuorumRequest, RequestKind, ResponseKind, TopicName,
};
use uuid::Uuid;

use super::cluster::{CLUSTER, Cluster};
use super::incarnation;
use crate::controller::{Controller, QuorumRole};
use crate::event::Event;
use crate::node::{Command, Input, OpId, ReqId};
use crate::zoo::{Switch, Zoo};

fn registration(broker: i32) -> BrokerRegistrationRequest {
    use kafka_protocol::messages::broker_registration_request::Listener;
    BrokerRegistrationRequest::default()
        .with_broker_id(broker.into())
        .with_cluster_id(CLUSTER.into())
        .with_incarnation_id(incarnation(broker, 1))
        .with_listeners(vec![Listener::default().with_host(format!("b{broker}").into()).with_port(9092)])
}
fn error_of(cluster: &mut Cluster, req: ReqId) -> Option<i16> {
    Some(match cluster.answers.remove(&req)? {
        ResponseKind::BrokerRegistration(response) => response.error_code,
        ResponseKind::CreateTopics(response) => response.topics[0].error_code,
        other => panic!("{other:?}"),
    })
}
fn register(cluster: &mut Cluster, to: i32, broker: i32) -> Option<i16> {
    let req = cluster.send(to, 4, registration(broker));
    cluster.run(1_000);
    error_of(cluster, req)
}

#[test]
fn among_one_three_and_five_voters_one_is_elected_and_all_replay_the_same() {
    for voters in [1, 3, 5] {
        let mut cluster = Cluster::started(voters, 3, Zoo::default());
        cluster.run(8_000);
        let leader = cluster.active().expect("somebody decides");
        assert_eq!(register(&mut cluster, leader, 1), Some(0));
        // What is committed is known to followers with the next record.
        cluster.run(2_000);
        for id in cluster.ids() {
            let node = cluster.node(id);
            assert_eq!(node.epoch(), cluster.node(leader).epoch());
            assert_eq!(node.is_active(), id == leader);
            let role = if id == leader { QuorumRole::Leader } else { QuorumRole::Follower { leader } };
            assert_eq!(node.role(), role);
            assert!(node.committed_image().brokers.contains_key(&1), "{voters} voters: node {id} has replayed it");
        }
    }
}

#[test]
fn another_takes_over_with_everything_that_was_committed() {
    let mut cluster = Cluster::settled(1, Zoo::default());
    let first = cluster.active().unwrap();
    assert_eq!(register(&mut cluster, first, 1), Some(0));
    cluster.lose_power(first);
    assert!(cluster.run_until(15_000, |c| c.active().is_some()));
    let second = cluster.active().unwrap();
    assert_ne!(first, second);
    assert!(cluster.node(second).epoch() > 1);
    assert!(cluster.node(second).image().brokers.contains_key(&1));
    assert_eq!(register(&mut cluster, second, 2), Some(0), "and it decides");
    cluster.start(first);
    cluster.run(5_000);
    assert_eq!(cluster.role(first), QuorumRole::Follower { leader: second }, "the old one follows");
    assert!(cluster.node(first).committed_image().brokers.contains_key(&2));
}

#[test]
fn who_does_not_decide_says_so() {
    let mut cluster = Cluster::settled(2, Zoo::default());
    let leader = cluster.active().unwrap();
    let other = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    assert_eq!(register(&mut cluster, other, 1), Some(ResponseError::NotController.code()));
}

#[test]
fn a_deposed_controller_reverts_what_it_had_decided_and_refuses_what_waits() {
    let mut cluster = Cluster::settled(4, Zoo::default());
    let old = cluster.active().unwrap();
    assert_eq!(register(&mut cluster, old, 1), Some(0));
    cluster.isolate(old);
    let topic =
        CreatableTopic::default().with_name(TopicName("lost".into())).with_num_partitions(1).with_replication_factor(1);
    let lost = cluster.send(old, 4, registration(2));
    let create = cluster.send(old, 7, CreateTopicsRequest::default().with_topics(vec![topic]));
    assert!(cluster.node(old).image().brokers.contains_key(&2), "it is applied at once");
    assert!(!cluster.answers.contains_key(&lost));
    cluster.run(12_000);
    assert_eq!(error_of(&mut cluster, lost), Some(ResponseError::NotController.code()));
    assert_eq!(error_of(&mut cluster, create), Some(ResponseError::NotController.code()));
    assert!(!cluster.node(old).image().brokers.contains_key(&2), "it is undone");
    assert!(cluster.names_of(old).contains(&"controller-stood-down"));
    let new = cluster.active().expect("another decides");
    assert_ne!(new, old);
    assert_eq!(register(&mut cluster, new, 3), Some(0));
    cluster.heal();
    cluster.run(10_000);
    assert!(cluster.names_of(old).contains(&"metadata-truncated"), "its own end of the log is cut");
    let brokers = |id: i32| cluster.node(id).committed_image().brokers.keys().copied().collect::<Vec<_>>();
    assert_eq!((brokers(old), brokers(new)), (vec![1, 3], vec![1, 3]));
}

/// The epochs a voter went through while it was cut off for so long.
fn epochs_of_one_cut_off(zoo: Zoo) -> (i32, i32, bool) {
    let mut cluster = Cluster::settled(6, zoo);
    let leader = cluster.active().unwrap();
    let epoch = cluster.node(leader).epoch();
    let other = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.isolate(other);
    cluster.run(20_000);
    let alone = cluster.node(other).epoch();
    cluster.heal();
    cluster.run(10_000);
    (epoch, alone, cluster.node(leader).epoch() == epoch && cluster.node(leader).is_active())
}

#[test]
fn a_voter_that_returns_does_not_depose_the_leader() {
    let (epoch, alone, leader_stays) = epochs_of_one_cut_off(Zoo::default());
    assert_eq!((alone, leader_stays), (epoch, true), "it asked in vain, and raised nothing");
    let (epoch, alone, leader_stays) = epochs_of_one_cut_off(Zoo::from_iter([Switch::RaftNoPrevote]));
    assert!(alone > epoch && !leader_stays, "without pre-votes it would");
}

#[test]
fn a_leader_that_no_majority_fetches_from_resigns() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftNoCheckQuorum])] {
        let mut cluster = Cluster::settled(8, zoo);
        let leader = cluster.active().unwrap();
        cluster.isolate(leader);
        let resigned = cluster.run_until(3_100, |c| c.role(leader) == QuorumRole::Resigned);
        assert_eq!(resigned, zoo.is_empty(), "one and a half fetch timeouts are three seconds");
    }
}

#[test]
fn a_leader_that_shuts_down_hands_over_at_once() {
    let mut cluster = Cluster::settled(9, Zoo::default());
    let leader = cluster.active().unwrap();
    cluster.feed(leader, Input::Command { op: OpId(1), command: Command::ShutDown });
    assert!(cluster.run_until(900, |c| c.active().is_some_and(|id| id != leader)), "no time-out had to pass");
    assert!(cluster.run_until(1_000, |c| !c.machines[&leader].up), "it waited for its successor");
    assert!(cluster.names_of(leader).ends_with(&["shut-down"]));
}

#[test]
fn a_leader_that_restarts_never_leads_its_epoch_again() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftResumeLeaderSameEpoch])] {
        let mut cluster = Cluster::settled(10, zoo);
        let leader = cluster.active().unwrap();
        let epoch = cluster.node(leader).epoch();
        cluster.crash(leader);
        cluster.events.clear();
        cluster.start(leader);
        assert_eq!(cluster.role(leader) == QuorumRole::Resigned, zoo.is_empty());
        cluster.run(10_000);
        let again = Event::BecameQuorumLeader { epoch, epoch_start_offset: 0, granted_by: vec![] };
        let led_again = cluster.events.iter().any(|(id, event)| {
            matches!(event, Event::BecameQuorumLeader { epoch: e, .. } if *e == epoch) && *id == leader
        });
        assert_eq!(led_again, !zoo.is_empty(), "{}", again.name());
        assert!(cluster.active().is_some());
    }
}

#[test]
fn a_voter_on_another_disk_is_none_any_more() {
    let mut cluster = Cluster::settled(11, Zoo::default());
    let leader = cluster.active().unwrap();
    let other = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.crash(other);
    let machine = cluster.machines.get_mut(&other).unwrap();
    let mut setup = machine.controller.setup().clone();
    setup.directory_id = Uuid::from_u128(77);
    (machine.controller, machine.disk) = (Controller::new(setup), Default::default());
    cluster.start(other);
    cluster.run(5_000);
    assert_eq!(cluster.role(other), QuorumRole::Observer);
    assert!(cluster.node(other).high_watermark() > 0, "it replicates");
    cluster.lose_power(leader);
    cluster.run(20_000);
    assert_eq!(cluster.active(), None, "one of two voters is no majority, and it neither votes nor stands");
    assert!(!cluster.names_of(other).contains(&"vote-granted") || cluster.node(other).epoch() == 1);
    cluster.start(leader);
    cluster.run(10_000);
    assert!(cluster.active().is_some());
    // And the disk remembers: the node may be told anything.
    let setup = cluster.machines[&other].controller.setup().clone();
    cluster.crash(other);
    cluster.machines.get_mut(&other).unwrap().controller =
        Controller::new(super::super::ControllerSetup { directory_id: Uuid::from_u128(1), ..setup });
    cluster.start(other);
    cluster.run(1_000);
    assert_eq!(cluster.role(other), QuorumRole::Observer);
}

#[test]
fn the_quorum_describes_voters_and_observers() {
    let mut cluster = Cluster::settled(12, Zoo::default());
    let leader = cluster.active().unwrap();
    let topic = TopicData::default()
        .with_topic_name(TopicName("__cluster_metadata".into()))
        .with_partitions(vec![PartitionData::default()]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let req = cluster.send(leader, 2, RequestKind::from(request));
    let Some(ResponseKind::DescribeQuorum(response)) = cluster.answers.remove(&req) else { panic!("no answer") };
    assert_eq!(response.nodes.len(), 3);
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.leader_id.0, partition.error_code), (leader, 0));
    assert_eq!(partition.high_watermark, cluster.node(leader).high_watermark());
    for voter in &partition.current_voters {
        assert_eq!(voter.replica_directory_id, super::cluster::voter(voter.replica_id.0).directory_id);
        assert!(voter.log_end_offset > 0 && cluster.now.wall - voter.last_caught_up_timestamp < 2_000, "{voter:?}");
    }
    assert_eq!(partition.current_voters.len(), 3);
}
