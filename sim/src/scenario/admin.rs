//! The section `[[admin]]`: what an administrator does while the cluster is at work, and when.
//!
//! A step is due at an instant or after an event, as a fault is. Steps are done one after the other, as they become due; one
//! that cannot be done yet (no controller, no answer) is tried again until it is done or the faults end. A topic may be named that an earlier step creates.

use trial_kafka::config::{BrokerConfig, ConfigKey, DYNAMIC_BROKER_KEYS, TopicConfig};
use trial_kafka::controller::Voter;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Command, ConfigResource, ElectionType};

use super::error::Wrong;
use super::faults::when;
use super::read::{Reader, boolean, list, number, text};
use super::tree::{Placed, Value};
use super::{DurationRange, Scenario, TopicSpec, check, kafka, parse};
use crate::fault::When;

/// One thing that an administrator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminStep {
    /// When it is tried first.
    pub when: When<DurationRange>,
    /// What is done.
    pub action: AdminAction,
}

/// What an administrator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAction {
    /// Create a topic.
    CreateTopic(Box<TopicSpec>),
    /// Delete a topic.
    DeleteTopic {
        /// Its name.
        topic: String,
    },
    /// Give a topic more partitions.
    CreatePartitions {
        /// Its name.
        topic: String,
        /// Partitions in all.
        partitions: i32,
    },
    /// Change configs at run time.
    AlterConfig {
        /// Whose.
        resource: ConfigResource,
        /// Names and values; `None` removes one.
        changes: Vec<(String, Option<String>)>,
    },
    /// Elect leaders.
    ElectLeaders {
        /// Which kind of election.
        election: ElectionType,
        /// Of this partition; `None`: of all.
        partition: Option<TopicPartition>,
    },
    /// Move a partition to other brokers.
    Reassign {
        /// The partition.
        partition: TopicPartition,
        /// Its replicas; `None` cancels the reassignment under way.
        replicas: Option<Vec<i32>>,
    },
    /// Delete the records at the beginning of a partition.
    DeleteRecords {
        /// The partition.
        partition: TopicPartition,
        /// Those below this offset; `None`: all that are committed.
        before: Option<i64>,
    },
    /// Delete a group that has no members, with its offsets.
    DeleteGroup {
        /// Its id.
        group: String,
    },
    /// Delete the offsets of a topic that a group has committed and does not read any more.
    DeleteOffsets {
        /// The group's id.
        group: String,
        /// Of these partitions: one, or all of the topic's.
        partitions: Vec<TopicPartition>,
    },
    /// Make a controller a voter of the quorum, on the disk that it has then.
    AddVoter {
        /// Its number.
        controller: u32,
        /// Whatever the answer is, it is not tried again.
        once: bool,
    },
    /// Make a controller no voter of the quorum any more, on whatever disk it is one then.
    RemoveVoter {
        /// Its number.
        controller: u32,
        /// Whatever the answer is, it is not tried again.
        once: bool,
    },
}

/// The names of actions, for `do`.
pub const ACTION_NAMES: [&str; 11] = [
    "create-topic",
    "delete-topic",
    "create-partitions",
    "alter-config",
    "elect-leaders",
    "reassign",
    "delete-records",
    "add-voter",
    "remove-voter",
    "delete-group",
    "delete-offsets",
];

