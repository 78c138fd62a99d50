//! What does a producer make of the answers of brokers? One that has just started is played with, by brokers that lose,
//! forget and refuse what in this run perhaps no broker does.
//!
//! Sources: KIP-98, KIP-360, KIP-91, `TransactionManager`, `Sender`, `RecordAccumulator`.

use kafka_protocol::ResponseError::{
    CoordinatorLoadInProgress, DuplicateSequenceNumber, InvalidProducerEpoch, MessageTooLarge, NotEnoughReplicas,
    NotEnoughReplicasAfterAppend, OutOfOrderSequenceNumber, UnknownProducerId,
};
use trial_kafka::node::{Belief, OpId};

use super::Speaker;
use super::client_copy::Call;
use super::producer_copy::{ID, Play, Setup, Stamp};

/// Longer than any pause before a batch is sent again, or a connection opened again.
const PAUSE_MS: i64 = 150;
/// Where records are to come into one batch.
const LINGER_MS: i64 = 5;
const LAST_SEQUENCE: i32 = i32::MAX;
/// The producer's first epoch.
const FIRST: i16 = 0;

/// What happens. `None`: not all of it, since something was wrong.
pub(super) type Plot = fn(&mut Play<'_, '_>) -> Option<()>;

/// The plays: what happens, how long a batch waits for company, and how it goes.
pub(super) const PLAYS: [(&str, i64, Plot); 18] = [
    ("it got its producer id late", 0, id_comes_late),
    ("it ran out of epochs", 0, epochs_run_out),
    ("the broker had every sequence", 0, sequences_go_on),
    ("three batches were cut off", 0, retries_go_one_by_one),
    ("a batch failed, and one was sent behind it", 0, behind_another),
    ("the broker had the batch already", 0, duplicate),
    ("the broker lost what it had acknowledged", 0, gap),
    ("the broker lost it, and another partition was busy", 0, gap_and_a_busy_partition),
    ("the broker lost it, and another partition was idle", 0, gap_and_an_idle_partition),
    ("a broker forgot the producer", 0, forgotten),
    ("a batch failed for good, with three behind it", 0, final_error),
    ("a broker knew a later epoch", 0, fenced),
    ("a batch was given up after an attempt", 0, unresolved),
    ("a batch was given up after an attempt, and one behind it succeeded", 0, resolved),
    ("a batch was given up after an attempt, and one behind it found a gap", 0, gap_behind_unresolved),
    ("a batch was given up, and acknowledged after that", 0, late_success),
    ("the sequences came to their end", LINGER_MS, sequences_wrap),
    ("a batch was too large", LINGER_MS, too_large),
];

/// Plays everything.
pub(super) fn play_all(setup: &Setup<'_>, speaker: &mut Speaker<'_>) {
    for (what, linger_ms, plot) in PLAYS {
        plot(&mut Play::begin(setup, what, linger_ms, speaker));
    }
}

fn at(epoch: i16, sequence: i32) -> Stamp {
    Stamp { id: ID, epoch, sequence }
}

/// No batch leaves before the id is there, and the id is asked for until it is.
fn id_comes_late(play: &mut Play<'_, '_>) -> Option<()> {
    let sent = play.send(0);
    let asked = play.asks_for_id()?;
    play.is_silent()?;
    play.refuse_id(&asked, CoordinatorLoadInProgress);
    play.pass(PAUSE_MS);
    play.asks_for_id()?;
    play.cut_off();
    play.pass(PAUSE_MS);
    let asked = play.asks_for_id()?;
    play.is_silent()?;
    play.give_id(&asked, ID, FIRST);
    let call = play.sends(0, at(FIRST, 0), 1)?;
    play.acknowledge(&call, 0);
    play.is_settled(sent, Belief::Acked { offset: 0 })
}

/// Behind the last epoch comes a new id.
fn epochs_run_out(play: &mut Play<'_, '_>) -> Option<()> {
    let asked = play.asks_for_id()?;
    play.give_id(&asked, ID, i16::MAX);
    play.send_acknowledged(0, at(i16::MAX, 0))?;
    play.send(0);
    let lost = play.sends(0, at(i16::MAX, 1), 1)?;
    play.refuse(&lost, OutOfOrderSequenceNumber);
    play.pass(PAUSE_MS);
    let asked = play.asks_for_id()?;
    play.give_id(&asked, ID + 2, FIRST);
    play.pass(PAUSE_MS);
    play.sends(0, Stamp { id: ID + 2, epoch: FIRST, sequence: 0 }, 1)?;
    Some(())
}

fn sequences_go_on(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    for sequence in 0..3 {
        play.send_acknowledged(0, at(FIRST, sequence))?;
    }
    play.send_acknowledged(1, at(FIRST, 0))
}

