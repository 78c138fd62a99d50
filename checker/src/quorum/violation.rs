//! What can be wrong with the quorum, and how that is told.

use super::ghost::{Committed, Difference};
use super::{
    Quorum, committed_cut, committed_differs, committed_lost, epochs_monotone, high_watermark, leader_loaded_snapshot,
    leader_without_majority, log_matching, majority_is_durable, metadata_divergence, no_disruption,
    one_leader_per_epoch, one_vote_per_epoch, snapshot_at_log_start,
};
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::{EventRef, Time};
use crate::settings::Settings;
use crate::verdict::{Class, Step};
use crate::words::{seconds, step};

/// One violation; each is explained in the file of its invariant.
#[derive(Clone, Debug)]
pub(super) enum Violation {
    TwoLeaders { epoch: i32, first: i32, first_at: EventRef, second: i32 },
    VotedTwice { controller: i32, epoch: i32, first: i32, second: i32 },
    EpochWentBack { controller: i32, before: i32, epoch: i32 },
    LogMatching { offset: i64, epoch: i32, first: i32, second: i32 },
    CommittedLost { controller: i32, epoch: i32, difference: Difference, committed_end: i64 },
    CommittedDiffers { controller: i32, difference: Difference },
    CommittedCut { controller: i32, to: i64, committed: Committed, knowingly: bool },
    CommitWithoutMajority { controller: i32, epoch: i32, to: i64, holders: Vec<i32>, majority: usize },
    HighWatermarkBeyondEnd { controller: i32, to: i64, log_end: i64 },
    HighWatermarkWentBack { controller: i32, before: i64, to: i64 },
    SnapshotGap { controller: i32, log_start: i64, snapshot_end: i64 },
    SnapshotBeyondCommit { controller: i32, end_offset: i64, committed_end: i64 },
    SnapshotOfAnotherEpoch { controller: i32, end_offset: i64, epoch: i32, committed: i32 },
    LeaderLoadedSnapshot { controller: i32, epoch: i32, end_offset: i64 },
    MetadataDivergence { broker: i32, next_offset: i64, how: String },
    ActiveControllerDiverges { controller: i32, next_offset: i64, how: String },
    LeaderWithoutMajority { controller: i32, epoch: i32, since: Time, lasted: Time },
    LeaderDeposed { controller: i32, epoch: i32, consents: u32, leader: i32 },
}

impl Violation {
    /// The invariant that it breaks.
    fn broken(&self) -> Invariant {
        use Violation::*;
        match self {
            TwoLeaders { .. } => one_leader_per_epoch::INVARIANT,
            LogMatching { .. } => log_matching::INVARIANT,
            CommittedLost { .. } => committed_lost::INVARIANT,
            CommittedDiffers { .. } => committed_differs::INVARIANT,
            CommittedCut { .. } => committed_cut::INVARIANT,
            VotedTwice { .. } => one_vote_per_epoch::INVARIANT,
            EpochWentBack { .. } => epochs_monotone::INVARIANT,
            CommitWithoutMajority { .. } => majority_is_durable::INVARIANT,
            HighWatermarkBeyondEnd { .. } | HighWatermarkWentBack { .. } => high_watermark::INVARIANT,
            SnapshotGap { .. } | SnapshotBeyondCommit { .. } | SnapshotOfAnotherEpoch { .. } => {
                snapshot_at_log_start::INVARIANT
            }
            LeaderLoadedSnapshot { .. } => leader_loaded_snapshot::INVARIANT,
            MetadataDivergence { .. } => metadata_divergence::INVARIANT,
            ActiveControllerDiverges { .. } => metadata_divergence::ACTIVE,
            LeaderWithoutMajority { .. } => leader_without_majority::INVARIANT,
            LeaderDeposed { .. } => no_disruption::INVARIANT,
        }
    }

    /// Can this happen to a quorum without a fault of its own, if a disk has lost what it had answered to have synced?
    fn may_come_of_lost_syncs(&self) -> bool {
        use Violation::*;
        match self {
            TwoLeaders { .. }
            | LogMatching { .. }
            | CommittedLost { .. }
            | CommittedDiffers { .. }
            | VotedTwice { .. }
            | EpochWentBack { .. }
            | CommitWithoutMajority { .. }
            | SnapshotGap { .. }
            | SnapshotBeyondCommit { .. }
            | SnapshotOfAnotherEpoch { .. }
            | MetadataDivergence { .. }
            | ActiveControllerDiverges { .. } => true,
            CommittedCut { knowingly, .. } => !knowingly,
            HighWatermarkBeyondEnd { .. }
            | HighWatermarkWentBack { .. }
            | LeaderLoadedSnapshot { .. }
            | LeaderWithoutMajority { .. }
            | LeaderDeposed { .. } => false,
        }
    }

