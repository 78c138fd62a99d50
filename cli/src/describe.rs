//! `trial describe`: the cluster at a virtual instant.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use trial_sim::describe::{
    BrokerDescription, GroupDescription, PartitionDescription, QuorumDescription, TopicDescription, brokers, groups,
    quorum, topics,
};
use trial_sim::log::Milliseconds;
use trial_sim::world::{Unwatched, World};

use crate::args::DescribeArgs;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::source::Source;

#[derive(Serialize)]
struct DescribeJson<'a> {
    scenario: &'a str,
    seed: u64,
    virtual_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<QuorumDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brokers: Option<Vec<BrokerDescription>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<TopicDescription>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupDescription>>,
}

/// Runs until the instant and describes what is there.
pub fn describe(args: &DescribeArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let source = Source::load(&args.scenario, &args.changes.set)?;
    let mut world = World::new(source.scenario.clone(), args.seed);
    let mut progress = Progress::of_run();
    while !world.is_over() && world.next_at().is_some_and(|at| at <= args.at) && !interrupt::happened() {
        world.step(&mut Unwatched);
        progress.at(0, || format!("{} ms of virtual time", Milliseconds(world.now())));
    }
    drop(progress);
    if world.is_over() {
        eprintln!("note: the trial was over at {} ms; this is how it ended", Milliseconds(world.now()));
    } else if !interrupt::happened() {
        world.run_until(args.at, &mut Unwatched);
    }
    let all = !args.quorum && !args.brokers && !args.topics && !args.groups;
    let has_members = source.scenario.consumers.iter().any(|consumer| consumer.group().is_some());
    let description = DescribeJson {
        scenario: &source.scenario.name,
        seed: args.seed,
        virtual_ms: world.now() / 1_000_000,
        quorum: (all || args.quorum).then(|| quorum(&world)),
        brokers: (all || args.brokers).then(|| brokers(&world)),
        topics: (all || args.topics).then(|| topics(&world)),
        groups: (all && has_members || args.groups).then(|| groups(&world)),
    };
    if world.active_controller().is_none() {
        eprintln!("note: no controller is active; brokers and topics are those of the one that knew most");
    }
    if json {
        out.json(&description)?;
    } else {
        print(&description, out)?;
    }
    Ok(Ending { interrupted: interrupt::happened(), ..Ending::GOOD })
}

fn print(description: &DescribeJson<'_>, out: &mut Out) -> Result<(), Failure> {
    let mut first = true;
    let mut gap = |out: &mut Out| if std::mem::take(&mut first) { Ok(()) } else { out.line("") };
    if let Some(quorum) = &description.quorum {
        gap(out)?;
        print_quorum(quorum, out)?;
    }
    if let Some(brokers) = &description.brokers {
        gap(out)?;
        print_table(&brokers_table(brokers), out)?;
    }
    if let Some(topics) = &description.topics {
        gap(out)?;
        print_topics(topics, out)?;
    }
    if let Some(groups) = &description.groups {
        gap(out)?;
        print_groups(groups, out)?;
    }
    Ok(())
}

fn print_groups(groups: &[GroupDescription], out: &mut Out) -> Result<(), Failure> {
    if groups.is_empty() {
        eprintln!("note: no coordinator knows of any group");
    }
    for (nth, group) in groups.iter().enumerate() {
        if nth > 0 {
            out.line("")?;
        }
        out.line(group)?;
        out.line("")?;
        if !group.members.is_empty() {
            out.line(group.members_table())?;
            out.line("")?;
        }
        out.line(group.state_table())?;
    }
    Ok(())
}

fn print_quorum(quorum: &QuorumDescription, out: &mut Out) -> Result<(), Failure> {
    out.line(format_args!("ClusterId:              {}", quorum.cluster_id))?;
    match &quorum.leader {
        Some(leader) => {
            out.line(leader)?;
            out.line("")?;
            out.line(leader.replication())?;
        }
        None => out.line("LeaderId:               none: no controller that runs leads; below is what each believes")?,
    }
    out.line("")?;
    print_table(&controllers_table(quorum), out)
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".to_string(), |value| value.to_string())
}

/// A table without lines, with these columns to the right.
fn table_of(header: &[&str], rows: impl Iterator<Item = Vec<String>>, right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for (at, column) in table.column_iter_mut().enumerate() {
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn print_table(table: &Table, out: &mut Out) -> Result<(), Failure> {
    table.to_string().lines().try_for_each(|line| out.line(line.trim_end()))
}

fn controllers_table(quorum: &QuorumDescription) -> Table {
    let header =
        ["CONTROLLER", "NODE-ID", "STATE", "ROLE", "LEADER", "ACTIVE", "EPOCH", "HIGH-WATERMARK", "LOG-END-OFFSET"];
    let rows = quorum.controllers.iter().map(|c| {
        vec![
            c.controller.clone(),
            c.node_id.to_string(),
            c.state.to_string(),
            c.role.to_string(),
            shown(c.believed_leader),
            if c.active { "yes" } else { "no" }.to_string(),
            c.epoch.to_string(),
            c.high_watermark.to_string(),
            shown(c.log_end_offset),
        ]
    });
    table_of(&header, rows, &[6, 7, 8])
}

fn brokers_table(brokers: &[BrokerDescription]) -> Table {
    let header =
        ["BROKER", "EPOCH", "FENCED", "SHUTTING-DOWN", "RACK", "ENDPOINT", "STATE", "LIFECYCLE", "METADATA-OFFSET"];
    let word = |flag: Option<bool>| shown(flag.map(|flag| if flag { "yes" } else { "no" }));
    let rows = brokers.iter().map(|b| {
        vec![
            b.id.to_string(),
            shown(b.broker_epoch),
            word(b.fenced),
            word(b.in_controlled_shutdown),
            shown(b.rack.as_ref()),
            shown(b.endpoint.as_ref()),
            b.state.to_string(),
            b.lifecycle.to_string(),
            b.metadata_offset.to_string(),
        ]
    });
    table_of(&header, rows, &[1, 8])
}

fn print_topics(topics: &[TopicDescription], out: &mut Out) -> Result<(), Failure> {
    if topics.is_empty() {
        eprintln!("note: there are no topics yet");
    }
    for topic in topics {
        out.line(topic)?;
    }
    for topic in topics {
        for partition in &topic.partitions {
            out.line("")?;
            out.line(format_args!(
                "{}-{} on its brokers (the controller: leader epoch {}, partition epoch {})",
                topic.topic, partition.partition, partition.leader_epoch, partition.partition_epoch
            ))?;
            print_table(&replicas_table(partition), out)?;
        }
    }
    Ok(())
}

fn replicas_table(partition: &PartitionDescription) -> Table {
    let header = ["BROKER", "STATE", "ROLE", "LEADER-EPOCH", "LOG-END-OFFSET", "HIGH-WATERMARK"];
    let rows = partition.on_brokers.iter().map(|replica| {
        vec![
            replica.broker.to_string(),
            replica.state.to_string(),
            shown(replica.role),
            shown(replica.leader_epoch),
            shown(replica.log_end_offset),
            shown(replica.high_watermark),
        ]
    });
    table_of(&header, rows, &[3, 4, 5])
}
