//! The metadata quorum: one log that controllers replicate by elections and majorities, and what must hold of it.
//!
//! ```text
//!   roles, votes ─────────► elections ──┐
//!   appends, cuts, losses ► replicas ───┼─► invariants (one file each) ─► Violation ─► findings
//!   leaders' high watermarks ► ghost log┘
//! ```
//!
//! What must hold stands in the table of [`crate::invariants`].
//!
//! Where a disk lost what it had answered to have synced, what the quorum forgets is ALLOWED (disk-fault); a voter that
//! cuts what it knows to be committed is a BUG even then.
//!
//! A majority is one of the voters in force for the controller in question: the last set in its log, committed or not
//! (KIP-853). Who is no voter counts in none, and yet has no other log than the voters.
//!
//! A controller whose disk was replaced is another one: what the former incarnation did is not held against it, and it
//! counts in no majority. After a split the new leader's log is the truth, as it is for the cluster; the split is told once.

mod committed_cut;
mod committed_differs;
mod committed_lost;
mod epochs_monotone;
mod ghost;
mod high_watermark;
mod leader_loaded_snapshot;
mod leader_without_majority;
mod log_matching;
mod majority_is_durable;
mod metadata_divergence;
mod no_disruption;
mod one_leader_per_epoch;
mod one_vote_per_epoch;
mod replica;
mod snapshot_at_log_start;
mod violation;

use std::collections::BTreeMap;

use crate::findings::Findings;
use crate::invariants::Invariant;
use crate::observation::{EventRef, Observation, Time};
use crate::settings::Settings;
use ghost::Ghost;
use log_matching::Seen;
use replica::{Entry, Replica};
use violation::Violation;

/// What is checked here.
pub(crate) const INVARIANTS: [Invariant; 15] = [
    one_leader_per_epoch::INVARIANT,
    log_matching::INVARIANT,
    committed_lost::INVARIANT,
    committed_differs::INVARIANT,
    committed_cut::INVARIANT,
    majority_is_durable::INVARIANT,
    high_watermark::INVARIANT,
    epochs_monotone::INVARIANT,
    one_vote_per_epoch::INVARIANT,
    snapshot_at_log_start::INVARIANT,
    leader_loaded_snapshot::INVARIANT,
    metadata_divergence::INVARIANT,
    metadata_divergence::ACTIVE,
    leader_without_majority::INVARIANT,
    no_disruption::INVARIANT,
];

/// The truth of the metadata quorum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quorum {
    replicas: BTreeMap<i32, Replica>,
    /// By epoch: who led it, and since when.
    leaders: BTreeMap<i32, (i32, EventRef)>,
    ghost: Ghost,
    seen: Seen,
    /// When each leader's high watermark last moved.
    last_commit: BTreeMap<i32, Time>,
    /// Leaders that were told to be cut off, by epoch.
    cut_off_told: BTreeMap<i32, i32>,
    /// A loss of power took from some controller's disk what it had said it holds: Raft promises nothing then.
    disk_lied: bool,
    /// By that the quorum forgot what it had committed, or decides upon something else.
    has_forgotten: bool,
}

impl Quorum {
    /// One fact about controllers. Returns false if it is none.
    pub(crate) fn observe(&mut self, at: EventRef, what: &Observation, settings: &Settings, found: &mut Findings) {
        let violations = self.judge(at, what, settings);
        for violation in violations {
            self.has_forgotten |= self.disk_lied && violation.is_of_forgotten_metadata();
            violation.tell(at, self, settings, found);
        }
    }

