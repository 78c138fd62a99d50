//! Heartbeats of the consumer protocol that are answered wrongly, and members that stay too long: each is heard, and the
//! truth is not.

use std::sync::Arc;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::group::consumer::{ConsumerGroup, ConsumerMember, LEAVE, LEAVE_STATIC, MemberState};
use trial_kafka::group::coordinator::Group;
use trial_kafka::node::Nanos;
use uuid::Uuid;

use super::Speaker;
use super::consumer_steps::{Heartbeat, Member, Shares};
use super::group_lives::{self, Lives, Sign};
use crate::scenario;
use crate::trace::NodeIx;
use crate::world::{Note, Unwatched, World};

/// Two members of the consumer protocol, which have what they are to have.
const SCENARIO: &str = r#"
format = 1
run = "20s"
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
group.protocol = "consumer"
"#;

const NOW: Nanos = 15_000_000_000;

struct Stage {
    world: World,
    coordinator: NodeIx,
}

impl Stage {
    fn new() -> Stage {
        let scenario = Arc::new(scenario::parse("tiny.toml", SCENARIO, &[]).unwrap_or_else(|e| panic!("{e}")));
        let mut world = World::with_faults(scenario, 1, Vec::new());
        world.run_until(NOW, &mut Unwatched);
        world.notes.clear();
        let coordinator = world.node_named("b1").expect("it is there");
        let stage = Stage { world, coordinator };
        assert_eq!((stage.group().state().name(), stage.group().members().len()), ("Stable", 2));
        stage
    }
    fn shared(&self) -> Option<&Group> {
        self.world.broker(1).and_then(|broker| broker.coordinated_now("readers"))
    }
    fn group(&self) -> &ConsumerGroup {
        match self.shared() {
            Some(Group::Consumer(group)) => group,
            other => panic!("{other:?}"),
        }
    }
    fn member(&self) -> &ConsumerMember {
        self.group().members().values().next().expect("it has members")
    }
    /// What a member says in an ordinary heartbeat.
    fn ordinary(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        let text = |text: &str| StrBytes::from_string(text.to_string());
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text("readers")))
            .with_member_id(text(&self.member().id))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(-1)
    }
    fn due(&self, request: &ConsumerGroupHeartbeatRequest) -> Heartbeat {
        let mut due = Heartbeat::of(request, self.shared(), Some(self.member())).expect("it is judged");
        // Nothing is done: the group stays as it is.
        due.look(self.shared());
        due
    }
    fn told(&self, epoch: i32, has: Option<&[i32]>) -> ConsumerGroupHeartbeatResponse {
        let topic_id = *self.member().assigned.keys().next().expect("it has something");
        let topic = |has: &[i32]| TopicPartitions::default().with_topic_id(topic_id).with_partitions(has.to_vec());
        let assignment = has.map(|has| Assignment::default().with_topic_partitions(vec![topic(has)]));
        ConsumerGroupHeartbeatResponse::default().with_member_epoch(epoch).with_assignment(assignment)
    }
    fn words(&mut self, act: impl FnOnce(&mut Speaker<'_>)) -> Vec<Word> {
        let World { slots, notes, .. } = &mut self.world;
        act(&mut Speaker { node: self.coordinator, slot: &slots[self.coordinator.0 as usize], notes });
        let word = |note| match note {
            Note::Said(said) => said.word,
            other => panic!("{other:?} is no word"),
        };
        notes.drain(..).map(word).collect()
    }
    fn heard(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        response: &ConsumerGroupHeartbeatResponse,
    ) -> Vec<Word> {
        let due = self.due(request);
        self.words(|speaker| due.judge(response, speaker))
    }
}

#[test]
fn a_member_that_lives_on_is_told_its_epoch_and_no_more() {
    let mut stage = Stage::new();
    let epoch = stage.member().epoch;
    let has: Vec<i32> = stage.member().assigned.values().flatten().copied().collect();
    let says = stage.ordinary(epoch);
    assert_eq!(stage.heard(&says, &stage.told(epoch, None)), []);
    assert_eq!(stage.heard(&says, &stage.told(epoch + 1, None)), [Word::ToldEpoch]);
    assert_eq!(stage.heard(&says, &stage.told(epoch, Some(&has))), [Word::ToldAssignment]);
    // Who says everything is told everything.
    let owned = Owned::default().with_topic_id(*stage.member().assigned.keys().next().expect("it has something"));
    let names = stage.member().subscribed_topic_names.iter().map(|name| TopicName(StrBytes::from_string(name.clone())));
    let names = names.collect();
    let says_all = stage.ordinary(epoch).with_rebalance_timeout_ms(30_000).with_subscribed_topic_names(Some(names));
    let says_all = says_all.with_topic_partitions(Some(vec![owned.with_partitions(has.clone())]));
    assert_eq!(stage.heard(&says_all, &stage.told(epoch, Some(&has))), []);
    assert_eq!(stage.heard(&says_all, &stage.told(epoch, Some(&has[..1]))), [Word::ToldAssignment]);
    assert_eq!(stage.heard(&says_all, &stage.told(epoch, None)), [Word::ToldAssignment]);
    // An answer that failed tells nothing of what was done.
    assert_eq!(stage.heard(&stage.ordinary(LEAVE), &stage.told(LEAVE, None).with_error_code(15)), []);
}

