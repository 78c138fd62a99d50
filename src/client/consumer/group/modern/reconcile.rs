//! From what a member has to what it is to have: what goes is committed and given up, then what comes is taken.
//!
//! ```text
//!   Committing ──▶ Revoking ──▶ Assigning ──▶ acknowledged by a heartbeat at once
//!   (positions)    (listener)   (listener)
//! ```
//!
//! A member that was fenced meanwhile does not go on with it. Source: `AbstractMembershipManager.maybeReconcile`,
//! `revokeAndAssign`.

use std::collections::BTreeSet;

use super::super::commit::{BeforeRevocation, Refusal};
use super::{Cx, Group, LocalAssignment, MemberState, Modern, Partitions};
use crate::conformance::GroupClientRule;
use crate::ids::TopicPartition;
use crate::node::{Nanos, Rebalanced, ms};
use crate::zoo::Switch;

/// What is to be reached, by its parts that have names.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    resolved: LocalAssignment,
    assigned: BTreeSet<TopicPartition>,
    revoked: Vec<TopicPartition>,
}

/// How far a reconciliation is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Committing { goal: Goal, give_up_at: Nanos, retry_at: Nanos },
    Revoking(Goal),
    Assigning(Goal),
}

impl Modern {
    /// What a poll does for the membership. True if nothing is being reconciled.
    pub(in super::super) fn advance(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) -> bool {
        if self.state == MemberState::Reconciling && self.step.is_none() && group.callbacks.is_empty() {
            self.begin(group, cx);
        }
        if let Some(Step::Committing { .. }) = self.step {
            self.go_on_committing(group, cx);
        }
        self.step.is_none()
    }

    /// The part of the target whose topics have names (`findResolvableAssignmentAndTriggerMetadataUpdate`).
    fn resolve(&self, cx: &mut Cx<'_, '_>) -> (LocalAssignment, BTreeSet<TopicPartition>) {
        let mut resolved = Partitions::new();
        let mut assigned = BTreeSet::new();
        let mut unnamed = BTreeSet::new();
        for (id, partitions) in &self.target.partitions {
            match cx.consumer.cluster.view().topic_of(*id) {
                Some(name) => {
                    assigned.extend(partitions.iter().map(|partition| TopicPartition::new(name, *partition)));
                    resolved.insert(*id, partitions.clone());
                }
                None => {
                    unnamed.insert(*id);
                }
            }
        }
        cx.consumer.cluster.want_ids(unnamed);
        (LocalAssignment { number: self.target.number, partitions: resolved }, assigned)
    }

    fn begin(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let (resolved, assigned) = self.resolve(cx);
        if self.current == resolved {
            // The rest waits for metadata.
            return;
        }
        if self.current.number != 0 && self.current.partitions == resolved.partitions {
            self.current = resolved;
            self.state = MemberState::Acknowledging;
            return self.live(true, group, cx);
        }
        let owned = cx.consumer.owned();
        let revoked: Vec<TopicPartition> = owned.difference(&assigned).cloned().collect();
        // What is committed now must be the last of what goes. Zoo switch `fetch-while-revoking`.
        if !cx.consumer.zoo.on(Switch::FetchWhileRevoking) && GroupClientRule::RevokedIsNotHandedOut.holds() {
            cx.consumer.mark_pending_revocation(&revoked);
        }
        let goal = Goal { resolved, assigned, revoked };
        if !group.commits_by_itself(cx.consumer) || !GroupClientRule::CommitsBeforeItGivesUp.holds() {
            return self.revoke(goal, group, cx);
        }
        let give_up_at = cx.now.saturating_add(ms(cx.consumer.config.max_poll_interval_ms));
        group.commit_before_revocation(give_up_at, cx);
        let committer = self.committer(group);
        group.send_commits(Ok(committer), cx);
        self.step = Some(Step::Committing { goal, give_up_at, retry_at: 0 });
    }
    /// Source: `autoCommitSyncBeforeRevocationWithRetries`.
    fn go_on_committing(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let Some(Step::Committing { goal, give_up_at, retry_at }) = self.step.take() else { return };
        let pause = ms(cx.consumer.config.retry_backoff_ms);
        let retry_at = match group.commits.before_revocation() {
            _ if give_up_at <= cx.now => return self.revoke(goal, group, cx),
            BeforeRevocation::Ended(Err(Refusal::Retriable(_))) => {
                group.commits.forget_revocation();
                cx.now.saturating_add(pause)
            }
            BeforeRevocation::Ended(_) => return self.revoke(goal, group, cx),
            BeforeRevocation::None if retry_at <= cx.now => {
                group.commit_before_revocation(give_up_at, cx);
                retry_at
            }
            BeforeRevocation::None | BeforeRevocation::UnderWay => retry_at,
        };
        self.step = Some(Step::Committing { goal, give_up_at, retry_at });
    }

    fn revoke(&mut self, goal: Goal, group: &mut Group, cx: &mut Cx<'_, '_>) {
        group.commits.forget_revocation();
        if goal.revoked.is_empty() {
            return self.assign(goal, group, cx);
        }
        group.callbacks.push(Rebalanced::Revoked { partitions: goal.revoked.clone() });
        self.step = Some(Step::Revoking(goal));
    }
    fn assign(&mut self, goal: Goal, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let owned = cx.consumer.owned();
        let added = goal.assigned.difference(&owned).cloned().collect();
        self.owned_in = self.epoch;
        group.assign(self.epoch, &goal.assigned, added, cx);
        self.step = Some(Step::Assigning(goal));
    }
    /// The listener is done with a part of the reconciliation.
    pub(super) fn on_reconciliation_told(&mut self, what: Rebalanced, group: &mut Group, cx: &mut Cx<'_, '_>) {
        match (self.step.take(), what) {
            (Some(Step::Revoking(goal)), Rebalanced::Revoked { .. }) => {
                group.revoke(self.owned_in, goal.revoked.clone(), cx);
                self.assign(goal, group, cx);
            }
            (Some(Step::Assigning(goal)), Rebalanced::Assigned { .. }) => {
                self.current = goal.resolved;
                group.commits.restart_interval(cx.consumer.config.auto_commit_interval_ms, cx.now);
                self.state = MemberState::Acknowledging;
            }
            (step, _) => self.step = step,
        }
    }
}
