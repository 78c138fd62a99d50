//! The life of eligible leader replicas (KIP-966), as brokers come and go. `min.insync.replicas` is 2.

use super::partitions::{alter, send_one};
use super::*;
use crate::event::{ElectionKind, Event};
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, TOPIC_RESOURCE};

fn two_in_sync() -> BrokerConfig {
    BrokerConfig { min_insync_replicas: 2, ..BrokerConfig::default() }
}
fn elr_off() -> BrokerConfig {
    BrokerConfig { eligible_leader_replicas_version: 0, ..two_in_sync() }
}

impl Room {
    /// Leader, ISR, ELR, last known leader of `orders-0`.
    fn standing(&self) -> (BrokerId, Vec<BrokerId>, Vec<BrokerId>, Vec<BrokerId>) {
        let PartitionRegistration { leader, isr, elr, last_known_elr, .. } = self.orders_0();
        (leader, isr, elr, last_known_elr)
    }
    /// 3, then 2, then 1 fall silent.
    fn all_fall_silent(&mut self) {
        self.silence(&[3]);
        self.silence(&[2, 3]);
        self.silence(&[1, 2, 3]);
    }
    /// How the leaders of `orders-0` came to lead, as far as there were any.
    fn elections(&mut self) -> Vec<ElectionKind> {
        let kind = |event| match event {
            Event::LeaderChanged { election, .. } => election,
            _ => None,
        };
        std::mem::take(&mut self.host.events).into_iter().filter_map(|(event, _)| kind(event)).collect()
    }
}

#[test]
fn replicas_stay_eligible_until_they_stop_uncleanly() {
    let mut room = Room::orders_with(two_in_sync(), &[]);
    room.silence(&[3]);
    assert_eq!(room.standing(), (1, vec![1, 2], vec![], vec![]), "two are enough: what 3 misses may be committed");
    room.events();
    room.silence(&[2, 3]);
    assert_eq!(room.standing(), (1, vec![1], vec![2], vec![]), "from here on nothing is committed that 2 misses");
    assert_eq!(
        room.events(),
        [
            "fenced broker 2",
            "changed the in-sync replicas of orders-0 from 1,2 to 1 (partition epoch 2)",
            "holds for eligible leaders of orders-0: [2], last known: []",
        ]
    );
    room.silence(&[1, 2, 3]);
    assert_eq!(room.standing(), (-1, vec![], vec![1, 2], vec![1]));
    let leaderless_since = room.orders_0().leader_epoch;

    room.restart_broker(3, 2, true);
    room.heartbeat(3);
    assert_eq!(room.standing(), (-1, vec![], vec![1, 2], vec![1]), "3 is alive, but not eligible");
    room.restart_broker(2, 2, false);
    assert_eq!(room.standing(), (-1, vec![], vec![1], vec![1]), "2 may have lost data");
    room.heartbeat(2);
    assert_eq!(room.standing().0, -1);
    room.restart_broker(1, 2, true);
    assert_eq!(room.standing(), (-1, vec![], vec![1], vec![1]), "1 stopped cleanly, and is still fenced");
    room.elections();
    room.heartbeat(1);
    assert_eq!(room.standing(), (1, vec![1], vec![], vec![]));
    assert_eq!(room.orders_0().leader_epoch, leaderless_since + 1);
    assert!(!room.orders_0().recovering, "an eligible leader has every committed record");
    assert_eq!(room.elections(), [ElectionKind::Eligible]);
}

#[test]
fn when_all_stopped_uncleanly_the_last_leader_recovers() {
    let mut room = Room::orders_with(two_in_sync(), &[]);
    room.all_fall_silent();
    room.restart_broker(1, 2, false);
    room.restart_broker(2, 2, false);
    assert_eq!(room.standing(), (-1, vec![], vec![], vec![1]));
    room.heartbeat(2);
    assert_eq!(room.standing().0, -1, "1 is fenced still (KAFKA-19522), and nobody else may");
    room.elections();
    room.heartbeat(1);
    assert_eq!(room.standing(), (1, vec![1], vec![], vec![]));
    assert!(room.orders_0().recovering);
    assert_eq!(room.elections(), [ElectionKind::LastKnownLeader]);

    // The leader does what it has to and says so with its next AlterPartition.
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, 0);
    assert!(!room.orders_0().recovering);
}

#[test]
fn a_switch_elects_the_last_leader_though_it_is_fenced() {
    let mut room = Room::orders_in_the_zoo(two_in_sync(), [Switch::ElectFencedLastKnownLeader]);
    room.all_fall_silent();
    room.restart_broker(1, 2, false);
    room.restart_broker(2, 2, false);
    room.heartbeat(2);
    assert_eq!(room.standing().0, 1);
    assert!(room.image().brokers[&1].fenced);
}

