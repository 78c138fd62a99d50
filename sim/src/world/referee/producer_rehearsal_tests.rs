//! Producers are played with: one that does as Kafka's does is not heard, and one that does otherwise is, though no broker
//! of the run gives it a reason to.

use std::sync::Arc;

use trial_checker::Word;
use trial_kafka::config::ProducerConfig;
use trial_kafka::node::{Nanos, Now};
use trial_kafka::zoo::{Switch, Zoo};

use super::Speaker;
use super::producer_copy::{Play, Setup};
use super::producer_plays::{PLAYS, play_all};
use crate::scenario;
use crate::trace::TraceEvent;
use crate::world::{Note, Sink, WALL_AT_START_MS, World};

const NOW: Nanos = 5_000_000_000;

/// A producer `p1` that has sent batches.
fn world(zoo: &str) -> (World, Heard) {
    let text = format!(
        r#"
format = 1
run = "20s"
zoo = [{zoo}]
[cluster]
brokers = 1
controllers = 1
[[topic]]
name = "orders"
[[producer]]
rate = 10
"#
    );
    let scenario = Arc::new(scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let mut world = World::with_faults(scenario, 1, Vec::new());
    let mut heard = Heard::default();
    world.run_until(NOW, &mut heard);
    (world, heard)
}

/// What was heard of producers.
#[derive(Default)]
struct Heard(Vec<String>);
impl Sink for Heard {
    fn after_step(&mut self, _: &World, _: &[TraceEvent], notes: &[Note]) {
        let of_producers = |note: &Note| match note {
            Note::Said(said) if said.word == Word::StepOfProducer => Some(said.said.clone()),
            _ => None,
        };
        self.0.extend(notes.iter().filter_map(of_producers));
    }
}
fn heard(world: &World) -> Vec<String> {
    let mut heard = Heard::default();
    heard.after_step(world, &[], &world.notes);
    heard.0
}

fn setup(config: &ProducerConfig, zoo: Zoo) -> Setup<'_> {
    Setup { config, zoo, now: Now { mono: NOW, wall: WALL_AT_START_MS + 5_000 }, lie: None }
}

/// Plays with a producer that has these bugs of the past.
fn played(zoo: Zoo) -> Vec<String> {
    let (mut world, _) = world("");
    let node = world.node_named("p1").expect("it is there");
    let World { slots, notes, .. } = &mut world;
    let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
    play_all(&setup(&ProducerConfig::default(), zoo), &mut speaker);
    heard(&world)
}

#[test]
fn a_healthy_producer_does_as_every_play_wants() {
    assert_eq!(played(Zoo::default()), [""; 0]);
    let (world, heard) = world("");
    assert_eq!(heard.0, [""; 0]);
    assert_eq!(world.referee.rehearsed_clients.len(), 1, "it was played with");
}

#[test]
fn a_play_leaves_no_trace() {
    let ((mut world, _), config) = (world(""), ProducerConfig::default());
    let before = (world.digest(), world.tracer.fresh.len());
    let node = world.node_named("p1").expect("it is there");
    let World { slots, notes, .. } = &mut world;
    play_all(&setup(&config, Zoo::default()), &mut Speaker { node, slot: &slots[node.0 as usize], notes });
    assert_eq!((world.digest(), world.tracer.fresh.len()), before);
}

#[test]
fn a_producer_with_a_bug_of_the_past_is_heard_in_the_play_about_that() {
    for (switch, what) in [
        (Switch::ReorderInflight, "the broker had every sequence"),
        (Switch::UnknownProducerReset, "a broker forgot the producer"),
        (Switch::ClientSeqReassignOrder, "a batch failed for good"),
        (Switch::ClientSeqReassignOrder, "another partition was idle"),
    ] {
        let heard = played(Zoo::from_iter([switch]));
        assert!(heard.iter().any(|said| said.contains(what)), "{switch:?}, {what}: {heard:?}");
    }
    let (_, heard) = world("\"unknown-producer-reset\"");
    assert_eq!(heard.0.len(), 1, "the run's own producer is of the same make");
}

/// Whatever a broker answers to a batch decides on something that a play looks at.
#[test]
fn no_play_goes_on_as_it_should_where_a_broker_answers_otherwise() {
    let ((mut world, _), config) = (world(""), ProducerConfig::default());
    let node = world.node_named("p1").expect("it is there");
    for (what, linger_ms, plot) in PLAYS {
        let World { slots, notes, .. } = &mut world;
        let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
        let mut setup = setup(&config, Zoo::default());
        let mut play = Play::begin(&setup, what, linger_ms, &mut speaker);
        assert_eq!(plot(&mut play), Some(()), "{what}");
        let answers = play.script.answers();
        for lie in 0..answers {
            setup.lie = Some(lie);
            let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
            let played = plot(&mut Play::begin(&setup, what, linger_ms, &mut speaker));
            assert_eq!(played, None, "{what}: the answer to batch {lie} is a lie");
        }
        assert_eq!(world.notes.drain(..).count(), answers, "{what}");
    }
}