    /// Have disks that lost what they had answered to have synced taken committed metadata from the quorum? A partition may be
    /// among it.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Takes the fact in, and asks each invariant that it touches.
    fn judge(&mut self, at: EventRef, what: &Observation, settings: &Settings) -> Vec<Violation> {
        use Observation::*;
        let mut violations: Vec<Violation> = Vec::new();
        match what {
            ControllerStarted { controller, voter, new_disk } => {
                let replica = self.replicas.entry(*controller).or_default();
                if *new_disk {
                    *replica = Replica::default();
                }
                (replica.voter, replica.leads, replica.known_committed) = (*voter, None, None);
            }
            QuorumVoters { controller, voters } => self.replica(*controller).voters = voters.len(),
            ControllerStopped { controller } => self.replica(*controller).leads = None,
            QuorumEpoch { controller, epoch } => {
                violations.extend(epochs_monotone::check(self.replica(*controller), *controller, *epoch));
            }
            QuorumVoted { controller, epoch, candidate } => {
                violations.extend(one_vote_per_epoch::check(
                    self.replica(*controller),
                    *controller,
                    *epoch,
                    *candidate,
                ));
            }
            QuorumCandidate { controller, epoch, consents } => {
                violations.extend(no_disruption::check(self, *controller, *epoch, *consents, at.time, settings));
                self.replica(*controller).stood = Some(*epoch);
            }
            QuorumLeader { controller, epoch } => {
                violations.extend(one_leader_per_epoch::check(self, *controller, *epoch, at));
                violations.extend(committed_lost::check(self, *controller, *epoch));
                self.replica(*controller).leads = Some(*epoch);
            }
            QuorumLeaderGone { controller } => self.replica(*controller).leads = None,
            QuorumLeaderCutOff { controller, epoch, since } => {
                violations.extend(leader_without_majority::check(self, *controller, *epoch, *since, at.time, settings));
            }
            MetadataAppended { controller, entries } => {
                for entry in entries.iter().map(Entry::of) {
                    let replica = self.replicas.entry(*controller).or_default();
                    violations.extend(log_matching::check(&mut self.seen, replica, *controller, entry));
                    replica.append(entry);
                }
            }
            MetadataTruncated { controller, to } => {
                let replica = self.replicas.entry(*controller).or_default();
                let removed = replica.cut(*to);
                violations.extend(committed_cut::check(&self.ghost, replica, *controller, &removed, *to));
            }
            MetadataLost { controller, log_end } => {
                let replica = self.replica(*controller);
                replica.cut(*log_end);
                replica.high_watermark = 0;
            }
            MetadataDiskLied { .. } => self.disk_lied = true,
            MetadataLogStart { controller, to } => {
                self.replica(*controller).start_at(*to);
                violations.extend(snapshot_at_log_start::check_start(self.replica(*controller), *controller, *to));
            }
            MetadataSnapshot { controller, end_offset, epoch, loaded } => {
                violations.extend(snapshot_at_log_start::check_snapshot(&self.ghost, *controller, *end_offset, *epoch));
                let replica = self.replica(*controller);
                if *loaded {
                    violations.extend(leader_loaded_snapshot::check(replica, *controller, *end_offset));
                    replica.replaced_by_snapshot(*end_offset);
                }
                replica.snapshot_end = replica.snapshot_end.max(*end_offset);
            }
            MetadataHighWatermark { controller, to, leads, durable } => {
                let replica = self.replicas.entry(*controller).or_default();
                violations.extend(high_watermark::check(replica, *controller, *to, *leads));
                replica.known_committed = Some((*to, at));
                match leads {
                    Some(epoch) => {
                        replica.leads = Some(*epoch);
                        let before = self.ghost.end;
                        // A deposed leader may learn late that what it wrote is committed; it need not have what came
                        // after it.
                        let deposed = self.leaders.last_key_value().is_some_and(|(latest, _)| latest > epoch);
                        violations.extend(match deposed {
                            true => committed_differs::check(&self.ghost, replica, *controller),
                            false => committed_lost::check(self, *controller, *epoch),
                        });
                        let replica = self.replicas.entry(*controller).or_default();
                        self.ghost.extend(replica, *epoch, *to, at);
                        self.last_commit.insert(*controller, at.time);
                        if *to > before {
                            let majority = self.majority(*controller, settings);
                            violations.extend(majority_is_durable::check(*controller, *epoch, *to, durable, majority));
                        }
                    }
                    None => violations.extend(committed_differs::check(&self.ghost, replica, *controller)),
                }
            }
            ActiveControllerMetadata { controller, next_offset, differs } => {
                violations.extend(metadata_divergence::check_active(*controller, *next_offset, differs.as_deref()));
            }
            BrokerMetadata { broker, next_offset, differs } => {
                violations.extend(metadata_divergence::check(*broker, *next_offset, differs.as_deref()));
            }
            _ => {}
        }
        violations
    }

    /// How many voters are a majority of those in force for this controller.
    fn majority(&self, controller: i32, settings: &Settings) -> usize {
        match self.replicas.get(&controller).map_or(0, |replica| replica.voters) {
            0 => settings.quorum.majority(),
            voters => voters / 2 + 1,
        }
    }

    fn replica(&mut self, controller: i32) -> &mut Replica {
        self.replicas.entry(controller).or_default()
    }
}

/// Is this one for the quorum?
pub(crate) fn concerns(what: &Observation) -> bool {
    use Observation::*;
    matches!(
        what,
        ControllerStarted { .. }
            | ControllerStopped { .. }
            | QuorumVoters { .. }
            | QuorumEpoch { .. }
            | QuorumVoted { .. }
            | QuorumCandidate { .. }
            | QuorumLeader { .. }
            | QuorumLeaderGone { .. }
            | QuorumLeaderCutOff { .. }
            | MetadataAppended { .. }
            | MetadataTruncated { .. }
            | MetadataLost { .. }
            | MetadataDiskLied { .. }
            | MetadataLogStart { .. }
            | MetadataSnapshot { .. }
            | MetadataHighWatermark { .. }
            | ActiveControllerMetadata { .. }
            | BrokerMetadata { .. }
    )
}
