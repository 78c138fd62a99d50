//! Do replicas do what follows? The rules of replication a second time (4.1 to 4.5), one handler at a time.
//!
//! ```text
//!   input ─▶ which replicas can it touch? ─▶ shadows of them ─▶ what must become of each?
//!   handler ──────────────────────────────────────────────────▶ is it so?  ─▶ wrong-step
//! ```
//!
//! Each handler is judged from where it began, so that one wrong step is one finding, and not all that comes of it.
//! Not judged: what is read from a disk that fails, and what becomes of a topic's configuration.

mod checkpoint;
mod fetching;
mod follower;
mod leader;
mod metadata;
mod produce;
mod shadow;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{FetchResponse, ListOffsetsResponse, RequestKind, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::{Broker, BrokerTimer, LifecycleState, Step as BrokerStep};
use trial_kafka::event::{Event, TruncationReason};
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Effect, EventId, Input, LocalStep, Millis, Nanos, Purpose, ReqId, ms};
use uuid::Uuid;

use super::broker_answers::{Outcome, is_of_the_past, outcome};
use super::{Referee, Speaker};
use crate::trace::{NodeIx, TraceEvent};
use crate::world::network::Network;
use crate::world::slot::Slot;
use crate::world::{WALL_AT_START_MS, World};
use fetching::{EARLIEST, Fetching, LATEST, Next};
use leader::Around;
use shadow::Shadow;
pub(super) use shadow::min_isr;

/// What a node is about to do, as far as replicas are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nothing that a shadow was made for.
    #[default]
    Other,
    /// It serves this fetch of a follower.
    Serve(ReqId),
    /// Shadows say what must be.
    Told,
    /// It looks for members that lag; shadows say what must be.
    IsrLook,
    /// The metadata may have changed.
    Metadata,
    /// A flush has ended.
    Flushed,
    /// The process starts.
    Start,
    /// The high watermarks are written down.
    Checkpoint,
}

/// What is kept in mind of replicas.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas {
    step: Step,
    /// Those of this step are the first [`Self::used`]; the others are kept for their memory.
    shadows: Vec<Shadow>,
    used: usize,
    fetching: Fetching,
    /// Connections that the node who dialed them has given up, and of whose end it has not heard.
    given_up: BTreeSet<u64>,
    /// The high watermarks of those who stop, as they were when they began to.
    stops: BTreeMap<NodeIx, Vec<(TopicPartition, i64)>>,
}

impl Replicas {
    /// A process starts.
    pub(super) fn forget(&mut self, node: NodeIx) {
        self.fetching.forget(node);
        self.stops.remove(&node);
        self.begin(Step::Other);
    }
    fn close(&mut self, conn: u64) {
        self.given_up.remove(&conn);
        self.fetching.close(conn);
    }
    fn begin(&mut self, step: Step) {
        (self.step, self.used) = (step, 0);
    }
    fn shadow(&mut self) -> &mut Shadow {
        if self.used == self.shadows.len() {
            self.shadows.push(Shadow::default());
        }
        self.used += 1;
        &mut self.shadows[self.used - 1]
    }
}

/// What is given to whoever foresees.
struct Before<'a> {
    node: NodeIx,
    slot: &'a Slot,
    broker: &'a Broker,
    now: Nanos,
    wall: Millis,
}

impl World {
    /// A node is about to handle this: what must become of its replicas?
    pub(super) fn foresee(&mut self, node: NodeIx, input: &Input) {
        let World { referee, slots, now, .. } = self;
        referee.replicas.begin(Step::Other);
        let slot = &slots[node.0 as usize];
        let Some(broker) = slot.broker() else { return };
        let wall = WALL_AT_START_MS + (*now / 1_000_000) as i64 + slot.wall_offset_ms;
        let before = Before { node, slot, broker, now: *now, wall };
        match input {
            Input::Request { req, conn, body, .. } => {
                if let RequestKind::Fetch(_) = **body {
                    serve(referee, *req, conn.0, &before);
                }
            }
            Input::Response { conn, result, .. } => answered(referee, conn.0, result.as_deref().ok(), &before),
            Input::Closed { conn } | Input::DialFailed { conn } => referee.replicas.close(conn.0),
            Input::Local(LocalStep::Broker(BrokerStep::Tick(BrokerTimer::IsrShrink))) => {
                all(referee, Step::IsrLook, &before);
                for due in &mut referee.replicas.shadows[..referee.replicas.used] {
                    if let Some(replica) = broker.replica(due.topic_id, due.index) {
                        leader::on_isr_look(due, Around::of(broker, replica, wall));
                    }
                }
            }
            Input::Local(LocalStep::Broker(BrokerStep::Tick(BrokerTimer::HighWatermarkCheckpoint))) => {
                referee.replicas.begin(Step::Checkpoint);
            }
            Input::Synced { .. } => referee.replicas.begin(Step::Flushed),
            Input::Start { .. } => referee.replicas.begin(Step::Start),
            _ => {}
        }
    }
}

