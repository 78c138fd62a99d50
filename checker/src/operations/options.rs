//! What a history does not say of the configuration it was recorded under, and what follows for the class of a finding.

use crate::verdict::Class;

/// `isolation.level` of the consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Only what is committed is read.
    #[default]
    ReadCommitted,
    /// Whatever is in the log is read.
    ReadUncommitted,
}

/// How consumers get their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// They take them.
    Assign,
    /// Their group gives them.
    Subscribe,
}

/// The configuration of a foreign history. The defaults are those of Kafka's clients, with read_committed; what decides
/// about loss and is not known stays unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `isolation.level`
    pub isolation: Isolation,
    /// `acks`: 0, 1 or -1 (all).
    pub acks: i16,
    /// `enable.idempotence`; without acks=all, or with more than five requests in flight, it is off whatever is said here.
    pub idempotence: bool,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight: u32,
    /// How consumers get their partitions. `None`: as each process last did in the history, by :assign before that.
    pub consumer: Option<Consumer>,
    /// `unclean.leader.election.enable`, if it is known.
    pub unclean_election: Option<bool>,
    /// `min.insync.replicas`, if it is known.
    pub min_insync_replicas: Option<u32>,
    /// Machines may have lost what was not on their disks, all replicas of a partition at once: no configuration keeps that.
    pub power_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            isolation: Isolation::default(),
            acks: -1,
            idempotence: true,
            max_in_flight: 5,
            consumer: None,
            unclean_election: None,
            min_insync_replicas: None,
            power_loss: false,
        }
    }
}

/// A class and the rule that gives it.
pub(crate) type Judgement = (Class, Option<&'static str>);

pub(crate) const BUG: Judgement = (Class::Bug, None);
pub(crate) const INFO: Judgement = (Class::Info, None);
pub(crate) const UNKNOWN: Judgement = (Class::Unknown, None);

const fn allowed(rule: &'static str) -> Judgement {
    (Class::Allowed, Some(rule))
}

impl Options {
    /// Reads of what is not committed, and cycles of nothing but reads.
    pub(crate) fn of_isolation(&self) -> Judgement {
        match self.isolation {
            Isolation::ReadCommitted => BUG,
            Isolation::ReadUncommitted => allowed("read-uncommitted"),
        }
    }

    /// A record was acknowledged and is not there, or another took its place. Where acks=all promised it, it is for the
    /// cluster to say whether the promise was broken or ended: that is known only as far as the options say.
    pub(crate) fn of_loss(&self) -> Judgement {
        match (self.acks, self.unclean_election, self.min_insync_replicas) {
            (1, ..) => allowed("acks-1"),
            (_, Some(true), _) => allowed("unclean-election"),
            (_, _, Some(0 | 1)) => allowed("min-isr-1"),
            (_, Some(false), Some(_)) if !self.power_loss => BUG,
            _ => UNKNOWN,
        }
    }

    /// What consumers had read changed. Nothing is read that is not committed, whatever acks its producer asked for; only what
    /// the options say may have cut it.
    pub(crate) fn of_exposed(&self) -> Judgement {
        match (Options { acks: -1, ..*self }).of_loss() {
            UNKNOWN if !self.power_loss => BUG,
            judgement => judgement,
        }
    }

    /// Two records claim one offset: what consumers had read of it changed, or what one producer at least was told.
    pub(crate) fn of_conflict(&self, exposed: bool) -> Judgement {
        if exposed { self.of_exposed() } else { self.of_loss() }
    }

    /// Idempotence needs acks=all and at most five requests in flight, and is off without them (`ProducerConfig`).
    fn is_idempotent(&self) -> bool {
        self.idempotence && self.acks < 0 && self.max_in_flight <= 5
    }

    /// Copies of a record, and acknowledgements of one copy while another is read.
    pub(crate) fn of_retry(&self) -> Judgement {
        if self.is_idempotent() { BUG } else { allowed("retry-without-idempotence") }
    }

    /// Sends in another order than they were made in.
    pub(crate) fn of_order(&self) -> Judgement {
        let ordered = self.is_idempotent() || self.max_in_flight == 1;
        if ordered { BUG } else { allowed("several-in-flight-without-idempotence") }
    }

    /// A consumer's jump between two operations: the group may have given its partitions to others meanwhile.
    pub(crate) fn of_jump(&self, subscribed: bool) -> Judgement {
        if subscribed { (Class::Info, Some("rebalance")) } else { BUG }
    }
}
