//! wrong-partition-change: the controller's word on a partition follows from the word before by Kafka's rules.
//!
//! ```text
//!   before ─┐                ┌─ epochs       do they rise, and only when they must?
//!   after ──┼─► Change ──────┼─ reassignment may it end?
//!   brokers ┘  what was asked├─ leader       is it whom the rules elect?
//!              for, as far   ├─ in_sync      who is in sync after that election?
//!              as it shows   └─ eligible     who is eligible, who led last, who has to recover?
//! ```
//!
//! Written a second time, from Kafka's rules, so that a rule that fell out of the controller is missed here. What a change was
//! asked for is not told; it shows. A broker that goes leaves the in-sync replicas and nobody joins. A leader that asks
//! gets what it asked for, or the partition keeps what it had, unless a winner from outside stands alone in it.
//! Source: `PartitionChangeBuilder`, KIP-966.

mod eligible;
mod epochs;
mod in_sync;
mod leader;
mod reassignment;
mod settled;

pub(super) use settled::check as check_settled;

use super::Cluster;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::{EventRef, PartitionChange, PartitionState};
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(crate) const INVARIANTS: [Invariant; 9] = [
    epochs::INVARIANT,
    reassignment::INVARIANT,
    leader::INVARIANT,
    in_sync::INVARIANT,
    eligible::ELIGIBLE,
    eligible::LAST_KNOWN,
    eligible::RECOVERY,
    settled::LEFT_BEHIND,
    settled::LEADERLESS,
];

const CODE: &str = "wrong-partition-change";

const fn rule(rule: &'static str, what: &'static str, source: &'static str) -> Invariant {
    Invariant { code: CODE, rule: Some(rule), what, source }
}

/// A rule that was broken, and how, as a clause.
type Broken = (Invariant, String);

/// By which right a broker became leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    InSync,
    Eligible,
    Uncleanly,
}

/// A change, and what was asked for.
struct Change<'a> {
    before: &'a PartitionState,
    after: &'a PartitionState,
    told: &'a PartitionChange,
    cluster: &'a Cluster,
    settings: &'a Settings,
    /// The in-sync replicas that were to be before anybody was elected.
    target_isr: Vec<i32>,
    /// The eligible leader replicas that were to be then.
    target_elr: Vec<i32>,
}

impl<'a> Change<'a> {
    fn of(told: &'a PartitionChange, cluster: &'a Cluster, settings: &'a Settings) -> Self {
        let (before, after) = (&told.before, &told.after);
        let (target_isr, target_elr) = (Vec::new(), Vec::new());
        let mut change = Change { before, after, told, cluster, settings, target_isr, target_elr };
        change.target_isr = change.target_isr();
        change.target_elr = change.target_elr();
        change
    }

    fn target_isr(&self) -> Vec<i32> {
        let (before, after) = (self.before, self.after);
        if let Some(going) = self.told.going {
            return before.isr.iter().copied().filter(|member| *member != going.broker).collect();
        }
        let alone = after.leader != before.leader && after.isr == [after.leader];
        let came_from_outside = alone && !before.isr.contains(&after.leader) && !self.is_reassigned();
        // Whoever is stopping may have left with this very change.
        let stays = |b: &i32| self.cluster.brokers.get(b).is_none_or(|known| !known.shutting_down);
        match came_from_outside {
            true => before.isr.iter().copied().filter(stays).collect(),
            false => after.isr.clone(),
        }
    }

    /// `PartitionChangeBuilder.maybePopulateTargetElr`: whoever leaves an ISR that is too small to commit has all that it has.
    /// Who is no replica any more is none that could lead.
    fn target_elr(&self) -> Vec<i32> {
        if !self.has_elr() {
            return self.before.elr.clone();
        }
        if self.target_isr.len() >= self.told.promised.effective_min_insync_replicas() as usize {
            return Vec::new();
        }
        let stopped = self.told.going.filter(|going| going.uncleanly == Some(true)).map(|going| going.broker);
        let candidates = self.before.elr.iter().chain(self.before.isr.iter().filter(|b| !self.before.elr.contains(b)));
        let stays = |b: &i32| self.after.replicas.contains(b) && !self.target_isr.contains(b) && Some(*b) != stopped;
        candidates.copied().filter(stays).collect()
    }