impl AdminAction {
    /// Its name in a scenario.
    pub fn name(&self) -> &'static str {
        ACTION_NAMES[match self {
            AdminAction::CreateTopic(_) => 0,
            AdminAction::DeleteTopic { .. } => 1,
            AdminAction::CreatePartitions { .. } => 2,
            AdminAction::AlterConfig { .. } => 3,
            AdminAction::ElectLeaders { .. } => 4,
            AdminAction::Reassign { .. } => 5,
            AdminAction::DeleteRecords { .. } => 6,
            AdminAction::AddVoter { .. } => 7,
            AdminAction::RemoveVoter { .. } => 8,
            AdminAction::DeleteGroup { .. } => 9,
            AdminAction::DeleteOffsets { .. } => 10,
        }]
    }

    /// What the admin client is told. `voter` gives what the cluster knows of a controller at that time: as it stands
    /// there (`true`), and as the quorum has it for a voter (`false`).
    pub fn command(&self, voter: impl Fn(u32, bool) -> Voter) -> Command {
        match self.clone() {
            AdminAction::AddVoter { controller, .. } => {
                let Voter { id, directory_id, endpoint } = voter(controller, true);
                Command::AddVoter { id, directory_id, endpoint }
            }
            AdminAction::RemoveVoter { controller, .. } => {
                let Voter { id, directory_id, .. } = voter(controller, false);
                Command::RemoveVoter { id, directory_id }
            }
            AdminAction::CreateTopic(topic) => topic.creation(),
            AdminAction::DeleteTopic { topic } => Command::DeleteTopic { topic: Topic::new(&topic) },
            AdminAction::CreatePartitions { topic, partitions } => {
                Command::CreatePartitions { topic: Topic::new(&topic), count: partitions }
            }
            AdminAction::AlterConfig { resource, changes } => Command::AlterConfigs { resource, changes },
            AdminAction::ElectLeaders { election, partition } => {
                Command::ElectLeaders { election, partitions: partition.into_iter().collect() }
            }
            AdminAction::Reassign { partition, replicas } => Command::Reassign { partition, replicas },
            AdminAction::DeleteRecords { partition, before } => {
                Command::DeleteRecords { partition, before: before.unwrap_or(-1) }
            }
            AdminAction::DeleteGroup { group } => Command::DeleteGroup { group },
            AdminAction::DeleteOffsets { group, partitions } => Command::DeleteOffsets { group, partitions },
        }
    }
}

/// The keys that every step may have.
pub(super) const WHAT_AND_WHEN: [&str; 6] = ["do", "at", "after", "not-before", "occurrence", "delay"];

/// The keys of an action, besides those.
pub(super) fn keys_of_action(action: &str) -> &'static [&'static str] {
    match action {
        "create-topic" => &["topic", "partitions", "replication.factor", "assignments"],
        "delete-topic" => &["topic"],
        "create-partitions" => &["topic", "partitions"],
        "alter-config" => &["resource", "set", "remove"],
        "elect-leaders" => &["election", "topic", "partition"],
        "reassign" => &["topic", "partition", "replicas"],
        "delete-records" => &["topic", "partition", "before"],
        "add-voter" | "remove-voter" => &["controller", "once"],
        "delete-group" => &["group"],
        "delete-offsets" => &["group", "topic", "partition"],
        _ => &[],
    }
}

/// The word for a resource, as the trace has it.
pub(super) fn resource_name(resource: &ConfigResource) -> String {
    match resource {
        ConfigResource::Topic(topic) => format!("topic {topic}"),
        ConfigResource::Broker(id) => format!("b{id}"),
        ConfigResource::AllBrokers => "all brokers".to_owned(),
    }
}

