//! What can a node be in an epoch? (The `EpochState` classes, `QuorumState`.)
//!
//! ```text
//!   Unattached ──timeout──▶ Prospective ──majority says yes──▶ Candidate ──majority votes──▶ Leader
//!       ▲                    │   ▲                               │                            │
//!       └──lost, no leader───┘   └──────────lost, timeout────────┘          no majority fetches, shutdown
//!                            │                                                                ▼
//!   Follower ◀──lost, leader known            Unattached (epoch + 1) ◀──────timeout─────── Resigned
//!   any ──▶ Unattached or Follower of a higher epoch
//! ```

use std::collections::BTreeSet;

use super::election::Election;
use super::leader::LeaderState;
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError, QuorumEvent};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::node::{Nanos, RandomFor};
use crate::zoo::Switch;

use super::state_file::ElectionState;

/// What a node is, with what only this role knows.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Knows the epoch, and nobody it could follow. An observer has no election timeout.
    Unattached {
        /// When it stands for election.
        until: Option<Nanos>,
    },
    /// Asks whether it could win (KIP-996).
    Prospective {
        /// Who said what.
        election: Election,
        /// When it gives up.
        until: Nanos,
        /// How many times in a row it tried.
        retries: u32,
    },
    /// Stands for election.
    Candidate {
        /// Who said what.
        election: Election,
        /// When it gives up.
        until: Nanos,
        /// How many times in a row it tried.
        retries: u32,
        /// It has lost; when it tries again.
        backing_off_until: Option<Nanos>,
    },
    /// Leads.
    Leader(Box<LeaderState>),
    /// Follows the epoch's leader.
    Follower {
        /// When the leader's silence has been too long.
        until: Nanos,
        /// Did the leader ever answer a fetch?
        has_fetched: bool,
    },
    /// Led, and will not again in this epoch.
    Resigned {
        /// When it goes on to the next epoch.
        until: Nanos,
        /// Voters that have not acknowledged the end of the epoch.
        unacknowledged: BTreeSet<i32>,
        /// Who should stand first, best first.
        preferred_successors: Vec<ReplicaKey>,
    },
}

impl Quorum {
    /// The role that the disk remembers. Who led in the epoch never leads in it again: it may have lost the end of its
    /// log, and two histories would bear one epoch. Source: `QuorumState.initialize`.
    /// Zoo: `raft-resume-leader-same-epoch` takes up the leadership where it was.
    pub(super) fn take_up_role(&mut self, mut stored: ElectionState, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let log_epoch = self.last_fetched_epoch();
        if stored.epoch < log_epoch {
            stored = ElectionState { epoch: log_epoch, ..ElectionState::default() };
        }
        let ElectionState { epoch, leader_id, voted } = stored;
        self.epoch = epoch;
        self.voted = voted;
        if leader_id == Some(self.me.id) && self.is_voter() {
            if self.zoo.on(Switch::RaftResumeLeaderSameEpoch) || !QuorumRule::RestartedLeaderHasResigned.holds() {
                self.resume_leadership(io);
                return Ok(());
            }
            self.leader_id = leader_id;
            let unacknowledged = self.other_voters();
            let until = io.now.mono.saturating_add(self.random_election_timeout(io));
            self.role = Role::Resigned { until, unacknowledged, preferred_successors: Vec::new() };
            let why = "it led before its restart".to_string();
            self.tell(Event::ResignedAsQuorumLeader { epoch, why }, io.fx);
        } else if voted == Some(self.me) && leader_id.is_none() && self.is_voter() {
            self.stand(io, 1);
        } else if let Some(leader) = leader_id.filter(|id| *id != self.me.id && self.can_reach(*id)) {
            self.leader_id = leader_id;
            self.role = Role::Follower { until: io.now.mono.saturating_add(self.timeouts.fetch), has_fetched: false };
            self.tell(Event::BecameQuorumFollower { epoch, leader }, io.fx);
        } else {
            self.role = Role::Unattached { until: self.election_deadline(io) };
            self.tell(Event::BecameUnattached { epoch }, io.fx);
        }
        self.persist_election(io)?;
        // The only voter need not wait for anybody (`KafkaRaftClient.initialize`).
        if self.voters.is_only_voter(self.me) && !matches!(self.role, Role::Candidate { .. }) {
            self.transition_to_prospective(io)?;
        }
        Ok(())
    }

    /// A uniform draw from one to two election timeouts, so that voters seldom stand at once.
    /// Source: `QuorumState.randomElectionTimeoutMs`.
    pub(super) fn random_election_timeout(&self, io: &mut Io<'_, '_>) -> Nanos {
        let range = if QuorumRule::PatienceIsRandom.holds() { self.timeouts.election.max(1) } else { 1 };
        self.timeouts.election + io.fx.random_below(RandomFor::Election, range)
    }

    /// `None` for observers, which never stand.
    pub(super) fn election_deadline(&self, io: &mut Io<'_, '_>) -> Option<Nanos> {
        self.is_voter().then(|| io.now.mono.saturating_add(self.random_election_timeout(io)))
    }

