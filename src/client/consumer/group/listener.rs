//! The rebalance listener: whoever polls is told of a change, and the rebalance goes on with the next poll.
//!
//! In Kafka the listener is called inside `poll`, which goes on when it returns. Here the poll that tells of a change is
//! answered at once, and what is done between it and the next one is done inside the callback: the partitions are still
//! there, and a commit of them is one in the old generation. Source: `ConsumerRebalanceListenerInvoker`.

use std::collections::VecDeque;

use crate::node::Rebalanced;

#[derive(Clone, Debug)]
struct Callback {
    what: Rebalanced,
    /// The application has it, and has not polled since.
    is_told: bool,
}

/// What the listener is to be told, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callbacks(VecDeque<Callback>);

impl Callbacks {
    /// Nothing is to be told, and nothing was told just now.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Tells this after what is to be told before.
    pub(super) fn push(&mut self, what: Rebalanced) {
        self.0.push_back(Callback { what, is_told: false });
    }
    /// What was not told yet will not be: it is overtaken. That something is lost is told in any case: who processes it must
    /// not commit it in the name of the next membership.
    pub(super) fn forget_untold(&mut self) {
        self.0.retain(|callback| callback.is_told || matches!(callback.what, Rebalanced::Lost { .. }));
    }
    /// What a waiting poll is answered with.
    pub(super) fn tell(&mut self) -> Option<Rebalanced> {
        let next = self.0.front_mut().filter(|callback| !callback.is_told)?;
        next.is_told = true;
        Some(next.what.clone())
    }
    /// The application polls: it is done with what it was told.
    pub(super) fn polled(&mut self) -> Option<Rebalanced> {
        self.0.front().filter(|callback| callback.is_told)?;
        self.0.pop_front().map(|callback| callback.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Topic, TopicPartition};

    #[test]
    fn a_loss_is_told_though_the_member_is_lost_once_more_before() {
        let partitions = vec![TopicPartition::new(&Topic::new("orders"), 0)];
        let lost = Rebalanced::Lost { partitions: partitions.clone() };
        let mut callbacks = Callbacks::default();
        callbacks.push(Rebalanced::Assigned { partitions: partitions.clone(), generation: 1 });
        callbacks.push(lost.clone());
        callbacks.forget_untold();
        assert_eq!((callbacks.tell(), callbacks.tell()), (Some(lost.clone()), None), "the assignment is overtaken");
        callbacks.forget_untold();
        assert_eq!((callbacks.polled(), callbacks.is_empty()), (Some(lost), true));
    }
}
