//! The coordinator's assignors, as the groups see them.
//!
//! Small stand-ins until the assignors of their own room are here, with the same names and the same inputs: each gives every
//! partition to one subscriber, in the order of the members' ids. Range gives neighbours of each topic; uniform evens out
//! the count over all topics and leaves with a member what it was to have, as far as that is even.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::group::records::Partitions;

/// What an assignor knows of a member (`MemberSubscription`, `MemberAssignment`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberSpec {
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// The rack in which it stands.
    pub rack_id: Option<String>,
    /// The topics that it subscribes to and that exist.
    pub subscribed_topic_ids: BTreeSet<Uuid>,
    /// Its target assignment so far.
    pub assignment: Partitions,
}

/// Why nothing was assigned (`PartitionAssignorException`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignorError {
    /// A subscribed topic is not among those whose size is known.
    #[error("a member subscribes to topic {topic_id}, which does not exist: its partitions should be known")]
    UnknownTopic {
        /// The topic.
        topic_id: Uuid,
    },
}

/// The assignors of a coordinator (`group.consumer.assignors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAssignor {
    /// As many partitions for each.
    Uniform,
    /// Neighbours of each topic.
    Range,
}

impl ServerAssignor {
    /// The first that is configured.
    pub const DEFAULT: ServerAssignor = ServerAssignor::Uniform;

    /// The name by which members ask for it.
    pub const fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }
    /// The assignor of that name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        [ServerAssignor::Uniform, ServerAssignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// What each member is to have.
    ///
    /// # Errors
    ///
    /// A topic of unknown size.
    pub fn assign(
        self,
        members: &BTreeMap<String, MemberSpec>,
        topics: &BTreeMap<Uuid, i32>,
    ) -> Result<BTreeMap<String, Partitions>, AssignorError> {
        let subscribed = members.values().flat_map(|member| &member.subscribed_topic_ids);
        if let Some(topic_id) = subscribed.copied().find(|topic| !topics.contains_key(topic)) {
            return Err(AssignorError::UnknownTopic { topic_id });
        }
        let mut assigned: BTreeMap<String, Partitions> = BTreeMap::new();
        for (topic, size) in topics {
            let takers: Vec<&String> =
                members.iter().filter(|(_, m)| m.subscribed_topic_ids.contains(topic)).map(|(id, _)| id).collect();
            for partition in 0..*size {
                let taker = match self {
                    ServerAssignor::Range => range(&takers, partition, *size),
                    ServerAssignor::Uniform => uniform(&takers, members, &assigned, topics, (*topic, partition)),
                };
                if let Some(taker) = taker {
                    assigned.entry(taker.clone()).or_default().entry(*topic).or_default().insert(partition);
                }
            }
        }
        Ok(assigned)
    }
}

fn range<'a>(takers: &[&'a String], partition: i32, size: i32) -> Option<&'a String> {
    let count = i32::try_from(takers.len()).ok().filter(|count| *count > 0)?;
    let (each, more) = (size / count, size % count);
    let at = if partition < more * (each + 1) { partition / (each + 1) } else { (partition - more) / each.max(1) };
    takers.get(usize::try_from(at).ok()?).copied()
}

fn uniform<'a>(
    takers: &[&'a String],
    members: &BTreeMap<String, MemberSpec>,
    assigned: &BTreeMap<String, Partitions>,
    topics: &BTreeMap<Uuid, i32>,
    (topic, partition): (Uuid, i32),
) -> Option<&'a String> {
    let all: i64 = topics.values().map(|size| i64::from(*size)).sum();
    let most = all / i64::try_from(members.len()).unwrap_or(i64::MAX).max(1);
    let has = |id: &String| {
        assigned.get(id).map_or(0, |partitions| partitions.values().map(BTreeSet::len).sum::<usize>()) as i64
    };
    let had = |id: &&&'a String| {
        let before = members.get(**id).and_then(|member| member.assignment.get(&topic));
        before.is_some_and(|partitions| partitions.contains(&partition)) && has(id) < most.max(1)
    };
    takers.iter().find(had).or_else(|| takers.iter().min_by_key(|id| has(id))).copied()
}
