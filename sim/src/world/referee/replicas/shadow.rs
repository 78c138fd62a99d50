//! A replica as it must be behind a handler: taken from the replica before it, moved on by Kafka's rules, compared after it.

use std::fmt;

use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::partition::isr::IsrState;
use trial_kafka::broker::partition::leader::RemoteReplica;
use trial_kafka::ids::TopicPartition;
use uuid::Uuid;

use crate::world::referee::Speaker;

/// What is asked of the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pending {
    #[default]
    Nothing,
    /// This one is to join.
    Joins(i32),
    /// [`Shadow::leaving`] are to leave.
    Leave,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    pub(super) topic_id: Uuid,
    pub(super) index: i32,
    pub(super) leads: bool,
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) replicas: Vec<i32>,
    /// Where the reign began, of a leader.
    pub(super) epoch_start: i64,
    pub(super) committed: Vec<i32>,
    pub(super) pending: Pending,
    pub(super) leaving: Vec<i32>,
    /// The controller has not answered the last change that was asked for, though it may have been overtaken.
    pub(super) awaits: bool,
    pub(super) remotes: Vec<RemoteReplica>,
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    /// The latest epoch of the cache and where it begins.
    pub(super) latest: Option<(i32, i64)>,
    /// The partition epoch in the metadata, as the broker has it.
    pub(super) registered: Option<i32>,
    /// `min.insync.replicas`, at most the number of replicas.
    pub(super) min_isr: usize,
    /// The high watermark and the latest epoch before the handler.
    pub(super) before: (i64, i32),
    /// What follows for its log cannot be told.
    pub(super) log_in_doubt: bool,
}

impl Shadow {
    /// Becomes that of this replica as it is now.
    pub(super) fn take(&mut self, broker: &Broker, replica: &Partition) {
        (self.topic_id, self.index) = (replica.topic_id, replica.id.partition);
        (self.leader, self.leader_epoch, self.partition_epoch) =
            (replica.leader, replica.leader_epoch, replica.partition_epoch);
        self.replicas.clone_from(&replica.replicas);
        self.high_watermark = replica.high_watermark();
        (self.log_start, self.log_end) = (replica.log.log_start_offset(), replica.log.log_end_offset());
        self.latest = replica.log.epochs().last().map(|last| (last.epoch, last.start_offset));
        let registered = broker.image().partition(replica.topic_id, replica.id.partition);
        self.registered = registered.map(|registered| registered.partition_epoch);
        self.min_isr = min_isr(replica);
        self.before = (self.high_watermark, self.latest.map_or(-1, |(epoch, _)| epoch));
        self.log_in_doubt = false;
        self.leads = replica.is_leader();
        self.committed.clear();
        self.leaving.clear();
        self.remotes.clear();
        (self.pending, self.epoch_start) = (Pending::Nothing, 0);
        self.awaits = broker.awaits_isr_change(&replica.id);
        if let Some(state) = replica.leader_state() {
            self.epoch_start = state.epoch_start_offset;
            self.committed.extend_from_slice(state.isr.committed());
            self.remotes.extend_from_slice(&state.remotes);
            match &state.isr {
                IsrState::Committed { .. } => {}
                IsrState::PendingExpand { joining, .. } => self.pending = Pending::Joins(*joining),
                IsrState::PendingShrink { leaving, .. } => {
                    self.pending = Pending::Leave;
                    self.leaving.extend_from_slice(leaving);
                }
            }
        }
    }

    /// The members that are asked for, in the order of the request.
    pub(super) fn asked(&self) -> impl Iterator<Item = i32> {
        let joins = match self.pending {
            Pending::Joins(joining) => Some(joining),
            Pending::Nothing | Pending::Leave => None,
        };
        self.committed.iter().copied().filter(|member| !self.leaving.contains(member)).chain(joins)
    }

    /// Is the replica so?
    pub(super) fn compare(&self, broker: &Broker, replica: &Partition, speaker: &mut Speaker<'_>) {
        let mut now = Shadow::default();
        now.take(broker, replica);
        self.compare_with(&now, &replica.id, speaker);
    }

