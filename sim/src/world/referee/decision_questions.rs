//! What a stranger could ask of the controller that decides: with epochs that are over or have not come, for replicas that may
//! not be let in, as a broker that is another than it says.

use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::broker_registration_request::Listener;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    BrokerId, BrokerRegistrationRequest,
};
use kafka_protocol::protocol::StrBytes;
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::metadata::{BrokerRegistration, MetadataImage, PartitionRegistration, TopicImage};
use trial_kafka::protocol::{topic_name, versions};
use uuid::Uuid;

use super::rehearsal::Question;

/// A broker, a topic and an incarnation that are none.
const STRANGER: i32 = 9_999;
const NO_TOPIC: Uuid = Uuid::from_u128(0xd15c_0003);
const NO_INCARNATION: Uuid = Uuid::from_u128(0xd15c_0004);
/// KIP-704.
const RECOVERING: i8 = 1;
/// Farther than anybody has replayed.
const AHEAD: i64 = 1 << 40;

/// The kind of state of the metadata, as far as the controller's answers depend on it. `None`: it does not decide, or what it
/// decided is not committed yet.
pub(super) fn shape(controller: &Controller) -> Option<u64> {
    let log = controller.log().filter(|_| controller.is_active() && controller.role() == QuorumRole::Leader)?;
    if controller.high_watermark() != log.log_end_offset() {
        return None;
    }
    let image = controller.image();
    let brokers = || image.brokers.values();
    let mut partitions = [false; 6];
    for partition in image.topics.values().flat_map(|topic| &topic.partitions) {
        let is_out = |of: &i32| !partition.isr.contains(of) && partition.replicas.contains(of);
        partitions[0] |= partition.recovering;
        partitions[1] |= partition.is_reassigning();
        partitions[2] |= !partition.elr.is_empty();
        partitions[3] |= image.brokers.iter().any(|(id, broker)| broker.fenced && partition.has_leader() && is_out(id));
        partitions[4] |= image.brokers.iter().any(|(id, broker)| {
            broker.in_controlled_shutdown && !broker.fenced && partition.has_leader() && is_out(id)
        });
        partitions[5] |= partition.has_leader() && partition.replicas.len() > 1;
    }
    let bits = [
        brokers().any(|broker| broker.fenced),
        brokers().any(BrokerRegistration::is_active),
        brokers().any(|broker| broker.in_controlled_shutdown),
    ];
    Some(bits.iter().chain(&partitions).fold(1, |shape, bit| shape << 1 | u64::from(*bit)))
}

/// Each dialogue is had with a copy of its own.
pub(super) fn dialogues(controller: &Controller) -> Vec<Vec<Question>> {
    let image = controller.image();
    let mut dialogues = Vec::new();
    for (topic, index, partition) in worth_asking(image) {
        ask_of_partition(image, topic, index, partition, &mut dialogues);
    }
    ask_of_brokers(controller, image, &mut dialogues);
    dialogues
}

/// A partition that recovers, one with a replica that is fenced, one with a replica that stops, and any.
fn worth_asking(image: &MetadataImage) -> Vec<(&TopicImage, i32, &PartitionRegistration)> {
    let leads = |p: &PartitionRegistration| image.is_active(p.leader);
    let has = |p: &PartitionRegistration, is: &dyn Fn(&BrokerRegistration) -> bool| {
        p.replicas.iter().any(|of| !p.isr.contains(of) && image.brokers.get(of).is_some_and(is))
    };
    let kinds: [&dyn Fn(&PartitionRegistration) -> bool; 4] = [
        &|p| p.recovering && p.replicas.len() > 1,
        &|p| has(p, &|broker| broker.fenced),
        &|p| has(p, &|broker| broker.in_controlled_shutdown && !broker.fenced),
        &|p| p.replicas.len() > 1,
    ];
    let mut chosen: Vec<(&TopicImage, i32, &PartitionRegistration)> = Vec::new();
    for is_it in kinds {
        let all =
            image.topics.values().flat_map(|topic| (0..).zip(&topic.partitions).map(move |(n, p)| (&**topic, n, p)));
        let found = all.filter(|(_, _, p)| leads(p) && is_it(p)).find(|(topic, index, _)| {
            !chosen.iter().any(|(other, n, _)| (other.topic_id, *n) == (topic.topic_id, *index))
        });
        chosen.extend(found);
    }
    chosen
}

