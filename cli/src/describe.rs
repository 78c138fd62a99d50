//! `trial describe`: the cluster at a virtual instant.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use trial_sim::describe::{PartitionDescription, TopicDescription, describe as describe_world, power_name};
use trial_sim::log::Milliseconds;
use trial_sim::world::{Power, Unwatched, World};

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
    topics: &'a [TopicDescription],
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
    let controllers = world.controllers().map(|(controller, _)| controller);
    for controller in controllers.filter(|controller| world.power(*controller) != Power::Running) {
        let (name, state) = (world.node_name(controller), power_name(world.power(controller)));
        eprintln!("note: {name} is {state}; this is what it knew last");
    }
    let topics = describe_world(&world);
    if json {
        let virtual_ms = world.now() / 1_000_000;
        out.json(&DescribeJson { scenario: &source.scenario.name, seed: args.seed, virtual_ms, topics: &topics })?;
    } else {
        print(&topics, out)?;
    }
    Ok(Ending { interrupted: interrupt::happened(), ..Ending::GOOD })
}

fn print(topics: &[TopicDescription], out: &mut Out) -> Result<(), Failure> {
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
            for line in replicas(partition).lines() {
                out.line(line.trim_end())?;
            }
        }
    }
    Ok(())
}

fn replicas(partition: &PartitionDescription) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["BROKER", "STATE", "ROLE", "LEADER-EPOCH", "LOG-END-OFFSET", "HIGH-WATERMARK"]);
    let shown = |number: Option<i64>| number.map_or("-".to_string(), |number| number.to_string());
    for replica in &partition.on_brokers {
        table.add_row([
            replica.broker.to_string(),
            replica.state.to_string(),
            replica.role.unwrap_or("-").to_string(),
            shown(replica.leader_epoch.map(i64::from)),
            shown(replica.log_end_offset),
            shown(replica.high_watermark),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
