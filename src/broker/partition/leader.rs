//! What a leader knows of its followers, and how its high watermark follows from that.

use super::isr::IsrState;
use super::{Partition, Role};
use crate::conformance::{HighWatermarkRule, IsrRule, ReplicaRule};
use crate::ids::BrokerId;
use crate::metadata::MetadataImage;
use crate::node::Millis;
use crate::zoo::{Switch, Zoo};

/// State of one reign: a leader epoch on this broker.
#[derive(Clone, Debug)]
pub struct LeaderState {
    /// Log end offset when the reign began (LESO): what lies below may have been committed by a predecessor.
    pub epoch_start_offset: i64,
    /// In-sync replicas, committed or being changed.
    pub isr: IsrState,
    /// The other assigned replicas.
    pub remotes: Vec<RemoteReplica>,
}

impl LeaderState {
    /// The other replica of that id.
    pub fn remote(&self, broker: BrokerId) -> Option<&RemoteReplica> {
        self.remotes.iter().find(|r| r.broker == broker)
    }
    pub(in crate::broker) fn remote_mut(&mut self, broker: BrokerId) -> Option<&mut RemoteReplica> {
        self.remotes.iter_mut().find(|r| r.broker == broker)
    }
    /// Takes a changed assignment within one reign: unknown replicas start unknown, removed ones are forgotten
    /// (`Partition.updateAssignmentAndIsr`).
    pub(super) fn set_assignment(&mut self, others: impl Iterator<Item = BrokerId>) {
        let mut remotes = Vec::new();
        for broker in others {
            remotes.push(self.remote(broker).copied().unwrap_or(RemoteReplica::unknown(broker)));
        }
        if !ReplicaRule::RemovedReplicaIsForgotten.holds() {
            let known = |broker| remotes.iter().any(|r: &RemoteReplica| r.broker == broker);
            let removed: Vec<_> = self.remotes.iter().filter(|r| !known(r.broker)).copied().collect();
            remotes.extend(removed);
        }
        self.remotes = remotes;
    }
}

/// A follower as its leader knows it (`ReplicaState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteReplica {
    /// Its id.
    pub broker: BrokerId,
    /// The offset of its last fetch: it has everything below. -1 if it has not fetched in this reign.
    pub log_end_offset: i64,
    /// First offset of its log, as its last fetch told; -1 before the first.
    pub log_start_offset: i64,
    /// The leader's log end offset at its last fetch.
    pub last_fetch_leader_log_end_offset: i64,
    /// Wall time of its last fetch, in milliseconds.
    pub last_fetch_time: Millis,
    /// The last wall time at which it is known to have had everything.
    pub last_caught_up_time: Millis,
    /// Broker epoch of its last fetch; `None` before the first.
    pub broker_epoch: Option<i64>,
}

impl RemoteReplica {
    fn unknown(broker: BrokerId) -> Self {
        RemoteReplica {
            broker,
            log_end_offset: -1,
            log_start_offset: -1,
            last_fetch_leader_log_end_offset: -1,
            last_fetch_time: 0,
            last_caught_up_time: 0,
            broker_epoch: None,
        }
    }

    /// State at the start of a reign (`Replica.resetReplicaState`): a leader that led before keeps offset and broker
    /// epoch and only re-times, a new one forgets everything. Who is in the ISR has until now + lag to show itself; who
    /// is not counts for nothing before its next fetch, or it would hold the high watermark back, or be brought back into
    /// the ISR, by what it had in an earlier reign. The zoo switch `keep-oos-follower-state` takes that away.
    pub(super) fn at_new_leader_epoch(
        broker: BrokerId,
        known: Option<&RemoteReplica>,
        in_sync: bool,
        leader_log_end_offset: i64,
        wall: Millis,
        zoo: Zoo,
    ) -> Self {
        let member_time = if ReplicaRule::MembersAreTimedAnew.holds() { wall } else { 0 };
        let other_time = if ReplicaRule::OthersAreNotCaughtUp.holds() { 0 } else { wall };
        let timed = if in_sync { member_time } else { other_time };
        match known.filter(|_| ReplicaRule::LeaderElectedAgainKeepsPositions.holds()) {
            Some(known) if zoo.on(Switch::KeepOosFollowerState) && !in_sync => *known,
            Some(known) => RemoteReplica {
                last_fetch_leader_log_end_offset: leader_log_end_offset,
                last_fetch_time: timed,
                last_caught_up_time: timed,
                ..*known
            },
            None => RemoteReplica { last_caught_up_time: timed, ..Self::unknown(broker) },
        }
    }

    /// Takes a valid fetch at `fetch_offset` (`Replica.updateFetchStateOrThrow`). `leader_log_end_offset` is from
    /// before the read. Not called for fetches that were answered with an error or a diverging epoch (KAFKA-13141).
    pub fn update_fetch_state(
        &mut self,
        fetch_offset: i64,
        leader_log_end_offset: i64,
        broker_epoch: i64,
        wall: Millis,
    ) {
        let reached = |end: i64| fetch_offset >= end;
        let caught_up_at = if reached(leader_log_end_offset) && ReplicaRule::AtTheEndIsCaughtUpNow.holds() {
            wall
        } else if reached(self.last_fetch_leader_log_end_offset) && ReplicaRule::AtTheLastEndWasCaughtUpThen.holds() {
            self.last_fetch_time
        } else {
            self.last_caught_up_time
        };
        let forwards = ReplicaRule::CaughtUpTimeNeverGoesBack.holds();
        self.last_caught_up_time = if forwards { self.last_caught_up_time.max(caught_up_at) } else { caught_up_at };
        if ReplicaRule::FetchOffsetIsTheLogEnd.holds() {
            self.log_end_offset = fetch_offset;
        }
        self.last_fetch_leader_log_end_offset = match ReplicaRule::LeaderEndOfTheLastFetchNeverGoesBack.holds() {
            true => leader_log_end_offset.max(self.last_fetch_leader_log_end_offset),
            false => leader_log_end_offset,
        };
        if ReplicaRule::TimeOfTheLastFetchIsKept.holds() {
            self.last_fetch_time = wall;
        }
        if ReplicaRule::BrokerEpochOfTheFetchIsKept.holds() {
            self.broker_epoch = Some(broker_epoch);
        }
    }