/// Reads `[[admin]]`. `None` if something that it needs is missing or wrong, which is told.
pub(super) fn admin(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> Option<AdminStep> {
    let name = reader.require("do", |found| {
        let given = text(found)?;
        let known = ACTION_NAMES.into_iter().find(|&name| name == given);
        known.ok_or_else(|| Wrong::new(format!("an administrator cannot do {given:?}")).among(&given, ACTION_NAMES))
    });
    let when = when(&mut reader, scenario);
    let Some(name) = name else {
        // Which keys are valid depends on the action: without it, nothing is said of them.
        reader.rest(|_, _| Ok(()));
        return None;
    };
    reader.valid = WHAT_AND_WHEN.iter().chain(keys_of_action(name)).copied().collect();
    let action = match name {
        // Takes what is left of the section as the topic's configs.
        "create-topic" => create_topic(reader, scenario).map(|topic| AdminAction::CreateTopic(Box::new(topic))),
        name => {
            let action = action_of(name, &mut reader, scenario);
            reader.finish(&format!(" of {name}"));
            action
        }
    };
    Some(AdminStep { when: when?, action: action? })
}

fn action_of(name: &str, reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<AdminAction> {
    match name {
        "delete-topic" => Some(AdminAction::DeleteTopic { topic: topic(reader, scenario)? }),
        "create-partitions" => {
            let topic = topic(reader, scenario);
            let partitions = reader.require("partitions", number(1, 10_000));
            Some(AdminAction::CreatePartitions { topic: topic?, partitions: partitions? })
        }
        "alter-config" => alter_config(reader, scenario),
        "delete-records" => {
            let partition = partition(reader, scenario);
            let before = reader.take("before", number(0, i64::MAX));
            Some(AdminAction::DeleteRecords { partition: partition?, before })
        }
        "add-voter" | "remove-voter" => {
            let controller = controller(reader, scenario);
            let once = reader.take("once", boolean).unwrap_or(false);
            let controller = controller?;
            Some(match name {
                "add-voter" => AdminAction::AddVoter { controller, once },
                _ => AdminAction::RemoveVoter { controller, once },
            })
        }
        "delete-group" => Some(AdminAction::DeleteGroup { group: group(reader, scenario)? }),
        "delete-offsets" => {
            let group = group(reader, scenario);
            let partitions = match reader.has("partition") {
                true => partition(reader, scenario).map(|partition| vec![partition]),
                false => topic(reader, scenario).map(|topic| partitions_of(scenario, &topic)),
            };
            Some(AdminAction::DeleteOffsets { group: group?, partitions: partitions? })
        }
        "elect-leaders" => {
            let election = reader.take("election", election).unwrap_or(ElectionType::Preferred);
            let partition = if reader.has("topic") { Some(partition(reader, scenario)?) } else { None };
            Some(AdminAction::ElectLeaders { election, partition })
        }
        _ => {
            let partition = partition(reader, scenario);
            let brokers = scenario.cluster.brokers;
            let replicas = reader.take("replicas", |found| {
                let replicas = list(number(1, i64::from(i32::MAX)))(found)?;
                let factor = i16::try_from(replicas.len()).unwrap_or(i16::MAX);
                check::assignments(brokers, 1, factor, std::slice::from_ref(&replicas))?;
                if replicas.is_empty() {
                    return Err(Wrong::new("a partition needs a replica").help("leave the key out to cancel"));
                }
                Ok(replicas)
            });
            Some(AdminAction::Reassign { partition: partition?, replicas })
        }
    }
}

/// The number of a controller of the cluster.
fn controller(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<u32> {
    reader.require("controller", number(1, i64::from(scenario.cluster.controllers)))
}

/// Topics that there are at some time: those of the start and those of earlier steps.
fn topic_names(scenario: &Scenario) -> Vec<&str> {
    let created = scenario.admin.iter().filter_map(|step| match &step.action {
        AdminAction::CreateTopic(topic) => Some(topic.name.as_str()),
        _ => None,
    });
    scenario.topics.iter().map(|topic| topic.name.as_str()).chain(created).collect()
}

fn known_topic(scenario: &Scenario, name: String) -> Result<String, Wrong> {
    let names = topic_names(scenario);
    if names.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(Wrong::new(format!("there is no topic {name:?}")).among(&name, names.iter().copied()))
}

fn topic(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<String> {
    reader.require("topic", |found| known_topic(scenario, text(found)?))
}

/// All partitions of a topic, as many as it is created with.
fn partitions_of(scenario: &Scenario, topic: &str) -> Vec<TopicPartition> {
    let created = scenario.admin.iter().filter_map(|step| match &step.action {
        AdminAction::CreateTopic(created) => Some(created.as_ref()),
        _ => None,
    });
    let known = scenario.topics.iter().chain(created).find(|known| known.name == topic);
    let count = known.map_or(0, |known| known.partitions);
    (0..count).map(|index| TopicPartition::new(&Topic::new(topic), index)).collect()
}

/// A group of the scenario's consumers.
fn group(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<String> {
    reader.require("group", |found| {
        let given = text(found)?;
        check::group(scenario, &given)?;
        Ok(given)
    })
}

fn partition(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<TopicPartition> {
    let topic = topic(reader, scenario);
    let index: i32 = reader.take("partition", number(0, 9_999)).unwrap_or(0);
    Some(TopicPartition::new(&Topic::new(&topic?), index))
}

fn election(found: &Placed) -> Result<ElectionType, Wrong> {
    match text(found)?.as_str() {
        "preferred" => Ok(ElectionType::Preferred),
        "unclean" => Ok(ElectionType::Unclean),
        other => Err(Wrong::new(format!("no election is called {other:?}")).among(other, ["preferred", "unclean"])),
    }
}

fn create_topic(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> Option<TopicSpec> {
    let name = reader.require("topic", |found| {
        let name = text(found)?;
        check::legal_topic_name(&name)?;
        Ok(name)
    });
    parse::topic_settings(reader, name, scenario.cluster.brokers)
}

fn alter_config(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Option<AdminAction> {
    let resource = reader.require("resource", |found| resource(scenario, &text(found)?));
    let valid: Vec<&'static ConfigKey> = match &resource {
        Some(ConfigResource::Topic(_)) => TopicConfig::KEYS.iter().collect(),
        Some(_) => BrokerConfig::KEYS.iter().filter(|key| DYNAMIC_BROKER_KEYS.contains(&key.name)).collect(),
        // Told already; which keys are valid is not known.
        None => Vec::new(),
    };
    let is_topic = matches!(resource, Some(ConfigResource::Topic(_)));
    let known = |name: &str| {
        let found = valid.iter().find(|key| key.name == name);
        found.copied().ok_or_else(|| {
            let whose = if is_topic { "a topic" } else { "a running broker" };
            Wrong::new(format!("{name:?} cannot be changed for {whose}")).among(name, valid.iter().map(|key| key.name))
        })
    };
    let one = |found: &Placed| {
        let given = text(found)?;
        let Some((name, value)) = given.split_once('=') else {
            return Err(Wrong::new(format!("{given:?} is no change of a config")).help("write \"KEY=VALUE\""));
        };
        let (name, value) = (name.trim(), value.trim());
        let key = known(name)?;
        let typed = match (value.parse::<i64>(), value.parse::<bool>()) {
            (Ok(number), _) => Value::Int(number),
            (_, Ok(yes)) => Value::Bool(yes),
            _ => Value::Text(value.to_owned()),
        };
        let typed = Placed { value: typed, place: found.place.clone() };
        match is_topic {
            true => kafka::set_one(&mut TopicConfig::default(), key, &typed)?,
            false => kafka::set_one(&mut BrokerConfig::default(), key, &typed)?,
        }
        Ok((name.to_owned(), Some(value.to_owned())))
    };
    let removed = |found: &Placed| Ok((known(&text(found)?)?.name.to_owned(), None));
    let (set, remove) = match resource {
        Some(_) => (reader.take("set", list(one)), reader.take("remove", list(removed))),
        None => (reader.take("set", |_| Ok(Vec::new())), reader.take("remove", |_| Ok(Vec::new()))),
    };
    if !reader.has("set") && !reader.has("remove") {
        reader.fail_here(Wrong::new("what is changed? say set = \"min.insync.replicas=2\", or remove = …"));
    }
    let changes = set.into_iter().chain(remove).flatten().collect();
    Some(AdminAction::AlterConfig { resource: resource?, changes })
}

/// `topic orders`, `b1` or `all brokers`.
fn resource(scenario: &Scenario, given: &str) -> Result<ConfigResource, Wrong> {
    if given == "all brokers" {
        return Ok(ConfigResource::AllBrokers);
    }
    if let Some(topic) = given.strip_prefix("topic ") {
        return known_topic(scenario, topic.trim().to_owned()).map(|name| ConfigResource::Topic(Topic::new(&name)));
    }
    let broker = given.strip_prefix('b').and_then(|number| number.parse::<i32>().ok());
    match broker {
        Some(id) if scenario.cluster.broker_ids().any(|known| known == id) => Ok(ConfigResource::Broker(id)),
        Some(id) => {
            let last = scenario.cluster.brokers;
            Err(Wrong::new(format!("there is no broker b{id}")).help(format!("there are b1 to b{last}")))
        }
        None => Err(Wrong::new(format!("{given:?} has no configs"))
            .help("resources: \"topic orders\", \"b1\", \"all brokers\"")),
    }
}