/// An answer comes, or a connection ends before it.
fn answered(referee: &mut Referee, conn: u64, answer: Option<&ResponseKind>, before: &Before<'_>) {
    let Referee { replicas, changes, .. } = referee;
    let Before { node, broker, now, wall, .. } = *before;
    if replicas.given_up.contains(&conn) {
        return;
    }
    let is_of_fetcher = replicas.fetching.sent(conn).is_some();
    match answer {
        Some(ResponseKind::Fetch(response)) if is_of_fetcher => fetched(replicas, conn, response, before),
        Some(ResponseKind::ListOffsets(response)) if is_of_fetcher => told_offset(replicas, conn, response, before),
        None if is_of_fetcher => {
            let until = now + ms(broker.setup().config.replica_fetch_backoff_ms);
            replicas.fetching.note_lost(node, conn, broker, until);
        }
        // Whoever asked the controller for another ISR asks again: nothing is known by that.
        None => {
            replicas.begin(Step::Told);
            for replica in broker.partitions().filter(|replica| broker.awaits_isr_change(&replica.id)) {
                replicas.shadow().take(broker, replica);
            }
        }
        Some(ResponseKind::AlterPartition(response)) => {
            replicas.begin(Step::Told);
            let of_this = (node, Uuid::nil(), i32::MIN)..=(node, Uuid::max(), i32::MAX);
            for ((_, topic_id, index), change) in changes.range(of_this) {
                let Some(replica) = broker.replica(*topic_id, *index) else { continue };
                let due = replicas.shadow();
                due.take(broker, replica);
                leader::on_isr_answer(due, change, response, Around::of(broker, replica, wall));
            }
        }
        Some(ResponseKind::Fetch(response)) if has_records(response) => all(referee, Step::Metadata, before),
        Some(ResponseKind::FetchSnapshot(_) | ResponseKind::BrokerRegistration(_)) => {
            all(referee, Step::Metadata, before);
        }
        _ => {}
    }
}

fn has_records(response: &FetchResponse) -> bool {
    let mut answers = response.responses.iter().flat_map(|topic| &topic.partitions);
    answers.any(|answer| {
        let snapshot = &answer.snapshot_id;
        answer.records.as_ref().is_some_and(|records| !records.is_empty()) || snapshot.end_offset >= 0
    })
}

/// Shadows of all replicas of a broker, as they are.
fn all(referee: &mut Referee, step: Step, before: &Before<'_>) {
    referee.replicas.begin(step);
    for replica in before.broker.partitions() {
        referee.replicas.shadow().take(before.broker, replica);
    }
}

/// A follower fetches.
fn serve(referee: &mut Referee, req: ReqId, conn: u64, before: &Before<'_>) {
    let Referee { replicas, fetches, .. } = referee;
    let Some(fetch) = fetches.get(&conn).filter(|fetch| fetch.replica >= 0) else { return };
    let broker = before.broker;
    replicas.begin(Step::Serve(req));
    let is_of_the_past = is_of_the_past(broker, fetch);
    for ((topic_id, index), asked) in &fetch.partitions {
        let Some(replica) = broker.replica(*topic_id, *index) else { continue };
        let due = replicas.shadow();
        due.take(broker, replica);
        if !is_of_the_past && outcome(replica, fetch, asked) == Outcome::Records {
            leader::on_fetch(due, fetch, asked, Around::of(broker, replica, before.wall));
        }
    }
}

