//! Whom does a leader let in, and what does it make of the controller's answers? Copies of it are fetched from, and answered.
//!
//! ```text
//!   a leader has sent an AlterPartition ─▶ copy ─▶ answer, or none ─▶ its ISR, and what it asks next: as the rules want them?
//!   a leader ─▶ copy, alone in its ISR ─▶ a follower's fetch ─▶ is that one to join?
//! ```
//!
//! Sources: KIP-497, KIP-841, KIP-903, `AlterPartitionManager.handleAlterPartitionResponse`,
//! `Partition.handleAlterPartitionUpdate`, `handleAlterPartitionError`, `isReplicaIsrEligible`.

use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_request::PartitionData;
use kafka_protocol::messages::alter_partition_response::{PartitionData as Answer, TopicData};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId, RequestKind};
use trial_checker::Word;
use trial_kafka::broker::BrokerTimer;
use trial_kafka::broker::partition::Partition;
use trial_kafka::metadata::{BrokerRegistration, MetadataImage, PartitionRegistration};
use trial_kafka::node::{CallId, ConnId, Effect, Now};

use super::Speaker;
use super::leader_rehearsal::{self, Rehearsed, Scene, Stage};
use super::offset_questions::{Asked, fetched};

/// Until what was refused is asked again (`AlterPartitionManager`: `send-alter-partition`).
const PAUSE_MS: i64 = 50;
/// Longer than any pause.
const LONG_MS: i64 = 600_000;

/// An AlterPartition has just been sent.
pub(super) fn rehearse(
    rehearsed: &mut Rehearsed,
    request: &AlterPartitionRequest,
    waiting: (ConnId, CallId),
    now: Now,
    speaker: &mut Speaker<'_>,
) {
    let Some(broker) = speaker.slot.broker().filter(|broker| leader_rehearsal::serves(broker)) else { return };
    for topic in &request.topics {
        for asked in &topic.partitions {
            let Some(replica) = broker.replica(topic.topic_id, asked.partition_index) else { continue };
            let Some(isr) = replica.leader_state().map(|state| &state.isr) else { continue };
            let members: Vec<i32> = asked.new_isr_with_epochs.iter().map(|member| member.broker_id.0).collect();
            let is_as_asked = isr.is_pending()
                && isr.asked().iter().map(|member| member.broker).eq(members.iter().copied())
                && (replica.leader_epoch, replica.partition_epoch) == (asked.leader_epoch, asked.partition_epoch);
            let grows = members.len() > isr.committed().len();
            let is_alone = request.topics.len() == 1 && topic.partitions.len() == 1;
            if is_as_asked && leader_rehearsal::is_new_to_leader(rehearsed, &[grows, is_alone]) {
                let stage = Stage { broker, disk: &speaker.slot.disk, replica, now };
                let committed = isr.committed().to_vec();
                Play { stage: &stage, request, asked, waiting, members, committed }.all(speaker);
            }
        }
    }
}

/// Of in-sync replicas, what a leader holds and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stands {
    committed: Vec<i32>,
    is_pending: bool,
    partition_epoch: i32,
    /// With leader epoch and partition epoch.
    asks: Option<(Vec<i32>, i32, i32)>,
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = if self.is_pending { "a change of it pending" } else { "no change pending" };
        write!(f, "ISR {:?} in partition epoch {}, {pending}, ", self.committed, self.partition_epoch)?;
        match &self.asks {
            Some((isr, leader, partition)) => write!(f, "asking for {isr:?} in epochs {leader} and {partition}"),
            None => f.write_str("asking for nothing"),
        }
    }
}

struct Play<'a> {
    stage: &'a Stage<'a>,
    request: &'a AlterPartitionRequest,
    /// Of the partition in question.
    asked: &'a PartitionData,
    waiting: (ConnId, CallId),
    /// Who is asked for, and who is confirmed.
    members: Vec<i32>,
    committed: Vec<i32>,
}

