//! The smallest scenario that still shows a finding.
//!
//! ```text
//!   scenario, seed ─▶ Case: nothing left to draw ─▶ passes, each takes something away ─▶ still shown? keep : put back
//!                                                     └────────── until nothing can go ──────────┘
//! ```
//!
//! What the seed draws (configs, faults, times) is written down first; the seed is left with the weather. Then every
//! [`Pass`] offers smaller cases, the smallest first, and the first one that still shows a finding of the same class, code
//! and rule takes the place of the case. Once nothing more can go, all is tried again with other seeds: less of a cluster
//! has another weather. Some things go only together: fewer records do what they did if all that is measured in records is
//! less by as much. Whatever is offered is written as TOML and read back before it is run, so that the result is a
//! scenario as people write them. The same scenario and seed shrink to the same bytes.

mod passes;
mod simpler;
mod together;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use passes::Pass;

use crate::campaign::{Campaign, Identity};
use crate::fault::{admin_times, timeline};
use crate::scenario::{ConsumerSpec, DurationRange, Expect, Scenario, parse, to_toml};
use crate::trial::{Report, run_while};
use crate::world::{Carriage, Unwatched, stays_of};
use trial_checker::Class;
use trial_kafka::zoo::Zoo;

/// So many cases are run at most.
pub const MOST_TRIES: u64 = 10_000;
/// How many other seeds are tried, round by round: what needs no other weather goes first, as it costs least.
pub const THOROUGH: &[u64] = &[0, 12, 60];

/// A scenario of which nothing is drawn but the weather, and the seed of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
}

/// How much there is in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Brokers.
    pub brokers: u32,
    /// Controllers.
    pub controllers: u32,
    /// Partitions of all topics.
    pub partitions: i64,
    /// Producers and consumers.
    pub clients: u32,
    /// Records that producers are given, at most.
    pub records: u64,
    /// Faults.
    pub faults: usize,
    /// Steps of the administrator.
    pub admin_steps: usize,
    /// Virtual time with faults, in milliseconds.
    pub run_ms: u64,
}

/// A smaller case, and what is less about it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// For instance `without faults 3 to 5`.
    pub what: String,
    /// The case.
    pub case: Case,
}

/// What is looked for: the worst that a trial showed, INFO apart. `None` if there is no such thing.
pub fn worst_finding(report: &Report) -> Option<Identity> {
    Campaign::of(report).findings.into_keys().find(|identity| identity.class != Class::Info)
}

/// What every smaller case must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A finding of this class, code and rule.
    pub finding: Identity,
    /// It comes of the switches of the zoo: without them there is none of this code, of whichever class.
    pub by_switches: bool,
    /// Of `stuck`, which has many causes: it comes of the faults, and without them nothing waits for this.
    pub by_faults: bool,
    /// Of `stuck`: what it is about.
    pub about: Option<Subjects>,
}

/// What findings are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subjects {
    /// Topics of the scenario.
    pub topics: bool,
    /// Topics that the cluster made for itself.
    pub internal_topics: bool,
    /// No partition: clients, groups, machines.
    pub others: bool,
}

impl Subjects {
    fn of(finding: Identity, report: &Report) -> Self {
        let groups = report.verdict.groups.iter();
        let same =
            groups.filter(|group| (group.class, group.code, group.rule) == (finding.class, finding.code, finding.rule));
        let topics: Vec<Option<&str>> = same.map(|group| group.topic.as_deref()).collect();
        let is_internal = |topic: &str| topic.starts_with("__");
        Subjects {
            topics: topics.iter().flatten().any(|topic| !is_internal(topic)),
            internal_topics: topics.iter().flatten().any(|topic| is_internal(topic)),
            others: topics.contains(&None),
        }
    }

    fn share_one_with(&self, other: &Subjects) -> bool {
        (self.topics && other.topics)
            || (self.internal_topics && other.internal_topics)
            || (self.others && other.others)
    }
}

