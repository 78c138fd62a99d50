//! What a campaign came to, for people and for scripts: the same of one command, and of shards that were merged.

use std::collections::BTreeMap;

use serde::Serialize;
use trial_checker::Class;
use trial_sim::campaign::Campaign;

use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::subject::Subject;
use crate::verdict;

/// A campaign of so many trials reaches every rare state, or its mix of faults is no good.
const ENOUGH: u64 = 1_000;

/// A campaign and its sum.
pub struct CampaignReport<'a> {
    /// What was run.
    pub subject: &'a Subject,
    /// The first and the last seed that were asked for.
    pub seeds: (u64, u64),
    /// Which part of them, if not all.
    pub part: String,
    /// What it came to.
    pub sum: &'a Campaign,
    /// The time it took, of all its parts together.
    pub seconds: f64,
}

impl CampaignReport<'_> {
    /// For people, or as one object for scripts.
    pub fn tell(&self, json: bool, out: &mut Out) -> Result<(), Failure> {
        if !json {
            return self.print(out);
        }
        out.json(&SearchJson::of(self.sum, self.seconds))?;
        if let Some(missed) = self.told_of_missed() {
            eprintln!("{missed}");
        }
        for (what, tally) in &self.sum.unmet {
            eprintln!("[expect] not met in {} of {} trials: {what}", tally.trials, self.sum.trials);
        }
        Ok(())
    }

    /// Rare states that a campaign of that size must reach and has not: it shows little, whatever it has found. Only where
    /// everything is drawn: who overrides a key may have made a state impossible.
    pub fn missed(&self) -> Vec<&str> {
        let draws_everything = matches!(self.subject, Subject::Swarm { set, .. } if set.is_empty());
        if !draws_everything || self.sum.trials < ENOUGH {
            return Vec::new();
        }
        self.sum.reached.iter().filter(|(_, trials)| **trials == 0).map(|(state, _)| state.as_str()).collect()
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        let Campaign { trials, failed, vacuous, .. } = *self.sum;
        Ending {
            failed: failed > 0 || !self.missed().is_empty(),
            vacuous: trials > 0 && vacuous == trials,
            ..Ending::GOOD
        }
    }

    fn told_of_missed(&self) -> Option<String> {
        let missed = self.missed();
        let states = || {
            format!(
                "FAIL: {} seeds must reach every rare state, and none reached {}",
                self.sum.trials,
                missed.join(", ")
            )
        };
        (!missed.is_empty()).then(states)
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let CampaignReport { subject, sum, seconds, part, .. } = self;
        let Campaign { trials, passed, failed, vacuous, .. } = sum;
        let name = subject.name();
        let (first, last) = self.seeds;
        out.line(format_args!(
            "{name}, seeds {first}..{last}{part}: {trials} trials, {passed} passed, {failed} failed, {vacuous} vacuous"
        ))?;
        let rate = Rates::of(sum, *seconds);
        out.line(format_args!(
            "{seconds:.1} s: {:.1} trials/s, {:.0} events/s, {:.0} virtual s/s",
            rate.trials, rate.events, rate.virtual_s
        ))?;
        out.line("")?;
        if sum.findings.is_empty() && sum.unmet.is_empty() {
            out.line("Nothing was found.")?;
        }
        for (identity, tally) in &sum.findings {
            out.line(format_args!(
                "{}: {} in {} of {trials} trials",
                verdict::heading(*identity),
                tally.count,
                tally.trials
            ))?;
            out.line(format_args!("  {}", subject.reproduce(tally.first_seed)))?;
        }
        for (what, tally) in &sum.unmet {
            out.line(format_args!("[expect] not met in {} of {trials} trials: {what}", tally.trials))?;
            out.line(format_args!("  {}", subject.reproduce(tally.first_seed)))?;
        }
        out.line("")?;
        verdict::print_counters(&sum.coverage, out)?;
        verdict::print_reached(&sum.reached, *trials, out)?;
        // Every trial has a first controller.
        let (controllers, leaders) = (sum.median_controller_elections(), sum.median_leader_elections());
        let rebalances = sum.median_rebalances().map_or(String::new(), |median| format!(", rebalances {median}"));
        if let Some(missed) = self.told_of_missed() {
            out.line(missed)?;
        }
        match controllers > 1 || leaders > 0 || !rebalances.is_empty() {
            true => out.line(format_args!(
                "median    controller_elections {controllers}, leader_elections {leaders}{rebalances}"
            )),
            false => Ok(()),
        }
    }
}

struct Rates {
    trials: f64,
    events: f64,
    virtual_s: f64,
}

impl Rates {
    fn of(sum: &Campaign, seconds: f64) -> Self {
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        Rates {
            trials: per_second(sum.trials as f64),
            events: per_second(sum.events as f64),
            virtual_s: per_second(sum.virtual_ms as f64 / 1_000.0),
        }
    }
}

#[derive(Serialize)]
struct SearchJson<'a> {
    seeds: u64,
    passed: u64,
    failed: u64,
    vacuous: u64,
    wall_s: f64,
    trials_per_s: f64,
    events_per_s: f64,
    virtual_s_per_s: f64,
    findings: BTreeMap<&'static str, FoundJson>,
    /// The sums of all counters, how many trials reached each rare state, and medians of the trials.
    coverage: BTreeMap<&'a str, u64>,
}

/// All findings of one code; class and first seed are those of the worst class.
#[derive(Serialize)]
struct FoundJson {
    count: u64,
    first_seed: u64,
    class: Class,
}

impl<'a> SearchJson<'a> {
    fn of(sum: &'a Campaign, seconds: f64) -> Self {
        let mut findings: BTreeMap<&'static str, FoundJson> = BTreeMap::new();
        // The worst class of a code comes first.
        for (identity, tally) in &sum.findings {
            let fresh = FoundJson { count: 0, first_seed: tally.first_seed, class: identity.class };
            let found = findings.entry(identity.code).or_insert(fresh);
            found.count += tally.count;
            if found.class == identity.class {
                found.first_seed = found.first_seed.min(tally.first_seed);
            }
        }
        let medians = [
            ("median_controller_elections", sum.median_controller_elections()),
            ("median_leader_elections", sum.median_leader_elections()),
        ];
        let rebalances = sum.median_rebalances().map(|median| ("median_rebalances", median));
        // Counters have underscores, rare states hyphens.
        let counted = sum.coverage.iter().chain(&sum.reached).map(|(name, count)| (name.as_str(), *count));
        let coverage = counted.chain(medians).chain(rebalances).collect();
        let rate = Rates::of(sum, seconds);
        SearchJson {
            seeds: sum.trials,
            passed: sum.passed,
            failed: sum.failed,
            vacuous: sum.vacuous,
            wall_s: seconds,
            trials_per_s: rate.trials,
            events_per_s: rate.events,
            virtual_s_per_s: rate.virtual_s,
            findings,
            coverage,
        }
    }
}
