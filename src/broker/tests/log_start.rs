//! Records that are deleted from the beginning of a log: by a client, by age and size, by the leader's example.

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};

use super::*;
use crate::event::LogStartReason;

impl Room {
    fn delete_records(&mut self, offset: i64) -> ReqId {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic =
            DeleteRecordsTopic::default().with_name(topic_name(&Topic::new("orders"))).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        self.send(versions::DELETE_RECORDS, request)
    }
    /// Error name and low watermark, if it is answered.
    fn low_watermark_told(&self, req: ReqId) -> Option<(String, i64)> {
        let ResponseKind::DeleteRecords(response) = self.answers.get(&req)? else { return None };
        let part = &response.topics[0].partitions[0];
        Some((code_name(part.error_code), part.low_watermark))
    }
    fn log_start(&self) -> i64 {
        self.orders().log.log_start_offset()
    }
    pub(super) fn moves(&self) -> Vec<(i64, i64, LogStartReason)> {
        let of = |event: &Event| match event {
            Event::LogStartMoved { from, to, why, .. } => Some((*from, *to, *why)),
            _ => None,
        };
        self.host.events.iter().filter_map(|(event, _)| of(event)).collect()
    }
    /// Broker 1 leads alone and has two committed records.
    fn with_two_records(config: BrokerConfig) -> Room {
        let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
        room.produce(-1);
        room.produce(-1);
        assert_eq!(room.ends(), (2, 2));
        room
    }
}

#[test]
fn who_does_not_lead_deletes_nothing() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0], 2);
    let req = room.delete_records(1);
    assert_eq!(room.low_watermark_told(req), Some(("NOT_LEADER_OR_FOLLOWER".to_string(), -1)));
    assert_eq!(room.log_start(), 0);
}

#[test]
fn minus_one_deletes_up_to_the_high_watermark() {
    let mut room = Room::with_two_records(BrokerConfig::default());
    room.delete_records(-1);
    assert_eq!((room.log_start(), room.ends()), (2, (2, 2)));
    let req = room.delete_records(-2);
    assert_eq!(room.low_watermark_told(req), Some(("OFFSET_OUT_OF_RANGE".to_string(), -1)));
}

#[test]
fn what_is_not_committed_is_not_deleted() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    let req = room.delete_records(1);
    assert_eq!(room.low_watermark_told(req), Some(("OFFSET_OUT_OF_RANGE".to_string(), -1)));
    assert_eq!((room.log_start(), room.ends()), (0, (1, 0)));
}

#[test]
fn the_answer_waits_for_the_followers() {
    let mut room = Room::with_two_records(BrokerConfig::default());
    room.fence(3, true);
    let fetch = |log_start| Fetching {
        replica: 2,
        offset: 2,
        leader_epoch: 0,
        last_fetched_epoch: 0,
        log_start,
        ..Fetching::default()
    };
    room.fetch(fetch(0));
    let req = room.delete_records(1);
    assert_eq!((room.low_watermark_told(req), room.log_start()), (None, 1), "gone already, but not everywhere");
    room.fetch(fetch(0));
    assert_eq!(room.low_watermark_told(req), None);
    room.fetch(fetch(1));
    assert_eq!(room.low_watermark_told(req), Some(("NONE".to_string(), 1)));
    // A follower that does not come is waited for only so long.
    let req = room.delete_records(2);
    room.pass(1_000);
    assert_eq!(room.low_watermark_told(req), Some(("REQUEST_TIMED_OUT".to_string(), 1)));
    // Whoever no longer leads cannot know.
    let req = room.delete_records(2);
    room.elect(2, &[2]);
    assert_eq!(room.low_watermark_told(req), Some(("NOT_LEADER_OR_FOLLOWER".to_string(), 1)));
}

#[test]
fn a_dead_follower_is_not_waited_for() {
    let mut room = Room::with_two_records(BrokerConfig::default());
    room.fence(2, true);
    room.fence(3, true);
    let req = room.delete_records(1);
    assert_eq!(room.low_watermark_told(req), Some(("NONE".to_string(), 1)));
    let (low, high) = (room.fetch(Fetching::default()), room.fetch(Fetching { offset: 1, ..Fetching::default() }));
    assert_eq!(
        (error_of(&low), error_of(&high), high.log_start_offset),
        ("OFFSET_OUT_OF_RANGE".into(), "NONE".into(), 1)
    );
    assert_eq!(room.list_offset(-2, 0), ("NONE".to_string(), 1));
}

#[test]
fn retention_deletes_whole_committed_segments() {
    let config =
        || BrokerConfig { log_segment_bytes: 100, log_retention_check_interval_ms: 1_000, ..BrokerConfig::default() };
    let mut room =
        Room::with(Story { config: config(), topic: &[("retention.bytes", "1")], ..Story::default() }, 1, &[1, 2]);
    (0..3).for_each(|_| {
        room.produce(1);
    });
    room.pass(1_000);
    assert_eq!((room.log_start(), room.ends()), (0, (3, 0)), "nothing is committed");
    room.follower_fetches(2, 2);
    room.pass(1_000);
    assert_eq!((room.log_start(), room.orders().log.segment_count()), (2, 1));
    assert_eq!(room.moves(), [(0, 2, LogStartReason::RetentionSize)]);

    // By age even the last segment goes: a new one is begun first.
    let mut room =
        Room::with(Story { config: config(), topic: &[("retention.ms", "1000")], ..Story::default() }, 1, &[1]);
    (0..3).for_each(|_| {
        room.produce(1);
    });
    room.pass(1_000);
    assert_eq!((room.log_start(), room.ends(), room.orders().log.segment_count()), (3, (3, 3), 1));
    assert_eq!(room.moves(), [(0, 3, LogStartReason::RetentionTime)]);
    room.produce(1);
    assert_eq!(room.ends(), (4, 4));
}

/// As in Kafka: until the checkpoint is written a crash brings deleted records back.
#[test]
fn the_start_survives_a_crash_once_it_is_written_down() {
    let config = || BrokerConfig { log_flush_start_offset_checkpoint_interval_ms: 1_000, ..BrokerConfig::default() };
    for (wait_ms, log_start) in [(0, 0), (1_000, 1)] {
        let mut room = Room::with_two_records(config());
        room.delete_records(1);
        room.pass(wait_ms);
        room.restart();
        assert_eq!((room.log_start(), room.ends().0), (log_start, 2), "after {wait_ms} ms");
    }
}

#[test]
fn the_start_survives_an_orderly_stop() {
    let mut room = Room::with_two_records(BrokerConfig::default());
    room.delete_records(1);
    room.shut_down();
    room.restart();
    assert_eq!((room.log_start(), room.ends()), (1, (2, 2)));
}