impl Wanted {
    /// What is to be kept of this case, which shows the finding. `None` if it was stopped.
    pub fn of(case: &Case, finding: Identity, go_on: &dyn Fn() -> bool) -> Option<Wanted> {
        let by_switches = case.has_switches() && !has_code(&case.without_switches().run(go_on)?, finding);
        let mut wanted = Wanted { finding, by_switches, by_faults: false, about: None };
        if finding.code == STUCK {
            wanted.by_faults = case.has_faults() && !has(&case.without_faults().run(go_on)?, finding);
            wanted.about = Some(Subjects::of(finding, &case.run(go_on)?));
        }
        Some(wanted)
    }

    /// Does the case show it? `None` if it was stopped.
    pub fn is_shown_by(&self, case: &Case, go_on: &dyn Fn() -> bool) -> Option<bool> {
        let report = case.run(go_on)?;
        let is_about = |about: &Subjects| about.share_one_with(&Subjects::of(self.finding, &report));
        if !has(&report, self.finding) || !self.about.as_ref().is_none_or(is_about) {
            return Some(false);
        }
        // What needs no fault would be another cause, a cluster that was never able to work say.
        if self.by_faults && (!case.has_faults() || has(&case.without_faults().run(go_on)?, self.finding)) {
            return Some(false);
        }
        if !self.by_switches {
            return Some(true);
        }
        // A loss that is allowed becomes a BUG where a switch is on: that would be another cause.
        Some(case.has_switches() && !has_code(&case.without_switches().run(go_on)?, self.finding))
    }
}

const STUCK: &str = "stuck";

fn has(report: &Report, finding: Identity) -> bool {
    Campaign::of(report).findings.contains_key(&finding)
}

fn has_code(report: &Report, finding: Identity) -> bool {
    report.verdict.groups.iter().any(|group| group.code == finding.code)
}

impl Case {
    /// What this seed makes of a scenario, with everything written down that it draws.
    pub fn concrete(scenario: &Scenario, seed: u64) -> Case {
        let mut concrete = scenario.drawn_by(seed);
        concrete.faults = timeline(&concrete, seed).iter().map(|fault| fault.to_spec()).collect();
        for (step, when) in admin_times(&concrete, seed).iter().enumerate() {
            concrete.admin[step].when = when.to_spec();
        }
        write_down_stays(&mut concrete, seed);
        concrete.chaos = None;
        // What was expected of the whole is not asked of the part.
        concrete.expect = Expect::default();
        Case { scenario: concrete, seed }
    }

    /// The scenario as it reads back from its TOML; `None` if that is no legal scenario, or another one.
    pub fn legal(&self) -> Option<Arc<Scenario>> {
        let read = parse("shrunk.toml", &to_toml(&self.scenario), &[]).ok()?;
        (read == self.scenario).then(|| Arc::new(read))
    }

    fn has_faults(&self) -> bool {
        !self.scenario.faults.is_empty()
    }
    fn without_faults(&self) -> Case {
        Case { scenario: Scenario { faults: Vec::new(), ..self.scenario.clone() }, seed: self.seed }
    }
    fn has_switches(&self) -> bool {
        self.scenario.zoo != Zoo::default()
    }
    fn without_switches(&self) -> Case {
        Case { scenario: Scenario { zoo: Zoo::default(), ..self.scenario.clone() }, seed: self.seed }
    }
    /// `None` if it was stopped.
    fn run(&self, go_on: &dyn Fn() -> bool) -> Option<Report> {
        let scenario = Arc::new(self.scenario.clone());
        let report = run_while(&scenario, self.seed, Carriage::Typed, &mut Unwatched, go_on);
        go_on().then_some(report)
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        let Scenario { cluster, topics, producers, consumers, faults, admin, phases, .. } = &self.scenario;
        let records =
            producers.iter().map(|producer| passes::records_of(producer, phases.run) * u64::from(producer.count));
        Size {
            brokers: cluster.brokers,
            controllers: cluster.controllers,
            partitions: topics.iter().map(|topic| i64::from(topic.partitions)).sum(),
            clients: producers.iter().map(|p| p.count).chain(consumers.iter().map(|c| c.count)).sum(),
            records: records.sum(),
            faults: faults.len(),
            admin_steps: admin.len(),
            run_ms: phases.run / 1_000_000,
        }
    }
}

