//! Copies of the coordinators of groups are asked: to everything that is so they have an answer, and what is not so is heard,
//! though nobody in the run asks.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use trial_checker::Word;
use trial_kafka::node::{Nanos, Now};

use super::Speaker;
use super::classic_questions::Of;
use super::coordinator_plays;
use super::group_rehearsal::{self, Stage};
use crate::scenario;
use crate::trace::NodeIx;
use crate::world::{Note, Unwatched, World};

const NOW: Nanos = 15_000_000_000;

/// Two members of this protocol are in their group, and stay there. The referee has heard nothing of them.
fn world(protocol: &str, zoo: &str) -> (World, NodeIx) {
    let text = format!(
        r#"
format = 1
run = "20s"
zoo = [{zoo}]
[cluster]
brokers = 1
controllers = 1
offsets.topic.num.partitions = 1
offsets.topic.replication.factor = 1
[[topic]]
name = "orders"
partitions = 4
replication.factor = 1
[[producer]]
rate = 10
acks = "all"
[[consumer]]
count = 2
group.id = "readers"
group.protocol = "{protocol}"
"#
    );
    let scenario = Arc::new(scenario::parse("tiny.toml", &text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let mut world = World::with_faults(scenario, 1, Vec::new());
    world.run_until(NOW, &mut Unwatched);
    world.notes.clear();
    let coordinator = world.node_named("b1").expect("it is there");
    (world, coordinator)
}

fn said(world: &mut World, node: NodeIx, act: impl FnOnce(&mut Speaker<'_>)) -> Vec<(Word, String)> {
    let World { slots, notes, .. } = world;
    act(&mut Speaker { node, slot: &slots[node.0 as usize], notes });
    let one = |note| match note {
        Note::Said(said) => (said.word, said.said),
        other => panic!("{other:?} is no word"),
    };
    notes.drain(..).map(one).collect()
}

fn now() -> Now {
    Now { mono: NOW, wall: 0 }
}

/// What is heard when the group is rehearsed at rest, and what when it is not there.
fn rehearsed(protocol: &str, zoo: &str) -> Vec<(Word, String)> {
    let (mut world, node) = world(protocol, zoo);
    said(&mut world, node, |speaker| {
        let broker = speaker.slot.broker().expect("it is one");
        for group in ["readers", "of nobody"] {
            group_rehearsal::rehearse(&mut Default::default(), broker, group, now(), speaker);
        }
    })
}

#[test]
fn a_copy_of_a_healthy_coordinator_has_an_answer_to_everything() {
    assert_eq!(rehearsed("classic", ""), []);
    assert_eq!(rehearsed("consumer", ""), []);
}

/// These plays are played in a run of one broker, which coordinates everything, and once in it.
#[test]
fn what_befalls_the_topics_of_a_coordinator_is_played_once() {
    let (mut world, node) = world("classic", "");
    let mut rehearsed = Default::default();
    let heard = said(&mut world, node, |speaker| {
        let broker = speaker.slot.broker().expect("it is one");
        coordinator_plays::rehearse(&mut rehearsed, broker, "readers", now(), speaker);
    });
    assert_eq!((heard, rehearsed.len()), (Vec::new(), 1));
}

/// In processes of their own: a rule is left out for all of one. What is left out is said by the play that is about it.
#[cfg(feature = "mutants")]
#[test]
fn a_copy_shows_each_rule_that_its_coordinator_leaves_out() {
    use trial_kafka::conformance::left_out::LEFT_OUT;
    let healthy = "world::referee::group_rehearsal_tests::a_copy_of_a_healthy_coordinator_has_an_answer_to_everything";
    for (rule, what) in [
        ("ConsumerGroupRule::ChangedTopicsRebalance", "by a member whose topic has grown"),
        ("ConsumerGroupRule::ResolvedExpressionsRebalance", "by a member when one more of its topics is found"),
        ("CoordinatorRule::CoordinatorsDoNotAskForMinIsr", "to commit with too few replicas in sync"),
        ("CoordinatorRule::DeletedTopicsLoseTheirOffsets", "for an offset of a topic that has gone"),
        ("CoordinatorRule::PartitionsAreCountedAtTheStart", "for an offset when its log has more partitions"),
        ("CoordinatorRule::ReignGoesOn", "to lead on in a new epoch"),
        ("ClassicGroupRule::WaitingMembersDoNotExpire", "to rebalance while a member is expected"),
    ] {
        let me = std::env::current_exe().expect("a test is a program");
        let mut command = std::process::Command::new(me);
        command.args([healthy, "--exact", "--test-threads", "1"]).env(LEFT_OUT, rule);
        let ended = command.output().expect("this program starts again");
        let printed = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!ended.status.success() && printed.contains(what), "{rule}: {printed}");
    }
}

/// Nobody in these runs commits for another generation, is fenced or heard too late.
#[test]
fn a_copy_shows_what_nobody_asks() {
    for (protocol, switch) in [
        ("classic", "commit-unfenced"),
        ("classic", "expire-active-offsets"),
        ("consumer", "commit-unfenced"),
        ("consumer", "fenced-member-stays-out"),
        ("consumer", "accept-old-member-epoch"),
    ] {
        let heard = rehearsed(protocol, &format!("\"{switch}\""));
        let is_it =
            |(word, said): &(Word, String)| *word == Word::GroupAnswer && said.contains("when a copy of it was");
        assert!(heard.iter().any(is_it), "{switch}: {heard:?}");
    }
}

#[test]
fn each_kind_of_state_is_asked_about_once() {
    let (mut world, node) = world("classic", "\"commit-unfenced\"");
    let mut rehearsed = Default::default();
    let mut again = || {
        said(&mut world, node, |speaker| {
            let broker = speaker.slot.broker().expect("it is one");
            group_rehearsal::rehearse(&mut rehearsed, broker, "readers", now(), speaker);
        })
    };
    assert!(!again().is_empty());
    assert_eq!(again(), []);
}

#[test]
fn a_refusal_that_is_due_is_no_other_and_no_silence() {
    let (mut world, node) = world("classic", "");
    let heard = said(&mut world, node, |speaker| {
        let broker = speaker.slot.broker().expect("it is one");
        let stage = Stage::of(broker, "readers", now()).expect("it is coordinated here");
        let asks = Of("readers").heartbeat("nobody", None, 1);
        let mut copy = stage.copy();
        copy.ask_in_vain("by a stranger", 4, asks.clone(), ResponseError::UnknownMemberId, speaker);
        copy.ask_in_vain("by a stranger", 4, asks, ResponseError::IllegalGeneration, speaker);
    });
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].0, Word::GroupAnswer);
    assert!(heard[0].1.contains("UNKNOWN_MEMBER_ID") && heard[0].1.contains("by a stranger"), "{heard:?}");
}
