//! An administrator at work in a World whose messages travel as bytes: topics that go and come while a broker sleeps,
//! configs that change under load, a partition that moves.

use std::sync::Arc;

use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::Nanos;
use trial_sim::scenario::{Scenario, parse};
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Carriage, Note, Sink, World};

const SECOND: Nanos = 1_000_000_000;

const HEAD: &str = r#"
format = 1
run = "30s"
heal = "60s"
[[topic]]
name = "orders"
assignments = [[1, 2, 3]]
replication.factor = 3
[[producer]]
rate = 50
acks = "all"
delivery.timeout.ms = "10s"
request.timeout.ms = "2s"
"#;

#[derive(Default)]
struct Seen(Vec<TraceEvent>);
impl Sink for Seen {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0.extend(events.iter().cloned());
    }
}

struct Story {
    world: World,
    seen: Seen,
}

impl Story {
    fn told(brokers: u32, steps: &str) -> Story {
        let text = format!("{HEAD}[cluster]\nbrokers = {brokers}\nauto.create.topics.enable = false\n{steps}");
        let scenario: Arc<Scenario> = Arc::new(parse("admin.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}")));
        let mut world = World::new(scenario, 7);
        world.set_carriage(Carriage::Wire);
        let mut seen = Seen::default();
        world.run(&mut seen);
        assert!(world.is_over());
        Story { world, seen }
    }
    fn events(&self, node: &str, wanted: impl Fn(&Event) -> bool) -> Vec<&TraceEvent> {
        let node = self.world.node_named(node).expect("it is there");
        self.seen.0.iter().filter(|event| event.node == node && wanted(&event.event)).collect()
    }
    fn time_of(&self, node: &str, wanted: impl Fn(&Event) -> bool) -> Nanos {
        self.events(node, wanted).first().unwrap_or_else(|| panic!("nothing of that kind at {node}")).time
    }
    /// Times at which produce requests of `orders-0` were answered at a broker: with success, with that error.
    fn produced(&self, broker: &str, error: &str) -> (Vec<Nanos>, Vec<Nanos>) {
        let times = |wanted: Option<&str>| {
            let of =
                |event: &Event| matches!(event, Event::ProduceAnswered { error, .. } if error.as_deref() == wanted);
            self.events(broker, of).iter().map(|event| event.time).collect()
        };
        (times(None), times(Some(error)))
    }
}

fn orders() -> TopicPartition {
    TopicPartition::new(&Topic::new("orders"), 0)
}

#[test]
fn a_step_that_waits_for_an_event_is_done_right_after_it_and_not_before() {
    let story = Story::told(
        3,
        r#"
[[admin]]
after = "leader-changed of orders-0"
not-before = "10s"
delay = "5s..6s"
do = "elect-leaders"
[[fault]]
kind = "crash"
target = "b1"
at = "12s"
restart-after = "500ms"
"#,
    );
    let leader_is =
        |wanted: i32| move |event: &Event| matches!(event, Event::LeaderChanged { leader, .. } if *leader == wanted);
    let elections: Vec<Nanos> = story.events("c1", leader_is(1)).iter().map(|event| event.time).collect();
    let after_crash = story.events("c1", leader_is(2)).first().expect("b2 takes over").time;
    let asked = elections.iter().find(|time| **time > after_crash).expect("the preferred leader is elected on request");
    let waited = asked - after_crash;
    assert!((5 * SECOND..7 * SECOND).contains(&waited), "{waited} ns after the election of b2");
}