/// One partition goes from three replicas to two, while `min.insync.replicas` is three: by Kafka's rule the one that was
/// removed has left an ISR that is too small.
#[test]
fn who_is_assigned_elsewhere_is_not_eligible_any_more() {
    let three_in_sync = || BrokerConfig { min_insync_replicas: 3, ..BrokerConfig::default() };
    let mut room = Room::orders_with(three_in_sync(), &[]);
    assert_eq!(room.reassign(Some(&[1, 3])), 0);
    assert_eq!(room.orders_0().replicas, [1, 3]);
    assert_eq!(room.standing(), (1, vec![1, 3], vec![], vec![]));

    let mut room = Room::orders_in_the_zoo(three_in_sync(), [Switch::RemovedReplicaStaysEligible]);
    assert_eq!(room.reassign(Some(&[1, 3])), 0);
    assert_eq!(room.standing(), (1, vec![1, 3], vec![2], vec![]), "2 has deleted its log");
}

#[test]
fn a_switch_takes_every_stop_for_a_clean_one() {
    let mut room = Room::orders_in_the_zoo(two_in_sync(), [Switch::ElrTrustsUnclean]);
    room.all_fall_silent();
    room.restart_broker(2, 2, false);
    room.elections();
    room.heartbeat(2);
    assert_eq!(room.standing(), (2, vec![2], vec![1], vec![]));
    assert_eq!(room.elections(), [ElectionKind::Eligible]);
}

/// A leader whose session has run out but who was not fenced yet comes back: its unclean stop moves the leadership.
#[test]
fn an_unclean_restart_of_the_leader_is_an_election() {
    for (clean, eligible) in [(true, vec![1]), (false, vec![])] {
        let mut room = Room::orders_with(two_in_sync(), &[]);
        room.silence(&[3]);
        room.now.mono += ms(9_001);
        let before = room.orders_0();
        room.restart_broker(1, 2, clean);
        assert_eq!(room.standing(), (2, vec![2], eligible, vec![]), "clean: {clean}");
        let after = room.orders_0();
        assert_eq!((after.leader_epoch, after.partition_epoch), (before.leader_epoch + 1, before.partition_epoch + 1));
    }
}

#[test]
fn without_elr_the_last_replica_stays_in_sync_whatever_it_lost() {
    for mut room in
        [Room::orders_with(elr_off(), &[]), Room::orders_in_the_zoo(two_in_sync(), [Switch::LastReplicaStanding])]
    {
        room.all_fall_silent();
        assert_eq!(room.standing(), (-1, vec![1], vec![], vec![]));
        room.restart_broker(2, 2, true);
        room.heartbeat(2);
        assert_eq!(room.standing().0, -1, "2 is not in the ISR");
        room.restart_broker(1, 2, false);
        room.heartbeat(1);
        assert_eq!(room.standing(), (1, vec![1], vec![], vec![]));
        assert!(!room.orders_0().recovering, "and is not even thought to have lost anything");
    }
}

#[test]
fn the_feature_and_a_cluster_wide_min_isr_are_written_at_the_start() {
    let room = Room::with(two_in_sync());
    assert_eq!(room.image().features.get("eligible.leader.replicas.version"), Some(&1));
    assert_eq!(room.image().broker_configs[ALL_BROKERS]["min.insync.replicas"], "2");
    let room = Room::with(elr_off());
    assert!(!room.image().features.contains_key("eligible.leader.replicas.version"), "level 0 is not written");
    assert!(room.image().broker_configs.is_empty());
}

/// The feature is the cluster's, not the file's: a controller that starts with another file goes on as before.
#[test]
fn a_restart_with_another_file_changes_nothing() {
    let mut room = Room::orders_with(two_in_sync(), &[]);
    room.controller.setup.config.eligible_leader_replicas_version = 0;
    room.restart();
    room.silence(&[3]);
    room.silence(&[2, 3]);
    assert_eq!(room.standing(), (1, vec![1], vec![2], vec![]));
}

/// KAFKA-16540.
#[test]
fn a_change_of_min_isr_clears_the_elr() {
    let set_min_isr = |resource_type, name: &str| MetadataRecord::Config {
        resource_type,
        resource_name: name.to_string(),
        name: "min.insync.replicas".to_string(),
        value: Some("1".to_string()),
    };
    let other = MetadataRecord::Config {
        resource_type: TOPIC_RESOURCE,
        resource_name: "orders".to_string(),
        name: "segment.bytes".to_string(),
        value: Some("1000".to_string()),
    };
    let cases = [
        (set_min_isr(TOPIC_RESOURCE, "orders"), vec![]),
        (set_min_isr(BROKER_RESOURCE, ALL_BROKERS), vec![]),
        (set_min_isr(TOPIC_RESOURCE, "payments"), vec![2]),
        (other, vec![2]),
    ];
    for (change, elr) in cases {
        let mut room = Room::orders_with(two_in_sync(), &[]);
        room.create("payments", &[&[1]], &[]);
        room.silence(&[3]);
        room.silence(&[2, 3]);
        let before = room.orders_0().partition_epoch;
        room.events();
        let mut records = vec![change];
        records.extend(room.controller.cluster().clear_elr_records_as_needed(&records));
        room.write(records);
        assert_eq!(room.orders_0().elr, elr);
        let cleared = elr.is_empty();
        assert_eq!(room.orders_0().partition_epoch, before + i32::from(cleared), "brokers must take notice");
        let told = "holds for eligible leaders of orders-0: [], last known: []".to_string();
        assert_eq!(room.events().contains(&told), cleared);
    }
}
