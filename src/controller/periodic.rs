//! What the active controller does from time to time, besides watching sessions.
//!
//! Source: `QuorumController` (`registerBalancePartitionLeaders`, `registerElectUnclean`), `PeriodicTaskControlManager`:
//! the first run comes one period after the controller became active, the next one a period after the last, or almost at
//! once when a round reached its bound.

use super::Controller;
use super::quorum::{Io, QuorumError};
use super::rules::rebalance::{MAX_ELECTIONS_PER_IMBALANCE, Round};
use crate::config::BrokerConfig;
use crate::node::{Nanos, Now, ms};

/// Pause before the next round when one was cut short, in which other events come through.
const NEXT_ROUND_AFTER: Nanos = ms(10);

/// When what is due next; `None`: never.
#[derive(Clone, Debug, Default)]
pub(super) struct PeriodicTasks {
    balance_partition_leaders_at: Option<Nanos>,
    elect_unclean_leaders_at: Option<Nanos>,
}

impl PeriodicTasks {
    /// The controller has become active: every period begins.
    pub(super) fn activate(&mut self, now: Nanos, config: &BrokerConfig) {
        self.balance_partition_leaders_at = balance_period(config).map(|period| now.saturating_add(period));
        self.elect_unclean_leaders_at = elect_unclean_period(config).map(|period| now.saturating_add(period));
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        [self.balance_partition_leaders_at, self.elect_unclean_leaders_at].into_iter().flatten().min()
    }
}

/// `auto.leader.rebalance.enable`, `leader.imbalance.check.interval.seconds`.
fn balance_period(config: &BrokerConfig) -> Option<Nanos> {
    let seconds = config.leader_imbalance_check_interval_seconds;
    (config.auto_leader_rebalance_enable && seconds > 0).then(|| ms(seconds.saturating_mul(1_000)))
}

/// `unclean.leader.election.interval.ms`. Whether it is allowed is asked of each topic in turn.
fn elect_unclean_period(config: &BrokerConfig) -> Option<Nanos> {
    let interval_ms = config.unclean_leader_election_interval_ms;
    (interval_ms > 0).then(|| ms(interval_ms))
}

impl Controller {
    /// Each task that is due is one event of the controller: its own batch of records.
    pub(super) fn run_periodic_tasks(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let now = io.now;
        let is_due = |at: Option<Nanos>| at.is_some_and(|at| at <= now.mono);
        if is_due(self.periodic.balance_partition_leaders_at) {
            let round = self.cluster().maybe_balance_partition_leaders(MAX_ELECTIONS_PER_IMBALANCE);
            self.periodic.balance_partition_leaders_at = next_run(now, &round, balance_period(&self.setup.config));
            self.write(round.decision, io)?;
        }
        if is_due(self.periodic.elect_unclean_leaders_at) {
            let round = self.cluster().maybe_elect_unclean_leaders(MAX_ELECTIONS_PER_IMBALANCE);
            self.periodic.elect_unclean_leaders_at = next_run(now, &round, elect_unclean_period(&self.setup.config));
            self.write(round.decision, io)?;
        }
        Ok(())
    }
}

fn next_run(now: Now, round: &Round, period: Option<Nanos>) -> Option<Nanos> {
    let pause = if round.more { Some(NEXT_ROUND_AFTER) } else { period };
    pause.map(|pause| now.mono.saturating_add(pause))
}
