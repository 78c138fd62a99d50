//! Copies of brokers are asked about a replica: to everything that is so they have an answer, and what is not so is heard,
//! though nobody in the run asks.

use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_checker::Word;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{ConnId, Nanos, Now, Purpose};
use trial_storage::{AppendRule, LogConfig, ProducerRule};

use super::{Said, Speaker, follower_plays, leader_rehearsal};
use crate::scenario::{self, Scenario};
use crate::trace::{NodeIx, TraceEvent};
use crate::world::network::Conn;
use crate::world::slot::SimNode;
use crate::world::{Note, Sink, Unwatched, WALL_AT_START_MS, World};

const NOW: Nanos = 5_000_000_000;

/// b1 leads orders-0, and b2 follows.
fn scenario(zoo: &str, more: &str) -> Scenario {
    let text = format!(
        r#"
format = 1
run = "20s"
zoo = [{zoo}]
[cluster]
brokers = 2
controllers = 1
offsets.topic.num.partitions = 1
[[topic]]
name = "orders"
assignments = [[1, 2]]
[[producer]]
rate = 10
enable.idempotence = true
[[consumer]]
group.id = "readers"
{more}"#
    );
    scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}"))
}

fn world(zoo: &str) -> World {
    let mut world = World::with_faults(Arc::new(scenario(zoo, "")), 1, Vec::new());
    world.run_until(NOW, &mut Unwatched);
    world.notes.clear();
    world
}

fn orders() -> TopicPartition {
    TopicPartition::new(&Topic::new("orders"), 0)
}

/// What is heard when this replica of this broker is rehearsed.
fn rehearsed(world: &mut World, broker: &str, id: &TopicPartition) -> Vec<(Word, String)> {
    let node = world.node_named(broker).expect("it is there");
    let World { slots, notes, .. } = world;
    let now = Now { mono: NOW, wall: WALL_AT_START_MS + 5_000 };
    let mut speaker = Speaker { node, slot: &slots[node.0 as usize], notes };
    leader_rehearsal::rehearse(&mut Default::default(), id, now, &mut speaker);
    let one = |note| match note {
        Note::Said(said) => (said.word, said.said),
        other => panic!("{other:?} is no word"),
    };
    notes.drain(..).map(one).collect()
}

#[test]
fn a_copy_of_a_healthy_broker_has_an_answer_to_everything() {
    let mut world = world("");
    let offsets = TopicPartition::new(&Topic::new("__consumer_offsets"), 0);
    for broker in ["b1", "b2"] {
        for id in [&orders(), &offsets] {
            assert_eq!(rehearsed(&mut world, broker, id), [], "{broker}, {id}");
        }
    }
}

#[test]
fn a_copy_leaves_no_trace() {
    let mut world = world("");
    let before = (world.digest(), world.tracer.fresh.len());
    rehearsed(&mut world, "b1", &orders());
    assert_eq!((world.digest(), world.tracer.fresh.len()), before);
}

/// The log of b1's replica is one that breaks a rule.
fn break_log(world: &mut World, change: impl FnOnce(&mut LogConfig)) {
    let NodeIx(b1) = world.node_named("b1").expect("it is there");
    let node = &mut world.slots[b1 as usize].node;
    let SimNode::Broker(broker) = node else { panic!("b1 is a broker alone") };
    let mut config = broker.partition(&orders()).expect("b1 has it").log.config();
    change(&mut config);
    **broker = broker.clone().with_log_config(&orders(), config);
}

#[test]
fn a_copy_shows_each_rule_of_appends_that_its_log_leaves_out() {
    // It takes 64 MiB to show that one.
    let all = AppendRule::ALL.iter().filter(|rule| **rule != AppendRule::UnpackedSizeIsBounded);
    let is_of_this_build = |rule: &&AppendRule| {
        let packs = [
            AppendRule::TopicCompression,
            AppendRule::LargestBatchWhenPackedAnew,
            AppendRule::OffsetsOfCompressedAreMended,
        ];
        trial_storage::Compression::Gzip.is_built() || !packs.contains(rule)
    };
    for rule in all.filter(is_of_this_build) {
        let mut world = world("");
        break_log(&mut world, |config| config.appends.rules = config.appends.rules.without(*rule));
        assert!(!rehearsed(&mut world, "b1", &orders()).is_empty(), "{rule:?}");
    }
}

#[test]
fn a_copy_shows_each_rule_of_producers_that_its_log_leaves_out() {
    use ProducerRule::*;
    for rule in [
        SameSequencesAreADuplicate,
        DuplicateIsOfTheSameEpoch,
        FiveBatchesAreRemembered,
        OldEpochIsRefused,
        NewEpochBeginsAtZero,
        SequencesAreContiguous,
        SequencesWrapAround,
        UnknownProducerBeginsAnywhere,
        NewEpochForgetsTheBatches,
    ] {
        let mut world = world("");
        break_log(&mut world, |config| {
            let producers = config.producers.as_mut().expect("brokers know their producers");
            producers.rules = producers.rules.without(rule);
        });
        assert!(!rehearsed(&mut world, "b1", &orders()).is_empty(), "{rule:?}");
    }
}

