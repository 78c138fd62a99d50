//! The groups, in the form of `kafka-consumer-groups --describe`, with `--members` and `--state`. Source of the form and of
//! what it says in words: `ConsumerGroupCommand` in apache/kafka.

use std::fmt;

use serde::Serialize;
use trial_kafka::broker::{CoordinatedGroup, CoordinatedMember};
use trial_kafka::ids::TopicPartition;

use crate::world::{Pauses, World};

/// A group as its coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupDescription {
    /// Its id.
    pub group: String,
    /// `classic` or `consumer`.
    pub protocol: &'static str,
    /// Its coordinator, by node id.
    pub coordinator: i32,
    /// For instance `Stable`.
    pub state: String,
    /// Generation of a classic group, epoch of one of the consumer protocol.
    pub generation: i32,
    /// Its members, in order of their ids.
    pub members: Vec<MemberDescription>,
    /// What it has committed or reads, in order; what a member owns that owns nothing has no partition.
    pub offsets: Vec<OffsetDescription>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberDescription {
    /// The member's id.
    pub consumer_id: String,
    /// Its name as a static member.
    pub group_instance_id: Option<String>,
    /// Where it is, as the coordinator sees it.
    pub host: String,
    /// What it calls itself.
    pub client_id: String,
    /// The generation, or its member epoch.
    pub generation: i32,
    /// Its partitions.
    pub assigned: Vec<TopicPartition>,
    /// What it is to give back (KIP-848).
    pub revoking: Vec<TopicPartition>,
    /// How long rebalances have kept it from its work, in milliseconds: since the start of the trial.
    pub stood_still_ms: u64,
    /// The longest of these times.
    pub longest_standstill_ms: u64,
}

/// How far a group is in a partition; or a member that owns none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OffsetDescription {
    /// The partition.
    pub partition: Option<TopicPartition>,
    /// What is committed.
    pub current_offset: Option<i64>,
    /// Where the partition ends for a consumer: the leader's high watermark.
    pub log_end_offset: Option<i64>,
    /// So many records the group is behind.
    pub lag: Option<i64>,
    /// Who owns it.
    pub consumer_id: Option<String>,
    /// Where that is.
    pub host: Option<String>,
    /// What it calls itself.
    pub client_id: Option<String>,
}

/// All groups that are coordinated at this moment, in order of their ids.
pub fn groups(world: &World) -> Vec<GroupDescription> {
    world.groups().into_iter().map(|(coordinator, group)| describe_group(world, coordinator, group)).collect()
}

fn describe_group(world: &World, coordinator: i32, group: CoordinatedGroup) -> GroupDescription {
    let member = |member: CoordinatedMember| {
        let pauses = world.pauses().find(|(name, _)| *name == member.client_id).map(|(_, pauses)| pauses);
        let Pauses { together, longest, .. } = pauses.unwrap_or_default();
        MemberDescription {
            consumer_id: member.id,
            group_instance_id: member.instance,
            host: member.client_host,
            client_id: member.client_id,
            generation: member.generation,
            assigned: member.assigned,
            revoking: member.revoking,
            stood_still_ms: together / 1_000_000,
            longest_standstill_ms: longest / 1_000_000,
        }
    };
    let members: Vec<MemberDescription> = group.members.into_iter().map(member).collect();
    let log_end = |partition: &TopicPartition| world.leader_replica(partition).map(|leader| leader.high_watermark());
    let offsets = offsets_of(&members, &group.offsets, log_end);
    let CoordinatedGroup { id, protocol, state, generation, .. } = group;
    GroupDescription { group: id, protocol, coordinator, state: state.to_string(), generation, members, offsets }
}

/// The rows of `--describe`: what members own, in order of the members, then what was committed and nobody owns.
pub fn offsets_of(
    members: &[MemberDescription],
    committed: &[(TopicPartition, i64)],
    log_end: impl Fn(&TopicPartition) -> Option<i64>,
) -> Vec<OffsetDescription> {
    let row = |partition: Option<&TopicPartition>, member: Option<&MemberDescription>| {
        let known = committed.iter().find(|(of, _)| Some(of) == partition);
        let (current_offset, log_end_offset) = (known.map(|(_, offset)| *offset), partition.and_then(&log_end));
        OffsetDescription {
            partition: partition.cloned(),
            current_offset,
            log_end_offset,
            lag: log_end_offset.zip(current_offset).map(|(end, current)| end - current),
            consumer_id: member.map(|member| member.consumer_id.clone()),
            host: member.map(|member| member.host.clone()),
            client_id: member.map(|member| member.client_id.clone()),
        }
    };
    let mut rows = Vec::new();
    for member in members {
        match member.assigned.is_empty() {
            true => rows.push(row(None, Some(member))),
            false => rows.extend(member.assigned.iter().map(|partition| row(Some(partition), Some(member)))),
        }
    }
    let is_owned = |partition: &TopicPartition| members.iter().any(|member| member.assigned.contains(partition));
    rows.extend(committed.iter().filter(|(of, _)| !is_owned(of)).map(|(of, _)| row(Some(of), None)));
    rows
}

const MISSING: &str = "-";

fn or_missing<T: ToString>(value: Option<T>) -> String {
    value.map_or(MISSING.to_string(), |value| value.to_string())
}

/// Columns padded to their widest cell, with a blank between.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join(" ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

