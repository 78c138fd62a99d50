//! `--only broker=b1,partition=orders-0,from=5s,to=20s`: which events of a run are printed.

use trial_kafka::ids::TopicPartition;
use trial_sim::log::Filter;
use trial_sim::scenario::Scenario;
use trial_sim::trace::NodeIx;
use trial_sim::world::World;

use crate::args::parse_time;
use crate::failure::Failure;

/// Reads the filter and checks it against what the run has.
pub fn filter(only: &[String], world: &World, scenario: &Scenario) -> Result<Filter, Failure> {
    let mut filter = Filter::default();
    for part in only {
        let wrong = |what: String, help: String| Failure::usage(format!("--only {part}: {what}"), [help]);
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "broker" => {
                // Brokers also go by their node.id alone.
                let name = if value.parse::<u32>().is_ok() { format!("b{value}") } else { value.to_string() };
                if world.node_named(&name).is_none() {
                    let nodes: Vec<&str> = (0..).take(world.node_count()).map(|n| world.node_name(NodeIx(n))).collect();
                    return Err(wrong("no such node".to_string(), format!("valid: {}", nodes.join(", "))));
                }
                filter.nodes.push(name);
            }
            "partition" => {
                let found = TopicPartition::from_dir_name(value).filter(|wanted| {
                    let topic = scenario.topics.iter().find(|topic| topic.name == wanted.topic.as_str());
                    topic.is_some_and(|topic| (0..topic.partitions).contains(&wanted.partition))
                });
                let valid = || {
                    let topics = scenario.topics.iter().map(|t| format!("{0}-0 to {0}-{1}", t.name, t.partitions - 1));
                    format!("valid: {}", topics.collect::<Vec<_>>().join(", "))
                };
                filter.partitions.push(found.ok_or_else(|| wrong("no such partition".to_string(), valid()))?);
            }
            "from" => {
                filter.from = parse_time(value).map_err(|what| wrong(what, "for instance from=5s".to_string()))?
            }
            "to" => filter.to = Some(parse_time(value).map_err(|what| wrong(what, "for instance to=20s".to_string()))?),
            _ => return Err(wrong("unknown key".to_string(), "valid: broker, partition, from, to".to_string())),
        }
    }
    Ok(filter)
}