    /// Does the quorum go on without something that it had committed?
    pub(super) fn is_of_forgotten_metadata(&self) -> bool {
        use Violation::*;
        matches!(self, CommittedLost { .. } | CommittedDiffers { .. } | ActiveControllerDiverges { .. })
    }

    fn offset(&self) -> Option<i64> {
        use Violation::*;
        match self {
            LogMatching { offset, .. } => Some(*offset),
            CommittedLost { difference, .. } | CommittedDiffers { difference, .. } => {
                Some(difference.committed.entry.first)
            }
            CommittedCut { committed, .. } => Some(committed.entry.first),
            CommitWithoutMajority { to, .. }
            | HighWatermarkBeyondEnd { to, .. }
            | HighWatermarkWentBack { to, .. }
            | SnapshotGap { log_start: to, .. }
            | SnapshotBeyondCommit { end_offset: to, .. }
            | SnapshotOfAnotherEpoch { end_offset: to, .. }
            | LeaderLoadedSnapshot { end_offset: to, .. }
            | MetadataDivergence { next_offset: to, .. }
            | ActiveControllerDiverges { next_offset: to, .. } => Some(*to),
            _ => None,
        }
    }

    /// Adds the finding.
    pub(super) fn tell(&self, at: EventRef, quorum: &Quorum, settings: &Settings, found: &mut Findings) {
        let Invariant { code, rule, .. } = self.broken();
        let offset = self.offset();
        let (class, rule) = if quorum.disk_lied && self.may_come_of_lost_syncs() {
            (Class::Allowed, Some("disk-fault"))
        } else {
            (Class::Bug, rule)
        };
        let headline = Headline { class, code, rule, partition: None, offset, record: None, at };
        found.add(headline, || {
            let (node, summary) = self.summary(settings);
            let mut chain = self.before(quorum, settings);
            chain.push(step(at, node, format!("at {}: {summary}", seconds(at.time))));
            (summary, chain)
        });
    }

    /// Whose doing it is, and what happened.
    fn summary(&self, settings: &Settings) -> (String, String) {
        use Violation::*;
        let name = |id: i32| settings.controller_name(id);
        match self {
            TwoLeaders { epoch, first, second, .. } if first == second => {
                let text = format!("{} led epoch {epoch} of the metadata quorum a second time", name(*second));
                (name(*second), text)
            }
            TwoLeaders { epoch, first, second, .. } => {
                let text =
                    format!("{} leads epoch {epoch} of the metadata quorum, as {} did", name(*second), name(*first));
                (name(*second), text)
            }
            VotedTwice { controller, epoch, first, second } => {
                let (voter, first, second) = (name(*controller), name(*first), name(*second));
                let text = format!("{voter} voted for {second} in epoch {epoch}, having voted for {first} in it");
                (voter, text)
            }
            EpochWentBack { controller, before, epoch } => {
                let text = format!("{} acts in epoch {epoch}, having acted in epoch {before}", name(*controller));
                (name(*controller), text)
            }
            LogMatching { offset, epoch, first, second } => {
                let text = format!(
                    "the metadata logs of {} and {} have records of epoch {epoch} at offset {offset} that differ, or \
                     differ before",
                    name(*first),
                    name(*second)
                );
                (name(*second), text)
            }
            CommittedLost { controller, epoch, difference, committed_end } => {
                let text = format!(
                    "{} leads the quorum in epoch {epoch} with {} at offset {} of the metadata log, though everything \
                     below {committed_end} was committed",
                    name(*controller),
                    instead(difference),
                    difference.committed.entry.first
                );
                (name(*controller), text)
            }
            CommittedDiffers { controller, difference } => {
                let entry = difference.committed.entry;
                let text = format!(
                    "{} takes for committed {} at offset {} of the metadata log, where a batch of epoch {} was committed",
                    name(*controller),
                    instead(difference),
                    entry.first,
                    entry.epoch
                );
                (name(*controller), text)
            }
            CommittedCut { controller, to, committed, knowingly } => {
                let text = format!(
                    "{} cut its metadata log to {to}, and with it committed offset {}{}",
                    name(*controller),
                    committed.entry.first,
                    if *knowingly { ", which it knew to be committed" } else { "" }
                );
                (name(*controller), text)
            }
            CommitWithoutMajority { controller, epoch, to, holders, majority } => {
                let holders: Vec<String> = holders.iter().map(|id| name(*id)).collect();
                let holders = match holders.is_empty() {
                    true => "nobody".to_owned(),
                    false => format!("only {}", holders.join(", ")),
                };
                let text = format!(
                    "{}, leading epoch {epoch}, took everything below {to} of the metadata log for committed, which takes \
                     {majority} voters' disks, and {holders} had it on disk",
                    name(*controller)
                );
                (name(*controller), text)
            }
            HighWatermarkBeyondEnd { controller, to, log_end } => {
                let text =
                    format!("{}'s metadata log ends at {log_end} and its high watermark is {to}", name(*controller));
                (name(*controller), text)
            }
            HighWatermarkWentBack { controller, before, to } => {
                let text =
                    format!("{}'s high watermark went back from {before} to {to} while it led", name(*controller));
                (name(*controller), text)
            }
            SnapshotGap { controller, log_start, snapshot_end } => {
                let text = format!(
                    "{}'s metadata log begins at {log_start} and its snapshot ends at {snapshot_end}",
                    name(*controller)
                );
                (name(*controller), text)
            }
            SnapshotBeyondCommit { controller, end_offset, committed_end } => {
                let text = format!(
                    "{} has a snapshot up to {end_offset}, and only what is below {committed_end} is committed",
                    name(*controller)
                );
                (name(*controller), text)
            }
            SnapshotOfAnotherEpoch { controller, end_offset, epoch, committed } => {
                let text = format!(
                    "{} has a snapshot up to {end_offset} that ends in epoch {epoch}, where epoch {committed} was committed",
                    name(*controller)
                );
                (name(*controller), text)
            }
            LeaderLoadedSnapshot { controller, epoch, end_offset } => {
                let text = format!(
                    "{} leads epoch {epoch} and replaced its log by a snapshot up to {end_offset}",
                    name(*controller)
                );
                (name(*controller), text)
            }
            MetadataDivergence { broker, next_offset, how } => {
                let broker = settings.broker_name(*broker);
                let text = format!("{broker}'s metadata below offset {next_offset} is not what was committed: {how}");
                (broker, text)
            }
            ActiveControllerDiverges { controller, next_offset, how } => {
                let controller = name(*controller);
                let text = format!(
                    "{controller} decides upon metadata that is not what was committed below offset {next_offset}: {how}"
                );
                (controller, text)
            }
            LeaderWithoutMajority { controller, epoch, since, lasted } => {
                let text = format!(
                    "{} goes on leading the quorum in epoch {epoch} though no majority has reached it since {}, for {}",
                    name(*controller),
                    seconds(*since),
                    seconds(*lasted)
                );
                (name(*controller), text)
            }
            LeaderDeposed { controller, epoch, consents, leader } => {
                let text = format!(
                    "{} raised the epoch to {epoch} with the consent of {consents}, and so deposes {}, which was at work",
                    name(*controller),
                    name(*leader)
                );
                (name(*controller), text)
            }
        }
    }