/// Behind 2^31-1 comes 0, between batches and within one.
fn sequences_wrap(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    play.move_to_sequence(0, LAST_SEQUENCE);
    play.send_acknowledged(0, at(FIRST, LAST_SEQUENCE))?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    play.move_to_sequence(0, LAST_SEQUENCE - 1);
    play.send_together(0, 3);
    let around = play.sends(0, at(FIRST, LAST_SEQUENCE - 1), 3)?;
    play.acknowledge(&around, 0);
    // The last that is acknowledged is known, too: behind it something is missing.
    play.send(0);
    let lost = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse(&lost, OutOfOrderSequenceNumber);
    play.pass(PAUSE_MS);
    play.sends(0, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// Of batches to be sent again only the first in flight is sent.
fn retries_go_one_by_one(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    for sequence in 0..3 {
        play.send(0);
        play.sends(0, at(FIRST, sequence), 1)?;
    }
    play.cut_off();
    play.pass(PAUSE_MS);
    for sequence in 0..2 {
        let again = play.sends(0, at(FIRST, sequence), 1)?;
        play.is_silent()?;
        play.acknowledge(&again, sequence.into());
    }
    play.sends(0, at(FIRST, 2), 1)?;
    play.send(0);
    // Behind the last that is sent again a new one may go.
    play.sends(0, at(FIRST, 3), 1)?;
    Some(())
}

/// A batch that is out of order behind one without outcome is sent again as it is.
fn behind_another(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    let (one, other) = (play.send(0), play.send(0));
    let (first, behind) = (play.sends(0, at(FIRST, 1), 1)?, play.sends(0, at(FIRST, 2), 1)?);
    play.refuse(&first, NotEnoughReplicas);
    play.refuse(&behind, OutOfOrderSequenceNumber);
    play.pass(PAUSE_MS);
    for (op, sequence) in [(one, 1), (other, 2)] {
        let again = play.sends(0, at(FIRST, sequence), 1)?;
        play.acknowledge(&again, sequence.into());
        play.is_settled(op, Belief::Acked { offset: sequence.into() })?;
    }
    Some(())
}

/// It is in the log, and nobody knows where.
fn duplicate(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    let sent = play.send(0);
    play.sends(0, at(FIRST, 0), 1)?;
    play.cut_off();
    play.pass(PAUSE_MS);
    let again = play.sends(0, at(FIRST, 0), 1)?;
    play.refuse(&again, DuplicateSequenceNumber);
    play.is_settled(sent, Belief::Acked { offset: -1 })?;
    play.send_acknowledged(0, at(FIRST, 1))
}

/// What comes right behind the last acknowledged is out of order: the epoch is raised.
fn gap(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    let sent = lose_acknowledged(play)?;
    play.pass(PAUSE_MS);
    let again = play.sends(0, at(FIRST + 1, 0), 1)?;
    play.acknowledge(&again, 0);
    play.is_settled(sent, Belief::Acked { offset: 0 })?;
    play.send_acknowledged(0, at(FIRST + 1, 1))
}
/// Of the first partition.
fn lose_acknowledged(play: &mut Play<'_, '_>) -> Option<OpId> {
    play.send_acknowledged(0, at(FIRST, 0))?;
    let sent = play.send(0);
    let lost = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse(&lost, OutOfOrderSequenceNumber);
    Some(sent)
}
/// A partition with batches of the old epoch in flight sends none of the new one.
fn gap_and_a_busy_partition(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    play.send(1);
    let busy = play.sends(1, at(FIRST, 0), 1)?;
    play.send(0);
    let lost = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse(&lost, OutOfOrderSequenceNumber);
    play.send(1);
    play.is_silent()?;
    play.acknowledge(&busy, 0);
    play.sends(1, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// A partition without batches in flight takes up the new epoch with its next batch.
fn gap_and_an_idle_partition(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(1, at(FIRST, 0))?;
    lose_acknowledged(play)?;
    play.send(1);
    play.sends(1, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// Without a log start offset the batch is only sent again; with one the epoch is raised.
fn forgotten(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    play.send(0);
    let lost = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse_from(&lost, UnknownProducerId, -1);
    play.pass(PAUSE_MS);
    let again = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse_from(&again, UnknownProducerId, 5);
    play.pass(PAUSE_MS);
    play.sends(0, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// What was behind a batch that failed for good gets new sequences, in its order, and tells nothing new by failing.
fn final_error(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    let failed = play.send(0);
    let failing = play.sends(0, at(FIRST, 1), 1)?;
    let mut behind = Vec::new();
    for sequence in 2..5 {
        let sent = play.send(0);
        behind.push((sent, play.sends(0, at(FIRST, sequence), 1)?));
    }
    play.refuse(&failing, MessageTooLarge);
    play.is_settled(failed, Belief::Failed)?;
    for (_, call) in &behind {
        play.refuse(call, OutOfOrderSequenceNumber);
    }
    play.pass(PAUSE_MS);
    for (sequence, (sent, _)) in (0..).zip(&behind) {
        let again = play.sends(0, at(FIRST + 1, sequence), 1)?;
        play.acknowledge(&again, sequence.into());
        // Each record with its own sequence: who came first is acknowledged first.
        play.is_settled(*sent, Belief::Acked { offset: sequence.into() })?;
    }
    play.send_acknowledged(0, at(FIRST + 1, 3))
}

/// The batch fails, and those that come then are of the next epoch.
fn fenced(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    let failed = play.send(0);
    let call = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse(&call, InvalidProducerEpoch);
    play.is_settled(failed, Belief::Failed)?;
    play.send_acknowledged(0, at(FIRST + 1, 0))
}

/// It is sent again in parts, which have its sequences. That `batch.size` allows it shows once: then it is halved.
fn too_large(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    play.send_acknowledged(0, at(FIRST, 0))?;
    let ops = play.send_together(0, 2);
    for _ in 0..2 {
        let both = play.sends(0, at(FIRST, 1), 2)?;
        play.refuse(&both, MessageTooLarge);
    }
    for (sequence, op) in (1..).zip(ops) {
        let part = play.sends(0, at(FIRST, sequence), 1)?;
        play.acknowledge(&part, sequence.into());
        play.is_settled(op, Belief::Acked { offset: sequence.into() })?;
    }
    play.send_acknowledged(0, at(FIRST, 3))
}

/// When the first of two batches is given up under way for the second time, and the second is under way still.
fn given_up(play: &mut Play<'_, '_>) -> Option<(Call, OpId)> {
    play.has_its_id()?;
    let late = Play::DELIVERY_TIMEOUT_MS;
    let sent = play.send(0);
    let first = play.sends(0, at(FIRST, 0), 1)?;
    play.pass(late / 4);
    let second = play.send(0);
    let behind = play.sends(0, at(FIRST, 1), 1)?;
    play.refuse(&first, NotEnoughReplicasAfterAppend);
    play.pass(late - late / 4 - 1);
    play.sends(0, at(FIRST, 0), 1)?;
    play.pass(1);
    play.is_settled(sent, Belief::Unknown)?;
    Some((behind, second))
}

/// Nothing is in flight behind it: the epoch is raised.
fn unresolved(play: &mut Play<'_, '_>) -> Option<()> {
    play.has_its_id()?;
    let late = Play::DELIVERY_TIMEOUT_MS;
    let sent = play.send(0);
    let first = play.sends(0, at(FIRST, 0), 1)?;
    play.refuse(&first, NotEnoughReplicasAfterAppend);
    play.pass(late - 1);
    play.sends(0, at(FIRST, 0), 1)?;
    play.pass(1);
    play.is_settled(sent, Belief::Unknown)?;
    play.send(0);
    play.sends(0, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// No new batch leaves until it is known which sequence the broker expects, which a success behind it tells.
fn resolved(play: &mut Play<'_, '_>) -> Option<()> {
    let (behind, sent) = given_up(play)?;
    play.send(0);
    play.is_silent()?;
    play.acknowledge(&behind, 1);
    play.is_settled(sent, Belief::Acked { offset: 1 })?;
    play.sends(0, at(FIRST, 2), 1)?;
    Some(())
}

/// What comes right behind it is out of order: the epoch is raised.
fn gap_behind_unresolved(play: &mut Play<'_, '_>) -> Option<()> {
    let (behind, _) = given_up(play)?;
    play.refuse(&behind, OutOfOrderSequenceNumber);
    play.pass(PAUSE_MS);
    play.sends(0, at(FIRST + 1, 0), 1)?;
    Some(())
}

/// That it is in the log counts for the sequence: behind it something is missing.
fn late_success(play: &mut Play<'_, '_>) -> Option<()> {
    let late = Play::DELIVERY_TIMEOUT_MS;
    let sent = play.send(0);
    play.pass(late / 2);
    play.has_its_id()?;
    let first = play.sends(0, at(FIRST, 0), 1)?;
    play.pass(late - late / 2);
    play.is_settled(sent, Belief::Unknown)?;
    play.send(0);
    let behind = play.sends(0, at(FIRST, 1), 1)?;
    play.acknowledge(&first, 0);
    play.refuse(&behind, OutOfOrderSequenceNumber);
    play.pass(PAUSE_MS);
    play.sends(0, at(FIRST + 1, 0), 1)?;
    Some(())
}