impl Play<'_> {
    fn all(&self, speaker: &mut Speaker<'_>) {
        self.of_confirmations(speaker);
        self.of_refusals(speaker);
        self.of_refusals_as_a_whole(speaker);
        self.of_metadata(speaker);
    }

    /// As it stands now, waiting for the answer.
    fn pending(&self) -> Stands {
        let partition_epoch = self.asked.partition_epoch;
        Stands { committed: self.committed.clone(), is_pending: true, partition_epoch, asks: None }
    }
    /// The same, asked once more.
    fn asked_again(&self) -> Stands {
        let PartitionData { leader_epoch, partition_epoch, .. } = *self.asked;
        Stands { asks: Some((self.members.clone(), leader_epoch, partition_epoch)), ..self.pending() }
    }
    fn given_up(&self) -> Stands {
        Stands { is_pending: false, ..self.pending() }
    }
    fn confirmed(&self) -> Stands {
        let partition_epoch = self.asked.partition_epoch + 1;
        Stands { committed: self.members.clone(), is_pending: false, partition_epoch, asks: None }
    }

    fn of_confirmations(&self, speaker: &mut Speaker<'_>) {
        self.answered("that it is so", |_| true, &self.confirmed(), speaker);
        // It is asked again at once.
        self.answered("nothing", |_| false, &self.asked_again(), speaker);
        let another_reign = |answer: &mut Answer| {
            answer.leader_epoch += 1;
            true
        };
        self.answered("that it was so in another reign", another_reign, &self.pending(), speaker);
        let earlier = |answer: &mut Answer| {
            answer.partition_epoch -= 2;
            true
        };
        self.answered("that it was so once", earlier, &self.pending(), speaker);
    }

    fn of_refusals(&self, speaker: &mut Speaker<'_>) {
        use ResponseError::*;
        let given_up = [OperationNotAttempted, IneligibleReplica];
        // Metadata will tell what is so.
        let waits = [
            UnknownTopicOrPartition,
            UnknownTopicId,
            FencedLeaderEpoch,
            InvalidUpdateVersion,
            InvalidRequest,
            NewLeaderElected,
        ];
        let refused = |error: ResponseError, then: &Stands, speaker: &mut Speaker<'_>| {
            let refuse = |answer: &mut Answer| {
                *answer = Answer::default().with_partition_index(answer.partition_index).with_error_code(error.code());
                true
            };
            self.answered(&format!("{error:?}"), refuse, then, speaker)
        };
        for error in given_up {
            refused(error, &self.given_up(), speaker);
        }
        for error in waits {
            let mut scene = refused(error, &self.pending(), speaker);
            let effects = scene.copy.tick(LONG_MS, BrokerTimer::AlterPartition);
            self.must(
                &scene,
                &effects,
                &format!("whom the controller had told {error:?} long ago"),
                &self.pending(),
                speaker,
            );
        }
        let error = UnknownServerError;
        let mut scene = refused(error, &self.pending(), speaker);
        self.asks_after(&mut scene, PAUSE_MS, &format!("whom the controller had told {error:?}"), speaker);
    }

    /// Of no partition anything is said: the same again.
    fn of_refusals_as_a_whole(&self, speaker: &mut Speaker<'_>) {
        use ResponseError::*;
        // To whom it is connected it may ask; whom it knows leads no more.
        if !self.stage.broker.knows_controller() {
            return;
        }
        for (error, pause_ms) in
            [(StaleBrokerEpoch, PAUSE_MS), (UnknownServerError, PAUSE_MS), (NotController, LONG_MS)]
        {
            let mut scene = self.stage.scene();
            let answer = AlterPartitionResponse::default().with_error_code(error.code());
            let (conn, call) = self.waiting;
            let effects = scene.copy.respond(conn, call, answer.into());
            let what = format!("whose request the controller had refused with {error:?}");
            self.must(&scene, &effects, &what, &self.pending(), speaker);
            self.asks_after(&mut scene, pause_ms, &what, speaker);
        }
        let mut scene = self.stage.scene();
        scene.copy.hangs_up(self.waiting.0, self.waiting.1);
        self.asks_after(&mut scene, LONG_MS, "who never heard of the answer", speaker);
    }

    /// Metadata may come first, and says what is so; but not if it is of the past.
    fn of_metadata(&self, speaker: &mut Speaker<'_>) {
        let mut scene = self.stage.scene();
        let effects = scene.hears_of_partition(|of| {
            of.partition_epoch = self.asked.partition_epoch - 1;
            of.isr.clear();
        });
        self.must(&scene, &effects, "who had heard metadata of the past", &self.pending(), speaker);

        // The answer to the last change may have come before it.
        let mut scene = self.stage.scene();
        let hears_again = |of: &mut PartitionRegistration| of.isr.clone_from(&self.committed);
        scene.hears_of_partition(|of| {
            hears_again(of);
            of.partition_epoch = self.asked.partition_epoch - 1;
        });
        let effects = scene.hears_of_partition(|of| {
            hears_again(of);
            of.partition_epoch = self.asked.partition_epoch;
            of.leader_epoch = self.asked.leader_epoch;
            of.leader = self.stage.broker.node_id();
        });
        self.must(&scene, &effects, "who had heard once more what it knew", &self.pending(), speaker);

        let mut scene = self.stage.scene();
        let overtaken = self.asked.partition_epoch + 1;
        let effects = scene.hears_of_partition(|of| {
            of.partition_epoch = overtaken;
            of.leader_epoch = self.asked.leader_epoch;
            of.leader = self.stage.broker.node_id();
            of.isr.clone_from(&self.committed);
        });
        let stands = Stands { partition_epoch: overtaken, ..self.given_up() };
        self.must(&scene, &effects, "who had heard of another change first", &stands, speaker);
        let (conn, call) = self.waiting;
        let answer = self.answer(&|answer: &mut Answer| {
            answer.partition_epoch = overtaken + 1;
            true
        });
        let effects = scene.copy.respond(conn, call, answer.into());
        self.must(&scene, &effects, "who had heard of another change before the answer", &stands, speaker);
    }

    /// All is confirmed, but of this partition only what is left of its answer, if anything.
    fn answer(&self, change: &dyn Fn(&mut Answer) -> bool) -> AlterPartitionResponse {
        let topic_id = self.stage.replica.topic_id;
        let mut topics = Vec::new();
        for topic in &self.request.topics {
            let answer = |asked: &PartitionData| {
                let isr = asked.new_isr_with_epochs.iter().map(|member| member.broker_id).collect();
                let mut answer = Answer::default()
                    .with_partition_index(asked.partition_index)
                    .with_leader_id(BrokerId(self.stage.broker.node_id()))
                    .with_leader_epoch(asked.leader_epoch)
                    .with_isr(isr)
                    .with_partition_epoch(asked.partition_epoch + 1);
                let is_it = (topic.topic_id, asked.partition_index) == (topic_id, self.asked.partition_index);
                (!is_it || change(&mut answer)).then_some(answer)
            };
            let partitions = topic.partitions.iter().filter_map(answer).collect();
            topics.push(TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions));
        }
        AlterPartitionResponse::default().with_topics(topics)
    }
    /// What becomes of it with that answer.
    fn answered(
        &self,
        what: &str,
        change: impl Fn(&mut Answer) -> bool,
        then: &Stands,
        speaker: &mut Speaker<'_>,
    ) -> Scene {
        let mut scene = self.stage.scene();
        let (conn, call) = self.waiting;
        let effects = scene.copy.respond(conn, call, self.answer(&change).into());
        self.must(&scene, &effects, &format!("whom the controller had told {what}"), then, speaker);
        scene
    }
    /// It asks again then.
    fn asks_after(&self, scene: &mut Scene, by_ms: i64, what: &str, speaker: &mut Speaker<'_>) {
        let effects = scene.copy.tick(by_ms, BrokerTimer::AlterPartition);
        self.must(scene, &effects, &format!("{what}, {by_ms} ms later"), &self.asked_again(), speaker);
    }
    fn must(&self, scene: &Scene, effects: &[Effect], what: &str, truth: &Stands, speaker: &mut Speaker<'_>) {
        let Some(replica) = scene.replica() else { return };
        let Some(state) = replica.leader_state() else { return };
        let said = Stands {
            committed: state.isr.committed().to_vec(),
            is_pending: state.isr.is_pending(),
            partition_epoch: replica.partition_epoch,
            asks: asks(effects, replica),
        };
        if said != *truth {
            let said = format!("{said} (of a copy {what})");
            speaker.wrong(Word::StepOfIsr, Some(&scene.id), said, truth.to_string());
        }
    }
}

