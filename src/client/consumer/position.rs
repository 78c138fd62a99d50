//! Where a consumer stands in a partition, and what it has fetched from there.
//!
//! ```text
//!   Initializing ──the group's committed offset──▶ Validating
//!       │ none
//!       ▼
//!   Resetting ──offset found──┐                 ┌──the leader's history has it──▶ Fetching
//!      ▲                      ├──▶ Validating ──┤
//!      │     another leader ──┘                 └──it has not: truncation──▶ where the histories part, or
//!      └──by auto.offset.reset──────────────────────────────────────────────── Resetting
//! ```
//!
//! A position without an epoch (one the application chose) cannot be validated, and is fetched from at once.
//! Source: KIP-320, `SubscriptionState.TopicPartitionState`, `FetchStates`.

use std::collections::VecDeque;

use super::decode::Decoded;
use crate::client::list_offsets::{EARLIEST, LATEST};
use crate::client::view::Leader;
use crate::config::OffsetReset;
use crate::conformance::ConsumerRule;
use crate::ids::BrokerId;
use crate::node::{ConsumedRecord, Millis, Nanos};

/// The next record to hand out (`FetchPosition`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its offset.
    pub(crate) offset: i64,
    /// Leader epoch of the record before it, as far as known: by it the position is found in another leader's history.
    pub(crate) offset_epoch: Option<i32>,
    /// The leader to which this was found to belong; `None` if nobody is known to lead.
    pub(crate) leader: Option<Leader>,
}

/// Which offset a position is to be reset to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetTo {
    /// The log's start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record at or after this time.
    Timestamp(Millis),
    /// The first record that is at most so many milliseconds old.
    ByDuration(i64),
}

impl ResetTo {
    /// What a leader is asked for at that time.
    pub(crate) fn timestamp(self, wall: Millis) -> i64 {
        match self {
            ResetTo::Earliest => EARLIEST,
            ResetTo::Latest => LATEST,
            ResetTo::Timestamp(timestamp) => timestamp.max(0),
            ResetTo::ByDuration(millis) => wall.saturating_sub(millis).max(0),
        }
    }
}

/// Where the next record is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nowhere yet: the group is to be asked how far it has come (INITIALIZING).
    Initializing,
    /// Nowhere yet: the leader is to be asked for an offset (AWAIT_RESET).
    Resetting {
        /// Which.
        to: ResetTo,
        /// Why, for the trace.
        why: String,
    },
    /// There, if the leader's history goes through it (AWAIT_VALIDATION).
    Validating(Position),
    /// There.
    Fetching(Position),
    /// Nowhere, and `auto.offset.reset` is `none`: the application must say.
    Lost,
}

/// A partition that a consumer reads.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// Where the application stands.
    pub(crate) state: State,
    /// Records that were fetched and not yet handed out.
    pub(crate) buffer: VecDeque<ConsumedRecord>,
    /// The position once the buffer is handed out.
    buffer_end: (i64, Option<i32>),
    /// The replica that the leader said is nearer, until then (KIP-392).
    preferred: Option<(BrokerId, Nanos)>,
    /// No request about it before this time.
    pub(crate) retry_at: Nanos,
    /// Errors in a row.
    pub(crate) failures: u32,
    /// The application wants nothing of it for now (`KafkaConsumer.pause`).
    pub(crate) paused: bool,
    /// It is about to be given up: what was committed of it is to be the last that was handed out (KAFKA-14196).
    pub(crate) pending_revocation: bool,
}

impl Assigned {
    /// A partition to be read from there.
    pub(crate) fn new(state: State) -> Self {
        Assigned {
            state,
            buffer: VecDeque::new(),
            buffer_end: (0, None),
            preferred: None,
            retry_at: 0,
            failures: 0,
            paused: false,
            pending_revocation: false,
        }
    }
    /// May its records be handed out, and more be fetched (`TopicPartitionState.isFetchable`)?
    pub(crate) fn is_fetchable(&self) -> bool {
        !self.paused && !self.pending_revocation
    }
    /// Is there something to hand out?
    pub(crate) fn has_records(&self) -> bool {
        !self.buffer.is_empty() && self.is_fetchable()
    }
    /// The position as it is committed, if there is one (`SubscriptionState.allConsumed`).
    pub(crate) fn consumed(&self) -> Option<Position> {
        match self.state {
            State::Fetching(position) => Some(position),
            _ => None,
        }
    }
    /// The position to fetch from, if it is to be fetched now: it is valid, nothing is buffered, and no error makes it
    /// pause.
    pub(crate) fn to_fetch(&self, now: Nanos) -> Option<Position> {
        match self.state {
            State::Fetching(position) if self.buffer.is_empty() && self.retry_at <= now && self.is_fetchable() => {
                Some(position)
            }
            _ => None,
        }
    }
    /// Is it being fetched from there, now or after a pause? What comes for a partition that the application has paused
    /// meanwhile is kept (KAFKA-7548).
    pub(crate) fn fetches_at(&self, offset: i64) -> bool {
        let stands_there = self.consumed().is_some_and(|position| position.offset == offset);
        stands_there && self.buffer.is_empty() && !self.pending_revocation
    }