/// What the leader of a partition asks, which is all right; `change` makes it odd.
struct Leader<'a> {
    image: &'a MetadataImage,
    topic: Uuid,
    index: i32,
    partition: &'a PartitionRegistration,
}

impl Leader<'_> {
    fn asks(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut AlterPartitionRequest, &mut PartitionData),
    ) -> Question {
        let PartitionRegistration { leader, leader_epoch, partition_epoch, isr, recovering, .. } = self.partition;
        let mut data = PartitionData::default()
            .with_partition_index(self.index)
            .with_leader_epoch(*leader_epoch)
            .with_partition_epoch(*partition_epoch)
            .with_leader_recovery_state(if *recovering { RECOVERING } else { 0 })
            .with_new_isr_with_epochs(members(isr.iter().copied()));
        let broker_epoch = self.image.brokers.get(leader).map_or(-1, |broker| broker.broker_epoch);
        let mut request =
            AlterPartitionRequest::default().with_broker_id(BrokerId(*leader)).with_broker_epoch(broker_epoch);
        let topic = TopicData::default().with_topic_id(self.topic);
        request.topics = vec![topic];
        change(&mut request, &mut data);
        request.topics[0].partitions = vec![data];
        Question { what, version: versions::ALTER_PARTITION, request: request.into() }
    }

    /// What an administrator asks.
    fn is_reassigned(&self, topic: &trial_kafka::ids::Topic, target: Vec<i32>) -> Question {
        let target = target.into_iter().map(BrokerId).collect();
        let moved = ReassignablePartition::default().with_partition_index(self.index).with_replicas(Some(target));
        let topics = vec![ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(vec![moved])];
        let request = AlterPartitionReassignmentsRequest::default().with_timeout_ms(60_000).with_topics(topics);
        Question {
            what: "to reassign a partition",
            version: versions::ALTER_PARTITION_REASSIGNMENTS,
            request: request.into(),
        }
    }
}

/// Members whose broker epochs are not told.
fn members(of: impl Iterator<Item = i32>) -> Vec<BrokerState> {
    of.map(|id| BrokerState::default().with_broker_id(BrokerId(id)).with_broker_epoch(-1)).collect()
}