#[test]
fn a_broker_that_sleeps_while_a_topic_is_deleted_and_created_again_uses_nothing_of_the_old_one() {
    let story = Story::told(
        3,
        r#"
[[fault]]
kind = "crash"
target = "b3"
at = "8s"
restart-after = "14s"
[[admin]]
at = "10s"
do = "delete-topic"
topic = "orders"
[[admin]]
at = "12s"
do = "create-topic"
topic = "orders"
replication.factor = 3
assignments = [[1, 2, 3]]
"#,
    );
    let ids = story.seen.0.iter().filter_map(|e| match &e.event {
        Event::TopicCreated { topic_id, .. } => Some(*topic_id),
        _ => None,
    });
    let ids: Vec<_> = ids.collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    for broker in 1..=3 {
        let name = format!("b{broker}");
        let deleted =
            story.events(&name, |e| matches!(e, Event::ReplicaDeleted { topic_id, .. } if *topic_id == ids[0]));
        assert_eq!(deleted.len(), 1, "{name} deletes the old replica");
        let woken = story.events(&name, |e| matches!(e, Event::Started { .. })).last().expect("it ran").time;
        assert!(broker != 3 || deleted[0].time > woken, "b3 does so when it wakes");
        // Nothing is appended between the deletion and the next topic's first record, which has offset 0.
        let next = story.events(&name, |e| matches!(e, Event::Appended { partition, .. } if *partition == orders()));
        let next = next.iter().find(|event| event.id > deleted[0].id).expect("the new topic is written to");
        assert!(matches!(next.event, Event::Appended { first_offset: 0, .. }), "{name}: {}", next.event);
    }
    let logs: Vec<_> =
        (1..=3).map(|id| story.world.broker(id).and_then(|b| b.partition(&orders())).expect("a replica")).collect();
    assert!(logs.iter().all(|replica| replica.topic_id == ids[1]));
    assert!(logs.iter().all(|replica| replica.log_end_offset() == logs[0].log_end_offset()), "all in sync at the end");
    assert!(logs[0].high_watermark() > 0);
}

#[test]
fn min_insync_replicas_raised_at_run_time_refuse_produce_until_they_are_lowered() {
    let story = Story::told(
        3,
        r#"
[[fault]]
kind = "crash"
target = "b3"
at = "5s"
restart-after = "28s"
[[admin]]
at = "18s"
do = "alter-config"
resource = "topic orders"
set = "min.insync.replicas=3"
[[admin]]
at = "26s"
do = "alter-config"
resource = "topic orders"
remove = "min.insync.replicas"
"#,
    );
    let raised = story.time_of("c1", |e| matches!(e, Event::ConfigChanged { value: Some(value), .. } if value == "3"));
    let lowered = story.time_of("c1", |e| matches!(e, Event::ConfigChanged { value: None, .. }));
    assert!(raised >= 18 * SECOND && lowered >= 26 * SECOND);
    let (done, refused) = story.produced("b1", "NOT_ENOUGH_REPLICAS");
    assert!(refused.len() > 10, "{} refusals", refused.len());
    let slack = SECOND;
    assert!(refused.iter().all(|time| (raised..lowered + slack).contains(time)));
    assert!(!done.iter().any(|time| (raised + slack..lowered).contains(time)), "nothing is acknowledged meanwhile");
    assert!(done.iter().any(|time| *time < raised) && done.iter().any(|time| *time > lowered));
}

#[test]
fn what_was_forbidden_for_a_moment_is_permitted_again_though_the_faults_end_first() {
    let story = Story::told(
        3,
        r#"
[[admin]]
at = "33.9s"
do = "alter-config"
resource = "topic orders"
set = "max.message.bytes=1"
[[admin]]
at = "33.95s"
do = "alter-config"
resource = "topic orders"
remove = "max.message.bytes"
[[admin]]
at = "33.96s"
do = "delete-topic"
topic = "orders"
[[fault]]
kind = "cut"
target = "c1"
at = "33s"
"#,
    );
    let image = story.world.controller_image().expect("a controller decides");
    let topic = image.topic("orders").expect("what else was to be done is not done any more");
    assert!(topic.configs.is_empty(), "{:?}", topic.configs);
    let is_heal = |event: &&TraceEvent| matches!(&event.event, Event::Phase { name } if name == "heal");
    let healed = story.seen.0.iter().find(is_heal).map(|event| event.time).expect("all is healed");
    let changed = story.seen.0.iter().filter(|event| matches!(event.event, Event::ConfigChanged { .. }));
    assert!(changed.filter(|event| event.time >= healed).count() >= 2, "both came after the faults");
}

