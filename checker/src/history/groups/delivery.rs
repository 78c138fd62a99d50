//! Delivery semantics, as they turned out: how often each acknowledged record was processed by each group.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::GroupHistory;
use crate::history::History;
use crate::history::records::Told;
use crate::settings::{Commits, Settings};

/// What a group made of the records that were acknowledged and are in the log at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The group.
    pub group: Arc<str>,
    /// What its members' way of committing promises.
    pub promised: &'static str,
    /// What came of it: "at least once", "at most once", "exactly once", or "neither".
    pub observed: &'static str,
    /// Never processed, though the group has committed more.
    pub never: u64,
    /// Processed once.
    pub once: u64,
    /// Processed twice or more.
    pub twice_or_more: u64,
    /// Not come to: the group has committed less, and nobody processed it.
    pub not_reached: u64,
}

/// The deliveries of all groups of a trial, for people.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries<'a>(pub &'a [Delivery]);

impl Delivery {
    /// Of all groups, by name.
    pub(crate) fn of(history: &History, settings: &Settings) -> Vec<Delivery> {
        let groups: &GroupHistory = &history.groups;
        let mut by_group: Vec<Delivery> = Vec::new();
        for group in settings.members.values().map(|member| &member.group) {
            if by_group.iter().any(|delivery| delivery.group == *group) {
                continue;
            }
            by_group.push(of_group(groups, history, settings, group));
        }
        by_group.sort_by(|a, b| a.group.cmp(&b.group));
        by_group
    }
}

fn of_group(groups: &GroupHistory, history: &History, settings: &Settings, group: &Arc<str>) -> Delivery {
    let state = groups.groups.get(group);
    let members = || settings.members.values().filter(|member| member.group == *group);
    let mut delivery = Delivery {
        group: group.clone(),
        promised: promised(members().map(|member| member.commits)),
        observed: "",
        never: 0,
        once: 0,
        twice_or_more: 0,
        not_reached: 0,
    };
    for (number, log) in (0..).zip(&history.logs) {
        let topic = &history.partitions.name(number).topic;
        let shared = state.and_then(|state| state.partitions.get(&number));
        let reads = members().any(|member| member.topics.iter().any(|name| **name == **topic));
        if log.deleted || !log.complete() || !(reads || shared.is_some()) {
            continue;
        }
        let committed = shared.and_then(|shared| shared.commits.last()).map_or(0, |commit| commit.offset);
        for (offset, record) in &log.final_log {
            if history.records.get(*record).is_none_or(|r| r.told != Told::Acked) {
                continue;
            }
            let times = state.and_then(|state| state.processed.get(record)).copied().unwrap_or(0);
            *match times {
                0 if *offset < committed => &mut delivery.never,
                0 => &mut delivery.not_reached,
                1 => &mut delivery.once,
                _ => &mut delivery.twice_or_more,
            } += 1;
        }
    }
    delivery.observed = match (delivery.never, delivery.twice_or_more) {
        (0, 0) => "exactly once",
        (0, _) => "at least once",
        (_, 0) => "at most once",
        _ => "neither",
    };
    delivery
}

/// Where members differ, the group has the promise of none.
fn promised(mut members: impl Iterator<Item = Commits>) -> &'static str {
    let of = |commits: Commits| match commits {
        Commits::Auto | Commits::After => "at least once",
        Commits::Before => "at most once",
        Commits::Never => "nothing",
    };
    let first = members.next().map_or("nothing", of);
    if members.all(|commits| of(commits) == first) { first } else { "nothing" }
}

impl fmt::Display for Deliveries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|d| d.group.len()).max().unwrap_or(0).max(14);
        write!(f, "{:<width$}{:>10}{:>10}{:>10}{:>13}", "group", "never", "once", "twice+", "not reached")?;
        for d in self.0 {
            write!(
                f,
                "\n{:<width$}{:>10}{:>10}{:>10}{:>13}",
                d.group, d.never, d.once, d.twice_or_more, d.not_reached
            )?;
            write!(f, "  {}", d.observed)?;
            if d.promised != d.observed {
                write!(f, " (promised: {})", d.promised)?;
            }
        }
        Ok(())
    }
}