    /// What led to it, as far as it is known.
    fn before(&self, quorum: &Quorum, settings: &Settings) -> Vec<Step> {
        use Violation::*;
        let mut steps = Vec::new();
        let mut elected = |epoch: i32| {
            if let Some((leader, since)) = quorum.leaders.get(&epoch) {
                let name = settings.controller_name(*leader);
                let text = format!("{name} began to lead the quorum in epoch {epoch} at {}", seconds(since.time));
                steps.push(step(*since, name, text));
            }
        };
        match self {
            TwoLeaders { epoch, first, first_at, .. } => {
                let name = settings.controller_name(*first);
                let text = format!("{name} began to lead the quorum in epoch {epoch} at {}", seconds(first_at.time));
                steps.push(step(*first_at, name, text));
            }
            CommittedLost { epoch, difference: Difference { committed, .. }, .. } => {
                elected(committed.entry.epoch);
                steps.push(committed_at(committed));
                if let Some((leader, since)) = quorum.leaders.get(epoch).filter(|_| *epoch != committed.entry.epoch) {
                    let name = settings.controller_name(*leader);
                    let text = format!("{name} began to lead the quorum in epoch {epoch} at {}", seconds(since.time));
                    steps.push(step(*since, name, text));
                }
            }
            CommittedDiffers { difference: Difference { committed, .. }, .. } | CommittedCut { committed, .. } => {
                elected(committed.entry.epoch);
                steps.push(committed_at(committed));
            }
            LogMatching { epoch, .. }
            | CommitWithoutMajority { epoch, .. }
            | LeaderWithoutMajority { epoch, .. }
            | LeaderLoadedSnapshot { epoch, .. } => elected(*epoch),
            LeaderDeposed { leader, .. } => {
                if let Some(epoch) = quorum.replicas.get(leader).and_then(|r| r.leads) {
                    elected(epoch);
                }
            }
            _ => {}
        }
        steps
    }
}

fn instead(difference: &Difference) -> String {
    match difference.instead {
        Some(entry) => format!("a batch of epoch {}", entry.epoch),
        None => "nothing".to_owned(),
    }
}

fn committed_at(committed: &Committed) -> Step {
    let (entry, at) = (committed.entry, committed.at);
    let text = format!(
        "offset {} of the metadata log was committed with a batch of epoch {} at {}",
        entry.first,
        entry.epoch,
        seconds(at.time)
    );
    step(at, "controller", text)
}
