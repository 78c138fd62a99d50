//! The shapes that scripts rely on. A field is added only together with the contract that lists them.

use std::collections::BTreeMap;

use serde::Serialize;
use trial_checker::{Class, Delivery, Finding, Outcome, Step};
use trial_sim::trial::Report;
use trial_sim::world::Pauses;

/// One trial.
#[derive(Serialize)]
pub struct TrialJson<'a> {
    scenario: &'a str,
    seed: u64,
    digest: &'a str,
    virtual_ms: u64,
    events: u64,
    verdict: Outcome,
    findings: Vec<FindingJson<'a>>,
    /// With the metrics, in nanoseconds.
    counters: BTreeMap<String, u64>,
    /// What each consumer group made of the acknowledged records; absent where there are no groups.
    #[serde(skip_serializing_if = "<[Delivery]>::is_empty")]
    delivery: &'a [Delivery],
    /// How long rebalances kept members of groups from their work; absent where they kept nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pauses: Vec<PausesJson<'a>>,
    reproduce: String,
}

impl<'a> TrialJson<'a> {
    /// A trial and the line that reproduces it.
    pub fn of(report: &'a Report, reproduce: String) -> Self {
        TrialJson {
            scenario: &report.scenario,
            seed: report.seed,
            digest: &report.digest,
            virtual_ms: report.virtual_ns / 1_000_000,
            events: report.events,
            verdict: outcome(report),
            findings: report.verdict.findings.iter().map(FindingJson::of).collect(),
            counters: report.verdict.counters.clone().into_iter().chain(report.verdict.metrics.named()).collect(),
            delivery: &report.verdict.delivery,
            pauses: report.pauses.iter().map(PausesJson::of).collect(),
            reproduce,
        }
    }
}

/// How long one member had nothing to do, from partitions taken away to partitions or records given.
#[derive(Serialize)]
struct PausesJson<'a> {
    member: &'a str,
    count: u32,
    together_ms: u64,
    longest_ms: u64,
}

impl<'a> PausesJson<'a> {
    fn of((member, pauses): &'a (String, Pauses)) -> Self {
        let (together_ms, longest_ms) = (pauses.together / 1_000_000, pauses.longest / 1_000_000);
        PausesJson { member, count: pauses.count, together_ms, longest_ms }
    }
}

/// How a trial ended: what `[expect]` asks for counts.
pub fn outcome(report: &Report) -> Outcome {
    if report.failed() { Outcome::Fail } else { report.verdict.outcome }
}

/// One finding.
#[derive(Serialize)]
pub struct FindingJson<'a> {
    class: Class,
    code: &'a str,
    rule: Option<&'a str>,
    topic: Option<&'a str>,
    partition: Option<i32>,
    offset: Option<i64>,
    virtual_ms: u64,
    chain: &'a [Step],
}

impl<'a> FindingJson<'a> {
    /// A finding as it was made.
    pub fn of(finding: &'a Finding) -> Self {
        FindingJson {
            class: finding.class,
            code: finding.code,
            rule: finding.rule,
            topic: finding.topic.as_deref(),
            partition: finding.partition,
            offset: finding.offset,
            virtual_ms: finding.virtual_ms,
            chain: &finding.chain,
        }
    }
}