fn ask_of_partition(
    image: &MetadataImage,
    topic: &TopicImage,
    index: i32,
    partition: &PartitionRegistration,
    dialogues: &mut Vec<Vec<Question>>,
) {
    let leader = Leader { image, topic: topic.topic_id, index, partition };
    let PartitionRegistration { replicas, isr, .. } = partition;
    let active: Vec<i32> = replicas.iter().copied().filter(|replica| image.is_active(*replica)).collect();
    let mut refused = vec![
        leader.asks("for a change as another incarnation", |request, _| request.broker_epoch += 1),
        leader.asks("for a change of an unknown topic", |request, _| request.topics[0].topic_id = NO_TOPIC),
        leader.asks("for a change of an unknown partition", |_, data| data.partition_index = 10_000),
        leader.asks("for a change in a later leader epoch", |_, data| data.leader_epoch += 1),
        leader.asks("for a change in a later partition epoch", |_, data| data.partition_epoch += 1),
        leader.asks("for a change in a leader epoch that is over", |_, data| data.leader_epoch -= 1),
        leader.asks("for a change in a partition epoch that is over", |_, data| data.partition_epoch -= 1),
        leader.asks("for nobody in sync", |_, data| data.new_isr_with_epochs.clear()),
        leader.asks("for a member twice", |_, data| {
            data.new_isr_with_epochs.extend(members(std::iter::once(partition.leader)));
        }),
        leader.asks("for a stranger in sync", |_, data| {
            data.new_isr_with_epochs.extend(members(std::iter::once(STRANGER)));
        }),
        leader.asks("for the leader out of sync", |_, data| {
            let others = replicas.iter().copied().filter(|replica| *replica != partition.leader);
            data.new_isr_with_epochs = members(others);
        }),
        leader.asks("for another incarnation in sync", |_, data| {
            for member in &mut data.new_isr_with_epochs {
                member.broker_epoch = image.brokers.get(&member.broker_id.0).map_or(0, |b| b.broker_epoch) + 1;
            }
        }),
        leader.asks("to recover among others", |_, data| {
            data.leader_recovery_state = RECOVERING;
            data.new_isr_with_epochs = members(active.iter().copied());
        }),
        leader.asks("to recover again", |_, data| {
            data.leader_recovery_state = RECOVERING;
            data.new_isr_with_epochs = members(std::iter::once(partition.leader));
        }),
    ];
    if let Some((id, broker)) = image.brokers.iter().find(|(id, _)| **id != partition.leader) {
        refused.push(leader.asks("for a change by who does not lead", |request, _| {
            (request.broker_id, request.broker_epoch) = (BrokerId(*id), broker.broker_epoch);
        }));
    }
    for replica in replicas.iter().filter(|replica| !isr.contains(replica) && !image.is_active(**replica)) {
        refused.push(leader.asks("for one in sync that may not be", |_, data| {
            data.leader_recovery_state = 0;
            data.new_isr_with_epochs.extend(members(std::iter::once(*replica)));
        }));
    }
    dialogues.push(refused);
    dialogues.push(vec![leader.asks("for all in sync who are alive", |_, data| {
        data.leader_recovery_state = 0;
        data.new_isr_with_epochs = members(active.iter().copied());
    })]);
    dialogues.push(vec![leader.asks("to be alone in sync", |_, data| {
        data.new_isr_with_epochs = members(std::iter::once(partition.leader));
    })]);
    if !partition.is_reassigning() {
        // That ends at once, and nobody who is no longer assigned may be elected.
        let alone = leader.is_reassigned(&topic.name, vec![partition.leader]);
        let asks = leader.asks("for what it is, alone", |_, data| {
            data.partition_epoch += 1;
            // Somebody leaves by it.
            data.leader_epoch += 1;
            data.new_isr_with_epochs = members(std::iter::once(partition.leader));
        });
        dialogues.push(vec![alone, asks]);
        ask_for_others(&leader, &topic.name, dialogues);
    }
}

/// The partition is to leave its leader for a broker that has nothing of it: with that one in sync the leader moves.
fn ask_for_others(leader: &Leader<'_>, topic: &trial_kafka::ids::Topic, dialogues: &mut Vec<Vec<Question>>) {
    let (image, partition) = (leader.image, leader.partition);
    let is_new = |id: &i32| !partition.replicas.contains(id) && image.is_active(*id);
    let Some(new) = image.brokers.keys().copied().find(is_new) else { return };
    let others = partition.replicas.iter().copied().filter(|replica| *replica != partition.leader);
    let without_leader = in_turn(partition, new);
    let in_place_of_another: Vec<i32> = [partition.leader, new].into_iter().chain(others.skip(1)).collect();
    let joins = |what: &'static str, of: Vec<i32>| {
        leader.asks(what, |_, data| {
            data.partition_epoch += 1;
            data.leader_recovery_state = 0;
            data.new_isr_with_epochs = members(of.into_iter());
        })
    };
    let with_new = |of: &[i32]| -> Vec<i32> { of.iter().copied().chain([new]).collect() };
    let active: Vec<i32> = partition.replicas.iter().copied().filter(|replica| image.is_active(*replica)).collect();
    for target in [without_leader, in_place_of_another, vec![new]] {
        let begins = || leader.is_reassigned(topic, target.clone());
        dialogues.push(vec![begins(), joins("for the new replica in sync", with_new(&partition.isr))]);
        dialogues.push(vec![begins(), joins("for all of them in sync", with_new(&active))]);
    }
    let begins = leader.is_reassigned(topic, in_turn(partition, new));
    dialogues.push(vec![begins, joins("for its leader and the new replica in sync", vec![partition.leader, new])]);
}

/// The new replica, then those there are without the leader.
fn in_turn(partition: &PartitionRegistration, new: i32) -> Vec<i32> {
    let others = partition.replicas.iter().copied().filter(|replica| *replica != partition.leader);
    std::iter::once(new).chain(others).collect()
}

