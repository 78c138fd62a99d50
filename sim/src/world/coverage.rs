//! Which states of the metadata quorum, of its elections, of logs and of consumers a trial has reached: counted, never judged.

use trial_kafka::event::{ElectionKind, Event, TruncationReason};

/// Counters of one trial. Their names are those of the checker's counters, among which they are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    controller_elections: u64,
    candidacies: u64,
    prevotes_refused: u64,
    votes_refused: u64,
    resignations: u64,
    stood_down: u64,
    metadata_truncations: u64,
    snapshots_written: u64,
    snapshots_loaded: u64,
    elr_elections: u64,
    last_known_leader_elections: u64,
    diverging_tails_truncated: u64,
    read_replicas_chosen: u64,
    consumer_truncations: u64,
    /// Bytes of metadata logs that were not synced and are gone.
    pub(crate) metadata_bytes_lost: u64,
}

impl Coverage {
    /// Takes the next event in.
    pub(crate) fn count(&mut self, event: &Event) {
        let counter = match event {
            Event::BecameQuorumLeader { .. } => &mut self.controller_elections,
            Event::BecameCandidate { .. } => &mut self.candidacies,
            Event::VoteRefused { pre_vote: true, .. } => &mut self.prevotes_refused,
            Event::VoteRefused { pre_vote: false, .. } => &mut self.votes_refused,
            Event::ResignedAsQuorumLeader { .. } => &mut self.resignations,
            Event::ControllerStoodDown { .. } => &mut self.stood_down,
            Event::MetadataTruncated { .. } => &mut self.metadata_truncations,
            Event::SnapshotWritten { .. } => &mut self.snapshots_written,
            Event::SnapshotLoaded { .. } => &mut self.snapshots_loaded,
            Event::Truncated { from, to, reason: TruncationReason::DivergingEpoch, .. } if to < from => {
                &mut self.diverging_tails_truncated
            }
            Event::ReadReplicaChosen { .. } => &mut self.read_replicas_chosen,
            Event::PositionReset { why, .. } if why.starts_with("LOG_TRUNCATION") => &mut self.consumer_truncations,
            Event::LeaderChanged { election: Some(election), .. } => match election {
                ElectionKind::Eligible => &mut self.elr_elections,
                ElectionKind::LastKnownLeader => &mut self.last_known_leader_elections,
                ElectionKind::Clean | ElectionKind::Preferred | ElectionKind::Unclean => return,
            },
            _ => return,
        };
        *counter += 1;
    }

    /// All, with their names.
    pub(crate) fn named(&self) -> [(&'static str, u64); 18] {
        [
            ("controller_elections", self.controller_elections),
            ("controller_candidacies", self.candidacies),
            ("prevotes_refused", self.prevotes_refused),
            ("votes_refused", self.votes_refused),
            ("quorum_resignations", self.resignations),
            ("controllers_stood_down", self.stood_down),
            ("metadata_truncations", self.metadata_truncations),
            ("metadata_snapshots_written", self.snapshots_written),
            ("metadata_snapshots_loaded", self.snapshots_loaded),
            ("trials_that_wrote_metadata_snapshots", u64::from(self.snapshots_written > 0)),
            ("trials_that_loaded_metadata_snapshots", u64::from(self.snapshots_loaded > 0)),
            ("metadata_bytes_lost", self.metadata_bytes_lost),
            ("trials_that_lost_metadata", u64::from(self.metadata_bytes_lost > 0)),
            ("elr_elections", self.elr_elections),
            ("last_known_leader_elections", self.last_known_leader_elections),
            ("diverging_tails_truncated", self.diverging_tails_truncated),
            ("read_replicas_chosen", self.read_replicas_chosen),
            ("consumer_truncations", self.consumer_truncations),
        ]
    }
}