/// What is the controller asked for that partition?
fn asks(effects: &[Effect], replica: &Partition) -> Option<(Vec<i32>, i32, i32)> {
    let of = |request: &AlterPartitionRequest| {
        let topic = request.topics.iter().find(|topic| topic.topic_id == replica.topic_id)?;
        let asked = topic.partitions.iter().find(|asked| asked.partition_index == replica.id.partition)?;
        let members = asked.new_isr_with_epochs.iter().map(|member| member.broker_id.0).collect();
        Some((members, asked.leader_epoch, asked.partition_epoch))
    };
    effects.iter().find_map(|effect| match effect {
        Effect::Call { request, .. } => match &**request {
            RequestKind::AlterPartition(request) => of(request),
            _ => None,
        },
        _ => None,
    })
}

/// A follower that may join, were it a member of nothing.
pub(super) fn joiner(stage: &Stage<'_>) -> Option<(i32, i64)> {
    let brokers = &stage.broker.image().brokers;
    let others = stage.replica.replicas.iter().copied().filter(|id| *id != stage.broker.node_id());
    let active = |id: i32| brokers.get(&id).filter(|registered| registered.is_active());
    others.into_iter().find_map(|id| active(id).map(|registered| (id, registered.broker_epoch)))
}

/// A leader that is alone in its ISR, and is fetched from by this one.
pub(super) fn of_joiners(stage: &Stage<'_>, (joiner, broker_epoch): (i32, i64), speaker: &mut Speaker<'_>) {
    let end = stage.replica.log_end_offset();
    let high_watermark = stage.replica.high_watermark();
    let fetch = |what, broker_epoch, offset| Fetch { what, broker_epoch, offset, joiner };
    let registered = |change: fn(&mut BrokerRegistration)| {
        move |image: &mut MetadataImage| {
            if let Some(registered) = image.brokers.get_mut(&joiner) {
                change(registered);
            }
        }
    };
    let at_end = |what| fetch(what, broker_epoch, end);
    at_end("by who may join").joins(stage, |_| {}, true, speaker);
    fetch("by who may join, and does not say of which life it is", -1, end).joins(stage, |_| {}, true, speaker);
    let gone = |image: &mut MetadataImage| {
        image.brokers.remove(&joiner);
    };
    at_end("by who is not registered").joins(stage, gone, false, speaker);
    at_end("by who is fenced").joins(stage, registered(|of| of.fenced = true), false, speaker);
    let stops = registered(|of| of.in_controlled_shutdown = true);
    at_end("by who stops").joins(stage, stops, false, speaker);
    let later = fetch("by a later life than is registered", broker_epoch + 1, end);
    later.joins(stage, |_| {}, false, speaker);
    if high_watermark > stage.replica.log.log_start_offset() {
        let behind = fetch("by who lacks something that is committed", broker_epoch, high_watermark - 1);
        behind.joins(stage, |_| {}, false, speaker);
    }
}

