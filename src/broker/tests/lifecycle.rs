//! Starts and stops, as far as the disk remembers them.

use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerRegistrationRequest};

use super::*;
use crate::broker::LifecycleState;

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
    let partition = placed(ORDERS, 0, &[1], &[1], 1);
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
        placed(again, 0, &[1], &[1], 1),
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

#[test]
fn a_heartbeat_tells_how_far_the_metadata_was_replayed() {
    let mut room = Room::starting();
    room.register(3);
    let told = |request: BrokerHeartbeatRequest| (request.broker_epoch, request.current_metadata_offset);
    let (call, request) = room.take_heartbeat();
    assert_eq!(told(request), (3, -1));
    room.reply(&call, BrokerHeartbeatResponse::default().with_is_fenced(true));
    room.metadata((0..4).map(|epoch| registered(1, epoch)).collect());
    assert_eq!(told(room.take_heartbeat().1), (3, 3));
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

#[test]
fn without_a_checkpoint_the_high_watermark_begins_at_zero() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    assert_eq!(room.ends(), (1, 1));
    room.restart();
    assert_eq!(room.ends(), (1, 0));
}

#[test]
fn an_orderly_stop_writes_the_high_watermarks_down() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.shut_down();
    room.pass(3_000);
    assert!(room.halted.is_some());
    room.restart();
    assert_eq!(room.ends(), (1, 1));
}

// ── registration and heartbeats ──────────────────────────────────────────────────────────────────────────────────────

impl Room {
    /// A process that has just started; a story answers its registration and heartbeats.
    fn starting() -> Room {
        let mut room = Room::new(BrokerConfig::default(), Zoo::default());
        room.lifecycle_waits = true;
        room.restart();
        room
    }
    fn take_registration(&mut self) -> (Call, BrokerRegistrationRequest) {
        let call = self.take_call(Purpose::Heartbeat);
        match call.request.clone() {
            RequestKind::BrokerRegistration(request) => (call, request),
            other => panic!("{other:?}"),
        }
    }
    fn take_heartbeat(&mut self) -> (Call, BrokerHeartbeatRequest) {
        let call = self.take_call(Purpose::Heartbeat);
        match call.request.clone() {
            RequestKind::BrokerHeartbeat(request) => (call, request),
            other => panic!("{other:?}"),
        }
    }
    fn register(&mut self, broker_epoch: i64) {
        let (call, _) = self.take_registration();
        self.reply(&call, BrokerRegistrationResponse::default().with_broker_epoch(broker_epoch));
    }
    /// Answers the heartbeat that waits, and gives what it said: wants to be fenced, wants to shut down.
    fn answer_heartbeat(&mut self, caught_up: bool, fenced: bool, shut_down: bool) -> (bool, bool) {
        let (call, request) = self.take_heartbeat();
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(caught_up)
            .with_is_fenced(fenced)
            .with_should_shut_down(shut_down);
        self.reply(&call, response);
        (request.want_fence, request.want_shut_down)
    }
    /// Registered with broker epoch 0, caught up, unfenced.
    fn running() -> Room {
        let mut room = Room::starting();
        room.register(0);
        room.metadata(vec![registered(1, 0)]);
        room.answer_heartbeat(true, true, false);
        room.pass(10);
        room.answer_heartbeat(true, false, false);
        assert_eq!(room.broker.lifecycle_state(), LifecycleState::Running);
        room
    }
}

#[test]
fn the_way_from_starting_to_running() {
    let mut room = Room::starting();
    room.register(0);
    assert_eq!(room.answer_heartbeat(false, true, false), (true, false), "it has not seen its own registration");
    assert_eq!(room.broker.lifecycle_state(), LifecycleState::Starting);
    room.pass(9);
    assert_eq!(room.waiting(Purpose::Heartbeat), 0);
    room.metadata(vec![registered(1, 0)]);
    assert_eq!(room.waiting(Purpose::Heartbeat), 1, "sent at once: it is ready to be unfenced");
    assert_eq!(room.answer_heartbeat(true, true, false), (false, false));
    assert_eq!(room.broker.lifecycle_state(), LifecycleState::Recovery);
    room.pass(10);
    room.answer_heartbeat(true, false, false);
    assert_eq!(room.broker.lifecycle_state(), LifecycleState::Running);
    room.pass(1_999);
    assert_eq!(room.waiting(Purpose::Heartbeat), 0);
    room.pass(1);
    assert_eq!(room.answer_heartbeat(true, true, false), (false, false));
    assert_eq!(room.broker.lifecycle_state(), LifecycleState::Running, "fenced or not, it goes on as it was");
}

#[test]
fn a_refused_registration_is_sent_again_after_growing_pauses() {
    let mut room = Room::starting();
    let (mut call, first) = room.take_registration();
    for least_pause in [80, 160, 320] {
        let error = ResponseError::DuplicateBrokerRegistration.code();
        room.reply(&call, BrokerRegistrationResponse::default().with_error_code(error));
        room.pass(least_pause - 1);
        assert_eq!(room.waiting(Purpose::Heartbeat), 0, "not within {least_pause} ms");
        room.pass(least_pause);
        let again;
        (call, again) = room.take_registration();
        assert_eq!(again, first);
    }
}

/// KAFKA-16952: this is how one incarnation comes to register twice.
#[test]
fn a_registration_whose_answer_is_lost_is_sent_again_by_the_same_incarnation() {
    let mut room = Room::starting();
    let (call, first) = room.take_registration();
    room.handle(Input::Response { call: call.call, conn: call.conn, result: Err(CallError::Disconnected) });
    room.handle(Input::Closed { conn: call.conn });
    room.pass(1_000);
    let (_, again) = room.take_registration();
    assert_eq!(again, first);
}

#[test]
fn a_stale_broker_goes_on_asking_and_never_registers_again() {
    let mut room = Room::running();
    for _ in 0..5 {
        room.pass(12_000);
        let (call, request) = room.take_heartbeat();
        assert_eq!(request.broker_epoch, 0);
        let stale = ResponseError::StaleBrokerEpoch.code();
        room.reply(&call, BrokerHeartbeatResponse::default().with_error_code(stale));
    }
}

#[test]
fn a_controlled_shutdown_is_asked_for_until_it_is_granted() {
    let mut room = Room::running();
    room.shut_down();
    assert_eq!(room.answer_heartbeat(true, false, false), (false, true));
    room.pass(49);
    assert_eq!(room.waiting(Purpose::Heartbeat), 0);
    room.pass(1);
    assert_eq!(room.answer_heartbeat(true, false, false), (false, true), "the second comes soon");
    room.pass(1_999);
    assert_eq!((room.waiting(Purpose::Heartbeat), room.halted.is_some()), (0, false));
    room.pass(1);
    room.answer_heartbeat(true, true, true);
    assert_eq!(room.halted.as_deref(), Some("controlled shutdown"));
}

#[test]
fn a_broker_that_is_not_at_work_stops_without_asking() {
    let mut room = Room::starting();
    room.register(0);
    room.shut_down();
    assert_eq!(room.halted.as_deref(), Some("controlled shutdown"));
}
