//! In which order things become durable.

use trial_storage::{Disk, read_offset_checkpoint};

use super::*;

impl Room {
    /// The recovery point of `orders-0` that the next start would find.
    fn recovery_point_on_disk(&mut self) -> Option<i64> {
        let root = self.disk.open_dir(".").expect("the root");
        let points = read_offset_checkpoint(&mut self.disk, root, "recovery-point-offset-checkpoint");
        points.expect("a checkpoint").get(&("orders".to_string(), 0)).copied()
    }
    /// The partitions of `orders` that a fetch in flight to that broker asks for.
    fn fetched_from(&self, leader: BrokerId) -> Vec<i32> {
        let to_it = |call: &&Call| call.purpose == Purpose::Fetcher && self.hosts[&call.conn] == format!("b{leader}");
        let of_call = |call: &Call| match &call.request {
            RequestKind::Fetch(fetch) => {
                fetch.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.partition).collect()
            }
            _ => Vec::new(),
        };
        self.calls.iter().filter(to_it).flat_map(of_call).collect()
    }
}

/// A recovery point above the end of a log that was cut would keep recovery from looking at what was appended since.
#[test]
fn a_cut_is_in_the_checkpoint_at_once() {
    let config = BrokerConfig { log_flush_offset_checkpoint_interval_ms: 100, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, topic: &[("flush.messages", "1")], ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0, 0, 0], 1);
    room.pass(100);
    assert_eq!(room.recovery_point_on_disk(), Some(3));
    room.leader_diverges(0, 1, 1);
    assert_eq!((room.ends().0, room.recovery_point_on_disk()), (1, Some(1)));
    room.disk.lose_power();
    assert_eq!(room.recovery_point_on_disk(), Some(1), "it is durable");
}

#[test]
fn a_log_that_begins_anew_is_in_the_checkpoint_too() {
    let config = BrokerConfig { log_flush_offset_checkpoint_interval_ms: 100, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, topic: &[("flush.messages", "1")], ..Story::default() }, 2, &[2]);
    room.leader_sends(0, &[0, 0, 0], 1);
    room.pass(100);
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(50, 0);
    room.leader_tells_offset(40, 0);
    assert_eq!((room.ends(), room.recovery_point_on_disk()), ((40, 40), Some(3)), "no higher than what was synced");
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(2, 0);
    assert_eq!((room.ends().0, room.recovery_point_on_disk()), (2, Some(2)));
}

#[test]
fn nothing_is_fetched_behind_a_cut_before_the_checkpoint_is_durable() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0], 1);
    room.syncs_wait = true;
    room.leader_diverges(0, 1, 1);
    assert_eq!((room.ends().0, room.asks_leader()), (1, None), "in Kafka its thread stands still");
    room.finish_last_sync();
    assert_eq!(room.asks_leader(), Some((0, 1, 0)));
}

/// A fetch for the other partitions alone would wait at the leader for news of them, and what was flushed would be reported
/// only after replica.fetch.wait.max.ms.
#[test]
fn while_records_are_flushed_the_fetcher_asks_for_nothing() {
    let mut room = Room::with(Story { topic: &[("flush.messages", "1")], ..Story::default() }, 2, &[1, 2, 3]);
    room.second_partition_led_by(2);
    room.syncs_wait = true;
    room.leader_sends(0, &[0], 0);
    assert_eq!((room.ends().0, room.asks_leader()), (1, None), "not for orders-1 either");
    while !room.held_syncs.is_empty() {
        room.finish_last_sync();
    }
    assert_eq!(room.asks_leader(), Some((0, 1, 0)), "now for both");
}

/// Who takes a partition from a fetcher's thread waits until it has flushed, and the thread goes on with what is left.
#[test]
fn a_fetcher_goes_on_when_the_partition_that_held_it_is_taken_from_it() {
    let ways: [fn(&mut Room); 3] = [
        |room| room.elect(1, &[1, 2, 3]),
        |room| room.elect(3, &[1, 2, 3]),
        |room| {
            let change = PartitionChange { replicas: Some(vec![2, 3]), isr: Some(vec![2, 3]), ..Default::default() };
            room.change(change);
        },
    ];
    for (way, cut) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let topic: &[_] = if cut { &[] } else { &[("flush.messages", "1")] };
        let mut room = Room::with(Story { topic, ..Story::default() }, 2, &[1, 2, 3]);
        if cut {
            room.leader_sends(0, &[0, 0], 1);
        }
        room.syncs_wait = true;
        match cut {
            true => room.leader_diverges(0, 1, 1),
            false => room.leader_sends(0, &[0], 0),
        }
        room.second_partition_led_by(2);
        assert_eq!((room.ends().0, room.fetched_from(2)), (1, vec![]), "it stands still");
        way(&mut room);
        assert_eq!(room.fetched_from(2), [1]);
        while !room.held_syncs.is_empty() {
            room.finish_last_sync();
        }
        assert_eq!(room.fetched_from(2), [1], "and goes on");
    }
}

#[test]
fn a_roll_does_not_flush_what_comes_after_it() {
    let config = BrokerConfig { log_segment_bytes: 100, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    (0..3).for_each(|_| {
        room.produce(1);
    });
    room.disk.lose_power();
    room.restart();
    assert_eq!(room.ends().0, 2, "two segments were full");
}

/// A directory without this file is thrown away at the next start.
#[test]
fn flushed_records_have_their_partition_metadata() {
    let mut room = Room::with(Story { topic: &[("flush.messages", "1")], ..Story::default() }, 1, &[1]);
    room.syncs_wait = true;
    room.second_partition(&[1]);
    let req = room.produce_to(1, &[1]);
    assert_eq!(room.produced(req), None, "it waits for the flush");
    room.finish_last_sync();
    assert_eq!(room.produce_error(req), "NONE", "though the file's own sync has not ended");
    room.disk.lose_power();
    room.restart();
    let kept = room.broker.partition(&TopicPartition::new(&Topic::new("orders"), 1));
    assert_eq!(kept.map(Partition::log_end_offset), Some(1));
}

/// Whoever created the file may have died before it was durable.
#[test]
fn after_a_crash_partition_metadata_is_flushed_once_more() {
    let mut room = Room::with(Story { topic: &[("flush.messages", "1")], ..Story::default() }, 1, &[1]);
    room.syncs_wait = true;
    room.second_partition(&[1]);
    room.restart();
    let flushed = |room: &Room| {
        let partition = room.broker.partition(&TopicPartition::new(&Topic::new("orders"), 1)).expect("still there");
        partition.unsynced_metadata().is_empty()
    };
    assert!(!flushed(&room));
    room.disk.lose_power();
    room.restart();
    assert!(room.broker.partition(&TopicPartition::new(&Topic::new("orders"), 1)).is_none(), "nothing was flushed");
}

/// What is appended behind the final flush is missing after a loss of power, and the marker says that nothing is.
#[test]
fn metadata_that_comes_while_the_logs_are_flushed_is_too_late() {
    let config = BrokerConfig { controlled_shutdown_enable: false, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 2, &[1, 2, 3]);
    room.syncs_wait = true;
    room.shut_down();
    assert_eq!(room.held_syncs.len(), 1, "the logs are being flushed");
    room.elect(3, &[1, 3]);
    assert_eq!((room.waiting(Purpose::Fetcher), room.orders().leader), (0, 2));
    room.finish_last_sync();
    room.finish_last_sync();
    assert_eq!(room.halted.as_deref(), Some("controlled shutdown"));
}
