//! Whatever brokers do, each record of the metadata log keeps what KIP-841, KIP-966 and `PartitionRegistration.merge`
//! promise.

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::partitions::{alter, elect, request, send};
use super::*;
use crate::metadata::PartitionChange;

/// Something a broker or an administrator does.
#[derive(Clone, Debug)]
enum Step {
    Restart {
        broker: BrokerId,
        clean: bool,
    },
    Heartbeat {
        broker: BrokerId,
        want_fence: bool,
    },
    /// It wants to stop, and says so from now on.
    Stop {
        broker: BrokerId,
    },
    /// All but one of the three send heartbeats for ten seconds.
    Silence {
        broker: BrokerId,
    },
    /// Everybody falls silent.
    SilenceAll,
    /// The leader asks for these besides itself.
    Alter {
        others: Vec<BrokerId>,
    },
    Elect {
        unclean: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let broker = || 1..=3i32;
    prop_oneof![
        3 => (broker(), any::<bool>()).prop_map(|(broker, clean)| Step::Restart { broker, clean }),
        4 => broker().prop_map(|broker| Step::Heartbeat { broker, want_fence: false }),
        1 => broker().prop_map(|broker| Step::Heartbeat { broker, want_fence: true }),
        1 => broker().prop_map(|broker| Step::Stop { broker }),
        3 => broker().prop_map(|broker| Step::Silence { broker }),
        1 => Just(Step::SilenceAll),
        4 => proptest::sample::subsequence(vec![1, 2, 3], 0..=3).prop_map(|others| Step::Alter { others }),
        1 => any::<bool>().prop_map(|unclean| Step::Elect { unclean }),
    ]
}

fn take(room: &mut Room, step: &Step, life: u32) {
    match step {
        Step::Restart { broker, clean } => {
            let error = room.restart_broker(*broker, life, *clean).error_code;
            assert!([0, ResponseError::DuplicateBrokerRegistration.code()].contains(&error), "{error}");
        }
        Step::Heartbeat { broker, want_fence } => {
            let request = room.heartbeat_request(*broker);
            room.send_heartbeat(request.with_want_fence(*want_fence));
        }
        Step::Stop { broker } => {
            room.stopping.insert(*broker);
            room.heartbeat(*broker);
        }
        Step::Silence { broker } => room.silence(&[*broker]),
        Step::SilenceAll => room.silence(&[1, 2, 3]),
        Step::Alter { others } => {
            let leader = room.orders_0().leader;
            if leader != -1 {
                let mut isr = vec![leader];
                isr.extend(others.iter().filter(|other| **other != leader));
                let request = request(room, leader, alter(room, &isr));
                send(room, request);
            }
        }
        Step::Elect { unclean } => {
            elect(room, i8::from(*unclean));
        }
    }
}

/// What one change makes of a partition.
fn check_change(before: &PartitionRegistration, after: &PartitionRegistration, change: &PartitionChange) {
    assert_eq!(after.partition_epoch, before.partition_epoch + 1, "every change raises the partition epoch");
    let raised = i32::from(change.leader.is_some());
    assert_eq!(after.leader_epoch, before.leader_epoch + raised, "the leader epoch rises iff the leader is set");
    assert!(after.leader == -1 || after.isr.contains(&after.leader), "{after:?}");
}

/// What holds after every batch.
fn check_partition(image: &MetadataImage, partition: &PartitionRegistration, elr_on: bool) {
    let PartitionRegistration { replicas, isr, elr, last_known_elr, leader, .. } = partition;
    assert!(isr.iter().chain(elr).chain(last_known_elr).all(|replica| replicas.contains(replica)), "{partition:?}");
    assert!(!isr.iter().any(|replica| elr.contains(replica)), "ISR and ELR are disjoint: {partition:?}");
    assert!(elr.is_empty() || isr.len() < 2, "an ELR is for an ISR below min.insync.replicas: {partition:?}");
    assert!(*leader == -1 || last_known_elr.is_empty(), "a last known leader is for nobody leading: {partition:?}");
    assert!(*leader == -1 || image.is_active(*leader), "a leader is active: {partition:?}");
    let last_standing = !elr_on && isr.len() == 1 && *leader == -1;
    assert!(last_standing || isr.iter().all(|member| image.is_active(*member)), "{partition:?} {:?}", image.brokers);
    if !elr_on {
        assert!(!isr.is_empty() && elr.is_empty() && last_known_elr.is_empty(), "{partition:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_record_keeps_the_rules(
        steps in proptest::collection::vec(step(), 1..40),
        elr_on in any::<bool>(),
        unclean_election in any::<bool>(),
    ) {
        let config = BrokerConfig {
            min_insync_replicas: 2,
            eligible_leader_replicas_version: i64::from(elr_on),
            unclean_leader_election_enable: unclean_election,
            leader_imbalance_check_interval_seconds: 20,
            ..BrokerConfig::default()
        };
        let mut room = Room::orders_with(config, &[]);
        // A broker that only follows the log, batch by batch.
        let mut follower = room.image().clone();
        for (life, step) in (2..).zip(&steps) {
            take(&mut room, step, life);
            let end = room.controller.log().unwrap().log_end_offset();
            let quorum = room.controller.quorum.as_ref().unwrap();
            let records = quorum.read_records(&mut room.disk, follower.next_offset, end).unwrap();
            for (offset, record) in &records {
                let before = match record {
                    MetadataRecord::PartitionChange(change) => follower.partition(change.topic_id, 0).cloned(),
                    _ => None,
                };
                follower.apply(*offset, record);
                if let (Some(before), MetadataRecord::PartitionChange(change)) = (before, record) {
                    check_change(&before, follower.partition(change.topic_id, 0).unwrap(), change);
                }
            }
            prop_assert_eq!(&follower, room.image(), "the log says what the controller thinks");
            check_partition(&follower, &room.orders_0(), elr_on);
        }
    }
}