    /// Has everything, or had it lately (`ReplicaState.isCaughtUp`).
    pub fn is_caught_up(&self, leader_log_end_offset: i64, wall: Millis, lag_time_max_ms: i64) -> bool {
        let is_at_the_end = self.log_end_offset == leader_log_end_offset && ReplicaRule::AtTheEndIsCaughtUp.holds();
        let was_lately = wall - self.last_caught_up_time <= lag_time_max_ms;
        is_at_the_end || (was_lately && ReplicaRule::LatelyAtTheEndIsCaughtUp.holds())
    }
}

impl Partition {
    /// Advances the leader's high watermark if it can (`Partition.maybeIncrementLeaderHW`):
    /// never while the committed ISR is below `min.insync.replicas` (strict since 3.7, KIP-966); else to the least
    /// offset of the leader and of every replica that counts. It never goes back. Returns the move.
    pub fn maybe_increment_leader_high_watermark(
        &mut self,
        image: &MetadataImage,
        wall: Millis,
        lag_time_max_ms: i64,
        zoo: Zoo,
    ) -> Option<(i64, i64)> {
        let own_end = self.own_end_offset();
        let Role::Leader(state) = &self.role else { return None };
        let too_few = state.isr.committed().len() < self.effective_min_isr();
        if too_few && HighWatermarkRule::StandsBelowMinInsyncReplicas.holds() {
            return None;
        }
        let counts = |r: &&RemoteReplica| {
            counts_as_member(state, r.broker, zoo) || self.is_waited_for(r, image, wall, lag_time_max_ms, zoo)
        };
        let followers = state.remotes.iter().filter(counts).map(|r| r.log_end_offset).min().unwrap_or(i64::MAX);
        let candidate = if HighWatermarkRule::LeaderCounts.holds() { own_end.min(followers) } else { followers };
        let rises = candidate > self.high_watermark || !HighWatermarkRule::LowerCandidateIsIgnored.holds();
        if rises { self.move_high_watermark(candidate) } else { None }
    }

    /// Does the high watermark wait for this replica though it is no member? It does if the replica is caught up and may
    /// join: else it could lag a little for ever and never reach the high watermark. One that may not join must not hold
    /// it back (KAFKA-15021, brought back by the zoo switch `hw-waits-for-ineligible`).
    fn is_waited_for(&self, r: &RemoteReplica, image: &MetadataImage, wall: Millis, lag_ms: i64, zoo: Zoo) -> bool {
        // Before KIP-497 is before this rule too: see `counts_as_member`.
        let waits = HighWatermarkRule::CaughtUpReplicaCounts.holds() && !zoo.on(Switch::HwOverCommittedIsr);
        let may_join = isr_eligible(image, r, Zoo::default())
            || zoo.on(Switch::HwWaitsForIneligible)
            || !HighWatermarkRule::IneligibleReplicaDoesNotCount.holds();
        waits && r.is_caught_up(self.log.log_end_offset(), wall, lag_ms) && may_join
    }
}

/// Does the high watermark wait for this replica as a member? While a change of the ISR is in flight the *maximal* ISR counts:
/// the controller may have elected by either already (KIP-497). The zoo switches `hw-over-committed-isr` and `eager-shrink`
/// leave the joiner out too long and who leaves too early.
fn counts_as_member(state: &LeaderState, broker: BrokerId, zoo: Zoo) -> bool {
    match &state.isr {
        IsrState::PendingExpand { joining, .. } if *joining == broker => {
            HighWatermarkRule::JoinerCounts.holds() && !zoo.on(Switch::HwOverCommittedIsr)
        }
        IsrState::PendingShrink { leaving, .. } if leaving.contains(&broker) => {
            HighWatermarkRule::LeaverCounts.holds() && !zoo.on(Switch::EagerShrink)
        }
        isr => isr.committed().contains(&broker) && HighWatermarkRule::MembersCount.holds(),
    }
}

/// May this replica be in the ISR: registered, not fenced, not shutting down, and last fetched by the incarnation that
/// the metadata knows (KIP-841, KIP-903; `Partition.isReplicaIsrEligible`). The zoo switches `fenced-joins-isr` and
/// `no-broker-epoch-check` bring back the leaders before these two rules.
pub fn isr_eligible(image: &MetadataImage, replica: &RemoteReplica, zoo: Zoo) -> bool {
    let Some(registered) = image.brokers.get(&replica.broker) else {
        return !IsrRule::UnregisteredReplicaStaysOut.holds();
    };
    let is_same_incarnation = match replica.broker_epoch {
        _ if zoo.on(Switch::NoBrokerEpochCheck) => true,
        Some(-1) => IsrRule::UntoldIncarnationMayJoin.holds(),
        Some(epoch) => epoch == registered.broker_epoch || !IsrRule::OtherIncarnationStaysOut.holds(),
        None => !IsrRule::ReplicaThatNeverFetchedStaysOut.holds(),
    };
    let is_unfenced = !registered.fenced || !IsrRule::FencedReplicaStaysOut.holds();
    let stays = !registered.in_controlled_shutdown || !IsrRule::StoppingReplicaStaysOut.holds();
    ((is_unfenced && stays) || zoo.on(Switch::FencedJoinsIsr)) && is_same_incarnation
}
