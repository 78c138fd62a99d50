//! Starts and stops, as far as the disk remembers them.

use super::*;

impl Room {
    /// Previous broker epoch of the registration that waits, and whether the logs were found clean.
    fn started_clean(&self) -> bool {
        self.count(|event| matches!(event, Event::Started { clean: true, .. })) == 1
    }
    fn previous_broker_epoch(&self) -> i64 {
        self.broker.lifecycle.previous_broker_epoch
    }
}

#[test]
fn metadata_counts_only_after_the_own_registration() {
    let mut room = Room::new(BrokerConfig::default(), Zoo::default());
    let partition = MetadataRecord::Partition {
        topic_id: ORDERS,
        partition: 0,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
    };
    room.broker_epoch = 3;
    room.restart();
    room.metadata(vec![
        registered(1, 0),
        MetadataRecord::Topic { name: Topic::new("orders"), topic_id: ORDERS },
        partition,
    ]);
    assert_eq!(room.broker.partitions().count(), 0, "that was meant for its predecessor");
    room.produce(1);
    assert!(room.hung_up, "and nobody is served");
    room.metadata(vec![registered(1, 3)]);
    assert!(room.orders().is_leader());
}

#[test]
fn an_orderly_stop_leaves_its_broker_epoch_and_everything_else() {
    let mut room = Room::leads(&[1]);
    let req = room.produce(-1);
    assert_eq!(room.produce_error(req), "NONE");
    room.shut_down();
    assert_eq!(room.halted.as_deref(), Some("controlled shutdown"));
    room.disk.lose_power();
    room.restart();
    assert!(room.started_clean());
    assert_eq!((room.previous_broker_epoch(), room.ends()), (0, (1, 1)), "the high watermark too");
}

#[test]
fn a_crash_leaves_no_marker_and_the_log_is_looked_through() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.pass(5_000);
    room.restart();
    assert!(!room.started_clean());
    assert_eq!((room.previous_broker_epoch(), room.ends()), (-1, (1, 1)), "checkpointed every 5 s");
    assert_eq!(room.count(|event| matches!(event, Event::Recovered { log_end_offset: 1, .. })), 1);
}

/// KAFKA-10471: whoever dies after this start did not stop orderly.
#[test]
fn the_marker_is_used_once() {
    let mut room = Room::leads(&[1]);
    room.shut_down();
    room.restart();
    assert!(room.started_clean());
    room.disk.lose_power();
    room.restart();
    assert_eq!(room.previous_broker_epoch(), -1);
}

#[test]
fn a_topic_created_again_begins_with_an_empty_log() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    let again = Uuid::from_u128(8);
    room.metadata(vec![
        MetadataRecord::RemoveTopic { topic_id: ORDERS },
        MetadataRecord::Topic { name: Topic::new("orders"), topic_id: again },
        MetadataRecord::Partition {
            topic_id: again,
            partition: 0,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
        },
    ]);
    assert_eq!((room.ends(), room.orders().topic_id), ((0, 0), again));
}

#[test]
fn a_request_that_waits_for_a_deleted_topic_is_answered() {
    let mut room = Room::leads(&[1, 2]);
    let req = room.produce(-1);
    let fetch = room.send_fetch(Fetching { max_wait_ms: 500, ..Fetching::default() });
    room.metadata(vec![MetadataRecord::RemoveTopic { topic_id: ORDERS }]);
    assert_eq!(room.produce_error(req), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_ne!(room.fetched(fetch).expect("answered").error_code, 0);
    assert_eq!(room.broker.parked(), (0, 0));
}

/// Until the session of its predecessor has run out, the controller refuses (DUPLICATE_BROKER_REGISTRATION).
#[test]
fn a_refused_registration_is_tried_again() {
    let mut room = Room::new(BrokerConfig::default(), Zoo::default());
    room.refused_registrations = 3;
    room.broker_epoch = 7;
    room.restart();
    assert_eq!(room.broker.broker_epoch(), None);
    room.pass(2_000);
    assert_eq!(room.broker.broker_epoch(), Some(7));
}

#[test]
fn a_heartbeat_tells_what_the_controller_must_know() {
    let mut room = Room::new(BrokerConfig::default(), Zoo::default());
    room.broker_epoch = 3;
    room.restart();
    let told = |room: &Room| {
        let last = room.heartbeats.last().expect("a heartbeat");
        (last.broker_epoch, last.current_metadata_offset, last.want_fence, last.want_shut_down)
    };
    assert_eq!(told(&room), (3, -1, true, false), "it has not seen its own registration");
    room.metadata((0..4).map(|epoch| registered(1, epoch)).collect());
    room.pass(2_000);
    assert_eq!(told(&room), (3, 3, false, false));
}

#[test]
fn a_fenced_leader_serves_on() {
    let mut room = Room::leads(&[1]);
    room.fence(1, true);
    let req = room.produce(-1);
    assert_eq!(room.produce_error(req), "NONE", "only a new leader epoch ends its reign");
}

#[test]
fn only_a_crash_makes_the_logs_be_looked_through() {
    use trial_storage::{Disk, OpenMode};
    let looked_through = |room: &Room| room.count(|event| matches!(event, Event::Recovered { .. }));
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.shut_down();
    room.restart();
    assert_eq!((looked_through(&room), room.ends()), (0, (1, 1)));
    // A crash tears what is written last.
    let dir = room.disk.open_dir("orders-0").expect("its directory");
    let log = room.disk.open(dir, "00000000000000000000.log", OpenMode::Existing).expect("its first segment");
    let end = room.disk.len(log).expect("a length");
    room.disk.write(log, end, bytes::Bytes::from_static(b"torn")).expect("it can be written");
    room.restart();
    assert_eq!((looked_through(&room), room.ends()), (1, (1, 1)));
    assert_eq!(room.disk.len(log).expect("a length"), end, "the torn end is cut");
}

#[test]
fn a_loss_of_power_takes_what_was_not_flushed() {
    let mut room = Room::leads(&[1]);
    let req = room.produce(-1);
    assert_eq!((room.produce_error(req).as_str(), room.ends()), ("NONE", (1, 1)));
    room.disk.lose_power();
    room.restart();
    assert_eq!(room.ends(), (0, 0));
}

#[test]
fn a_full_segment_survives_a_loss_of_power() {
    let config = BrokerConfig { log_segment_bytes: 100, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    (0..3).for_each(|_| {
        room.produce(1);
    });
    room.disk.lose_power();
    room.restart();
    assert!(room.ends().0 >= 2, "{:?}", room.ends());
}

#[test]
fn a_checkpoint_survives_a_loss_of_power() {
    let mut room = Room::with(Story { topic: &[("flush.messages", "1")], ..Story::default() }, 1, &[1]);
    room.produce(-1);
    room.pass(5_000);
    room.disk.lose_power();
    room.restart();
    assert_eq!(room.ends(), (1, 1));
}
