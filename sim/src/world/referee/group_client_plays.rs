//! What does a consumer make of its group? One that has just started is played with, by a coordinator that is silent, moves,
//! refuses and assigns anew as in this run perhaps none does.
//!
//! Sources: `AbstractCoordinator`, `ConsumerCoordinator`, KIP-814, KIP-848, `ConsumerHeartbeatRequestManager`,
//! `CommitRequestManager`.

use kafka_protocol::ResponseError::{CoordinatorLoadInProgress, StaleMemberEpoch};
use trial_kafka::config::{ConsumerConfig, GroupProtocol};
use trial_kafka::node::{OpId, Outcome};

use super::Speaker;
use super::client_copy::{Call, FIRST_EPOCH};
use super::group_client_copy::{Asks, COORDINATOR, FIRST, MEMBER, Part, Play, Setup};

/// Longer than the first pause before somebody is asked again, shorter than the second.
const PAUSE_MS: i64 = 150;

/// What happens. `None`: not all of it, since something was wrong.
pub(super) type Plot = fn(&mut Play<'_, '_>) -> Option<()>;
/// What happens, how the consumer is configured, and how it goes.
pub(super) type Scene = (&'static str, fn(&mut ConsumerConfig), Plot);

const BOTH: [Scene; 5] = [
    ("nobody coordinated it", as_it_is, no_coordinator),
    ("its application stopped polling", as_it_is, does_not_poll),
    ("a commit was refused for the moment", as_it_is, commit_is_refused),
    ("it was closed", commits_by_itself, is_closed),
    ("it was assigned anew while it asked for offsets", as_it_is, old_offsets),
];
const CLASSIC: [Scene; 3] = [
    ("its coordinator was silent", as_it_is, silent_coordinator),
    ("a topic had one more partition", as_it_is, topic_grows),
    ("it returned as the static leader", is_static, leader_returns),
];
const CONSUMER: [Scene; 2] = [
    ("nothing changed, and then its connection ended", as_it_is, only_changes),
    ("a commit was overtaken by a new epoch", commits_by_itself, overtaken_commit),
];

/// The plays of that protocol.
pub(super) fn plays(protocol: GroupProtocol) -> Vec<Scene> {
    let own: &[Scene] = match protocol {
        GroupProtocol::Classic => &CLASSIC,
        GroupProtocol::Consumer => &CONSUMER,
    };
    [&BOTH, own].concat()
}

/// Plays everything.
pub(super) fn play_all(setup: &Setup, speaker: &mut Speaker<'_>) {
    for (what, change, plot) in plays(setup.protocol) {
        plot(&mut Play::begin(*setup, what, change, speaker));
    }
}

fn as_it_is(_: &mut ConsumerConfig) {}
fn commits_by_itself(config: &mut ConsumerConfig) {
    config.enable_auto_commit = true;
    config.auto_commit_interval_ms = 1_000_000;
}
fn is_static(config: &mut ConsumerConfig) {
    config.group_instance_id = "a".to_string();
}

/// So far has the group come in each of these partitions.
fn offsets(partitions: &[i32]) -> Vec<(i32, i64)> {
    partitions.iter().map(|index| (*index, 5 + i64::from(*index))).collect()
}

/// It becomes a member, and reads these partitions. Returns the poll that waits for records.
fn joins(play: &mut Play<'_, '_>, part: Part, partitions: &[i32]) -> Option<OpId> {
    play.subscribe();
    let poll = play.poll();
    let call = play.asks(Asks::Coordinator)?;
    play.tell_coordinator(&call, COORDINATOR);
    let poll = match play.protocol {
        GroupProtocol::Classic => {
            let call = play.asks(Asks::Join(""))?;
            play.tell_member_id(&call);
            let call = play.asks(Asks::Join(MEMBER))?;
            play.tell_generation(&call, part);
            let call = play.asks(Asks::Sync(usize::from(part == Part::Leads)))?;
            play.tell_assignment(&call, partitions);
            play.is_told(poll, "assigned", partitions)?;
            play.poll()
        }
        GroupProtocol::Consumer => {
            let call = play.asks(Asks::Says { epoch: 0, all: true, owns: Some(&[]) })?;
            play.tell_epoch(&call, FIRST, Some(partitions));
            play.is_told(poll, "assigned", partitions)?;
            let poll = play.poll();
            let call = play.asks(Asks::Says { epoch: FIRST, all: false, owns: Some(partitions) })?;
            play.tell_epoch(&call, FIRST, None);
            poll
        }
    };
    let call = play.asks(Asks::Offsets(partitions))?;
    play.tell_offsets(&call, &offsets(partitions));
    let call = play.fetches(&offsets(partitions))?;
    play.serve_nothing(&call);
    Some(poll)
}
/// It wants to be a member, for the first time or again.
fn wants_to_join(play: &mut Play<'_, '_>) -> Option<Call> {
    play.asks(match play.protocol {
        GroupProtocol::Classic => Asks::Join(""),
        GroupProtocol::Consumer => Asks::Says { epoch: 0, all: true, owns: Some(&[]) },
    })
}
fn leaves(play: &mut Play<'_, '_>) -> Option<Call> {
    play.asks(match play.protocol {
        GroupProtocol::Classic => Asks::Leave,
        GroupProtocol::Consumer => Asks::Says { epoch: -1, all: false, owns: None },
    })
}

/// It asks again after a pause, and after a longer one.
fn no_coordinator(play: &mut Play<'_, '_>) -> Option<()> {
    play.subscribe();
    play.poll();
    let call = play.asks(Asks::Coordinator)?;
    play.tell_no_coordinator(&call);
    play.is_silent()?;
    play.pass(PAUSE_MS);
    let call = play.asks(Asks::Coordinator)?;
    play.tell_no_coordinator(&call);
    play.pass(PAUSE_MS);
    play.is_silent()?;
    play.pass(PAUSE_MS);
    let call = play.asks(Asks::Coordinator)?;
    play.tell_coordinator(&call, COORDINATOR);
    wants_to_join(play)?;
    Some(())
}

/// It leaves, and comes again when its application does.
fn does_not_poll(play: &mut Play<'_, '_>) -> Option<()> {
    let poll = joins(play, Part::Follows, &[0])?;
    let call = play.fetches(&offsets(&[0]))?;
    play.serve_record(&call, (0, 5));
    play.has_record(poll, 0, 5)?;
    play.rest(Play::MAX_POLL_MS - PAUSE_MS);
    play.is_silent()?;
    play.rest(2 * PAUSE_MS);
    leaves(play)?;
    let poll = play.poll();
    play.is_told(poll, "lost", &[0])?;
    play.poll();
    wants_to_join(play)?;
    Some(())
}

/// A commit that is waited for is tried again.
fn commit_is_refused(play: &mut Play<'_, '_>) -> Option<()> {
    joins(play, Part::Follows, &[0])?;
    let commit = play.commit(0, 9);
    let call = play.asks(Asks::Commit(FIRST, &[(0, 9)]))?;
    play.tell_not_committed(&call, CoordinatorLoadInProgress);
    play.has_ended(commit, None)?;
    play.is_silent()?;
    play.pass(PAUSE_MS);
    let call = play.asks(Asks::Commit(FIRST, &[(0, 9)]))?;
    play.tell_committed(&call);
    play.has_ended(commit, Some(&Outcome::Done))
}

/// It commits where it is, and leaves.
fn is_closed(play: &mut Play<'_, '_>) -> Option<()> {
    joins(play, Part::Follows, &[0, 1])?;
    let close = play.close();
    let call = play.asks(Asks::Commit(FIRST, &offsets(&[0, 1])))?;
    play.tell_committed(&call);
    let call = leaves(play)?;
    play.has_ended(close, None)?;
    play.tell_left(&call);
    play.has_ended(close, Some(&Outcome::Done))
}

/// Somebody else may have read on since: it asks again.
fn old_offsets(play: &mut Play<'_, '_>) -> Option<()> {
    play.assign(&[0]);
    play.poll();
    let call = play.asks(Asks::Coordinator)?;
    play.tell_coordinator(&call, COORDINATOR);
    let old = play.asks(Asks::Offsets(&[0]))?;
    play.assign(&[]);
    play.assign(&[0]);
    play.tell_offsets(&old, &[(0, 3)]);
    let call = play.asks(Asks::Offsets(&[0]))?;
    play.tell_offsets(&call, &[(0, 9)]);
    play.fetches(&[(0, 9)])?;
    Some(())
}

/// After a session without an answer it is looked for anew, elsewhere.
fn silent_coordinator(play: &mut Play<'_, '_>) -> Option<()> {
    joins(play, Part::Follows, &[0])?;
    for _ in 0..Play::SESSION_MS / Play::HEARTBEAT_MS {
        play.pass(Play::HEARTBEAT_MS);
        play.asks(Asks::Heartbeat)?;
    }
    play.pass(Play::SESSION_MS % Play::HEARTBEAT_MS);
    let call = play.asks(Asks::Coordinator)?;
    const ELSEWHERE: i32 = 3 - COORDINATOR;
    play.tell_coordinator(&call, ELSEWHERE);
    play.pass(Play::HEARTBEAT_MS);
    play.asks_broker(ELSEWHERE, Asks::Heartbeat)?;
    Some(())
}

/// The leader has everybody join again.
fn topic_grows(play: &mut Play<'_, '_>) -> Option<()> {
    let poll = joins(play, Part::Leads, &[0, 1])?;
    play.copy.leaders.push((1, FIRST_EPOCH));
    play.rest(Play::METADATA_MAX_AGE_MS + PAUSE_MS);
    play.is_told(poll, "revoked", &[0, 1])?;
    play.poll();
    play.asks(Asks::Join(MEMBER))?;
    Some(())
}

/// What is assigned stands.
fn leader_returns(play: &mut Play<'_, '_>) -> Option<()> {
    play.subscribe();
    let poll = play.poll();
    let call = play.asks(Asks::Coordinator)?;
    play.tell_coordinator(&call, COORDINATOR);
    let call = play.asks(Asks::Join(""))?;
    play.tell_generation(&call, Part::Returns);
    let call = play.asks(Asks::Sync(0))?;
    play.tell_assignment(&call, &[1]);
    play.is_told(poll, "assigned", &[1])
}

/// Heartbeats say nothing new, and everything when nobody knows what was heard.
fn only_changes(play: &mut Play<'_, '_>) -> Option<()> {
    joins(play, Part::Follows, &[0])?;
    play.pass(Play::HEARTBEAT_MS);
    let call = play.asks(Asks::Says { epoch: FIRST, all: false, owns: None })?;
    play.tell_epoch(&call, FIRST, None);
    play.pass(Play::HEARTBEAT_MS);
    play.asks(Asks::Says { epoch: FIRST, all: false, owns: None })?;
    play.copy.cut_off();
    play.pass(PAUSE_MS);
    let call = play.asks(Asks::Coordinator)?;
    play.tell_coordinator(&call, COORDINATOR);
    play.pass(PAUSE_MS);
    play.asks(Asks::Says { epoch: FIRST, all: true, owns: Some(&[0]) })?;
    Some(())
}

/// What was read is committed in the new epoch before a partition is given up.
fn overtaken_commit(play: &mut Play<'_, '_>) -> Option<()> {
    let poll = joins(play, Part::Follows, &[0, 1])?;
    play.pass(Play::HEARTBEAT_MS);
    let call = play.asks(Asks::Says { epoch: FIRST, all: false, owns: None })?;
    play.tell_epoch(&call, FIRST + 1, Some(&[0]));
    let call = play.asks(Asks::Commit(FIRST + 1, &offsets(&[0, 1])))?;
    play.tell_not_committed(&call, StaleMemberEpoch);
    play.pass(PAUSE_MS);
    let call = play.asks(Asks::Commit(FIRST + 1, &offsets(&[0, 1])))?;
    play.tell_committed(&call);
    play.is_told(poll, "revoked", &[1])
}