    /// Is this other one, of which more is known, so?
    pub(super) fn compare_with(&self, now: &Shadow, id: &TopicPartition, speaker: &mut Speaker<'_>) {
        let due = self;
        let of = Some(id);
        let reign = |it: &Shadow| (it.leads, it.leader, it.leader_epoch, it.partition_epoch, it.epoch_start);
        if reign(now) != reign(due) || now.replicas != due.replicas {
            speaker.wrong(Word::StepOfReign, of, Reign(now).to_string(), Reign(due).to_string());
            // What it holds as what it is not says no more.
            return;
        }
        if now.committed != due.committed
            || now.pending != due.pending
            || now.leaving != due.leaving
            || now.awaits != due.awaits
        {
            speaker.wrong(Word::StepOfIsr, of, Isr(now).to_string(), Isr(due).to_string());
        }
        if now.remotes != due.remotes {
            let broker = |it: &RemoteReplica| it.broker;
            if !now.remotes.iter().map(broker).eq(due.remotes.iter().map(broker)) {
                let ids = |it: &Shadow| format!("{:?}", it.remotes.iter().map(broker).collect::<Vec<_>>());
                speaker.wrong(Word::StepOfFollower, of, ids(now), ids(due));
            }
            for (now, due) in now.remotes.iter().zip(&due.remotes).filter(|(now, due)| now != due) {
                speaker.wrong(Word::StepOfFollower, of, in_words(now), in_words(due));
            }
        }
        if due.log_in_doubt {
            return;
        }
        speaker.says(Word::StepOfHighWatermark, of, now.high_watermark, due.high_watermark);
        speaker.says(Word::StepOfLogStart, of, now.log_start, due.log_start);
        speaker.says(Word::StepOfLogEnd, of, now.log_end, due.log_end);
        if now.latest != due.latest {
            let latest = |it: &Shadow| match it.latest {
                Some((epoch, start)) => format!("epoch {epoch} from offset {start} on"),
                None => "no epoch".to_string(),
            };
            speaker.wrong(Word::StepOfEpochs, of, latest(now), latest(due));
        }
    }
}

/// `min.insync.replicas` counts up to the number of replicas. Source: `Partition.effectiveMinIsr`.
pub(in crate::world::referee) fn min_isr(replica: &Partition) -> usize {
    usize::try_from(replica.min_insync_replicas).unwrap_or(0).min(replica.replicas.len())
}

fn in_words(remote: &RemoteReplica) -> String {
    let RemoteReplica { broker, log_end_offset, log_start_offset, .. } = remote;
    let (leader_end, fetch, caught_up) =
        (remote.last_fetch_leader_log_end_offset, remote.last_fetch_time, remote.last_caught_up_time);
    let broker_epoch = remote.broker_epoch.map_or("unknown".to_string(), |epoch| epoch.to_string());
    format!(
        "b{broker} with offsets {log_start_offset} to {log_end_offset}, fetched at {fetch} when the leader's end was \
         {leader_end}, caught up at {caught_up}, broker epoch {broker_epoch}"
    )
}

struct Reign<'a>(&'a Shadow);

impl fmt::Display for Reign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shadow { leader, leader_epoch, partition_epoch, replicas, epoch_start, .. } = self.0;
        let role = if self.0.leads { "leading" } else { "following" };
        write!(f, "{role} (leader {leader}, leader epoch {leader_epoch}, partition epoch {partition_epoch}, ")?;
        write!(f, "replicas {replicas:?}, from offset {epoch_start} on)")
    }
}

struct Isr<'a>(&'a Shadow);

impl fmt::Display for Isr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.committed)?;
        match self.0.pending {
            Pending::Nothing => write!(f, " as committed")?,
            Pending::Joins(joining) => write!(f, " with b{joining} about to join")?,
            Pending::Leave => write!(f, " with {:?} about to leave", self.0.leaving)?,
        }
        if self.0.awaits { f.write_str(" (the controller has not answered)") } else { Ok(()) }
    }
}