/// A follower is answered.
fn fetched(replicas: &mut Replicas, conn: u64, response: &FetchResponse, before: &Before<'_>) {
    let Before { node, slot, broker, now, .. } = *before;
    replicas.begin(Step::Told);
    let Replicas { fetching, .. } = replicas;
    let Some(sent) = fetching.sent(conn) else { return };
    let answers = || response.responses.iter().flat_map(|topic| topic.partitions.iter().map(|it| (topic.topic_id, it)));
    let told = answers().count();
    let is_of_session = response.error_code == 0
        && answers().all(|(topic_id, it)| sent.partitions.contains_key(&(topic_id, it.partition_index)))
        && (!sent.is_full || told == sent.partitions.len());
    let until = now + ms(broker.setup().config.replica_fetch_backoff_ms);
    let mut nexts = Vec::new();
    let asked: Vec<_> = sent.partitions.iter().map(|(id, asked)| (*id, *asked)).collect();
    for (id, asked) in asked {
        let Some(replica) = broker.replica(id.0, id.1) else { continue };
        let is_wanted = !replica.is_leader()
            && replica.leader_epoch == asked.current_leader_epoch
            && replica.log_end_offset() == asked.fetch_offset
            && replicas.fetching.next(node, id, replica.leader_epoch) == Next::Fetch;
        let due = replicas.shadow();
        due.take(broker, replica);
        let data = answers().find(|(topic_id, it)| (*topic_id, it.partition_index) == id).map(|(_, data)| data);
        let Some(data) = data.filter(|_| is_of_session && is_wanted) else { continue };
        let next = match data.error_code {
            0 => follower::on_data(due, replica, data, &slot.disk),
            error => fetching::after_error(error),
        };
        nexts.push((id, replica.leader_epoch, if next == Next::Pause { Next::PauseUntil(until) } else { next }));
    }
    nexts.into_iter().for_each(|(id, epoch, next)| replicas.fetching.set_next(node, id, epoch, next));
}

/// A follower is told one end of its leader's log.
fn told_offset(replicas: &mut Replicas, conn: u64, response: &ListOffsetsResponse, before: &Before<'_>) {
    let Before { node, slot, broker, now, .. } = *before;
    replicas.begin(Step::Told);
    let Some(asked) = replicas.fetching.sent(conn).and_then(|sent| sent.offset) else { return };
    let id = asked.partition;
    let Some(replica) = broker.replica(id.0, id.1) else { return };
    let is_wanted = !replica.is_leader()
        && replica.leader_epoch == asked.leader_epoch
        && replica.log_end_offset() == asked.log_end
        && replicas.fetching.next(node, id, asked.leader_epoch) == Next::Offset(asked.timestamp);
    let due = replicas.shadow();
    due.take(broker, replica);
    let answer = response.topics.iter().flat_map(|topic| &topic.partitions).next();
    let Some(answer) = answer.filter(|_| is_wanted) else { return };
    let next = match (answer.error_code, asked.timestamp) {
        (0, LATEST) if answer.offset < asked.log_end => {
            follower::cut(due, replica, answer.offset, &slot.disk);
            Next::Fetch
        }
        (0, LATEST) => Next::Offset(EARLIEST),
        (0, _) => {
            if answer.offset > asked.log_end {
                follower::begin_anew(due, answer.offset);
            }
            Next::Fetch
        }
        (error, _) => fetching::after_error(error),
    };
    let until = now + ms(broker.setup().config.replica_fetch_backoff_ms);
    let next = if next == Next::Pause { Next::PauseUntil(until) } else { next };
    replicas.fetching.set_next(node, id, asked.leader_epoch, next);
}

