//! Who owns a partition in its group, from when to when, as the members were told.

use crate::observation::EventRef;

/// How a member stopped owning a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It gave it up, as it was asked to.
    Revoked,
    /// It learnt that it had lost it.
    Lost,
    /// Its process ended.
    Stopped,
}

/// One member's time with one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    pub(super) consumer: u32,
    /// The generation in which it was assigned.
    pub(super) generation: i32,
    pub(super) since: EventRef,
    pub(super) until: Option<(EventRef, End)>,
    /// Where it began to read, once that is known.
    pub(super) start: Option<i64>,
    /// Its position was moved from outside afterwards.
    pub(super) moved: bool,
    /// How far it had come before that.
    pub(super) farthest: i64,
    /// A finding that is told once in such a time was told.
    pub(super) told_beyond: bool,
}

impl Ownership {
    pub(super) fn new(consumer: u32, generation: i32, since: EventRef) -> Self {
        Ownership {
            consumer,
            generation,
            since,
            until: None,
            start: None,
            moved: false,
            farthest: 0,
            told_beyond: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.until.is_none()
    }
}
