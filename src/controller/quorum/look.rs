//! What an onlooker sees of a voter that its role and epoch do not tell. Nothing here decides anything.

use uuid::Uuid;

use super::Quorum;
use super::role::Role;
use crate::controller::QuorumRole;
use crate::metadata::snapshot::SnapshotId;
use crate::node::Nanos;

/// The inner state of one node of the quorum at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumLook {
    /// Its epoch.
    pub epoch: i32,
    /// Its role, whether or not it is a voter, and before a leader has opened its epoch.
    pub role: QuorumRole,
    /// The leader of the epoch, as far as it knows.
    pub leader: Option<i32>,
    /// Whom it voted for in the epoch: a node on a disk.
    pub voted: Option<(i32, Option<Uuid>)>,
    /// As a follower: the leader has answered a fetch.
    pub has_fetched: bool,
    /// When its patience with the role is at its end, if that is ever.
    pub patient_until: Option<Nanos>,
    /// As a candidate: a majority has said no.
    pub has_lost: bool,
    /// It is to stop.
    pub is_stopping: bool,
    /// As a candidate that has lost: when it tries again.
    pub pauses_until: Option<Nanos>,
    /// As a leader: where its epoch begins in the log.
    pub epoch_start_offset: Option<i64>,
    /// As a leader: a change of the voters is under way.
    pub changes_voters: bool,
    /// The disk that its log lies on.
    pub directory_id: Option<Uuid>,
    /// It is one of the voters, on this disk.
    pub is_voter: bool,
    /// Where the set of voters in force stands in the log.
    pub voters_offset: i64,
    /// The high watermark, -1 while unknown.
    pub high_watermark: i64,
    /// Up to here the log is known to be durable.
    pub synced_end_offset: i64,
    /// The oldest and the latest snapshot.
    pub snapshots: Option<(SnapshotId, SnapshotId)>,
    /// A snapshot that is on its way to the disk.
    pub snapshot_under_way: Option<SnapshotId>,
    /// It takes a snapshot from another node.
    pub takes_snapshot: bool,
    /// As a leader: when it resigns unless enough voters have fetched.
    pub check_quorum_at: Option<Nanos>,
    /// As a leader: how many have fetched since enough had.
    pub fetched_voters: usize,
    /// Everything waits for the disk.
    pub waits_for_disk: bool,
    /// It shuts down.
    pub shuts_down: bool,
}

impl Quorum {
    /// See [`QuorumLook`].
    pub fn look(&self) -> QuorumLook {
        let (role, patient_until) = match &self.role {
            Role::Unattached { until } => (QuorumRole::Unattached, *until),
            Role::Prospective { until, .. } => (QuorumRole::Prospective, Some(*until)),
            Role::Candidate { until, .. } => (QuorumRole::Candidate, Some(*until)),
            Role::Leader(_) => (QuorumRole::Leader, None),
            Role::Follower { until, .. } => {
                (QuorumRole::Follower { leader: self.leader_id.unwrap_or(-1) }, Some(*until))
            }
            Role::Resigned { until, .. } => (QuorumRole::Resigned, Some(*until)),
        };
        let (has_lost, pauses_until) = match &self.role {
            Role::Candidate { election, backing_off_until, .. } => (election.is_rejected(), *backing_off_until),
            _ => (false, None),
        };
        let leads = match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        };
        QuorumLook {
            epoch: self.epoch,
            role,
            leader: self.leader_id,
            voted: self.voted.map(|voted| (voted.id, voted.directory_id)),
            has_fetched: matches!(self.role, Role::Follower { has_fetched: true, .. }),
            patient_until,
            has_lost,
            is_stopping: self.shutdown_at.is_some(),
            pauses_until,
            epoch_start_offset: leads.and_then(|leader| leader.epoch_start_offset),
            changes_voters: leads.is_some_and(|leader| leader.voter_change.is_some()),
            directory_id: self.me.directory_id,
            is_voter: self.is_voter(),
            voters_offset: self.voters.offset(),
            high_watermark: self.high_watermark.unwrap_or(-1),
            synced_end_offset: self.synced_end_offset(),
            snapshots: self.snapshots.earliest().zip(self.snapshots.latest()),
            snapshot_under_way: self.snapshots.under_way(),
            takes_snapshot: self.incoming.is_some(),
            check_quorum_at: leads.and_then(|leader| leader.check_quorum_at),
            fetched_voters: leads.map_or(0, |leader| leader.fetched_voters.len()),
            waits_for_disk: self.persist.is_under_way(),
            shuts_down: self.shutdown_at.is_some(),
        }
    }

    /// As a leader: each voter, and how far it has the log as far as the leader knows; -1 where it does not.
    pub fn ends_of_voters(&self) -> impl Iterator<Item = (i32, i64)> {
        let leads = match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        };
        let voters = leads.into_iter().flat_map(|leader| &leader.voters);
        voters.map(|(id, progress)| (*id, progress.end_offset.unwrap_or(-1)))
    }
}