/// A follower's fetch.
struct Fetch {
    what: &'static str,
    joiner: i32,
    broker_epoch: i64,
    offset: i64,
}

impl Fetch {
    /// Is that one to join by it, where this is so?
    fn joins(
        &self,
        stage: &Stage<'_>,
        change: impl FnOnce(&mut MetadataImage),
        truth: bool,
        speaker: &mut Speaker<'_>,
    ) {
        let mut scene = stage.scene();
        scene.hears_of_isr(&[stage.broker.node_id()]);
        scene.copy.hears(change);
        let last_epoch = stage.replica.log.epochs().last().map_or(-1, |entry| entry.epoch);
        let leader_epoch = stage.replica.leader_epoch;
        let Fetch { what, joiner, broker_epoch, offset } = *self;
        let asked = Asked { what, replica: joiner, broker_epoch, leader_epoch, offset, last_epoch };
        fetched(&mut scene, &asked);
        let isr = scene.replica().and_then(Partition::leader_state).map(|state| &state.isr);
        let said = isr.is_some_and(|isr| isr.asked().iter().any(|member| member.broker == joiner));
        let words = |joins: bool| if joins { "is to join" } else { "is not to join" };
        scene.says(Word::StepOfIsr, words(said), words(truth), what, speaker);
    }
}
