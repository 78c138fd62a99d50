//! Lies put into the mouth of the controller of a healthy cluster, and rules taken away from it that only a copy shows.

use std::sync::Arc;

use kafka_protocol::messages::broker_registration_request::Listener as Endpoint;
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::controller::Step;
use trial_kafka::event::Event;
use trial_kafka::node::{Input, LocalStep, Purpose};
use trial_kafka::protocol::versions;
use uuid::Uuid;

use super::tests::Stage;
use crate::scenario;
use crate::trace::TraceEvent;
use crate::world::{Note, Sink, World};

/// Three controllers and three brokers work for five seconds without one of Kafka's rules: what is heard?
fn heard_without(switch: &str) -> Vec<(Word, String)> {
    let zoo = if switch.is_empty() { String::new() } else { format!("zoo = [\"{switch}\"]") };
    let text = format!(
        "format = 1\nrun = \"20s\"\n{zoo}\n[cluster]\nbrokers = 3\ncontrollers = 3\n[[topic]]\nname = \"orders\"\n\
         assignments = [[1, 2, 3]]\nreplication.factor = 3\nmin.insync.replicas = 2\n[[producer]]\nrate = 20\nacks = \"all\"\n"
    );
    let scenario = scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::with_faults(Arc::new(scenario), 1, Vec::new());
    let mut ear = Ear::default();
    world.run_until(5_000_000_000, &mut ear);
    ear.heard
}

/// Keeps what the referee has heard.
#[derive(Default)]
struct Ear {
    heard: Vec<(Word, String)>,
}

impl Sink for Ear {
    fn after_step(&mut self, _world: &World, _events: &[TraceEvent], notes: &[Note]) {
        self.heard.extend(notes.iter().filter_map(|note| match note {
            Note::Said(said) => Some((said.word, said.said.clone())),
            _ => None,
        }));
    }
}

#[test]
fn a_copy_of_a_healthy_controller_has_an_answer_to_everything() {
    assert_eq!(heard_without(""), []);
}

/// Nobody in this run is wrong about a partition epoch, and nobody votes twice.
#[test]
fn a_copy_shows_what_nobody_asks() {
    let is_of_a_copy = |said: &str| said.contains("when a copy of it was asked");
    for (switch, word) in [
        ("isr-blind-write", Word::IsrAnswer),
        ("raft-blank-disk-same-id", Word::VoteAnswer),
        ("reconfig-before-epoch-commit", Word::VotersAnswer),
        ("removed-replica-stays-eligible", Word::PartitionStep),
    ] {
        let heard = heard_without(switch);
        assert!(heard.iter().any(|(of, said)| *of == word && is_of_a_copy(said)), "{switch}: {heard:?}");
    }
}

#[test]
fn what_is_told_is_durable() {
    let heard = heard_without("raft-vote-not-persisted");
    assert!(heard.iter().any(|(word, _)| *word == Word::DurableState), "{heard:?}");
}

/// b2 is unfenced, and says nothing that would change that.
#[test]
fn a_heartbeat_is_answered_with_what_the_broker_is() {
    let mut stage = Stage::new();
    let broker = stage.world.broker(2).expect("it is there");
    let (epoch, replayed) = (broker.broker_epoch().expect("it is registered"), broker.image().next_offset - 1);
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(2.into())
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(replayed);
    let mut heard = |fenced: bool, stops: bool, caught_up: bool| {
        let response = BrokerHeartbeatResponse::default()
            .with_is_fenced(fenced)
            .with_should_shut_down(stops)
            .with_is_caught_up(caught_up);
        stage.answers(("b2", "c1", Purpose::Heartbeat), versions::BROKER_HEARTBEAT, request.clone(), response)
    };
    assert_eq!(heard(false, false, true), []);
    assert_eq!(heard(true, false, true), [Word::HeartbeatAnswer]);
    assert_eq!(heard(false, true, true), [Word::HeartbeatAnswer]);
    assert_eq!(heard(false, false, false), [Word::HeartbeatAnswer]);
}

/// b2 is at work: another incarnation of it must wait, and it itself has what it has.
#[test]
fn a_registration_is_answered_with_what_becomes_of_it() {
    let mut stage = Stage::new();
    let controller = stage.world.controllers().next().expect("it is there").1;
    let cluster = StrBytes::from_string(controller.setup().cluster_id.clone());
    let (incarnation, epoch) = {
        let registered = &controller.image().brokers[&2];
        (registered.incarnation, registered.broker_epoch)
    };
    let request = |incarnation: Uuid| {
        BrokerRegistrationRequest::default()
            .with_broker_id(2.into())
            .with_cluster_id(cluster.clone())
            .with_incarnation_id(incarnation)
            .with_listeners(vec![Endpoint::default()])
    };
    let mut heard = |incarnation: Uuid, error: i16, epoch: i64| {
        let response = BrokerRegistrationResponse::default().with_error_code(error).with_broker_epoch(epoch);
        let asked = request(incarnation);
        stage.answers(("b2", "c1", Purpose::Heartbeat), versions::BROKER_REGISTRATION, asked, response)
    };
    assert_eq!(heard(Uuid::from_u128(7), 101, -1), []); // DUPLICATE_BROKER_REGISTRATION
    assert_eq!(heard(Uuid::from_u128(7), 0, epoch + 9), [Word::RegistrationAnswer]);
    assert_eq!(heard(incarnation, 0, epoch), []);
    assert_eq!(heard(incarnation, 0, epoch + 9), [Word::RegistrationAnswer]);
}

/// All brokers were heard of less than two seconds ago.
#[test]
fn nobody_is_fenced_whose_session_goes_on() {
    let mut stage = Stage::new();
    let (node, first) = (stage.node("c1"), stage.world.tracer.fresh.len());
    let looks = Input::Local(LocalStep::Controller(Step::Tick));
    assert_eq!(stage.world.hear(node, &looks), None);
    stage.world.judge(node, None, first, &[]);
    assert_eq!(stage.heard(), []);
    stage.world.hear(node, &looks);
    stage.world.record(node, Event::BrokerFenced { broker: 3, broker_epoch: 1 }, &[]);
    stage.world.judge(node, None, first, &[]);
    assert_eq!(stage.heard(), [Word::SessionStep]);
}

/// b1 has not stopped: there is no marker, and its logs are not durable.
#[test]
fn an_orderly_stop_leaves_a_marker() {
    let mut stage = Stage::new();
    let node = stage.node("b1");
    stage.world.hear(node, &Input::Deadline);
    let heard = stage.does("b1", Event::ShutDownCleanly);
    assert_eq!(heard, [Word::DiskStep, Word::DiskStep, Word::StepOfCheckpoint]);
}
