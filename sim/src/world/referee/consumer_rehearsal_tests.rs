//! Consumers are played with: one that does as Kafka's does is not heard, and one that does otherwise is, though no broker
//! of the run gives it a reason to.

use std::sync::Arc;

use trial_checker::Word;
use trial_kafka::node::{Nanos, Now};
use trial_kafka::zoo::{Switch, Zoo};

use super::Speaker;
use super::client_rehearsal::Kind;
use super::consumer_copy::{Play, Setup};
use super::consumer_plays::{PLAYS, play_all};
use crate::scenario;
use crate::trace::TraceEvent;
use crate::world::{Note, Sink, WALL_AT_START_MS, World};

const NOW: Nanos = 10_000_000_000;

/// A consumer that has fetched.
fn world(zoo: &str) -> (World, Heard) {
    let text = format!(
        r#"
format = 1
run = "20s"
zoo = [{zoo}]
[cluster]
brokers = 1
controllers = 1
offsets.topic.num.partitions = 1
[[topic]]
name = "orders"
[[consumer]]
group.id = "readers"
"#
    );
    let scenario = Arc::new(scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let mut world = World::with_faults(scenario, 1, Vec::new());
    let mut heard = Heard::default();
    world.run_until(NOW, &mut heard);
    (world, heard)
}

/// What was heard of consumers.
#[derive(Default)]
struct Heard(Vec<String>);
impl Sink for Heard {
    fn after_step(&mut self, _: &World, _: &[TraceEvent], notes: &[Note]) {
        let of_consumers = |note: &Note| match note {
            Note::Said(said) if said.word == Word::StepOfConsumer => Some(said.said.clone()),
            _ => None,
        };
        self.0.extend(notes.iter().filter_map(of_consumers));
    }
}
fn heard(world: &World) -> Vec<String> {
    let mut heard = Heard::default();
    heard.after_step(world, &[], &world.notes);
    heard.0
}

fn setup(zoo: Zoo) -> Setup {
    Setup { zoo, now: Now { mono: NOW, wall: WALL_AT_START_MS + 10_000 }, lie: None }
}

/// Plays with a consumer that has these bugs of the past.
fn played(zoo: Zoo) -> Vec<String> {
    let (mut world, _) = world("");
    let node = world.node_named("c1").expect("it is there");
    let World { slots, notes, .. } = &mut world;
    play_all(&setup(zoo), &mut Speaker { node, slot: &slots[node.0 as usize], notes });
    heard(&world)
}

#[test]
fn a_healthy_consumer_does_as_every_play_wants() {
    assert_eq!(played(Zoo::default()), [""; 0]);
    let (world, heard) = world("");
    assert_eq!(heard.0, [""; 0]);
    assert!(world.referee.rehearsed_clients.contains(&Kind::Consumer), "it was played with");
}

#[test]
fn a_play_leaves_no_trace() {
    let (mut world, _) = world("");
    let before = (world.digest(), world.tracer.fresh.len());
    let node = world.node_named("c1").expect("it is there");
    let World { slots, notes, .. } = &mut world;
    play_all(&setup(Zoo::default()), &mut Speaker { node, slot: &slots[node.0 as usize], notes });
    assert_eq!((world.digest(), world.tracer.fresh.len()), before);
}

#[test]
fn a_consumer_with_a_bug_of_the_past_is_heard() {
    let heard_of = |heard: Vec<String>| heard.iter().any(|said| said.contains("a new leader had another history"));
    assert!(heard_of(played(Zoo::from_iter([Switch::SilentConsumerTruncation]))));
    let (_, heard) = world("\"silent-consumer-truncation\"");
    assert!(heard_of(heard.0), "the run's own consumer is of the same make");
}

/// Whatever a broker answers decides on something that a play looks at.
#[test]
fn no_play_goes_on_as_it_should_where_a_broker_answers_otherwise() {
    let (mut world, _) = world("");
    let node = world.node_named("c1").expect("it is there");
    let World { slots, notes, .. } = &mut world;
    for (what, plot) in PLAYS {
        let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
        let mut play = Play::begin(setup(Zoo::default()), what, &mut speaker);
        assert_eq!(plot(&mut play), Some(()), "{what}");
        for lie in 0..play.script.answers() {
            let setup = Setup { lie: Some(lie), ..setup(Zoo::default()) };
            let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
            assert_eq!(plot(&mut Play::begin(setup, what, &mut speaker)), None, "{what}: answer {lie} is a lie");
        }
    }
    assert!(!heard(&world).is_empty());
}
