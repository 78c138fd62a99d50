//! What does a consumer make of the answers of brokers? One that has just started is played with, by brokers that cut their
//! logs, die and fall behind as in this run perhaps no broker does.
//!
//! Sources: KIP-320, KIP-392, KIP-227, KAFKA-17182, `AbstractFetch`, `FetchCollector`, `OffsetFetcher`,
//! `SubscriptionState`.

use kafka_protocol::ResponseError::{NotLeaderOrFollower, OffsetOutOfRange};

use super::Speaker;
use super::client_copy::{Call, FIRST_EPOCH as FIRST};
use super::consumer_copy::{Asks, Play, Setup, Told};

/// Longer than any pause before somebody is asked again.
const PAUSE_MS: i64 = 150;
/// Timestamps that stand for an end of the log.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// What happens. `None`: not all of it, since something was wrong.
pub(super) type Plot = fn(&mut Play<'_, '_>) -> Option<()>;

/// The plays: what happens, and how it goes.
pub(super) const PLAYS: [(&str, Plot); 10] = [
    ("a new leader had another history", truncated),
    ("a new leader had never heard of its epoch", unknown_epoch),
    ("no record was that young", nothing_that_young),
    ("the leader named a nearer replica, long ago", nearer_replica),
    ("the nearer replica died", nearer_replica_dies),
    ("the nearer replica hung up", nearer_replica_hangs_up),
    ("the nearer replica was behind", nearer_replica_is_behind),
    ("a partition was served", served_goes_last),
    ("a partition was served more than was polled", buffered),
    ("the answer to a fetch was lost", lost_answer),
];

/// Plays everything.
pub(super) fn play_all(setup: &Setup, speaker: &mut Speaker<'_>) {
    for (what, plot) in PLAYS {
        plot(&mut Play::begin(*setup, what, speaker));
    }
}

/// It has read up to offset 2 when broker 2 becomes the leader. Returns its question to that.
fn another_leader(play: &mut Play<'_, '_>) -> Option<(Call, trial_kafka::node::OpId)> {
    play.assign(&[(0, 1)]);
    let poll = play.poll();
    let call = play.fetches(1, &[(0, 1, FIRST)])?;
    play.serve(&call, &[(0, Told::Records(1, 1))]);
    play.has_record(poll, 0, 1)?;
    let call = play.fetches_on(1, 1, &[(0, 2, FIRST)])?;
    play.copy.leaders[0] = (2, FIRST + 1);
    // Metadata may be asked for again by now.
    play.copy.pass(PAUSE_MS);
    play.serve(&call, &[(0, Told::Refused(NotLeaderOrFollower))]);
    let poll = play.poll();
    play.copy.pass(PAUSE_MS);
    Some((play.asks(2, Asks::EndOfEpoch(0, FIRST + 1, FIRST))?, poll))
}

/// Reading goes on where the histories part, and the application hears of it.
fn truncated(play: &mut Play<'_, '_>) -> Option<()> {
    let (asked, poll) = another_leader(play)?;
    play.tell_end_of_epoch(&asked, (FIRST - 1, 1));
    play.has_error(poll, 0, "LOG_TRUNCATION")?;
    play.poll();
    play.fetches(2, &[(0, 1, FIRST + 1)])?;
    Some(())
}

/// Where the histories part nobody knows: reading goes on by policy.
fn unknown_epoch(play: &mut Play<'_, '_>) -> Option<()> {
    let (asked, _) = another_leader(play)?;
    play.tell_end_of_epoch(&asked, (-1, -1));
    play.asks(2, Asks::Offset(0, EARLIEST))?;
    Some(())
}

/// A time after all records leads to the end.
fn nothing_that_young(play: &mut Play<'_, '_>) -> Option<()> {
    const TIME: i64 = 4_000_000_000_000;
    play.assign(&[(0, 40)]);
    play.seek_time(0, TIME);
    play.poll();
    let asked = play.asks(1, Asks::Offset(0, TIME))?;
    play.tell_offset(&asked, -1);
    let asked = play.asks(1, Asks::Offset(0, LATEST))?;
    play.tell_offset(&asked, 30);
    let asked = play.asks(1, Asks::EndOfEpoch(0, FIRST, FIRST))?;
    play.tell_end_of_epoch(&asked, (FIRST, 30));
    play.fetches(1, &[(0, 30, FIRST)])?;
    Some(())
}

