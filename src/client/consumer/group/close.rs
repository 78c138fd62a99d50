//! The end: what was consumed is committed, the group is left, and nobody waits longer than `close` may take.
//!
//! ```text
//!   Close ─▶ committing ──all commits have ended──▶ leaving ──nothing without an answer──▶ Done
//!                └──────────────── time is over ───────┴───────────────────────────────────┘
//! ```
//!
//! Source: `ConsumerCoordinator.close`, `AsyncKafkaConsumer.close`.

use super::{Cx, Member, Membership};
use crate::conformance::GroupClientRule;
use crate::node::{Nanos, OpId, Outcome, ms};

/// `KafkaConsumer.DEFAULT_CLOSE_TIMEOUT_MS`.
const CLOSE_TIMEOUT_MS: i64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Committing,
    Leaving,
}

/// A consumer on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    op: OpId,
    give_up_at: Nanos,
    stage: Stage,
}

impl Closing {
    pub(super) fn give_up_at(&self) -> Nanos {
        self.give_up_at
    }
}

impl Membership {
    /// `KafkaConsumer.close`.
    pub(crate) fn close(&mut self, op: OpId, cx: &mut Cx<'_, '_>) {
        let timeout_ms = cx.consumer.config.default_api_timeout_ms.min(CLOSE_TIMEOUT_MS);
        let give_up_at = cx.now.saturating_add(ms(timeout_ms));
        if self.group.commits_by_itself(cx.consumer) && GroupClientRule::CloseCommits.holds() {
            self.group.commit_to_close(give_up_at, cx);
        }
        self.closing = Some(Closing { op, give_up_at, stage: Stage::Committing });
    }

    pub(super) fn close_step(&mut self, cx: &mut Cx<'_, '_>) {
        let Some(Closing { op, give_up_at, stage }) = self.closing.clone() else { return };
        let time_is_over = give_up_at <= cx.now;
        if stage == Stage::Committing && (self.group.commits.is_empty() || time_is_over) {
            if self.group.subscription.is_some() {
                self.leave("the consumer is being closed", cx);
            }
            self.closing = Some(Closing { op, give_up_at, stage: Stage::Leaving });
            self.live(false, cx);
            self.group.coordinator.flush(cx);
        }
        let is_leaving = self.closing.as_ref().is_some_and(|closing| closing.stage == Stage::Leaving);
        let all_answered = self.group.coordinator.has_sent_all() && cx.consumer.cluster.calls_of_coordinator() == 0;
        let has_left = match &self.member {
            Member::Classic(_) => true,
            Member::Modern(member) => !member.is_leaving(),
        };
        if time_is_over || (is_leaving && all_answered && has_left) {
            self.finish(op, cx);
        }
    }
    fn finish(&mut self, op: OpId, cx: &mut Cx<'_, '_>) {
        let commits = self.group.commits.take_operations();
        for open in commits.into_iter().chain(self.group.offsets.take_operations()) {
            cx.fx.deliver(open, crate::client::refused_when_closed());
        }
        self.closing = None;
        cx.consumer.end(cx.fx);
        cx.fx.deliver(op, Outcome::Done);
    }
}
