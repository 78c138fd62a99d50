//! stuck (leader-without-majority): a leader from whom no majority fetches resigns within one and a half fetch time-outs;
//! else brokers that reach nobody else stay on old metadata, and wait for answers that never come. Source: KAFKA-15489,
//! `LeaderState.timeUntilCheckQuorumExpires`.
//!
//! The bound, [`crate::QuorumSettings::without_majority`], is 1.5 × `controller.quorum.fetch.timeout.ms` for the leader's
//! own clock, and a second for what was on its way when the link was cut and for timers that are looked at late.

use super::Quorum;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::Time;
use crate::settings::Settings;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "stuck",
    rule: Some("leader-without-majority"),
    what: "a leader whom no majority reaches resigns",
    source: "KAFKA-15489, `LeaderState.timeUntilCheckQuorumExpires`",
};

/// A leader runs, and no majority reaches it since then. Told once for each reign.
pub(super) fn check(
    quorum: &mut Quorum,
    controller: i32,
    epoch: i32,
    since: Time,
    now: Time,
    settings: &Settings,
) -> Option<Violation> {
    let lasted = now.saturating_sub(since);
    if lasted <= settings.quorum.without_majority || quorum.cut_off_told.get(&controller) == Some(&epoch) {
        return None;
    }
    quorum.cut_off_told.insert(controller, epoch);
    Some(Violation::LeaderWithoutMajority { controller, epoch, since, lasted })
}