/// Half the age of metadata after it began it is told that broker 2 is nearer. Returns its fetch from there.
fn reads_from_nearer(play: &mut Play<'_, '_>) -> Option<(Call, trial_kafka::node::OpId)> {
    play.assign(&[(0, 8)]);
    let poll = play.poll();
    let call = play.fetches(1, &[(0, 8, FIRST)])?;
    play.copy.pass(Play::METADATA_MAX_AGE_MS / 2);
    play.serve(&call, &[(0, Told::Nearer(2))]);
    Some((play.fetches(2, &[(0, 8, FIRST)])?, poll))
}

/// The leader is asked again when metadata would be.
fn nearer_replica(play: &mut Play<'_, '_>) -> Option<()> {
    let (call, poll) = reads_from_nearer(play)?;
    play.copy.pass(Play::METADATA_MAX_AGE_MS - 1);
    play.serve(&call, &[]);
    let call = play.fetches_on(2, 1, &[])?;
    play.copy.pass(2);
    play.serve(&call, &[(0, Told::Records(8, 1))]);
    play.has_record(poll, 0, 8)?;
    play.fetches_on(1, 1, &[(0, 9, FIRST)])?;
    Some(())
}

/// Metadata tells of its death before its connection does.
fn nearer_replica_dies(play: &mut Play<'_, '_>) -> Option<()> {
    reads_from_nearer(play)?;
    play.copy.dead.insert(2);
    play.copy.pass(Play::METADATA_MAX_AGE_MS / 2 + PAUSE_MS);
    play.fetches_on(1, 1, &[])?;
    Some(())
}

fn nearer_replica_hangs_up(play: &mut Play<'_, '_>) -> Option<()> {
    reads_from_nearer(play)?;
    play.copy.cut_off();
    play.copy.pass(PAUSE_MS);
    play.fetches_on(1, 1, &[])?;
    Some(())
}

/// That it does not have the offset yet tells nothing of the leader: nothing is reset, and nobody is told.
fn nearer_replica_is_behind(play: &mut Play<'_, '_>) -> Option<()> {
    let (call, poll) = reads_from_nearer(play)?;
    play.serve(&call, &[(0, Told::Refused(OffsetOutOfRange))]);
    play.fetches_on(1, 1, &[])?;
    play.waits(poll)
}

/// It is asked for last, so that none starves.
fn served_goes_last(play: &mut Play<'_, '_>) -> Option<()> {
    play.assign(&[(0, 0), (1, 0)]);
    let poll = play.poll();
    let call = play.fetches(1, &[(0, 0, FIRST), (1, 0, FIRST)])?;
    play.serve(&call, &[(0, Told::Records(0, 1))]);
    play.has_record(poll, 0, 0)?;
    // The next that is asked in full shows the order.
    play.fetches_on(1, 1, &[(0, 1, FIRST)])?;
    play.poll();
    play.copy.cut_off();
    play.copy.pass(PAUSE_MS);
    play.fetches_on(1, 0, &[(1, 0, FIRST), (0, 1, FIRST)])?;
    Some(())
}

/// The broker is not asked for its other partitions, and other brokers are.
fn buffered(play: &mut Play<'_, '_>) -> Option<()> {
    play.assign(&[(0, 0), (1, 0), (2, 0)]);
    let poll = play.poll();
    let first = play.fetches(1, &[(0, 0, FIRST), (1, 0, FIRST)])?;
    let second = play.fetches(2, &[(2, 0, FIRST)])?;
    play.serve(&first, &[(0, Told::Records(0, 2))]);
    play.has_record(poll, 0, 0)?;
    play.is_silent()?;
    play.serve(&second, &[(2, Told::Nothing)]);
    let poll = play.poll();
    play.has_record(poll, 0, 1)?;
    let calls = [play.fetches_on(1, 1, &[(0, 2, FIRST)])?, play.fetches_on(2, 1, &[])?];
    play.serve(&calls[0], &[(0, Told::Records(2, 1))]);
    let poll = play.poll();
    play.has_record(poll, 0, 2)
}

/// Nobody knows how far the broker got: the next fetch is a full one, which ends the session.
fn lost_answer(play: &mut Play<'_, '_>) -> Option<()> {
    play.assign(&[(0, 0)]);
    play.poll();
    let call = play.fetches(1, &[(0, 0, FIRST)])?;
    play.serve(&call, &[]);
    play.fetches_on(1, 1, &[])?;
    play.copy.cut_off();
    play.copy.pass(PAUSE_MS);
    play.fetches_on(1, 0, &[(0, 0, FIRST)])?;
    Some(())
}