#[test]
fn what_a_member_says_moves_its_group() {
    let mut stage = Stage::new();
    let epoch = stage.member().epoch;
    // Nothing of this was done.
    let other = TopicName(StrBytes::from_string("payments".to_string()));
    let subscribes = stage.ordinary(epoch).with_subscribed_topic_names(Some(vec![other]));
    assert_eq!(stage.heard(&subscribes, &stage.told(epoch, None)), [Word::GroupEpoch]);
    let leaves = stage.ordinary(LEAVE);
    assert_eq!(stage.heard(&leaves, &stage.told(LEAVE, None)), [Word::GroupEpoch, Word::MemberStep]);
    let rests = stage.ordinary(LEAVE_STATIC);
    assert_eq!(stage.heard(&rests, &stage.told(LEAVE_STATIC, None)), [Word::MemberStep]);
}

fn shares(of: &[i32]) -> Shares {
    of.iter().map(|index| (Uuid::nil(), *index)).collect()
}
fn member(epoch: i32, state: MemberState, has: &[i32], gives_back: &[i32]) -> Member {
    let (has, gives_back) = (shares(has), shares(gives_back));
    Member { id: "m".into(), epoch, previous_epoch: epoch - 1, state, has, gives_back }
}

#[test]
fn a_member_gives_back_before_it_gets() {
    use MemberState::{Stable, UnreleasedPartitions, UnrevokedPartitions};
    let next = |of: &Member, target: &[i32], held: &[i32], owned: Option<&[i32]>| {
        let (target, held, owned) = (shares(target), shares(held), owned.map(shares));
        of.next(7, &target, &held, owned.as_ref())
    };
    let at_rest = member(5, Stable, &[0, 1], &[]);
    // It says nothing of what it has: it has it.
    let revoking = next(&at_rest, &[1, 2], &[2], None);
    assert_eq!((revoking.epoch, revoking.state), (5, UnrevokedPartitions));
    assert_eq!((revoking.has.clone(), revoking.gives_back.clone()), (shares(&[1]), shares(&[0])));
    assert_eq!(next(&revoking, &[1, 2], &[2], None), revoking);
    assert_eq!(next(&revoking, &[1, 2], &[2], Some(&[0, 1])), revoking);
    // It has given back; what another has not, it gets later.
    let waiting = next(&revoking, &[1, 2], &[2], Some(&[1]));
    assert_eq!((waiting.epoch, waiting.previous_epoch, waiting.state), (7, 5, UnreleasedPartitions));
    assert_eq!((waiting.has.clone(), waiting.gives_back.clone()), (shares(&[1]), shares(&[])));
    let settled = next(&waiting, &[1, 2], &[], Some(&[1]));
    assert_eq!((settled.epoch, settled.state, settled.has.clone()), (7, Stable, shares(&[1, 2])));
    assert_eq!(next(&settled, &[1, 2, 3], &[], None), settled);
    // What it gave back itself it does not have again at once.
    let again = next(&revoking, &[0, 1], &[], Some(&[1]));
    assert_eq!((again.state, again.has), (UnreleasedPartitions, shares(&[1])));
}

#[test]
fn a_member_that_is_silent_does_not_stay() {
    let mut stage = Stage::new();
    let (node, id) = (stage.coordinator, stage.member().id.clone());
    let looked = |stage: &mut Stage, member: &str, word: Option<u64>, times: &[u64]| {
        let mut lives = Lives::default();
        let sign = Sign { member: member.to_string(), session_ms: 10_000, is_static: false, at: NOW };
        group_lives::note_life(&mut lives, node, "readers", sign);
        if let Some(ms) = word {
            group_lives::note_word(&mut lives, node, "readers", member, NOW + ms * 1_000_000);
        }
        let at = |ms: &u64| NOW + ms * 1_000_000;
        stage.words(|speaker| {
            times.iter().for_each(|ms| group_lives::look_for_the_late(&mut lives, at(ms), speaker));
        })
    };
    assert_eq!(looked(&mut stage, &id, None, &[9_000, 10_000, 10_500, 10_990]), []);
    // A process that stood still finds its timers due.
    assert_eq!(looked(&mut stage, &id, None, &[20_000, 20_001, 20_002, 20_003, 20_004]), []);
    let late = [11_000, 12_000, 13_000, 14_000, 15_000];
    assert_eq!(looked(&mut stage, &id, None, &late), [Word::LateMember]);
    assert_eq!(looked(&mut stage, &id, Some(5_000), &late), [], "whatever it was answered, its timer began anew");
    let later = late.map(|ms| ms + 5_000);
    assert_eq!(looked(&mut stage, &id, Some(5_000), &later), [Word::LateMember]);
    assert_eq!(looked(&mut stage, "nobody", None, &[11_000, 12_000, 13_000, 14_000, 15_000]), []);
}