#[test]
fn a_copy_shows_what_a_broker_forgets_of_producers() {
    let heard = rehearsed(&mut world("\"unknown-producer-reset\""), "b1", &orders());
    let is_it = |(word, said): &(Word, String)| *word == Word::ProduceAnswer && said.contains("UNKNOWN_PRODUCER_ID");
    assert!(heard.iter().any(is_it), "{heard:?}");
}

/// b2 is fetched for by another life than is registered, is fenced, or stops: it is to join in none of these.
#[test]
fn a_copy_shows_a_leader_that_lets_in_who_may_not() {
    for (switch, who) in [
        ("no-broker-epoch-check", "by a later life than is registered"),
        ("fenced-joins-isr", "by who is fenced"),
        ("fenced-joins-isr", "by who stops"),
    ] {
        let heard = rehearsed(&mut world(&format!("\"{switch}\"")), "b1", &orders());
        let is_it = |(word, said): &(Word, String)| *word == Word::StepOfIsr && said.contains(who);
        assert!(heard.iter().any(is_it), "{switch}: {heard:?}");
    }
}

/// b2 is away, and b1 asks to be alone. Its copies are answered in every way, and stand as they must.
#[test]
fn a_copy_of_a_healthy_leader_makes_of_every_answer_what_it_must() {
    #[derive(Default)]
    struct Ear(Vec<Said>);
    impl Sink for Ear {
        fn after_step(&mut self, _: &World, _: &[TraceEvent], notes: &[Note]) {
            let said = |note: &Note| if let Note::Said(said) = note { Some((**said).clone()) } else { None };
            self.0.extend(notes.iter().filter_map(said));
        }
    }
    let fault = "[[fault]]\nkind = \"crash\"\ntarget = \"b2\"\nat = \"5s\"\nrestart-after = \"30s\"\n";
    let mut world = World::new(Arc::new(scenario("", fault)), 1);
    let mut ear = Ear::default();
    world.run_until(NOW + 15_000_000_000, &mut ear);
    let isr = |world: &World| {
        let broker = world.broker(1).expect("b1 is there");
        let state = broker.partition(&orders()).and_then(|replica| replica.leader_state());
        state.expect("it leads").isr.committed().to_vec()
    };
    assert_eq!(isr(&world), [1], "it has asked, and was answered");
    let heard: Vec<_> = ear.0.iter().map(|said| (said.word, &said.said)).collect();
    assert_eq!(heard, []);
}

/// What b2 is asked while it waits with a fetch that names orders-0 from its end on.
fn followed(world: &mut World) -> Vec<(Word, String)> {
    let node = world.node_named("b2").expect("it is there");
    let b1 = world.node_named("b1").expect("it is there");
    let waits = |conn: &&Conn| conn.purpose == Purpose::Fetcher && (conn.dialer, conn.acceptor) == (node, b1);
    let (conn, call) = {
        let conns = &world.network.conns;
        let (id, conn) = conns.iter().find(|(_, conn)| waits(conn)).expect("b2 fetches from b1");
        (ConnId(*id), *conn.calls.front().expect("one is in flight"))
    };
    let World { slots, notes, .. } = world;
    let slot = &slots[node.0 as usize];
    let replica = slot.broker().and_then(|broker| broker.partition(&orders())).expect("b2 has it");
    let asked = FetchPartition::default().with_fetch_offset(replica.log_end_offset());
    let topic = FetchTopic::default().with_topic_id(replica.topic_id).with_partitions(vec![asked]);
    let fetch = FetchRequest::default().with_topics(vec![topic]);
    let mut speaker = Speaker { node, slot, notes };
    let now = Now { mono: NOW, wall: WALL_AT_START_MS + 5_000 };
    follower_plays::rehearse(&mut Default::default(), &fetch, (conn, call), now, &mut speaker);
    let one = |note| match note {
        Note::Said(said) => (said.word, said.said),
        other => panic!("{other:?} is no word"),
    };
    notes.drain(..).map(one).collect()
}

#[test]
fn a_copy_of_a_healthy_follower_takes_and_leaves_what_it_must() {
    assert_eq!(followed(&mut world("")), []);
}

#[test]
fn a_copy_shows_a_follower_that_throws_its_log_away() {
    let heard = followed(&mut world("\"oor-truncate-fully\""));
    let is_it = |(word, said): &(Word, String)| *word == Word::StepOfFetcher && said.contains("caught up meanwhile");
    assert!(heard.iter().any(is_it), "{heard:?}");
}