    /// Goes elsewhere. What was fetched is forgotten.
    pub(crate) fn go(&mut self, state: State) {
        self.state = state;
        self.buffer.clear();
        self.retry_at = 0;
        self.failures = 0;
    }

    /// To a position of which nobody has said yet that the leader's history goes through it
    /// (`SubscriptionState.seekUnvalidated`).
    pub(crate) fn seek_unvalidated(&mut self, position: Position, validates: bool) {
        self.go(if validates { validated_first(position) } else { State::Fetching(position) });
    }

    /// Metadata tells a leader: if it is another one, or the same in another epoch, the position must be found in its
    /// history before anything is fetched from it (`SubscriptionState.maybeValidatePosition`). What was fetched from the
    /// one before is dropped, as Kafka drops what it cannot hand out meanwhile.
    pub(crate) fn follow(&mut self, leader: Leader, validates: bool) {
        let (State::Fetching(position) | State::Validating(position)) = self.state else { return };
        if position.leader == Some(leader) {
            return;
        }
        let position = Position { leader: Some(leader), ..position };
        self.preferred = None;
        self.state = if validates { validated_first(position) } else { State::Fetching(position) };
        if matches!(self.state, State::Validating(_)) {
            self.buffer.clear();
            self.retry_at = 0;
        }
    }

    /// Takes what was fetched.
    pub(super) fn fill(&mut self, decoded: &mut Decoded) {
        let State::Fetching(position) = &mut self.state else { return };
        self.failures = 0;
        self.retry_at = 0;
        self.buffer_end = (decoded.next_offset, decoded.last_epoch.or(position.offset_epoch));
        if decoded.records.is_empty() {
            (position.offset, position.offset_epoch) = self.buffer_end;
        }
        self.buffer = std::mem::take(&mut decoded.records);
    }
    /// Hands out up to so many records; the position moves past them.
    pub(crate) fn take(&mut self, most: usize) -> impl Iterator<Item = ConsumedRecord> {
        let taken = self.buffer.drain(..most.min(self.buffer.len())).collect::<Vec<_>>();
        if let (Some(last), State::Fetching(position)) = (taken.last(), &mut self.state) {
            (position.offset, position.offset_epoch) = match self.buffer.is_empty() {
                true => self.buffer_end,
                false => (last.offset + 1, known(last.leader_epoch)),
            };
        }
        taken.into_iter()
    }

    /// The replica to read from instead of the leader, while that holds.
    pub(crate) fn preferred(&mut self, now: Nanos) -> Option<BrokerId> {
        if ConsumerRule::PreferenceExpires.holds() {
            self.preferred = self.preferred.filter(|(_, until)| now <= *until);
        }
        self.preferred.map(|(broker, _)| broker)
    }
    /// The leader said who is nearer. True if that is news.
    pub(crate) fn prefer(&mut self, broker: BrokerId, until: Nanos) -> bool {
        let before = self.preferred.replace((broker, until));
        before.is_none_or(|(known, _)| known != broker)
    }
    /// Back to the leader. True if another replica was read from.
    pub(crate) fn prefer_leader(&mut self) -> bool {
        self.preferred.take().is_some()
    }
}

/// Validation needs two epochs: the record's before the position, and the leader's.
fn validated_first(position: Position) -> State {
    let leader_epoch_is_known = position.leader.is_some_and(|leader| leader.epoch >= 0);
    match position.offset_epoch.is_some() && leader_epoch_is_known {
        true => State::Validating(position),
        false => State::Fetching(position),
    }
}

/// A leader epoch, if it is one.
pub(crate) fn known(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

/// The position of a partition without one, by `auto.offset.reset`. Source: `AutoOffsetResetStrategy`.
pub(crate) fn reset_by_policy(policy: OffsetReset, because: &str) -> State {
    let (to, name) = match policy {
        OffsetReset::Earliest => (ResetTo::Earliest, "earliest"),
        OffsetReset::Latest => (ResetTo::Latest, "latest"),
        OffsetReset::ByDuration(millis) => (ResetTo::ByDuration(millis), "by_duration"),
        OffsetReset::None => return State::Lost,
    };
    State::Resetting { to, why: format!("{because}; auto.offset.reset={name}") }
}
