//! What cannot be in one scenario together: names that nothing has, instants outside the run, too many replicas.

use trial_kafka::group::partition_for::OFFSETS_TOPIC;
use trial_kafka::ids::TopicPartition;

use super::error::Wrong;
use super::values::show_duration;
use super::{DurationRange, Scenario};
use crate::fault::{Including, Peer, Share, Target, Trigger};

/// A topic of this scenario.
pub(super) fn topic_name(scenario: &Scenario, name: &str) -> Result<(), Wrong> {
    if scenario.topics.iter().any(|topic| topic.name == name) {
        return Ok(());
    }
    Err(Wrong::new(format!("there is no topic {name:?}")).among(name, scenario.topics.iter().map(|t| t.name.as_str())))
}

/// The rule for names of topics (`org.apache.kafka.common.internals.Topic`).
pub(super) fn legal_topic_name(name: &str) -> Result<(), Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal) {
        return Ok(());
    }
    Err(Wrong::new(format!("{name:?} is no name for a topic"))
        .help("at most 249 letters, digits, dots, underscores and hyphens"))
}

/// Not more replicas than brokers.
pub(super) fn replication_factor(brokers: u32, replication_factor: i16) -> Result<(), Wrong> {
    if i64::from(replication_factor) <= i64::from(brokers) {
        return Ok(());
    }
    Err(Wrong::new(format!("replication factor {replication_factor} is impossible with {brokers} brokers"))
        .help(format!("at most {brokers}; or give the cluster more: brokers = {replication_factor}")))
}

/// One list of different brokers per partition, all of the replication factor's length.
pub(super) fn assignments(
    brokers: u32,
    partitions: i32,
    replication_factor: i16,
    all: &[Vec<i32>],
) -> Result<(), Wrong> {
    if all.len() as i64 != i64::from(partitions) {
        return Err(Wrong::new(format!("{} lists of brokers for {partitions} partitions", all.len())));
    }
    for (partition, replicas) in all.iter().enumerate() {
        if replicas.len() as i64 != i64::from(replication_factor) {
            let message = format!("partition {partition} has {} replicas, not {replication_factor}", replicas.len());
            return Err(Wrong::new(message));
        }
        for (nth, broker) in replicas.iter().enumerate() {
            if !(1..=i64::from(brokers)).contains(&i64::from(*broker)) {
                return Err(Wrong::new(format!("there is no broker {broker}: they are 1 to {brokers}")));
            }
            if replicas[..nth].contains(broker) {
                return Err(Wrong::new(format!("partition {partition} names broker {broker} twice")));
            }
        }
    }
    Ok(())
}

fn partition(scenario: &Scenario, partition: &TopicPartition) -> Result<i16, Wrong> {
    let name = partition.topic.as_str();
    if name == OFFSETS_TOPIC {
        return partition_of_offsets(scenario, partition.partition);
    }
    topic_name(scenario, name)?;
    match scenario.topics.iter().find(|topic| topic.name == name) {
        Some(topic) if partition.partition < topic.partitions => Ok(topic.replication_factor),
        Some(topic) => {
            let last = topic.partitions - 1;
            Err(Wrong::new(format!("there is no partition {partition}: topic {name} has partitions 0 to {last}")))
        }
        None => Ok(0),
    }
}

/// A partition of the topic that brokers create for groups.
fn partition_of_offsets(scenario: &Scenario, partition: i32) -> Result<i16, Wrong> {
    let config = scenario.cluster.server_config();
    let partitions = config.offsets_topic_num_partitions;
    if i64::from(partition) < partitions {
        return Ok(i16::try_from(config.offsets_topic_replication_factor).unwrap_or(i16::MAX));
    }
    let wrong = Wrong::new(format!("there is no partition {OFFSETS_TOPIC}-{partition}: it has {partitions}"));
    Err(wrong.help("cluster.offsets.topic.num.partitions says how many"))
}

/// A group that some consumers are members of.
pub(super) fn group(scenario: &Scenario, group: &str) -> Result<(), Wrong> {
    let mut groups: Vec<&str> = scenario.consumers.iter().filter_map(|consumer| consumer.group()).collect();
    groups.dedup();
    if groups.contains(&group) {
        return Ok(());
    }
    Err(Wrong::new(format!("no consumer is a member of a group {group:?}")).among(group, groups))
}

fn up_to(number: i64, count: u64, letter: char, what: &str) -> Result<(), Wrong> {
    if number >= 1 && number as u64 <= count {
        return Ok(());
    }
    let message = format!("there is no {what} {letter}{number}");
    Err(Wrong::new(message).help(match count {
        0 => format!("this scenario has no {what}s"),
        1 => format!("there is only {letter}1"),
        _ => format!("there are {letter}1 to {letter}{count}"),
    }))
}