#[test]
fn a_partition_moves_under_load_and_the_replica_that_goes_is_deleted() {
    let story = Story::told(
        4,
        r#"
[[admin]]
at = "8s"
do = "reassign"
topic = "orders"
replicas = [4, 2, 3]
[[admin]]
at = "20s"
do = "elect-leaders"
topic = "orders"
[[admin]]
at = "22s"
do = "create-partitions"
topic = "orders"
partitions = 2
"#,
    );
    let image = story.world.controller_image().expect("a controller");
    let topic = image.topic("orders").expect("the topic");
    assert_eq!((topic.partitions[0].replicas.clone(), topic.partitions[0].leader), (vec![4, 2, 3], 4));
    assert_eq!((topic.partitions.len(), story.world.all_partitions().len()), (2, 2));
    assert!(!topic.partitions[0].is_reassigning());
    let ended =
        story.seen.0.iter().rev().find(|e| matches!(e.event, Event::ReassignmentChanged { .. })).expect("ended");
    let gone = story.time_of("b1", |e| matches!(e, Event::ReplicaDeleted { partition, .. } if *partition == orders()));
    assert!(gone >= ended.time);
    let dirs = trial_storage::Disk::list_dirs(story.world.disk(story.world.node_named("b1").expect("b1")));
    assert!(!dirs.expect("readable").contains(&"orders-0".to_string()));
    let (done, _) = story.produced("b4", "");
    assert!(done.iter().any(|time| *time > 20 * SECOND), "b4 serves");
    let length = |id| story.world.broker(id).and_then(|b| b.partition(&orders())).map(|p| p.log_end_offset());
    assert!(length(4) == length(2) && length(4) > Some(0));
}

/// b3 falls out of the ISR alive, and the other two die: nobody but it can lead, and it lacks what was acknowledged.
const ONLY_THE_ONE_THAT_IS_BEHIND_IS_LEFT: &str = r#"
[[fault]]
kind = "cut"
target = "b3"
at = "7s"
peers = ["b1", "b2"]
lasts = "33s"
[[fault]]
kind = "crash"
target = "b1"
at = "16s"
restart-after = "20s"
[[fault]]
kind = "crash"
target = "b2"
at = "16500ms"
restart-after = "20s"
"#;

#[test]
fn unclean_election_enabled_at_run_time_makes_its_loss_allowed_from_then_on() {
    let text = format!(
        "{HEAD}[cluster]\nbrokers = 3\nmin.insync.replicas = 2\nreplica.lag.time.max.ms = \"3s\"\n\
         eligible.leader.replicas.version = 0\n{ONLY_THE_ONE_THAT_IS_BEHIND_IS_LEFT}"
    );
    let enable = "[[admin]]\nat = \"26s\"\ndo = \"alter-config\"\nresource = \"topic orders\"\n\
                  set = \"unclean.leader.election.enable=true\"\n";
    let run = |text: &str| {
        let scenario = parse("admin.toml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        trial_sim::trial::run(&Arc::new(scenario), 7, &mut trial_sim::world::Unwatched)
    };
    let lost = |report: &trial_sim::trial::Report| -> Vec<_> {
        let findings = report.verdict.findings.iter().filter(|finding| finding.code == "lost-write");
        findings.map(|finding| (finding.class, finding.rule)).collect()
    };
    assert_eq!(lost(&run(&text)), [], "it waits for those that are in sync");
    let enabled = run(&format!("{text}{enable}"));
    assert!(enabled.verdict.counters["unclean_elections"] > 0, "{:?}", enabled.verdict.counters);
    let lost = lost(&enabled);
    let rule = (trial_checker::Class::Allowed, Some("unclean-election"));
    assert!(!lost.is_empty() && lost.iter().all(|found| *found == rule), "{lost:?}");
    assert!(!enabled.failed(), "{:?}", enabled.verdict.groups);
}
