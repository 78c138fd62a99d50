//! The states of a broker, heartbeat by heartbeat. Source: `BrokerHeartbeatManager.calculateNextBrokerState`.

use super::super::rules::sessions::{BrokerControlState, Sessions};
use super::*;
use BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};

/// What a heartbeat says and what the controller knows besides.
#[derive(Clone, Copy, Debug)]
struct Heard {
    want_fence: bool,
    want_shut_down: bool,
    /// It has replayed its own registration.
    caught_up: bool,
    /// It leads a partition.
    leads: bool,
    /// The other active brokers have reached its controlled-shutdown offset.
    others_know: bool,
}

const NOTHING: Heard =
    Heard { want_fence: false, want_shut_down: false, caught_up: true, leads: false, others_know: false };

/// Broker 1 in that state hears that; broker 2 is the other one.
fn next(current: BrokerControlState, heard: Heard) -> BrokerControlState {
    let mut room = Room::with(BrokerConfig::default());
    for broker in [1, 2] {
        room.register(broker, 1);
        room.heartbeat(broker);
    }
    let leader: BrokerId = if heard.leads { 1 } else { 2 };
    room.create("orders", &[&[leader]], &[]);
    let mut sessions = Sessions::new(ms(9_000));
    sessions.restart(0, 1, current == Fenced);
    sessions.restart(0, 2, false);
    sessions.touch(0, 2, false, if heard.others_know { 100 } else { 99 });
    if current == ControlledShutdown {
        sessions.maybe_update_controlled_shutdown_offset(1, 100);
    }
    assert_eq!(sessions.current_state(1), Some(current));
    let registration_offset = 50;
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(WireBrokerId(1))
        .with_want_fence(heard.want_fence)
        .with_want_shut_down(heard.want_shut_down)
        .with_current_metadata_offset(if heard.caught_up { registration_offset } else { registration_offset - 1 });
    room.controller.cluster().next_broker_state(&sessions, current, registration_offset, &request)
}

#[test]
fn each_state_goes_where_kafka_lets_it() {
    let want_fence = Heard { want_fence: true, ..NOTHING };
    let want_shut_down = Heard { want_shut_down: true, ..NOTHING };
    let both = Heard { want_fence: true, ..want_shut_down };
    let leads = Heard { leads: true, ..NOTHING };
    let cases = [
        (Fenced, NOTHING, Unfenced),
        (Fenced, Heard { caught_up: false, ..NOTHING }, Fenced),
        (Fenced, want_fence, Fenced),
        (Fenced, want_shut_down, ShutdownNow),
        (Fenced, both, ShutdownNow),
        (Unfenced, NOTHING, Unfenced),
        (Unfenced, Heard { caught_up: false, ..NOTHING }, Unfenced),
        (Unfenced, want_fence, Fenced),
        (Unfenced, both, ShutdownNow),
        (Unfenced, want_shut_down, ShutdownNow),
        (Unfenced, Heard { leads: true, ..want_shut_down }, ControlledShutdown),
        (Unfenced, Heard { leads: true, ..both }, ShutdownNow),
        (ControlledShutdown, Heard { others_know: true, ..leads }, ControlledShutdown),
        (ControlledShutdown, NOTHING, ControlledShutdown),
        (ControlledShutdown, Heard { others_know: true, ..NOTHING }, ShutdownNow),
        (ControlledShutdown, Heard { others_know: true, want_shut_down: true, ..NOTHING }, ShutdownNow),
    ];
    for (current, heard, expected) in cases {
        assert_eq!(next(current, heard), expected, "from {current:?} on {heard:?}");
    }
}
