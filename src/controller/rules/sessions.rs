//! Who was heard of when. Source: `BrokerHeartbeatManager`.
//!
//! Nothing of this is in the metadata log: a controller that starts gives every broker a fresh session.

use std::collections::BTreeMap;

use crate::conformance::BrokerRule;
use crate::ids::BrokerId;
use crate::node::Nanos;

/// One broker as its heartbeats show it (`BrokerHeartbeatState`).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    last_contact: Nanos,
    /// Last metadata offset it reported, -1 if none.
    metadata_offset: i64,
    /// What the other brokers must have reached before it may stop; present during its controlled shutdown.
    controlled_shutdown_offset: Option<i64>,
    fenced: bool,
}

/// Where a broker stands (`BrokerControlState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerControlState {
    /// Registered, not (or no longer) part of the cluster's work.
    Fenced,
    /// At work.
    Unfenced,
    /// It asked to stop, and its leaderships are moving.
    ControlledShutdown,
    /// It may stop at once.
    ShutdownNow,
}

impl BrokerControlState {
    /// Does the broker count as fenced?
    pub fn is_fenced(self) -> bool {
        matches!(self, BrokerControlState::Fenced | BrokerControlState::ShutdownNow)
    }
}

/// The sessions of all registered brokers.
#[derive(Clone, Debug)]
pub struct Sessions {
    timeout: Nanos,
    by_broker: BTreeMap<BrokerId, Session>,
}

