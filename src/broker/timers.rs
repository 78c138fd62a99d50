//! A broker's timers: one deadline each, and the lane in which its work is done.
//!
//! A timer that has come is *queued* until its step has run, so that a lane that stands still is not fed twice.

use crate::config::BrokerConfig;
use crate::conformance::IsrRule;
use crate::node::{Lane, Nanos, ms};

/// The timers, named by what they drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Registration and heartbeat, and their connection.
    Lifecycle,
    /// The metadata observer's connection and pauses.
    Observer,
    /// AlterPartition's connection and pauses.
    AlterPartition,
    /// Forwarded requests.
    Forward,
    /// Pauses and late responses of all fetchers.
    Fetchers,
    /// Parked requests whose time is up.
    Purgatory,
    /// Members, rebalances and offsets of groups.
    Groups,
    /// `isr-expiration`: every half of replica.lag.time.max.ms.
    IsrShrink,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    HighWatermarkCheckpoint,
    /// `log.flush.offset.checkpoint.interval.ms`.
    RecoveryPointCheckpoint,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    LogStartCheckpoint,
    /// `log.retention.check.interval.ms`.
    Retention,
    /// `producer.id.expiration.check.interval.ms`.
    ProducerExpiration,
}

impl Timer {
    const ALL: [Timer; 13] = [
        Timer::Lifecycle,
        Timer::Observer,
        Timer::AlterPartition,
        Timer::Forward,
        Timer::Fetchers,
        Timer::Purgatory,
        Timer::Groups,
        Timer::IsrShrink,
        Timer::HighWatermarkCheckpoint,
        Timer::RecoveryPointCheckpoint,
        Timer::LogStartCheckpoint,
        Timer::Retention,
        Timer::ProducerExpiration,
    ];

    /// The lane of its work.
    pub fn lane(self) -> Lane {
        match self {
            // It wakes each fetcher in that one's lane.
            Timer::Fetchers => Lane::Timer,
            Timer::Lifecycle => Lane::Heartbeat,
            Timer::Observer | Timer::AlterPartition => Lane::Metadata,
            Timer::Forward | Timer::Purgatory => Lane::Request,
            Timer::Groups => Lane::Groups,
            Timer::IsrShrink
            | Timer::HighWatermarkCheckpoint
            | Timer::RecoveryPointCheckpoint
            | Timer::LogStartCheckpoint
            | Timer::Retention
            | Timer::ProducerExpiration => Lane::Log,
        }
    }
}

/// Twice per lag, so that a member leaves within one and a half (`ReplicaManager.startup`: `isr-expiration`).
fn isr_shrink_every(lag_time_max_ms: i64) -> Nanos {
    let looks = if IsrRule::LateMembersAreLookedForTwicePerLag.holds() { 2 } else { 1 };
    ms(lag_time_max_ms / looks).max(1)
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    due: [Option<Nanos>; Timer::ALL.len()],
    queued: [bool; Timer::ALL.len()],
    isr_shrink_every: Nanos,
    high_watermark_checkpoint_every: Nanos,
    recovery_point_checkpoint_every: Nanos,
    log_start_checkpoint_every: Nanos,
    retention_check_every: Nanos,
    producer_expiration_every: Nanos,
}

impl Timers {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        Timers {
            due: [None; Timer::ALL.len()],
            queued: [false; Timer::ALL.len()],
            isr_shrink_every: isr_shrink_every(config.replica_lag_time_max_ms),
            high_watermark_checkpoint_every: ms(config.replica_high_watermark_checkpoint_interval_ms).max(1),
            recovery_point_checkpoint_every: ms(config.log_flush_offset_checkpoint_interval_ms).max(1),
            log_start_checkpoint_every: ms(config.log_flush_start_offset_checkpoint_interval_ms).max(1),
            retention_check_every: ms(config.log_retention_check_interval_ms).max(1),
            producer_expiration_every: ms(config.producer_id_expiration_check_interval_ms).max(1),
        }
    }
    /// Starts the periodic ones.
    pub(super) fn start(&mut self, now: Nanos) {
        self.set(Timer::IsrShrink, Some(now + self.isr_shrink_every));
        self.set(Timer::HighWatermarkCheckpoint, Some(now + self.high_watermark_checkpoint_every));
        self.set(Timer::RecoveryPointCheckpoint, Some(now + self.recovery_point_checkpoint_every));
        self.set(Timer::LogStartCheckpoint, Some(now + self.log_start_checkpoint_every));
        // Kafka looks first 30 s after the start, whatever the interval (`LogManager.InitialTaskDelayMs`).
        self.set(Timer::Retention, Some(now + self.retention_check_every.min(ms(30_000))));
        self.set(Timer::ProducerExpiration, Some(now + self.producer_expiration_every));
    }
    /// Sets or clears a timer.
    pub(super) fn set(&mut self, timer: Timer, due: Option<Nanos>) {
        self.due[timer as usize] = due;
    }
    /// When it comes, if it is set.
    pub(super) fn due(&self, timer: Timer) -> Option<Nanos> {
        self.due[timer as usize]
    }
    /// The earliest that is not already queued.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.due.iter().zip(&self.queued).filter(|(_, queued)| !**queued).filter_map(|(due, _)| *due).min()
    }
    /// Takes those that have come, marks them queued and sets the periodic ones anew.
    pub(super) fn take_due(&mut self, now: Nanos) -> Vec<Timer> {
        let mut taken = Vec::new();
        for timer in Timer::ALL {
            let i = timer as usize;
            if self.queued[i] || self.due[i].is_none_or(|due| due > now) {
                continue;
            }
            self.queued[i] = true;
            self.due[i] = match timer {
                Timer::IsrShrink => Some(now + self.isr_shrink_every),
                Timer::HighWatermarkCheckpoint => Some(now + self.high_watermark_checkpoint_every),
                Timer::RecoveryPointCheckpoint => Some(now + self.recovery_point_checkpoint_every),
                Timer::LogStartCheckpoint => Some(now + self.log_start_checkpoint_every),
                Timer::Retention => Some(now + self.retention_check_every),
                Timer::ProducerExpiration => Some(now + self.producer_expiration_every),
                _ => None,
            };
            taken.push(timer);
        }
        taken
    }
    /// Its step has run.
    pub(super) fn done(&mut self, timer: Timer) {
        self.queued[timer as usize] = false;
    }
}