/// A target that exists. `by_event`: may it be the event's node?
pub(super) fn target(scenario: &Scenario, target: &Target, by_event: bool) -> Result<(), Wrong> {
    let cluster = &scenario.cluster;
    match target {
        Target::Broker(id) => up_to(i64::from(*id), u64::from(cluster.brokers), 'b', "broker"),
        Target::Controller(id) => up_to(i64::from(*id), u64::from(cluster.controllers), 'c', "controller"),
        Target::Producer(id) => {
            let count = scenario.producers.iter().map(|p| u64::from(p.count)).sum();
            up_to(i64::from(*id), count, 'p', "producer")
        }
        Target::Consumer(id) => {
            let count = scenario.consumers.iter().map(|c| u64::from(c.count)).sum();
            up_to(i64::from(*id), count, 'k', "consumer")
        }
        Target::Coordinator(of) => group(scenario, of),
        Target::AnyConsumer if scenario.consumers.is_empty() => {
            Err(Wrong::new("there is no random consumer").help("this scenario has no consumers"))
        }
        Target::Leader(of) => partition(scenario, of).map(|_| ()),
        Target::Follower { partition: of, nth } => {
            let followers = partition(scenario, of)?.max(1) as u32 - 1;
            if *nth <= followers {
                return Ok(());
            }
            Err(Wrong::new(format!("{of} has {followers} followers, there is no follower {nth}")))
        }
        Target::Rack(rack) if cluster.brokers_in_rack(rack).is_empty() => {
            let wrong = Wrong::new(format!("no broker stands in rack {rack:?}"));
            Err(wrong.among(rack, cluster.racks.iter().map(String::as_str)))
        }
        Target::ThatNode if !by_event => Err(Wrong::new("\"that node\" needs an event: write after = …")),
        Target::StandbyController(nth) => {
            let standbys = cluster.controllers - 1;
            if *nth <= standbys {
                return Ok(());
            }
            Err(Wrong::new(format!("there is no standby controller {nth}"))
                .help(format!("of {} one is active, so {standbys} stand by", cluster.controllers)))
        }
        Target::TheseControllers(ids) => {
            let count = u64::from(cluster.controllers);
            ids.iter().try_for_each(|id| up_to(i64::from(*id), count, 'c', "controller"))
        }
        Target::SomeControllers { share, including } => some_controllers(cluster.controllers, *share, *including),
        Target::Rack(_)
        | Target::AnyBroker
        | Target::AnyConsumer
        | Target::AllBrokers
        | Target::ActiveController
        | Target::AnyController
        | Target::AllControllers
        | Target::ThatNode => Ok(()),
    }
}

/// So many that there are some, and without the active one enough others.
fn some_controllers(controllers: u32, share: Share, including: Including) -> Result<(), Wrong> {
    let wanted = share.of(controllers);
    let possible = if including == Including::Standbys { controllers - 1 } else { controllers };
    if (1..=possible).contains(&wanted) {
        return Ok(());
    }
    let what = if wanted == 0 { "nobody".to_owned() } else { format!("{wanted}, one too many without the active") };
    Err(Wrong::new(format!("with controllers = {controllers} that would be {what}"))
        .help("a quorum of three or five has a minority"))
}

/// A target that can suffer a fault of this kind.
pub(super) fn can_suffer(kind: &str, target: &Target) -> Result<(), Wrong> {
    match target {
        _ if target.can_suffer(kind) || kind.is_empty() => Ok(()),
        Target::Producer(_) | Target::Consumer(_) | Target::AnyConsumer => {
            Err(Wrong::new(format!("{kind} is no fault of a client: target a broker")))
        }
        _ if kind == "slow-fetch" => Err(Wrong::new("slow-fetch is a fault of followers: target a broker")),
        _ => Err(Wrong::new(format!("{kind} is a fault of those who only read the metadata log: target a broker"))),
    }
}

/// Peers that exist.
pub(super) fn peer(scenario: &Scenario, peer: &Peer, by_event: bool) -> Result<(), Wrong> {
    match peer {
        Peer::Node(of) => target(scenario, of, by_event),
        Peer::Everyone | Peer::Brokers | Peer::Controllers | Peer::Clients => Ok(()),
    }
}

/// A trigger of a partition and a node that exist.
pub(super) fn trigger(scenario: &Scenario, trigger: &Trigger) -> Result<(), Wrong> {
    if let Some(of) = &trigger.partition {
        partition(scenario, of)?;
    }
    if let Some(Ok(node)) = trigger.node.as_deref().map(crate::fault::parse_target) {
        target(scenario, &node, false)?;
    }
    Ok(())
}

/// Faults happen after the warm-up and before their phase ends.
pub(super) fn instant(scenario: &Scenario, at: DurationRange) -> Result<(), Wrong> {
    let (begin, end) = (scenario.phases.warm_up, scenario.phases.faults_end());
    if at.min < begin {
        return Err(Wrong::new(format!(
            "{} lies in the warm-up, which has no faults and ends at {}",
            at,
            show_duration(begin)
        )));
    }
    if at.max > end {
        return Err(Wrong::new(format!("{} lies after the end of all faults at {}", at, show_duration(end)))
            .help("times count from the start of the trial: the warm-up, then run"));
    }
    Ok(())
}