    pub(super) fn other_voters(&self) -> BTreeSet<i32> {
        self.voters.iter().map(|voter| voter.id).filter(|id| *id != self.me.id).collect()
    }

    /// Enters a role, its epoch, leader and vote being durable before anything is told of it. Fetches that wait at a
    /// leader that is none any more are refused. Source: `QuorumState.durableTransitionTo`.
    pub(super) fn transition_to(
        &mut self,
        role: Role,
        state: ElectionState,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        self.drop_incoming_snapshot(io)?;
        let led = std::mem::replace(&mut self.role, role);
        if let Role::Leader(leader) = &led
            && leader.epoch_start_offset.is_some()
        {
            self.events.push(QuorumEvent::LostLeadership { epoch: self.epoch });
        }
        let ElectionState { epoch, leader_id, voted } = state;
        (self.epoch, self.leader_id, self.voted) = (epoch, leader_id, voted);
        self.persist_election(io)?;
        if let Role::Leader(leader) = led {
            self.refuse_waiting_fetches(io);
            self.refuse_voter_change(leader.voter_change, io);
        }
        Ok(())
    }

    /// A higher epoch is known, or this one goes on without the hope of a leader. An election timeout that runs goes on
    /// running, or candidates that raise epochs in turn would keep everybody from standing.
    /// Source: `QuorumState.transitionToUnattached`.
    pub(super) fn transition_to_unattached(
        &mut self,
        epoch: i32,
        leader_id: Option<i32>,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let until = match &self.role {
            _ if !self.is_voter() => None,
            Role::Unattached { until: Some(until) } | Role::Candidate { until, .. } | Role::Resigned { until, .. } => {
                Some(*until)
            }
            Role::Prospective { election, until, .. } if !election.is_rejected() => Some(*until),
            _ => self.election_deadline(io),
        };
        let voted = self.voted.filter(|_| epoch == self.epoch);
        self.transition_to(Role::Unattached { until }, ElectionState { epoch, leader_id, voted }, io)?;
        self.tell(Event::BecameUnattached { epoch }, io.fx);
        Ok(())
    }

    /// A leader of this or a higher epoch is known. Source: `QuorumState.transitionToFollower`.
    pub(super) fn transition_to_follower(
        &mut self,
        epoch: i32,
        leader: i32,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let until = io.now.mono.saturating_add(self.timeouts.fetch);
        let voted = self.voted.filter(|_| epoch == self.epoch);
        let state = ElectionState { epoch, leader_id: Some(leader), voted };
        self.update_voter_at = io.now.mono.saturating_add(self.update_voter_period());
        self.transition_to(Role::Follower { until, has_fetched: false }, state, io)?;
        self.reset_connections(io);
        self.tell(Event::BecameQuorumFollower { epoch, leader }, io.fx);
        Ok(())
    }

    /// A request or response tells of an epoch and perhaps its leader. Source: `KafkaRaftClient.maybeTransition`.
    pub(super) fn maybe_transition(
        &mut self,
        leader: Option<i32>,
        epoch: i32,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        // Of a leader that this node cannot reach, or that should be itself and is not, only the epoch is of use.
        let leader = leader.filter(|id| *id != self.me.id && self.can_reach(*id));
        if epoch > self.epoch {
            match leader {
                Some(leader) => self.transition_to_follower(epoch, leader, io),
                None => self.transition_to_unattached(epoch, None, io),
            }
        } else if epoch == self.epoch
            && self.leader_id.is_none()
            && let Some(leader) = leader
        {
            self.transition_to_follower(epoch, leader, io)
        } else {
            Ok(())
        }
    }

    /// Waits for a leader or for its own turn, asking whoever can be reached who leads.
    /// Source: `KafkaRaftClient.pollUnattached`.
    pub(super) fn poll_unattached(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Unattached { until } = self.role else { return Ok(false) };
        if self.shutdown_at.is_none() && self.is_voter() && until.is_some_and(|until| until <= io.now.mono) {
            self.begin_election(io)?;
            return Ok(true);
        }
        // A voter that gave its vote waits for the outcome; an observer that did must not wait for ever.
        if self.voted.is_none() || !self.is_voter() {
            self.send_fetch_to_any_voter(io);
        }
        Ok(false)
    }

    /// When the role's own clock runs out.
    pub(super) fn role_deadline(&self) -> Option<Nanos> {
        let is_shutting_down = self.shutdown_at.is_some();
        match &self.role {
            Role::Unattached { until } => until.filter(|_| !is_shutting_down),
            Role::Prospective { until, .. } | Role::Resigned { until, .. } => {
                Some(*until).filter(|_| !is_shutting_down)
            }
            Role::Candidate { until, backing_off_until, .. } => {
                Some(backing_off_until.unwrap_or(*until)).filter(|_| !is_shutting_down)
            }
            Role::Follower { until, .. } => {
                let is_due = self.is_voter() && !self.is_flushing() && QuorumRule::SilentLeaderIsReplaced.holds();
                let silence = Some(*until).filter(|_| is_due);
                silence.into_iter().chain(self.update_voter_deadline()).min()
            }
            Role::Leader(leader) => leader.next_deadline(),
        }
    }
}
