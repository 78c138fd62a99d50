//! Targets, peers and triggers as scenario files spell them: `leader of orders-0`, `everyone`, `truncated on b2`.

use std::fmt;

use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;

use super::{Including, Peer, Share, Target, Trigger};

/// Why a text was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    /// What is wrong.
    pub message: String,
    /// What would be right: whole texts or the words that are known.
    pub valid: Vec<String>,
}

fn wrong(message: String, valid: &[&str]) -> TextError {
    TextError { message, valid: valid.iter().map(|&s| s.to_owned()).collect() }
}

const TARGETS: [&str; 23] = [
    "b1",
    "c1",
    "p1",
    "k1",
    "leader of orders-0",
    "follower 1 of orders-0",
    "random broker",
    "rack r1",
    "all brokers",
    "coordinator of readers",
    "random consumer",
    "active controller",
    "standby controller 1",
    "random controller",
    "all controllers",
    "c1 and c2",
    "minority of controllers",
    "minority of controllers with the active",
    "minority of controllers without the active",
    "majority of controllers",
    "majority of controllers with the active",
    "majority of controllers without the active",
    "that node",
];

const GROUPS: [(&str, Peer); 4] = [
    ("everyone", Peer::Everyone),
    ("brokers", Peer::Brokers),
    ("controllers", Peer::Controllers),
    ("clients", Peer::Clients),
];

fn numbered<T: std::str::FromStr>(text: &str, letter: char) -> Option<T> {
    let digits = text.strip_prefix(letter)?;
    let plain = digits.starts_with(|c: char| ('1'..='9').contains(&c)) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

fn parse_partition(text: &str) -> Option<TopicPartition> {
    TopicPartition::from_dir_name(text).filter(|p| p.partition >= 0 && !p.topic.as_str().is_empty())
}

/// `of controllers`, perhaps with or without the active one.
fn parse_some(share: Share, rest: &[&str]) -> Option<Target> {
    let including = match rest {
        ["of", "controllers"] => Including::Either,
        ["of", "controllers", "with", "the", "active"] => Including::Active,
        ["of", "controllers", "without", "the", "active"] => Including::Standbys,
        _ => return None,
    };
    Some(Target::SomeControllers { share, including })
}

/// `c1 and c3`: different controllers, in order.
fn parse_these(words: &[&str]) -> Option<Target> {
    let named = words.iter().step_by(2).map(|word| numbered(word, 'c')).collect::<Option<Vec<i32>>>()?;
    let joined = words.len() % 2 == 1 && words.iter().skip(1).step_by(2).all(|word| *word == "and");
    let rising = named.windows(2).all(|pair| pair[0] < pair[1]);
    (named.len() > 1 && joined && rising).then_some(Target::TheseControllers(named))
}

/// Reads a target.
pub fn parse_target(text: &str) -> Result<Target, TextError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let target = match words[..] {
        ["random", "broker"] => Some(Target::AnyBroker),
        ["all", "brokers"] => Some(Target::AllBrokers),
        ["that", "node"] => Some(Target::ThatNode),
        ["active", "controller"] => Some(Target::ActiveController),
        ["random", "controller"] => Some(Target::AnyController),
        ["all", "controllers"] => Some(Target::AllControllers),
        ["standby", "controller", nth] => nth.parse().ok().filter(|nth| *nth > 0).map(Target::StandbyController),
        ["minority", ref rest @ ..] => parse_some(Share::Minority, rest),
        ["majority", ref rest @ ..] => parse_some(Share::Majority, rest),
        [_, "and", ..] => parse_these(&words),
        ["coordinator", "of", group] => Some(Target::Coordinator(group.to_owned())),
        ["random", "consumer"] => Some(Target::AnyConsumer),
        ["rack", rack] => Some(Target::Rack(rack.to_owned())),
        ["leader", "of", partition] => parse_partition(partition).map(Target::Leader),
        ["follower", nth, "of", partition] => match (parse_partition(partition), nth.parse()) {
            (Some(partition), Ok(nth)) if nth > 0 => Some(Target::Follower { partition, nth }),
            _ => None,
        },
        [node] => None
            .or_else(|| numbered(node, 'b').map(Target::Broker))
            .or_else(|| numbered(node, 'c').map(Target::Controller))
            .or_else(|| numbered(node, 'p').map(Target::Producer))
            .or_else(|| numbered(node, 'k').map(Target::Consumer)),
        _ => None,
    };
    target.ok_or_else(|| wrong(format!("{text:?} names no target"), &TARGETS))
}

/// Reads a peer.
pub fn parse_peer(text: &str) -> Result<Peer, TextError> {
    if let Some((_, peer)) = GROUPS.iter().find(|(name, _)| *name == text.trim()) {
        return Ok(peer.clone());
    }
    parse_target(text).map(Peer::Node).map_err(|mut error| {
        error.valid.splice(0..0, GROUPS.iter().map(|(name, _)| (*name).to_owned()));
        error
    })
}

