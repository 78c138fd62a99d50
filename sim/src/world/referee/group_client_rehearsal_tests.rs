//! Consumers in groups are played with: one that does as Kafka's does is not heard, and one that does otherwise is.

use std::sync::Arc;

use trial_checker::Word;
use trial_kafka::config::GroupProtocol;
use trial_kafka::node::{Nanos, Now};
use trial_kafka::zoo::Zoo;

use super::Speaker;
use super::client_rehearsal::Kind;
use super::group_client_copy::{Play, Setup};
use super::group_client_plays::{play_all, plays};
use crate::scenario;
use crate::world::{Note, Unwatched, WALL_AT_START_MS, World};

const NOW: Nanos = 12_000_000_000;
const PROTOCOLS: [(GroupProtocol, &str); 2] =
    [(GroupProtocol::Classic, "classic"), (GroupProtocol::Consumer, "consumer")];

/// A consumer in a group, `c1`.
fn world(protocol: &str) -> World {
    let text = format!(
        r#"
format = 1
run = "20s"
[cluster]
brokers = 1
controllers = 1
offsets.topic.num.partitions = 1
[[topic]]
name = "orders"
[[consumer]]
group.id = "readers"
group.protocol = "{protocol}"
"#
    );
    let scenario = Arc::new(scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let mut world = World::with_faults(scenario, 1, Vec::new());
    world.run_until(NOW, &mut Unwatched);
    world.notes.clear();
    world
}

fn setup(protocol: GroupProtocol, lie: Option<usize>) -> Setup {
    Setup { protocol, zoo: Zoo::default(), now: Now { mono: NOW, wall: WALL_AT_START_MS + 12_000 }, lie }
}

/// What is said of consumers while that is done.
fn heard(world: &mut World, act: impl FnOnce(&mut Speaker<'_>)) -> Vec<String> {
    let node = world.node_named("c1").expect("it is there");
    let World { slots, notes, .. } = world;
    act(&mut Speaker { node, slot: &slots[node.0 as usize], notes });
    let one = |note| match note {
        Note::Said(said) if said.word == Word::StepOfConsumer => format!("{} instead of {}", said.said, said.truth),
        other => panic!("{other:?}"),
    };
    notes.drain(..).map(one).collect()
}

#[test]
fn a_healthy_member_does_as_every_play_wants() {
    for (protocol, name) in PROTOCOLS {
        let mut world = world(name);
        assert!(world.referee.rehearsed_clients.contains(&Kind::Member(protocol)), "{name}: it was played with");
        let before = (world.digest(), world.tracer.fresh.len());
        let heard = heard(&mut world, |speaker| play_all(&setup(protocol, None), speaker));
        assert_eq!(heard, [""; 0], "{name}");
        assert_eq!((world.digest(), world.tracer.fresh.len()), before, "a play leaves no trace");
    }
}

/// Whatever a broker answers decides on something that a play looks at.
#[test]
fn no_play_goes_on_as_it_should_where_a_coordinator_answers_otherwise() {
    for (protocol, name) in PROTOCOLS {
        let mut world = world(name);
        let said = heard(&mut world, |speaker| {
            for (what, change, plot) in plays(protocol) {
                let mut play = Play::begin(setup(protocol, None), what, change, speaker);
                assert_eq!(plot(&mut play), Some(()), "{name}: {what}");
                for lie in 0..play.script.answers() {
                    let mut play = Play::begin(setup(protocol, Some(lie)), what, change, speaker);
                    assert_eq!(plot(&mut play), None, "{name}: {what}: answer {lie} is a lie");
                }
            }
        });
        assert!(!said.is_empty(), "{name}");
    }
}

/// In processes of their own: a rule is left out for all of one. What is left out is said by the play that is about it.
#[cfg(feature = "mutants")]
#[test]
fn a_play_shows_each_rule_that_a_member_leaves_out() {
    use trial_kafka::conformance::left_out::LEFT_OUT;
    let healthy = "world::referee::group_client_rehearsal_tests::a_healthy_member_does_as_every_play_wants";
    for (rule, what) in [
        ("CloseCommits", "it was closed"),
        ("CoordinatorIsAskedForAfterAPause", "nobody coordinated it"),
        ("LeaderWatchesTheTopics", "a topic had one more partition"),
        ("OldAnswerIsNoPosition", "it was assigned anew while it asked for offsets"),
        ("OnlyChangesAreSaid", "nothing changed"),
        ("ReturningLeaderLeavesTheAssignment", "it returned as the static leader"),
        ("SilentCoordinatorIsLeft", "its coordinator was silent"),
        ("StaleEpochIsTriedAgain", "a commit was overtaken"),
        ("SyncCommitIsRetried", "a commit was refused for the moment"),
        ("WhoDoesNotPollLeaves", "its application stopped polling"),
    ] {
        let me = std::env::current_exe().expect("a test is a program");
        let mut command = std::process::Command::new(me);
        command.args([healthy, "--exact", "--test-threads", "1"]).env(LEFT_OUT, format!("GroupClientRule::{rule}"));
        let ended = command.output().expect("this program starts again");
        let printed = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!ended.status.success() && printed.contains(what), "{rule}: {printed}");
    }
}