/// A node has handled what was foreseen.
pub(super) fn judge(
    replicas: &mut Replicas,
    network: &Network,
    now: Nanos,
    events: &[TraceEvent],
    effects: &[(Effect, EventId)],
    speaker: &mut Speaker<'_>,
) {
    let Some(broker) = speaker.slot.broker() else { return };
    let wall = WALL_AT_START_MS + (now / 1_000_000) as i64 + speaker.slot.wall_offset_ms;
    let step = std::mem::take(&mut replicas.step);
    if broker.lifecycle_state() == LifecycleState::ShuttingDown {
        let high_watermarks = || broker.partitions().map(|replica| (replica.id.clone(), replica.high_watermark()));
        replicas.stops.entry(speaker.node).or_insert_with(|| high_watermarks().collect());
    }
    if let Step::Metadata = step {
        judge_metadata(replicas, broker, wall, speaker);
    }
    if let Step::Serve(req) = step {
        if was_refused(req, effects) {
            replicas.used = 0;
        }
        offsets_are_from_before(replicas, req, broker, effects, speaker);
    }
    for due in &replicas.shadows[..std::mem::take(&mut replicas.used)] {
        if let Some(replica) = broker.replica(due.topic_id, due.index) {
            due.compare(broker, replica, speaker);
            let has_new_epoch = due.latest.is_some_and(|(epoch, _)| epoch > due.before.1);
            // Where the log's start moves the cache is written again, and nobody waits for that
            // (`LeaderEpochFileCache.truncateFromStartAsyncFlush`).
            let start_moves = |TraceEvent { event, .. }: &TraceEvent| match event {
                Event::LogStartMoved { partition, .. } => *partition == replica.id,
                _ => false,
            };
            let is_settled = !due.log_in_doubt && !events.iter().any(start_moves);
            if !due.leads && has_new_epoch && is_settled {
                epochs_are_flushed(broker, &replica.id, effects, speaker);
            }
        }
    }
    match step {
        Step::Start => checkpoint::judge_start(broker, speaker),
        Step::Checkpoint => checkpoint::judge(broker, &[], speaker),
        _ => {}
    }
    if matches!(step, Step::Start | Step::IsrLook) {
        let latest = now + ms(broker.lag_time_max_ms() / 2).max(1);
        if let Some(late) = broker.looks_for_late_members_at().filter(|at| *at > latest) {
            let (said, truth) = (format!("a look in {} ms", (late - now) / 1_000_000), (latest - now) / 1_000_000);
            speaker.wrong(Word::StepOfIsrLook, None, said, format!("a look in {truth} ms"));
        }
    }
    let is_foreseen = !matches!(step, Step::Other | Step::Start | Step::Checkpoint);
    for TraceEvent { event, .. } in events {
        produce::judge_event(event, broker, speaker);
        match event {
            Event::Appended { partition, as_leader: true, .. } => appended(broker, partition, events, wall, speaker),
            Event::HighWatermark { partition, from, to } if !is_foreseen && broker_leads(broker, partition) => {
                let is_tried = |TraceEvent { event, .. }: &TraceEvent| match event {
                    Event::Appended { partition: id, as_leader: true, .. }
                    | Event::DuplicateFound { partition: id, .. } => id == partition,
                    _ => false,
                };
                if !events.iter().any(is_tried) {
                    speaker.wrong(Word::StepOfHighWatermark, Some(partition), to.to_string(), from.to_string());
                }
            }
            Event::BecameLeader { partition, .. } => epochs_are_flushed(broker, partition, effects, speaker),
            Event::Truncated { partition, reason: TruncationReason::DivergingEpoch, .. } => {
                epochs_are_flushed(broker, partition, effects, speaker);
            }
            Event::ShutDownCleanly => {
                let from = replicas.stops.get(&speaker.node).map_or(&[][..], Vec::as_slice);
                checkpoint::judge(broker, from, speaker);
            }
            _ => {}
        }
    }
    for (effect, _) in effects {
        produce::judge_effect(effect, events, network, speaker);
        if let Effect::Close { conn } = effect {
            replicas.close(conn.0);
            replicas.given_up.insert(conn.0);
        }
        let Effect::Call { conn, request, .. } = effect else { continue };
        let purpose = network.conns.get(&conn.0).map(|known| known.purpose);
        match &**request {
            RequestKind::Fetch(request) if purpose == Some(Purpose::Fetcher) => {
                replicas.fetching.judge_fetch(conn.0, request, now, speaker);
            }
            RequestKind::ListOffsets(request) if purpose == Some(Purpose::Fetcher) => {
                replicas.fetching.judge_offset(conn.0, request, speaker);
            }
            _ => {}
        }
    }
}

/// A follower that is answered at once hears of the high watermark as it was before its fetch counted. Source:
/// `Partition.fetchRecords`, `readRecords`.
fn offsets_are_from_before(
    replicas: &Replicas,
    req: ReqId,
    broker: &Broker,
    effects: &[(Effect, EventId)],
    speaker: &mut Speaker<'_>,
) {
    let answer = effects.iter().find_map(|(effect, _)| match effect {
        Effect::Answer { req: of, response } if *of == req => match &**response {
            ResponseKind::Fetch(response) => Some(response),
            _ => None,
        },
        _ => None,
    });
    for topic in answer.into_iter().flat_map(|answer| &answer.responses) {
        for told in topic.partitions.iter().filter(|told| told.error_code == 0) {
            let id = (topic.topic_id, told.partition_index);
            let known = replicas.shadows[..replicas.used].iter().find(|due| (due.topic_id, due.index) == id);
            let (Some(known), Some(replica)) = (known, broker.replica(id.0, id.1)) else { continue };
            speaker.says(Word::FetchedHighWatermark, Some(&replica.id), told.high_watermark, known.before.0);
        }
    }
}