fn heartbeat(what: &'static str, broker: i32, epoch: i64, offset: i64, wants: (bool, bool)) -> Question {
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(broker))
        .with_broker_epoch(epoch)
        .with_current_metadata_offset(offset)
        .with_want_fence(wants.0)
        .with_want_shut_down(wants.1);
    Question { what, version: versions::BROKER_HEARTBEAT, request: request.into() }
}

fn registration(
    what: &'static str,
    cluster: &str,
    of: (i32, &BrokerRegistration),
    incarnation: Uuid,
    before: i64,
) -> Question {
    let listener = Listener::default()
        .with_name(StrBytes::from_static_str("PLAINTEXT"))
        .with_host(StrBytes::from_string(of.1.endpoint.host.clone()))
        .with_port(of.1.endpoint.port);
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(of.0))
        .with_cluster_id(StrBytes::from_string(cluster.to_string()))
        .with_incarnation_id(incarnation)
        .with_listeners(vec![listener])
        .with_previous_broker_epoch(before);
    Question { what, version: versions::BROKER_REGISTRATION, request: request.into() }
}

/// One broker of each kind of state.
fn ask_of_brokers(controller: &Controller, image: &MetadataImage, dialogues: &mut Vec<Vec<Question>>) {
    let cluster = controller.setup().cluster_id.as_str();
    let kind = |broker: &BrokerRegistration| (broker.fenced, broker.in_controlled_shutdown);
    let mut seen = Vec::new();
    for (id, broker) in &image.brokers {
        if seen.contains(&kind(broker)) {
            continue;
        }
        seen.push(kind(broker));
        let (id, epoch) = (*id, broker.broker_epoch);
        let at = controller.registration_offset(id).unwrap_or(0);
        let lives = "of a broker that is alive";
        let allocate = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(id)).with_broker_epoch(epoch + 1);
        dialogues.push(vec![
            heartbeat("with a heartbeat of another incarnation", id, epoch + 1, AHEAD, (false, false)),
            heartbeat("with a heartbeat of an earlier incarnation", id, epoch - 1, AHEAD, (false, true)),
            heartbeat("with a heartbeat of a stranger", STRANGER, 0, AHEAD, (false, false)),
            Question {
                what: "for producer ids as another incarnation",
                version: versions::ALLOCATE_PRODUCER_IDS,
                request: allocate.into(),
            },
            registration("for another cluster", "another", (id, broker), broker.incarnation, -1),
            registration("with the same incarnation", cluster, (id, broker), broker.incarnation, -1),
        ]);
        dialogues.push(vec![heartbeat("with a heartbeat that wants to be fenced", id, epoch, AHEAD, (true, false))]);
        dialogues.push(vec![
            heartbeat("with a heartbeat before its registration", id, epoch, at - 1, (false, false)),
            heartbeat("with a heartbeat behind its registration", id, epoch, at, (false, false)),
        ]);
        for (what, before) in
            [("after an orderly stop", epoch), ("after a stop", -1), ("after an older stop", epoch - 1)]
        {
            dialogues.push(vec![registration(what, cluster, (id, broker), NO_INCARNATION, before)]);
        }
        // It stops; the others learn of it, one of them stops too, and its next incarnation comes.
        let mut stops = vec![
            heartbeat("to stop", id, epoch, at.max(0), (false, true)),
            heartbeat("to stop, again", id, epoch, at.max(0), (false, true)),
        ];
        let others = image.brokers.iter().filter(|(other, broker)| **other != id && broker.is_active());
        for (n, (other, broker)) in others.enumerate() {
            let at = controller.registration_offset(*other).unwrap_or(0);
            let (offset, wants) = if n == 0 { (at, (false, true)) } else { (AHEAD, (false, false)) };
            stops.push(heartbeat(lives, *other, broker.broker_epoch, offset, wants));
        }
        dialogues.push(
            [stops.clone(), vec![registration("while it stops", cluster, (id, broker), NO_INCARNATION, epoch)]]
                .concat(),
        );
        stops.push(heartbeat("to stop, at last", id, epoch, AHEAD, (false, true)));
        dialogues.push(stops);
    }
}
