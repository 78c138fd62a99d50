//! Which topics does a regular expression mean?
//!
//! A member's expression is looked up among the names of the topics, later and apart from its heartbeat, and what it means
//! is written: every coordinator then assigns by the same topics. It is looked up again when topics have come or gone, but
//! not more often than every ten seconds, and after ten minutes anyway. The language is RE2's, of which the crate
//! `regex-lite` has what names of topics can need (ASCII classes, no look-around, linear time); an expression means a topic
//! if it matches its whole name. Source: KAFKA-17592, KAFKA-17593, `GroupMetadataManager.maybeUpdateRegularExpressions`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use regex_lite::Regex;

use super::ConsumerGroup;
use super::metadata_hash::metadata_hash;
use crate::conformance::ConsumerGroupRule;
use crate::group::coordinator::{Context, Coordinator, Written};
use crate::group::records::{GroupEpochValue, Record, ResolvedExpression};
use crate::group::timers::{Note, Timer};
use crate::metadata::MetadataImage;

/// Expressions are not looked up again before this time is over (`REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const LEAST_INTERVAL_MS: i64 = 10_000;

/// The expression, to be matched against whole names. It must be one by itself: `a)|(b` is none.
fn compile(expression: &str) -> Result<Regex, ResponseError> {
    let whole = Regex::new(expression).and_then(|_| Regex::new(&format!("^(?:{expression})$")));
    whole.map_err(|_| ResponseError::InvalidRegularExpression)
}

/// Can it be understood? Source: `Utils.throwIfRegularExpressionIsInvalid`.
pub fn check(expression: &str) -> Result<(), ResponseError> {
    match ConsumerGroupRule::ExpressionsAreChecked.holds() {
        true => compile(expression).map(|_| ()),
        false => Ok(()),
    }
}

/// The topics whose whole name it matches.
fn resolve(expression: &str, metadata: &MetadataImage) -> BTreeSet<String> {
    let Ok(regex) = compile(expression) else { return BTreeSet::new() };
    let names = metadata.topic_ids.keys().map(|name| name.as_str());
    names.filter(|name| regex.is_match(name)).map(str::to_string).collect()
}

impl ConsumerGroup {
    fn used_expressions(&self) -> BTreeSet<&str> {
        let all = self.members.values().filter_map(|member| member.subscribed_topic_regex.as_deref());
        all.filter(|regex| !regex.is_empty()).collect()
    }
}

impl Coordinator {
    /// Sees to it that the group's expressions are looked up, if there is anything to look up: soon if one never was, and as
    /// soon as may be if topics have come or gone.
    pub(super) fn watch_expressions(&mut self, cx: Context<'_>, id: &str) {
        let Some(group) = self.consumer(id) else { return };
        let used = group.used_expressions();
        if used.is_empty() {
            return;
        }
        let last = group.expressions.values().map(|resolved| (resolved.timestamp, resolved.version)).max();
        let (refreshed, version) = last.unwrap_or((i64::MIN, i64::MIN));
        let unresolved = used.iter().any(|regex| !group.expressions.contains_key(*regex));
        let names_changed = version < cx.metadata.next_offset
            && group.expressions.iter().any(|(regex, resolved)| resolve(regex, cx.metadata) != resolved.topics);
        let age_ms = cx.now.wall.saturating_sub(refreshed);
        let is_old = age_ms >= self.config.consumer_regex_refresh_interval_ms;
        let timer = Timer::Expressions { group: id.to_string() };
        if unresolved || names_changed || is_old {
            let wait_ms = LEAST_INTERVAL_MS.saturating_sub(age_ms).clamp(0, LEAST_INTERVAL_MS);
            self.timers.set_if_absent(timer, cx.now.mono.saturating_add(crate::node::ms(wait_ms)), Note::None);
        }
    }

    /// Looks all expressions of the group up. What has changed makes a new epoch.
    /// Source: `GroupMetadataManager.refreshRegularExpressions`, `handleRegularExpressionsResult`.
    pub fn on_expressions_timer(&mut self, cx: Context<'_>, id: &str) -> Written {
        let Some(group) = self.consumer(id) else { return Written::nothing() };
        let mut changed = BTreeSet::new();
        let mut records = Vec::new();
        let mut next = group.clone();
        for expression in group.used_expressions() {
            let topics = resolve(expression, cx.metadata);
            let before = group.expressions.get(expression);
            if before.is_none_or(|before| before.topics != topics) {
                changed.insert(expression);
            }
            let resolved = ResolvedExpression { topics, version: cx.metadata.next_offset, timestamp: cx.now.wall };
            next.expressions.insert(expression.to_string(), resolved.clone());
            records.push(Record::RegularExpression {
                group: id.to_string(),
                expression: expression.to_string(),
                value: Some(resolved),
            });
        }
        if !changed.is_empty() && ConsumerGroupRule::ResolvedExpressionsRebalance.holds() {
            let names: BTreeSet<&str> = next.members.values().flat_map(|member| next.topics_of(member)).collect();
            let value = GroupEpochValue { epoch: group.epoch + 1, metadata_hash: metadata_hash(names, cx.metadata) };
            records.push(Record::GroupEpoch { group: id.to_string(), value: Some(value) });
        }
        Written::records(records, None)
    }
}
