//! What waits for a node, lane by lane.

use std::collections::VecDeque;

use trial_kafka::node::{EventId, Input, Lane};

/// FIFO queues, one a lane, taken in turn.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    waiting: [VecDeque<(Input, EventId)>; Lane::COUNT],
    /// The lane whose turn is next.
    turn: usize,
}

impl Lanes {
    /// Puts an input behind everything that waits in its lane; `cause` is the event it follows from.
    pub(crate) fn push(&mut self, lane: Lane, input: Input, cause: EventId) {
        self.waiting[lane.index()].push_back((input, cause));
    }
    /// The next input, of the first lane in turn that has one.
    pub(crate) fn pop(&mut self) -> Option<(Input, EventId)> {
        let lanes = self.waiting.len();
        let lane = (0..lanes).map(|n| (self.turn + n) % lanes).find(|lane| !self.waiting[*lane].is_empty())?;
        self.turn = (lane + 1) % lanes;
        self.waiting[lane].pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifo_inside_a_lane_and_a_full_lane_does_not_stop_the_others() {
        let mut lanes = Lanes::default();
        let input = || Input::Deadline;
        for n in 1..=3 {
            lanes.push(Lane::Request, input(), EventId(n));
        }
        lanes.push(Lane::Heartbeat, input(), EventId(10));
        lanes.push(Lane::Raft, input(), EventId(20));
        let order: Vec<u64> = std::iter::from_fn(|| lanes.pop()).map(|(_, cause)| cause.0).collect();
        assert_eq!(order, [1, 10, 20, 2, 3]);
    }
}