/// Reads a trigger: an event's name, perhaps `of` a partition, perhaps `on` a node.
pub fn parse_trigger(text: &str) -> Result<Trigger, TextError> {
    let mut words = text.split_whitespace();
    let event = words.next().unwrap_or_default();
    let Some(&event) = Event::NAMES.iter().find(|&&name| name == event) else {
        return Err(wrong(format!("no event is called {event:?}"), Event::NAMES));
    };
    let mut trigger = Trigger { event, partition: None, node: None };
    while let Some(word) = words.next() {
        let object = words.next().unwrap_or_default();
        match word {
            "of" if trigger.partition.is_none()
                && let Some(partition) = parse_partition(object) =>
            {
                trigger.partition = Some(partition);
            }
            "on" if trigger.node.is_none()
                && let Ok(node) = parse_target(object)
                && node.is_one_named_node() =>
            {
                trigger.node = Some(object.to_owned());
            }
            _ => {
                let message = format!("{text:?} is not an event, perhaps \"of\" a partition, perhaps \"on\" a node");
                return Err(wrong(message, &["truncated", "truncated of orders-0", "truncated of orders-0 on b1"]));
            }
        }
    }
    Ok(trigger)
}

impl Target {
    /// `b1`, `c1`, `p1` or `k1`.
    pub(crate) fn is_one_named_node(&self) -> bool {
        matches!(self, Target::Broker(_) | Target::Controller(_) | Target::Producer(_) | Target::Consumer(_))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Broker(id) => write!(f, "b{id}"),
            Target::Controller(id) => write!(f, "c{id}"),
            Target::Producer(id) => write!(f, "p{id}"),
            Target::Consumer(id) => write!(f, "k{id}"),
            Target::Leader(partition) => write!(f, "leader of {partition}"),
            Target::Follower { partition, nth } => write!(f, "follower {nth} of {partition}"),
            Target::AnyBroker => write!(f, "random broker"),
            Target::Rack(rack) => write!(f, "rack {rack}"),
            Target::AllBrokers => write!(f, "all brokers"),
            Target::Coordinator(group) => write!(f, "coordinator of {group}"),
            Target::AnyConsumer => write!(f, "random consumer"),
            Target::ThatNode => write!(f, "that node"),
            Target::ActiveController => write!(f, "active controller"),
            Target::StandbyController(nth) => write!(f, "standby controller {nth}"),
            Target::AnyController => write!(f, "random controller"),
            Target::AllControllers => write!(f, "all controllers"),
            Target::TheseControllers(ids) => {
                f.write_str(&ids.iter().map(|id| format!("c{id}")).collect::<Vec<_>>().join(" and "))
            }
            Target::SomeControllers { share, including } => {
                let share = match share {
                    Share::Minority => "minority",
                    Share::Majority => "majority",
                };
                let including = match including {
                    Including::Either => "",
                    Including::Active => " with the active",
                    Including::Standbys => " without the active",
                };
                write!(f, "{share} of controllers{including}")
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Node(target) => target.fmt(f),
            Peer::Everyone => write!(f, "everyone"),
            Peer::Brokers => write!(f, "brokers"),
            Peer::Controllers => write!(f, "controllers"),
            Peer::Clients => write!(f, "clients"),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event)?;
        if let Some(partition) = &self.partition {
            write!(f, " of {partition}")?;
        }
        if let Some(node) = &self.node {
            write!(f, " on {node}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_it_is_written() {
        for text in TARGETS {
            assert_eq!(parse_target(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
        for text in GROUPS.iter().map(|(name, _)| *name).chain(TARGETS) {
            assert_eq!(parse_peer(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
        for text in ["truncated", "truncated of a-b-0", "started on b2", "truncated of orders-0 on b1"] {
            assert_eq!(parse_trigger(text).map(|t| t.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "b",
            "b0",
            "b-1",
            "b+1",
            "b99999999999",
            "leader of orders",
            "leader of -0",
            "follower 0 of a-0",
            "standby controller 0",
            "minority of brokers",
            "c1 and",
            "c1 and b2",
            "c2 and c1",
            "c1 or c2",
        ] {
            assert!(parse_target(text).is_err(), "{text:?}");
        }
        for text in ["", "truncate", "truncated on", "truncated of", "truncated on rack r1", "started on b1 on b2"] {
            assert!(parse_trigger(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_names_of_events_are_all_there() {
        let source = include_str!("../../../src/event.rs");
        let arms = source.split("pub fn name(&self)").nth(1).expect("event.rs has fn name");
        let arms = arms.split("pub fn broker_list").next().expect("split gives a first part");
        let names: Vec<&str> = arms.split("=> \"").skip(1).filter_map(|arm| arm.split('"').next()).collect();
        assert_eq!(names, Event::NAMES);
    }
}