/// A step of the search.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// Cases run so far.
    pub tries: u64,
    /// What went last.
    pub what: &'a str,
    /// What is left.
    pub case: &'a Case,
}

/// Shrinks a case. `first_shown` runs cases in order and gives the position of the first that shows what is wanted; `None` if
/// none does, or it was stopped. `tell` hears of everything that went. `rounds` says how many other seeds are tried in each
/// round: see [`THOROUGH`]. Gives the smallest case and how many were run.
pub fn shrink(
    case: Case,
    rounds: &[u64],
    first_shown: &mut dyn FnMut(&[Case]) -> Option<usize>,
    tell: &mut dyn FnMut(Progress<'_>),
    go_on: &dyn Fn() -> bool,
) -> (Case, u64) {
    let mut search = Search { case, tries: 0, run: BTreeSet::new() };
    for &other_seeds in rounds {
        let mut something_went = true;
        while something_went && search.may_go_on(go_on) {
            something_went = false;
            for pass in Pass::ALL {
                while search.may_go_on(go_on) && search.take_away(pass, other_seeds, first_shown, tell) {
                    something_went = true;
                }
            }
        }
    }
    (search.case, search.tries)
}

struct Search {
    case: Case,
    tries: u64,
    /// Cases that were run: hashes of their texts, and their seeds. None is run again.
    run: BTreeSet<(u64, u64)>,
}

impl Search {
    fn may_go_on(&self, go_on: &dyn Fn() -> bool) -> bool {
        self.tries < MOST_TRIES && go_on()
    }

    /// Takes away what the pass can; true if something went.
    fn take_away(
        &mut self,
        pass: Pass,
        other_seeds: u64,
        first_shown: &mut dyn FnMut(&[Case]) -> Option<usize>,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> bool {
        let other_seeds = if pass.may_need_other_weather() { other_seeds } else { 0 };
        let seeds = |of: u64| std::iter::once(of).chain((1..=other_seeds).filter(move |seed| *seed != of));
        let (mut cases, mut about) = (Vec::new(), Vec::new());
        // Two changes may come to the same.
        let mut offered = BTreeSet::new();
        for Candidate { what, case } in pass.candidates(&self.case) {
            if case.legal().is_none() {
                continue;
            }
            let text = xxhash_rust::xxh3::xxh3_64(to_toml(&case.scenario).as_bytes());
            let is_new = |seed: &u64| !self.run.contains(&(text, *seed)) && offered.insert((text, *seed));
            for seed in seeds(case.seed).filter(is_new) {
                cases.push(Case { scenario: case.scenario.clone(), seed });
                about.push((what.clone(), text));
            }
        }
        let shown = if cases.is_empty() { None } else { first_shown(&cases) };
        let tried = shown.unwrap_or(cases.len());
        // The one that shows it too: passes that undo each other would take turns for ever.
        self.run.extend(cases.iter().zip(&about).take(tried + 1).map(|(case, (_, text))| (*text, case.seed)));
        self.tries += tried as u64 + u64::from(shown.is_some());
        let Some(at) = shown else { return false };
        self.case = cases.swap_remove(at);
        tell(Progress { tries: self.tries, what: &about[at].0, case: &self.case });
        true
    }
}

/// Consumers of which the seed draws when they come and go, each with its own times.
fn write_down_stays(scenario: &mut Scenario, seed: u64) {
    let is_drawn =
        |spec: &ConsumerSpec| [spec.join_at, spec.leave_at].into_iter().flatten().any(|range| range.min < range.max);
    let stays = stays_of(scenario, seed);
    let mut written = Vec::new();
    for (index, spec) in scenario.consumers.iter().enumerate() {
        if !is_drawn(spec) {
            written.push(spec.clone());
            continue;
        }
        written.extend(stays.iter().filter(|stay| stay.spec == index).map(|stay| ConsumerSpec {
            count: 1,
            join_at: stay.join_at.map(DurationRange::exactly),
            leave_at: stay.leave_at.map(DurationRange::exactly),
            config: spec.config_of(stay.nth),
            ..spec.clone()
        }));
    }
    // What is drawn of configs stands in them by now: places in the file may change.
    scenario.consumers = written;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultSpec, Target, When};
    use crate::scenario::builtin;
    use crate::trial::run;

    fn parsed(name: &str, set: &[&str]) -> Scenario {
        let (_, text) = builtin().iter().find(|(known, _)| *known == name).expect("it is built in");
        let set: Vec<String> = set.iter().map(|change| change.to_string()).collect();
        parse(name, text, &set).expect("it is a scenario")
    }

    fn trial(case: &Case) -> Report {
        case.run(&|| true).expect("nobody stops it")
    }

    fn shrunk(case: Case, finding: Identity) -> (Case, u64) {
        let wanted = Wanted::of(&case, finding, &|| true).expect("nobody stops it");
        let shows = |case: &Case| wanted.is_shown_by(case, &|| true).expect("nobody stops it");
        let mut first = |cases: &[Case]| cases.iter().position(shows);
        shrink(case, &[0, 20], &mut first, &mut |_| {}, &|| true)
    }

    #[test]
    fn what_the_seed_draws_is_written_down_and_the_run_is_the_same() {
        for (name, seed, run_time) in
            [("chaos", 3, "10s"), ("standard", 2, "10s"), ("quorum-chaos", 5, "10s"), ("groups", 4, "60s")]
        {
            let scenario = parsed(name, &[&format!("run={run_time}")]);
            let case = Case::concrete(&scenario, seed);
            let written = case.legal().unwrap_or_else(|| panic!("{name}: {}", to_toml(&case.scenario)));
            assert!(written.chaos.is_none() && written.drawn.is_empty() && !written.faults.is_empty());
            let digest = |scenario: Scenario| run(&Arc::new(scenario), seed, &mut Unwatched).digest;
            assert_eq!(digest(scenario), digest(case.scenario), "{name}");
        }
    }

    #[test]
    fn a_loss_with_acks_1_needs_one_fault_and_a_handful_of_records() {
        let scenario = parsed("leader-crash", &["producer.acks=1", "run=12s"]);
        let lossy = (1..100).find(|seed| {
            let report = run(&Arc::new(scenario.clone()), *seed, &mut Unwatched);
            worst_finding(&report).is_some_and(|identity| identity.code == "lost-write")
        });
        let case = Case::concrete(&scenario, lossy.expect("a hundred crashes of a leader lose something"));
        let wanted = worst_finding(&trial(&case)).expect("it is lost");
        let (small, tries) = shrunk(case.clone(), wanted);
        assert!(Campaign::of(&trial(&small)).findings.contains_key(&wanted));
        let size = small.size();
        assert!(size.records <= 50 && size.faults == 1 && size.clients <= 2 && size.brokers <= 3, "{size:?}");
        assert!(tries < MOST_TRIES, "{tries}");
        assert_eq!(shrunk(case, wanted), (small, tries), "the same again");
    }

    #[test]
    fn what_a_switch_does_is_not_replaced_by_what_needs_no_switch() {
        // With a switch on that does harm, any loss is a BUG; but only some are the switch's.
        let scenario = parsed("zoo-eager-shrink", &[]);
        let seed = (1..50).find(|seed| {
            let report = run(&Arc::new(scenario.clone()), *seed, &mut Unwatched);
            worst_finding(&report).is_some_and(|identity| identity.code == "lost-write")
        });
        let mut case = Case::concrete(&scenario, seed.expect("it is found within a few seeds"));
        let finding = worst_finding(&trial(&case)).expect("it is lost");
        let wanted = Wanted::of(&case, finding, &|| true).expect("nobody stops it");
        assert!(wanted.by_switches && wanted.is_shown_by(&case, &|| true) == Some(true));
        case.scenario.zoo = Zoo::default();
        assert_eq!(wanted.is_shown_by(&case, &|| true), Some(false));
    }

    /// A session shorter than the pause between two heartbeats: the broker is fenced again and again, whatever else happens.
    const NEVER_WORKS: &str = r#"
        format = 1
        run = "1s"
        [cluster]
        brokers = 1
        broker.heartbeat.interval.ms = 20000
        broker.session.timeout.ms = 300
        [[topic]]
        name = "orders"
        partitions = 1
        replication.factor = 1
        [[producer]]
        topics = ["orders"]
        rate = 2
        records = 5
        [[fault]]
        kind = "slow-link"
        target = "p1"
        at = "4s"
        peers = ["b1"]
        by = "10ms"
        lasts = "100ms"
    "#;

    #[test]
    fn what_is_stuck_by_a_fault_is_not_replaced_by_what_never_worked() {
        let scenario = parse("never-works", NEVER_WORKS, &[]).expect("it is a scenario");
        let stuck = |seed: &u64| {
            let report = run(&Arc::new(scenario.clone()), *seed, &mut Unwatched);
            worst_finding(&report).is_some_and(|identity| identity.code == STUCK)
        };
        let case = Case::concrete(&scenario, (1..50).find(stuck).expect("no producer gets on for ever"));
        let finding = worst_finding(&trial(&case)).expect("it is stuck");
        let found = Wanted::of(&case, finding, &|| true).expect("nobody stops it");
        let shows = |wanted: Wanted| wanted.is_shown_by(&case, &|| true).expect("nobody stops it");
        assert!(!found.by_faults && shows(found), "it needs no fault");
        assert!(!shows(Wanted { by_faults: true, ..found }), "another was stuck by its faults");
        let of_partitions = Subjects { topics: true, internal_topics: true, others: false };
        assert!(!shows(Wanted { about: Some(of_partitions), ..found }), "another was about partitions");
    }

    #[test]
    fn passes_that_undo_each_other_do_not_take_turns_for_ever() {
        let mut case = Case::concrete(&parsed("leader-crash", &[]), 1);
        case.scenario.faults[0].when = When::At(DurationRange::exactly(4_100_000_000));
        // By the one pass 4.1 s become 4.05 s, and rounded by the other 4.1 s again.
        let shows = |case: &Case| {
            let is_late = |fault: &FaultSpec| matches!(fault.when, When::At(at) if at.min >= 4_050_000_000);
            case.has_faults() && case.scenario.faults.iter().all(is_late)
        };
        let mut first = |cases: &[Case]| cases.iter().position(shows);
        let (_, tries) = shrink(case, &[0], &mut first, &mut |_| {}, &|| true);
        assert!(tries < MOST_TRIES, "{tries}");
    }

    #[test]
    fn a_broker_without_a_part_goes_though_those_behind_it_are_named() {
        let case = Case::concrete(&parsed("zoo-isr-blind-write", &[]), 1);
        let offered = Pass::Brokers.candidates(&case).into_iter().find(|offered| offered.what == "without broker 3");
        let scenario = offered.expect("nothing is said of b3").case.scenario;
        let on = |fault: &FaultSpec| match &fault.when {
            When::After { trigger, .. } => trigger.node.clone(),
            When::At(_) => None,
        };
        assert!(scenario.faults.iter().filter_map(on).eq(["b3"]), "b4 is the third of three");
        assert!(scenario.faults.iter().all(|fault| fault.target != Target::Broker(4)));
    }

    #[test]
    fn with_fewer_brokers_the_offsets_topic_can_still_be_created() {
        let set = ["cluster.offsets.topic.replication.factor=2"];
        let case = Case::concrete(&parsed("leader-crash", &set), 1);
        let fewest = Pass::Brokers.candidates(&case).into_iter().next().expect("brokers can go").case.scenario.cluster;
        assert_eq!((fewest.brokers, fewest.config.offsets_topic_replication_factor), (1, 1));
    }
}