impl GroupDescription {
    /// What the tool says before it prints: a group without members, or one in between.
    pub fn remark(&self) -> Option<String> {
        match self.state.as_str() {
            "Empty" => Some(format!("Consumer group '{}' has no active members.", self.group)),
            "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
                Some(format!("Warning: Consumer group '{}' is rebalancing.", self.group))
            }
            _ => None,
        }
    }

    /// The table of `--describe --members`, and how long rebalances kept each from its work.
    pub fn members_table(&self) -> String {
        let is_static = self.members.iter().any(|member| member.group_instance_id.is_some());
        let named = |name: &str| is_static || name != "GROUP-INSTANCE-ID";
        let names = [
            "GROUP",
            "CONSUMER-ID",
            "GROUP-INSTANCE-ID",
            "HOST",
            "CLIENT-ID",
            "#PARTITIONS",
            "EPOCH",
            "STOOD-STILL-MS",
        ];
        let names: Vec<&str> = names.into_iter().filter(|name| named(name)).collect();
        let mut rows = vec![header(&names)];
        for member in &self.members {
            let mut row = vec![self.group.clone(), member.consumer_id.clone()];
            if is_static {
                row.push(or_missing(member.group_instance_id.as_ref()));
            }
            row.extend([
                member.host.clone(),
                member.client_id.clone(),
                member.assigned.len().to_string(),
                member.generation.to_string(),
                format!("{} (longest {})", member.stood_still_ms, member.longest_standstill_ms),
            ]);
            rows.push(row);
        }
        table(&rows)
    }

    /// The table of `--describe --state`.
    pub fn state_table(&self) -> String {
        let names = ["GROUP", "COORDINATOR (ID)", "PROTOCOL", "STATE", "GROUP-EPOCH", "#MEMBERS"];
        let row = vec![
            self.group.clone(),
            format!("b{} ({})", self.coordinator, self.coordinator),
            self.protocol.to_string(),
            self.state.clone(),
            self.generation.to_string(),
            self.members.len().to_string(),
        ];
        table(&[header(&names), row])
    }
}

/// The table of `--describe`, with what the tool says before it.
impl fmt::Display for GroupDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(remark) = self.remark() {
            writeln!(f, "{remark}")?;
        }
        let names = [
            "GROUP",
            "TOPIC",
            "PARTITION",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "CONSUMER-ID",
            "HOST",
            "CLIENT-ID",
        ];
        let row = |offset: &OffsetDescription| {
            vec![
                self.group.clone(),
                or_missing(offset.partition.as_ref().map(|partition| &partition.topic)),
                or_missing(offset.partition.as_ref().map(|partition| partition.partition)),
                or_missing(offset.current_offset),
                or_missing(offset.log_end_offset),
                or_missing(offset.lag),
                or_missing(offset.consumer_id.as_ref()),
                or_missing(offset.host.as_ref()),
                or_missing(offset.client_id.as_ref()),
            ]
        };
        let rows: Vec<Vec<String>> = [header(&names)].into_iter().chain(self.offsets.iter().map(row)).collect();
        f.write_str(&table(&rows))
    }
}

#[cfg(test)]
mod tests {
    use trial_kafka::ids::Topic;

    use super::*;

    fn orders(partition: i32) -> TopicPartition {
        TopicPartition::new(&Topic::new("orders"), partition)
    }
    fn member(client: &str, instance: Option<&str>, assigned: &[i32]) -> MemberDescription {
        MemberDescription {
            consumer_id: format!("{client}-6b0a"),
            group_instance_id: instance.map(str::to_string),
            host: "/k1".to_string(),
            client_id: client.to_string(),
            generation: 4,
            assigned: assigned.iter().map(|p| orders(*p)).collect(),
            revoking: Vec::new(),
            stood_still_ms: 1_200,
            longest_standstill_ms: 800,
        }
    }
    fn group(state: &str, members: Vec<MemberDescription>) -> GroupDescription {
        // Nothing is committed in orders-1; orders-3 was committed by somebody who is gone, and its end is not known.
        let committed = [(orders(0), 90), (orders(2), 100), (orders(3), 7)];
        let offsets = offsets_of(&members, &committed, |of| (of.partition < 3).then_some(100));
        GroupDescription {
            group: "readers".to_string(),
            protocol: "classic",
            coordinator: 2,
            state: state.to_string(),
            generation: 4,
            members,
            offsets,
        }
    }

    #[test]
    fn groups_have_kafkas_form() {
        let stable =
            group("Stable", vec![member("k1", None, &[0, 1]), member("k2", None, &[2]), member("k3", None, &[])]);
        insta::assert_snapshot!("group", stable.to_string());
        insta::assert_snapshot!("group_members", stable.members_table());
        insta::assert_snapshot!("group_state", stable.state_table());
        let of_static = group("PreparingRebalance", vec![member("k1", Some("till"), &[0])]);
        insta::assert_snapshot!("group_rebalancing", format!("{of_static}\n{}", of_static.members_table()));
        insta::assert_snapshot!("group_empty", group("Empty", Vec::new()).to_string());
    }

    #[test]
    fn every_partition_stands_there_once_and_every_member_too() {
        let rows = group("Stable", vec![member("k1", None, &[0, 1]), member("k2", None, &[])]).offsets;
        let partitions: Vec<_> = rows.iter().filter_map(|row| row.partition.as_ref().map(|p| p.partition)).collect();
        assert_eq!(partitions, [0, 1, 2, 3]);
        assert_eq!(rows.iter().filter(|row| row.client_id.as_deref() == Some("k2")).count(), 1);
        assert_eq!(rows[0].lag, Some(10));
        assert_eq!((rows[1].current_offset, rows[1].lag), (None, None), "nothing is committed");
        assert_eq!((rows[4].log_end_offset, rows[4].lag), (None, None), "its end is not known");
    }
}