    fn has_elr(&self) -> bool {
        self.told.promised.eligible_leader_replicas
    }

    /// A reassignment ended, or was over at once. Another order of the same replicas is none.
    fn is_reassigned(&self) -> bool {
        let (before, after) = (self.before, self.after);
        let over = after.adding.is_empty() && after.removing.is_empty();
        let one_leaves = before.replicas.iter().any(|replica| !after.replicas.contains(replica));
        over && (one_leaves || !before.adding.is_empty() || !before.removing.is_empty())
    }

    /// A reassignment went back to where it had begun.
    fn is_cancelled(&self) -> bool {
        let was_there = self.before.replicas.iter().copied().filter(|b| !self.before.adding.contains(b));
        self.is_reassigned() && !self.before.adding.is_empty() && was_there.eq(self.after.replicas.iter().copied())
    }

    /// Active, and not about to go.
    fn is_active(&self, broker: i32) -> bool {
        let goes = self.told.going.is_some_and(|going| going.broker == broker);
        !goes && self.cluster.is_active(broker)
    }

    /// `PartitionChangeBuilder.isValidNewLeader`
    fn may_lead(&self, broker: i32) -> bool {
        let among = if self.target_isr.is_empty() { &self.target_elr } else { &self.target_isr };
        among.contains(&broker) && self.is_active(broker)
    }

    /// By which right it leads that did not before. `None`: nobody new leads.
    fn right(&self) -> Option<Right> {
        let leader = self.after.leader;
        (leader >= 0 && leader != self.before.leader).then(|| match () {
            () if self.target_isr.contains(&leader) => Right::InSync,
            () if self.target_isr.is_empty() && self.target_elr.contains(&leader) => Right::Eligible,
            () => Right::Uncleanly,
        })
    }

    fn names(&self, ids: &[i32]) -> String {
        brokers(self.settings, ids)
    }
    fn name(&self, broker: i32) -> String {
        if broker < 0 { "nobody".to_owned() } else { self.settings.broker_name(broker) }
    }
}

/// The controller changed a partition.
pub(super) fn check(
    cluster: &Cluster,
    at: EventRef,
    told: &PartitionChange,
    settings: &Settings,
    found: &mut Findings,
) {
    let change = Change::of(told, cluster, settings);
    // Whom the rules elect decides what the rest has to be: of a change that is wrong in one thing, nothing more is said.
    let rules = [epochs::wrong, reassignment::wrong, leader::wrong, in_sync::wrong, eligible::wrong];
    let Some((broken, how)) = rules.into_iter().find_map(|wrong| wrong(&change)) else { return };
    let headline = Headline { rule: broken.rule, ..Headline::bug(broken.code, &told.partition, None, at) };
    found.add(headline, || {
        let sentence = format!(
            "the controller changed {} at {} from {} to {}{}; {how}",
            told.partition,
            seconds(at.time),
            state(&change, &told.before),
            state(&change, &told.after),
            told.going.map_or(String::new(), |going| format!(" because {} goes", change.name(going.broker)))
        );
        (format!("in {} {how}", told.partition), vec![step(at, "controller", sentence)])
    });
}

fn state(change: &Change<'_>, state: &PartitionState) -> String {
    format!(
        "(leader {}, in sync {}, eligible {}, last known {}, leader epoch {}, partition epoch {})",
        change.name(state.leader),
        change.names(&state.isr),
        change.names(&state.elr),
        change.names(&state.last_known_elr),
        state.leader_epoch,
        state.partition_epoch
    )
}
