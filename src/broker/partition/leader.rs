//! What a leader knows of its followers, and how its high watermark follows from that.

use super::isr::IsrState;
use super::{Partition, Role};
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
    /// Takes a changed assignment within one reign: unknown replicas start unknown, removed ones are forgotten.
    pub(super) fn set_assignment(&mut self, others: impl Iterator<Item = BrokerId>) {
        let mut remotes = Vec::new();
        for broker in others {
            remotes.push(self.remote(broker).copied().unwrap_or(RemoteReplica::unknown(broker)));
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
    /// epoch and only re-times, a new one forgets everything. Who is in the ISR has until now + lag to show itself.
    pub(super) fn at_new_leader_epoch(
        broker: BrokerId,
        known: Option<&RemoteReplica>,
        in_sync: bool,
        leader_log_end_offset: i64,
        wall: Millis,
    ) -> Self {
        let timed = if in_sync { wall } else { 0 };
        match known {
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
        if fetch_offset >= leader_log_end_offset {
            self.last_caught_up_time = self.last_caught_up_time.max(wall);
        } else if fetch_offset >= self.last_fetch_leader_log_end_offset {
            self.last_caught_up_time = self.last_caught_up_time.max(self.last_fetch_time);
        }
        self.log_end_offset = fetch_offset;
        self.last_fetch_leader_log_end_offset = leader_log_end_offset.max(self.last_fetch_leader_log_end_offset);
        self.last_fetch_time = wall;
        self.broker_epoch = Some(broker_epoch);
    }

    /// Has everything, or had it lately (`ReplicaState.isCaughtUp`).
    pub fn is_caught_up(&self, leader_log_end_offset: i64, wall: Millis, lag_time_max_ms: i64) -> bool {
        self.log_end_offset == leader_log_end_offset || wall - self.last_caught_up_time <= lag_time_max_ms
    }
}

impl Partition {
    /// Advances the leader's high watermark if it can (`Partition.maybeIncrementLeaderHW`):
    /// never while the committed ISR is below `min.insync.replicas` (strict since 3.7, KIP-966); else to the least
    /// offset of the leader, of every replica of the *maximal* ISR, and of every replica that is caught up and
    /// eligible (KAFKA-15021), for it is about to join. It never goes back. Returns the move.
    pub fn maybe_increment_leader_high_watermark(
        &mut self,
        image: &MetadataImage,
        wall: Millis,
        lag_time_max_ms: i64,
    ) -> Option<(i64, i64)> {
        let own_end = self.own_end_offset();
        let leader_log_end = self.log.log_end_offset();
        let Role::Leader(state) = &self.role else { return None };
        if state.isr.committed().len() < self.effective_min_isr() {
            return None;
        }
        let counts = |r: &RemoteReplica| {
            state.isr.maximal_contains(r.broker)
                || (r.is_caught_up(leader_log_end, wall, lag_time_max_ms) && isr_eligible(image, r, Zoo::default()))
        };
        let followers = state.remotes.iter().filter(|r| counts(r)).map(|r| r.log_end_offset).min();
        let candidate = own_end.min(followers.unwrap_or(i64::MAX));
        if candidate > self.high_watermark { self.move_high_watermark(candidate) } else { None }
    }
}

/// May this replica be in the ISR: registered, not fenced, not shutting down, and last fetched by the incarnation that
/// the metadata knows (KIP-841, KIP-903; `Partition.isReplicaIsrEligible`). The zoo switches `fenced-joins-isr` and
/// `no-broker-epoch-check` bring back the leaders before these two rules.
pub fn isr_eligible(image: &MetadataImage, replica: &RemoteReplica, zoo: Zoo) -> bool {
    let Some(registered) = image.brokers.get(&replica.broker) else { return false };
    let is_same_incarnation = match replica.broker_epoch {
        _ if zoo.on(Switch::NoBrokerEpochCheck) => true,
        Some(epoch) => epoch == -1 || epoch == registered.broker_epoch,
        None => false,
    };
    (registered.is_active() || zoo.on(Switch::FencedJoinsIsr)) && is_same_incarnation
}