/// The fetch was refused as a whole, or a disk could not be read.
fn was_refused(req: ReqId, effects: &[(Effect, EventId)]) -> bool {
    const UNREADABLE: [i16; 2] = [-1, 56];
    effects.iter().any(|(effect, _)| match effect {
        Effect::HangUp { .. } => true,
        Effect::Answer { req: of, response } if *of == req => match &**response {
            ResponseKind::Fetch(response) => {
                let mut answers = response.responses.iter().flat_map(|topic| &topic.partitions);
                response.error_code != 0 || answers.any(|answer| UNREADABLE.contains(&answer.error_code))
            }
            _ => true,
        },
        _ => false,
    })
}

fn broker_leads(broker: &Broker, partition: &TopicPartition) -> bool {
    broker.partition(partition).is_some_and(|replica| replica.is_leader())
}

/// The metadata may have brought other registrations of replicas.
fn judge_metadata(replicas: &mut Replicas, broker: &Broker, wall: Millis, speaker: &mut Speaker<'_>) {
    let stops =
        matches!(broker.lifecycle_state(), LifecycleState::PendingControlledShutdown | LifecycleState::ShuttingDown);
    for replica in broker.partitions() {
        let id = (replica.topic_id, replica.id.partition);
        let known = replicas.shadows[..replicas.used].iter().position(|due| (due.topic_id, due.index) == id);
        let Some(registered) = broker.image().partition(id.0, id.1) else { continue };
        let due = match known {
            Some(at) => &mut replicas.shadows[at],
            None => {
                // It was created just now: what it holds is what it was created with.
                let due = replicas.shadow();
                due.take(broker, replica);
                let log_end = due.log_end;
                *due = Shadow {
                    topic_id: id.0,
                    index: id.1,
                    leader: -1,
                    leader_epoch: -1,
                    partition_epoch: -1,
                    log_start: due.log_start,
                    log_end,
                    awaits: due.awaits,
                    ..Shadow::default()
                };
                due
            }
        };
        due.min_isr = min_isr(replica);
        let is_first = due.partition_epoch == -1 && replica.partition_epoch != -1;
        let is_news = due.partition_epoch != -1 && due.registered != Some(registered.partition_epoch);
        if broker.lifecycle_state() == LifecycleState::ShuttingDown || !(is_first || is_news) {
            continue;
        }
        let epoch_before = due.leader_epoch;
        metadata::on_registration(due, registered, Around::of(broker, replica, wall));
        if due.leads {
            continue;
        }
        let is_out = registered.leader == -1 || !registered.isr.contains(&broker.node_id());
        let (epoch, is_applied) = (due.leader_epoch, due.partition_epoch == registered.partition_epoch);
        if is_applied && is_out && stops {
            replicas.fetching.set_next(speaker.node, id, epoch, Next::Nothing);
        } else if epoch != epoch_before {
            replicas.fetching.set_next(speaker.node, id, epoch, Next::Fetch);
        }
    }
}

/// A leader has appended: the high watermark is tried.
fn appended(broker: &Broker, id: &TopicPartition, events: &[TraceEvent], wall: Millis, speaker: &mut Speaker<'_>) {
    let Some(replica) = broker.partition(id).filter(|replica| replica.is_leader()) else { return };
    let mut due = Shadow::default();
    due.take(broker, replica);
    let moves = events.iter().filter_map(|TraceEvent { event, .. }| match event {
        Event::HighWatermark { partition, from, .. } if partition == id => Some(*from),
        _ => None,
    });
    due.high_watermark = moves.min().unwrap_or(due.high_watermark);
    leader::try_high_watermark(&mut due, Around::of(broker, replica, wall));
    speaker.says(Word::StepOfHighWatermark, Some(id), replica.high_watermark(), due.high_watermark);
}

/// A new epoch is on its way to the disk as soon as it is noted (KAFKA-16541, `LeaderEpochFileCache.assign`).
fn epochs_are_flushed(broker: &Broker, id: &TopicPartition, effects: &[(Effect, EventId)], speaker: &mut Speaker<'_>) {
    let Some(replica) = broker.partition(id) else { return };
    let Some(target) = replica.log.unsynced_epoch_checkpoint().into_iter().next() else { return };
    let is_flushed = |(effect, _): &(Effect, EventId)| match effect {
        Effect::Sync { targets, .. } => targets.contains(&target),
        _ => false,
    };
    if !effects.iter().any(is_flushed) {
        speaker.wrong(Word::StepOfEpochFlush, Some(id), "none".to_string(), "all that the cache holds".to_string());
    }
}