impl Sessions {
    /// No brokers yet; `timeout` is `broker.session.timeout.ms`.
    pub fn new(timeout: Nanos) -> Self {
        Sessions { timeout, by_broker: BTreeMap::new() }
    }
    /// Starts a new session of a broker, in place of an old one.
    pub fn restart(&mut self, now: Nanos, broker: BrokerId, fenced: bool) {
        let session = Session { last_contact: now, metadata_offset: -1, controlled_shutdown_offset: None, fenced };
        self.by_broker.insert(broker, session);
    }
    /// A heartbeat came. A fenced broker leaves its controlled shutdown. Source: `BrokerHeartbeatManager.touch`.
    pub fn touch(&mut self, now: Nanos, broker: BrokerId, fenced: bool, metadata_offset: i64) {
        if let Some(session) = self.by_broker.get_mut(&broker) {
            if BrokerRule::HeartbeatKeepsTheSession.holds() {
                session.last_contact = now;
            }
            session.metadata_offset = metadata_offset;
            session.fenced = fenced;
            if fenced {
                session.controlled_shutdown_offset = None;
            }
        }
    }
    /// The broker was fenced without having been heard of.
    pub fn fence(&mut self, broker: BrokerId) {
        if let Some(session) = self.by_broker.get_mut(&broker) {
            session.fenced = true;
        }
    }
    /// When the broker was heard of last, or given a fresh session.
    pub fn last_contact(&self, broker: BrokerId) -> Option<Nanos> {
        self.by_broker.get(&broker).map(|session| session.last_contact)
    }
    /// Fenced brokers have none. Source: `BrokerHeartbeatManager.hasValidSession`.
    pub fn has_valid_session(&self, now: Nanos, broker: BrokerId) -> bool {
        let counts = |session: &Session| !session.fenced || !BrokerRule::FencedBrokerHasNoSession.holds();
        self.by_broker.get(&broker).is_some_and(|session| counts(session) && !self.is_stale(now, session))
    }
    fn is_stale(&self, now: Nanos, session: &Session) -> bool {
        self.runs_out_at(session) <= now
    }
    /// The first instant at which the session is over.
    fn runs_out_at(&self, session: &Session) -> Nanos {
        match BrokerRule::SilentBrokerIsFenced.holds() {
            true => session.last_contact.saturating_add(self.timeout).saturating_add(1),
            false => Nanos::MAX,
        }
    }
    /// The unfenced broker that was silent for longest, if that is too long.
    /// Source: `BrokerHeartbeatManager.findOneStaleBroker`.
    pub fn find_one_stale_broker(&self, now: Nanos) -> Option<BrokerId> {
        let unfenced = self.by_broker.iter().filter(|(_, session)| !session.fenced);
        let (broker, session) = unfenced.min_by_key(|(broker, session)| (session.last_contact, **broker))?;
        self.is_stale(now, session).then_some(*broker)
    }
    /// The first instant at which a session may have run out. Source: `BrokerHeartbeatManager.nextCheckTimeNs`.
    pub fn next_check(&self) -> Option<Nanos> {
        let unfenced = self.by_broker.values().filter(|session| !session.fenced);
        unfenced.map(|session| self.runs_out_at(session)).min()
    }
    /// The least metadata offset among brokers neither fenced nor shutting down, `i64::MAX` without any.
    /// Source: `BrokerHeartbeatManager.lowestActiveOffset`.
    pub fn lowest_active_offset(&self) -> i64 {
        let is_active = |s: &&Session| {
            (!s.fenced && s.controlled_shutdown_offset.is_none()) || !BrokerRule::ShutDownWaitsForNobodyWhoStops.holds()
        };
        let active = self.by_broker.values().filter(is_active);
        active.map(|session| session.metadata_offset).min().unwrap_or(i64::MAX)
    }
    /// The first time wins. Source: `BrokerHeartbeatManager.maybeUpdateControlledShutdownOffset`.
    pub fn maybe_update_controlled_shutdown_offset(&mut self, broker: BrokerId, offset: i64) {
        if let Some(session) = self.by_broker.get_mut(&broker)
            && !session.fenced
        {
            let begun = session.controlled_shutdown_offset.filter(|_| BrokerRule::FirstShutDownOffsetCounts.holds());
            session.controlled_shutdown_offset = Some(begun.unwrap_or(offset));
        }
    }
    /// What the others must have reached before the broker may stop.
    pub fn controlled_shutdown_offset(&self, broker: BrokerId) -> Option<i64> {
        self.by_broker.get(&broker)?.controlled_shutdown_offset
    }
    /// `None` for a broker without session. Source: `BrokerHeartbeatManager.currentBrokerState`.
    pub fn current_state(&self, broker: BrokerId) -> Option<BrokerControlState> {
        let session = self.by_broker.get(&broker)?;
        Some(match session {
            Session { controlled_shutdown_offset: Some(_), .. } => BrokerControlState::ControlledShutdown,
            Session { fenced: true, .. } => BrokerControlState::Fenced,
            _ => BrokerControlState::Unfenced,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_valid_up_to_its_timeout_and_the_check_comes_right_after() {
        let mut sessions = Sessions::new(100);
        sessions.restart(0, 1, true);
        sessions.restart(0, 2, false);
        sessions.restart(10, 3, false);
        assert!(!sessions.has_valid_session(0, 1), "a fenced broker has no session");
        assert_eq!(sessions.next_check(), Some(101));
        assert_eq!(sessions.find_one_stale_broker(100), None);
        assert_eq!(sessions.find_one_stale_broker(200), Some(2), "one at a time, the longest silent first");
        sessions.fence(2);
        assert_eq!(sessions.find_one_stale_broker(200), Some(3));
        sessions.touch(150, 3, false, 7);
        assert_eq!(sessions.find_one_stale_broker(200), None);
    }

    #[test]
    fn a_broker_that_shuts_down_does_not_hold_up_others() {
        let mut sessions = Sessions::new(100);
        sessions.restart(0, 1, false);
        sessions.restart(0, 2, false);
        sessions.touch(0, 1, false, 5);
        sessions.touch(0, 2, false, 9);
        assert_eq!(sessions.lowest_active_offset(), 5);
        sessions.maybe_update_controlled_shutdown_offset(1, 20);
        sessions.maybe_update_controlled_shutdown_offset(1, 30);
        assert_eq!(sessions.controlled_shutdown_offset(1), Some(20));
        assert_eq!(sessions.lowest_active_offset(), 9);
        sessions.touch(0, 1, true, 5);
        assert_eq!(sessions.current_state(1), Some(BrokerControlState::Fenced));
    }
}
