//! How long does a rebalance keep each member of a group from its work?
//!
//! From the moment at which it gives partitions up or loses them, to the next records or partitions that it is given: with
//! eager assignment it has nothing meanwhile ("stop the world"); with cooperative assignment it goes on with what it keeps.
//! A member that dies or leaves meanwhile is not kept from anything.

use std::collections::BTreeMap;

use trial_kafka::event::{Event, Fault};
use trial_kafka::node::Nanos;

use crate::trace::{NodeIx, TraceEvent};

/// The pauses of one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// How many there were.
    pub count: u32,
    /// How long they were together.
    pub together: Nanos,
    /// The longest.
    pub longest: Nanos,
    since: Option<Nanos>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct PausesOfMembers(BTreeMap<NodeIx, Pauses>);

impl PausesOfMembers {
    /// Takes the next event in.
    pub(super) fn take(&mut self, event: &TraceEvent) {
        match &event.event {
            Event::PartitionsRevoked { partitions, .. } | Event::PartitionsLost { partitions, .. }
                if !partitions.is_empty() =>
            {
                self.0.entry(event.node).or_default().since.get_or_insert(event.time);
            }
            Event::PartitionsAssigned { .. } | Event::Consumed { .. } => {
                let Some(pauses) = self.0.get_mut(&event.node) else { return };
                if let Some(since) = pauses.since.take() {
                    let lasted = event.time.saturating_sub(since);
                    pauses.count += 1;
                    pauses.together += lasted;
                    pauses.longest = pauses.longest.max(lasted);
                }
            }
            Event::Halted { .. } | Event::Fault(Fault::Crash) => {
                self.0.get_mut(&event.node).into_iter().for_each(|pauses| pauses.since = None);
            }
            _ => {}
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (NodeIx, Pauses)> {
        self.0.iter().map(|(node, pauses)| (*node, *pauses))
    }
}

#[cfg(test)]
mod tests {
    use trial_kafka::ids::{Topic, TopicPartition};
    use trial_kafka::node::EventId;

    use super::*;

    const MEMBER: NodeIx = NodeIx(7);

    fn told(story: &[(Nanos, Event)]) -> Pauses {
        let mut pauses = PausesOfMembers::default();
        for (time, event) in story {
            let (id, event) = (EventId(1), event.clone());
            pauses.take(&TraceEvent { id, time: *time, node: MEMBER, causes: Vec::new(), event });
        }
        pauses.all().next().map(|(_, pauses)| pauses).unwrap_or_default()
    }
    fn partitions() -> Vec<TopicPartition> {
        vec![TopicPartition::new(&Topic::new("orders"), 0)]
    }
    fn revoked() -> Event {
        Event::PartitionsRevoked { group: "g".into(), generation: 1, partitions: partitions() }
    }
    fn assigned() -> Event {
        Event::PartitionsAssigned { group: "g".into(), generation: 2, partitions: partitions() }
    }
    fn consumed() -> Event {
        Event::Consumed { partition: partitions().remove(0), first_offset: 0, last_offset: 9, records: 10 }
    }

    #[test]
    fn an_eager_member_stands_still_until_it_is_assigned_again_and_a_cooperative_one_until_the_next_records() {
        let eager = told(&[(0, assigned()), (10, consumed()), (20, revoked()), (50, assigned()), (60, consumed())]);
        assert_eq!((eager.count, eager.together, eager.longest), (1, 30, 30));
        let cooperative =
            told(&[(20, revoked()), (22, consumed()), (50, assigned()), (60, revoked()), (65, consumed())]);
        assert_eq!((cooperative.count, cooperative.together, cooperative.longest), (2, 7, 5));
    }

    #[test]
    fn one_that_dies_meanwhile_is_not_kept_from_anything() {
        let died = told(&[(20, revoked()), (30, Event::Fault(Fault::Crash)), (90, assigned())]);
        assert_eq!(died.count, 0);
    }
}
