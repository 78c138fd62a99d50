//! Scenario files from outside: what reads, what is refused and in which words, what stays when something is removed.

use proptest::prelude::*;
use trial_sim::fault::{
    Direction, FIRST_DRAWN_ID, Fault, FaultKind, KIND_NAMES, ONLY_IF_ASKED_FOR, Peer, Target, When, timeline,
};
use trial_sim::scenario::{CommitStyle, Scenario, builtin, parse, schema, to_toml};

const SMALL: &str = "\
format = 1

[cluster]
brokers = 3

[[topic]]
name = \"orders\"
replication.factor = 3

[[producer]]
acks = \"all\"
";

fn read(text: &str) -> Scenario {
    parse("small.toml", text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn set(text: &str, overrides: &[&str]) -> Result<Scenario, String> {
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    parse("small.toml", text, &overrides).map_err(|error| error.to_string())
}

fn errors(text: &str) -> String {
    set(text, &[]).expect_err("this scenario is wrong")
}

fn builtin_text(name: &str) -> &'static str {
    builtin().iter().find(|(n, _)| *n == name).expect("a built-in scenario").1
}

#[test]
fn every_builtin_scenario_reads_and_says_what_it_is_about() {
    for (name, text) in builtin() {
        let scenario = parse(&format!("{name}.toml"), text, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.name, *name);
        assert!(!scenario.about.is_empty(), "{name}");
        assert!(text.starts_with("# "), "{name} begins with its idea");
        assert_eq!(name.starts_with("zoo-"), !scenario.zoo.is_empty(), "{name}");
    }
}

#[test]
fn every_builtin_scenario_takes_any_acks_unless_it_asks_for_idempotence() {
    for (name, text) in builtin() {
        for acks in ["0", "1", "all"] {
            match set(text, &[&format!("producer.acks={acks}")]) {
                Ok(scenario) => {
                    assert!(scenario.producers.iter().all(|p| p.config.acks.to_string() == acks), "{name}");
                }
                Err(error) => {
                    let asks = text.contains("enable.idempotence = true") && acks != "all";
                    assert!(asks && error.to_string().contains("enable.idempotence = false"), "{name}: {error}");
                }
            }
        }
    }
}

#[test]
fn every_builtin_scenario_is_written_so_that_it_reads_back_equal() {
    for (name, text) in builtin() {
        let mut scenario = read(text);
        let again = read(&to_toml(&scenario));
        assert_eq!(scenario, again, "{name}");
        // What shrinking does: the drawn timeline becomes the file's own, and draws itself again.
        let drawn = timeline(&scenario, 5);
        scenario.faults = drawn.iter().map(Fault::to_spec).collect();
        scenario.chaos = None;
        let fixed = read(&to_toml(&scenario));
        assert_eq!(fixed, scenario, "{name}");
        assert_eq!(timeline(&fixed, 99), drawn, "{name}");
    }
}

#[test]
fn an_odd_scenario_reads_back_equal() {
    let odd = r#"
        format = 1
        name = "odd \"one\""
        zoo = "ack-before-hw, truncate-to-hw"
        run = "1m"
        producer = { count = 2, topics = ["a", "b.c"], records = 5, keys = 3, "acks" = 0, linger = { ms = "10ms" } }
        cluster.config.min.insync.replicas = 2
        cluster.racks = ["x", "y"]
        [[topic]]
        name = "a"
        partitions = 2
        assignments = [[1, 2], [2, 3]]
        replication.factor = 2
        [[topic]]
        name = "b.c"
        flush.messages = 1
        [[consumer]]
        poll-interval = "0.5s"
        auto.offset.reset = "none"
        client.rack = "x"
        start = 7
        seek-at = "5s"
        seek-to = "4.5s"
        [network.latency]
        min = "1us"
        max = "1s"
        [disk]
        sync = "1ms"
        [[fault]]
        kind = "cut"
        target = "k1"
        after = "consumed of b.c-0 on k1"
        peers = ["clients", "leader of a-1", "that node"]
        direction = "in"
        id = 7
        [[fault]]
        kind = "clock-jump"
        target = "rack y"
        at = "5s..5.5s"
        by = "0..3s"
        back = true
        [chaos]
        mix.pause = 3
        faults = 2
        [expect]
        any = "lost-write"
    "#;
    let scenario = read(odd);
    assert_eq!(read(&to_toml(&scenario)), scenario);
    insta::assert_snapshot!(to_toml(&scenario));
}

const DRAWN: &str = r#"
    format = 1
    [cluster]
    brokers = 3
    replica.lag.time.max.ms = "1s..10s"
    num.replica.fetchers = "1..3"
    broker.session.timeout.ms = "0..9s"
    [[topic]]
    name = "orders"
    [[producer]]
    count = 2
    linger.ms = "0..100ms"
    [[producer]]
    linger.ms = "0..100ms"
    request.timeout.ms = "2s..30s"
    delivery.timeout.ms = "1m..2m"
    [[consumer]]
    max.poll.records = "1..500"
"#;

#[test]
fn a_range_of_a_kafka_key_is_drawn_by_the_seed() {
    let drawn = DRAWN.replace("0..9s", "2s..9s");
    let scenario = read(&drawn);
    assert_eq!(read(&to_toml(&scenario)), scenario, "ranges are written as ranges");
    let lag = |seed| scenario.drawn_by(seed).cluster.config.replica_lag_time_max_ms;
    let (least, most) = (1..=300).map(lag).fold((i64::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
    assert!((1_000..1_500).contains(&least) && (9_500..=10_000).contains(&most), "{least}..{most}");
    let fetchers: std::collections::BTreeSet<i64> =
        (1..=50).map(|seed| scenario.drawn_by(seed).cluster.config.num_replica_fetchers).collect();
    assert!(fetchers.into_iter().eq(1..=3), "both ends are among the values");

    let of_seed = scenario.drawn_by(7);
    assert_eq!(of_seed, scenario.drawn_by(7));
    assert_eq!(of_seed.drawn_by(8), of_seed, "nothing is left to draw");
    assert_eq!(read(&to_toml(&of_seed)), of_seed);
    let linger =
        |n: usize| (1..=20).map(|seed| scenario.drawn_by(seed).producers[n].config.linger_ms).collect::<Vec<_>>();
    assert_ne!(linger(0), linger(1), "each section draws for itself");
    for producer in &of_seed.producers {
        let config = &producer.config;
        assert!(
            config.delivery_timeout_ms >= config.linger_ms + config.request_timeout_ms && config.enable_idempotence
        );
    }

    // What is fixed from outside leaves the rest as it was.
    let fixed = set(&drawn, &["cluster.replica.lag.time.max.ms=7s"]).expect("a range gives way to a value").drawn_by(7);
    assert_eq!(fixed.cluster.config.replica_lag_time_max_ms, 7_000);
    assert_eq!(fixed.cluster.config.broker_session_timeout_ms, of_seed.cluster.config.broker_session_timeout_ms);
    assert_eq!(fixed.producers, of_seed.producers);
}

#[test]
fn a_run_has_the_configuration_that_its_seed_draws() {
    let scenario = std::sync::Arc::new(read(&DRAWN.replace("0..9s", "2s..9s")));
    let world = trial_sim::world::World::new(std::sync::Arc::clone(&scenario), 3);
    assert_eq!(*world.scenario(), scenario.drawn_by(3));
    let report = trial_sim::trial::run(&scenario, 3, &mut trial_sim::world::Unwatched);
    let again = trial_sim::trial::run(&std::sync::Arc::new(scenario.drawn_by(3)), 3, &mut trial_sim::world::Unwatched);
    assert_eq!(report.digest, again.digest, "a range is no more than the value that is drawn from it");
}

#[test]
fn both_ends_of_a_range_must_be_possible() {
    for (from, to, place, right) in [
        ("0..9s", "0..9s", "cluster.broker.session.timeout.ms", "it must be from 1 to"),
        ("0..9s", "9s..2s", "cluster.broker.session.timeout.ms", "ends before it begins"),
        ("0..9s", "2s..9 parsecs", "cluster.broker.session.timeout.ms", "is not a duration"),
        ("0..9s", "100us..2ms", "cluster.broker.session.timeout.ms", "not a whole number of milliseconds"),
        ("1..3", "1..many", "cluster.num.replica.fetchers", "is no whole number"),
        (
            "1m..2m",
            "20s..2m",
            "producer.delivery.timeout.ms",
            "at least linger.ms + request.timeout.ms, which is 30100 ms",
        ),
        ("count = 2", "retries = \"0..5\"", "producer.retries", "begin at 1"),
        ("count = 2", "max.in.flight.requests.per.connection = \"1..9\"", "max.in.flight", "at most 5"),
        ("count = 2", "acks = \"0..1\"", "producer.acks", "only numbers and durations are drawn"),
    ] {
        let text = DRAWN.replace("0..9s", if from == "0..9s" { to } else { "2s..9s" }).replace(from, to);
        let told = errors(&text);
        assert!(told.contains(place) && told.contains(right), "{to}: {told}");
    }
    let in_a_topic = errors(&DRAWN.replace("name = \"orders\"", "name = \"orders\"\nflush.messages = \"1..9\""));
    assert!(in_a_topic.contains("topic.flush.messages"), "{in_a_topic}");
}

#[test]
fn errors_name_place_and_key_and_say_what_would_be_right() {
    let wrongs = [
        ("a key that is nearly right", SMALL.replace("acks = ", "ack = ")),
        ("a key of our own that is nearly right", SMALL.replace("brokers", "broker")),
        ("a section that is nearly right", SMALL.replace("[[producer]]", "[[producers]]")),
        ("a key of another section", SMALL.replace("brokers = 3", "brokers = 3\nlinger.ms = 5")),
        ("a wrong type", SMALL.replace("brokers = 3", "brokers = \"three\"")),
        ("a wrong type of Kafka's", SMALL.replace("\"all\"", "\"most\"\nlinger.ms = true\nretries = [1]")),
        ("an impossible number", SMALL.replace("brokers = 3", "brokers = 0")),
        ("more replicas than brokers", SMALL.replace("replication.factor = 3", "replication.factor = 5")),
        ("not modelled", SMALL.replace("acks = \"all\"", "interceptor.classes = \"zstd\"\ntransactional.id = \"t\"")),
        ("idempotence with acks", SMALL.replace("acks = \"all\"", "acks = 1\nenable.idempotence = true")),
        ("idempotence without retries", SMALL.replace("\"all\"", "\"all\"\nenable.idempotence = true\nretries = 0")),
        ("too many in flight", SMALL.replace("\"all\"", "1\nmax.in.flight.requests.per.connection = 6")),
        ("not modelled in the cluster", SMALL.replace("brokers = 3", "controllers = 6\nlog.roll.hours = 5")),
        ("a bad duration", SMALL.replace("format = 1", "format = 1\nrun = \"5 parsecs\"\nheal = 5\ndrain = \"0s\"")),
        ("a duration finer than Kafka's", SMALL.replace("\"all\"", "1\nlinger.ms = \"5us\"")),
        ("a delivery timeout that cannot be", SMALL.replace("\"all\"", "1\ndelivery.timeout.ms = 1000")),
        ("no format", SMALL.replace("format = 1", "")),
        ("another format", SMALL.replace("format = 1", "format = 2")),
        ("no TOML", SMALL.replace("brokers = 3", "brokers = ")),
        ("no topic", "format = 1\n".to_owned()),
        ("two topics of a name", SMALL.replace("[[producer]]", "[[topic]]\nname = \"orders\"\n[[producer]]")),
        ("a switch that is nearly right", SMALL.replace("format = 1", "format = 1\nzoo = [\"truncate-to-hwm\"]")),
        ("a code that is nearly right", format!("{SMALL}[expect]\nnever = [\"lost-writes\"]\n")),
        ("no sections", "format = 1\ntopic = 5\n[[network]]\n[[disc]]\nsync = \"1ms\"\n".to_owned()),
        ("a key outside of its section", SMALL.replace("format = 1", "format = 1\nlinger.ms = 5")),
        (
            "a key given twice",
            format!("{SMALL}retries = 5\n[producer.config]\nretries = 6\n").replace("[[producer]]", "[producer]"),
        ),
    ];
    let told: Vec<String> = wrongs.iter().map(|(what, text)| format!("# {what}\n{}", errors(text))).collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn errors_of_faults_say_what_would_be_right() {
    let wrongs = [
        ("kind = \"crush\"\ntarget = \"b1\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"leader of order-0\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"leader of orders-1\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"b4\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"all broker\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"follower 3 of orders-0\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"that node\"\nat = \"5s\""),
        ("kind = \"power-loss\"\ntarget = \"p1\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"rack r1\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"b1\"\nat = \"1s\""),
        ("kind = \"crash\"\ntarget = \"b1\"\nat = \"5s..50s\""),
        ("kind = \"crash\"\ntarget = \"b1\""),
        ("kind = \"crash\"\ntarget = \"b1\"\nat = \"5s\"\ndelay = \"1s\"\nlasts = \"1s\""),
        ("kind = \"crash\"\ntarget = \"b1\"\nafter = \"truncate\""),
        ("kind = \"crash\"\ntarget = \"b1\"\nafter = \"truncated of orders-9\""),
        ("kind = \"crash\"\ntarget = \"standby controller 1\"\nat = \"5s\""),
        ("kind = \"crash\"\ntarget = \"minority of controllers\"\nat = \"5s\""),
        ("kind = \"late-metadata\"\ntarget = \"active controller\"\nat = \"5s\"\nby = \"1s\"\nof = [\"leader-change\"]"),
        ("kind = \"disk-fails\"\ntarget = \"b1\"\nafter = \"appended\"\noccurrence = \"0..5\"\nafter-operations = \"5..1\""),
        ("kind = \"slow-link\"\ntarget = \"b1\"\nat = \"5s\"\npeers = [\"b2\", \"client\"]\ndirection = \"inn\""),
    ];
    let told: Vec<String> = wrongs
        .iter()
        .map(|fault| format!("# {}\n{}", fault.replace('\n', ", "), errors(&format!("{SMALL}[[fault]]\n{fault}\n"))))
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn deep_and_large_texts_are_refused_or_read_but_never_overflow() {
    let deep = 200_000;
    for text in [
        format!("format = 1\nzoo = {}", "[".repeat(deep)),
        format!("format = 1\nzoo = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("format = 1\na = {}", "{ a = ".repeat(deep)),
        format!("format = 1\n{} = 1", vec!["a"; 5_000].join(".")),
        format!("format = 1\n[{}]", vec!["a"; 5_000].join(".")),
        format!("format = {}", "9".repeat(deep)),
        format!("{SMALL}{}", "[[fault]]\n".repeat(2_000)),
    ] {
        assert!(parse("deep.toml", &text, &[]).is_err());
        assert!(parse("small.toml", SMALL, &[text]).is_err());
    }
}

#[test]
fn overrides_that_match_nothing_are_errors_that_name_themselves() {
    let wrongs = [
        "producer.ack=1",
        "producer.acks=2",
        "producers.acks=1",
        "producer.2.acks=1",
        "consumer.fetch.min.bytes=1",
        "producer=1",
        "acks",
        "cluster.brokers=2",
        "zoo=truncate",
        "run=forever",
        "topic.replication.factor={ a = 1 }",
        "enable.idempotence=true",
    ];
    let told: Vec<String> = wrongs.iter().map(|o| set(SMALL, &[o]).expect_err("a wrong override")).collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn overrides_reach_every_place() {
    let two = format!("{SMALL}[[producer]]\nacks = 0\n");
    let scenario = set(
        &two,
        &[
            "producer.linger.ms=0",
            "producer.2.acks=all",
            "cluster.brokers=5",
            "cluster.min.insync.replicas=2",
            "cluster.config.replica.lag.time.max.ms=2s",
            "topic.replication.factor=5",
            "zoo=truncate-to-hw",
            "run=1m",
            "chaos.faults=2..3",
            "run=2m",
        ],
    )
    .expect("all of these are right");
    assert!(scenario.producers.iter().all(|p| p.config.linger_ms == 0 && p.config.acks.0 == -1));
    assert_eq!((scenario.cluster.brokers, scenario.topics[0].replication_factor), (5, 5));
    assert_eq!(scenario.cluster.config.min_insync_replicas, 2);
    assert_eq!(scenario.cluster.config.replica_lag_time_max_ms, 2_000);
    assert_eq!(scenario.phases.run, 120_000_000_000);
    assert_eq!(scenario.chaos.map(|chaos| chaos.faults.max), Some(3));
    assert!(!scenario.zoo.is_empty());
}

#[test]
fn several_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = SMALL.replace("brokers = 3", "brokers = 0").replace("all", "most").replace("orders", "no name");
    let error = parse("small.toml", &text, &[]).expect_err("three mistakes");
    let lines: Vec<u32> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 7, 11]);
    for problem in &error.problems {
        let span = problem.span().expect("all stand in the file");
        assert!(error.source.get(span).is_some_and(|shown| !shown.is_empty()), "{}", problem.message);
    }
}

#[test]
fn the_schema_names_every_key() {
    insta::assert_snapshot!(schema());
}

#[test]
fn removing_a_fault_leaves_all_others_as_they_were() {
    for name in ["chaos", "zoo-isr-expand-before-leso", "rolling-restart"] {
        let scenario = read(builtin_text(name));
        for seed in 1..20 {
            let all = timeline(&scenario, seed);
            for removed in 0..scenario.faults.len() {
                let mut fewer = scenario.clone();
                fewer.faults.remove(removed);
                let mut expected = all.clone();
                expected.remove(removed);
                assert_eq!(timeline(&fewer, seed), expected, "{name}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_file_without_one_of_its_faults_draws_the_others_as_before_if_they_keep_their_ids() {
    let fault =
        |id: u32| format!("[[fault]]\nid = {id}\nkind = \"crash\"\ntarget = \"random broker\"\nat = \"5s..20s\"\n");
    let three = read(&format!("{SMALL}{}{}{}", fault(1), fault(2), fault(3)));
    let two = read(&format!("{SMALL}{}{}", fault(1), fault(3)));
    for seed in 1..20 {
        let (three, two) = (timeline(&three, seed), timeline(&two, seed));
        assert_eq!((&three[0], &three[2]), (&two[0], &two[1]));
    }
}

#[test]
fn chaos_is_the_same_for_the_same_seed_and_reaches_every_kind_in_few_seeds() {
    let scenario = set(SMALL, &["chaos.swarm=true"]).expect("a chaos of everything");
    assert_ne!(timeline(&scenario, 1), timeline(&scenario, 2));
    let mut kinds = std::collections::BTreeSet::new();
    let (mut by_event, mut all) = (0, 0);
    let span = scenario.phases.warm_up..=scenario.phases.faults_end();
    for seed in 0..200 {
        let faults = timeline(&scenario, seed);
        assert_eq!(faults, timeline(&scenario, seed));
        assert!((3..=8).contains(&faults.len()));
        for (nth, fault) in faults.iter().enumerate() {
            assert_eq!(fault.id, FIRST_DRAWN_ID + nth as u32);
            assert_ne!(fault.target, Target::AnyBroker);
            let instant = match fault.when {
                When::At(at) => at,
                When::After { not_before, delay, .. } => {
                    assert!(delay <= 5_000_000);
                    by_event += 1;
                    not_before
                }
            };
            assert!(span.contains(&instant));
            assert!(nth > 0 || matches!(fault.when, When::At(_)), "the first waits for nothing");
            all += u32::from(nth > 0);
            kinds.insert(fault.kind.kind_name());
        }
    }
    assert_eq!(kinds.len(), KIND_NAMES.len() - ONLY_IF_ASKED_FOR.len());
    assert!(ONLY_IF_ASKED_FOR.iter().all(|kind| !kinds.contains(kind)));
    assert!((40..=60).contains(&(by_event * 100 / all)), "{by_event} of {all} hang on events");
}

/// The controllers at which a drawn target points.
fn controllers_of(target: &Target) -> Vec<i32> {
    match target {
        Target::Controller(id) => vec![*id],
        Target::TheseControllers(ids) => ids.clone(),
        other => panic!("{other} stands in a timeline"),
    }
}

#[test]
fn shares_of_the_controllers_are_drawn_and_every_choice_is_reached() {
    let crash = |target: &str| {
        let fault = format!("[[fault]]\nkind = \"crash\"\ntarget = \"{target}\"\nat = \"5s\"\n");
        set(&format!("{SMALL}{fault}"), &["cluster.controllers=5"]).expect("a crash of controllers")
    };
    for (target, size, choices) in
        [("random controller", 1, 5), ("minority of controllers", 2, 10), ("majority of controllers", 3, 10)]
    {
        let scenario = crash(target);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let drawn = controllers_of(&timeline(&scenario, seed)[0].target);
            assert!(
                drawn.len() == size && drawn.is_sorted() && drawn.iter().all(|id| (1..=5).contains(id)),
                "{drawn:?}"
            );
            seen.insert(drawn);
        }
        assert_eq!(seen.len(), choices, "{target}");
    }
    // Which one is active shows when the fault fires.
    let target = &timeline(&crash("majority of controllers without the active"), 1)[0].target;
    assert_eq!(target.to_string(), "majority of controllers without the active");
}

#[test]
fn a_random_controller_is_another_one_as_a_peer_than_as_a_target() {
    let cut =
        "[[fault]]\nkind = \"cut\"\ntarget = \"random controller\"\npeers = [\"random controller\"]\nat = \"5s\"\n";
    let scenario = set(&format!("{SMALL}{cut}"), &["cluster.controllers=3"]).expect("a cut between voters");
    for seed in 0..50 {
        let fault = &timeline(&scenario, seed)[0];
        assert_ne!(fault.kind.peers(), [Peer::Node(fault.target.clone())]);
    }
}

#[test]
fn faults_of_groups_hit_their_coordinator_and_random_members() {
    let with = |fault: &str| set(&format!("{GROUP}[[fault]]\nat = \"5s\"\n{fault}\n"), &[]);
    let scenario = with("kind = \"clean-restart\"\ntarget = \"random consumer\"").expect("a client is closed");
    let hit: std::collections::BTreeSet<String> =
        (0..50).map(|seed| timeline(&scenario, seed)[0].target.to_string()).collect();
    assert!(hit.into_iter().eq(["k1".to_owned(), "k2".to_owned()]));
    let cut = with("kind = \"cut\"\ntarget = \"random consumer\"\npeers = [\"random consumer\"]").expect("a cut");
    for seed in 0..50 {
        let fault = &timeline(&cut, seed)[0];
        assert_ne!(fault.kind.peers(), [Peer::Node(fault.target.clone())]);
    }
    assert!(with("kind = \"crash\"\ntarget = \"coordinator of readers\"").is_ok());
    assert!(with("kind = \"crash\"\ntarget = \"leader of __consumer_offsets-49\"").is_ok());
    for (fault, right) in [
        ("kind = \"crash\"\ntarget = \"coordinator of reader\"", "did you mean \"readers\"?"),
        ("kind = \"crash\"\ntarget = \"leader of __consumer_offsets-50\"", "offsets.topic.num.partitions"),
        ("kind = \"power-loss\"\ntarget = \"random consumer\"", "is no fault of a client"),
    ] {
        let error = with(fault).expect_err("it names nobody, or who cannot suffer it");
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn occurrences_and_operations_are_drawn_from_their_ranges() {
    let text = format!(
        "{SMALL}[[fault]]\nkind = \"disk-fails\"\ntarget = \"that node\"\nafter = \"vote-granted\"\n\
         occurrence = \"1..20\"\nafter-operations = \"0..9\"\ndelay = \"0..5ms\"\n"
    );
    let scenario = read(&text);
    assert_eq!(read(&to_toml(&scenario)), scenario);
    let (mut occurrences, mut operations) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for seed in 0..400 {
        let fault = timeline(&scenario, seed).remove(0);
        let When::After { occurrence, .. } = fault.when else { panic!("it hangs on an event") };
        let FaultKind::DiskFails { after_operations, .. } = fault.kind else { panic!("a disk that fails") };
        assert_eq!((occurrence.min, after_operations.min), (occurrence.max, after_operations.max), "they are drawn");
        occurrences.insert(occurrence.min);
        operations.insert(after_operations.min);
    }
    assert!(occurrences.into_iter().eq(1..=20) && operations.into_iter().eq(0..=9));
}

#[test]
fn chaos_of_a_quorum_hits_controllers_cuts_single_ways_between_them_and_hangs_on_their_elections() {
    let scenario = set(SMALL, &["chaos.swarm=false", "chaos.faults=8", "cluster.controllers=3"]).expect("a chaos");
    assert_eq!(read(&to_toml(&scenario)), scenario);
    let all: Vec<Fault> = (0..200).flat_map(|seed| timeline(&scenario, seed)).collect();
    let of_controllers = all.iter().filter(|fault| fault.target.is_controller()).count();
    assert!((35..=65).contains(&(of_controllers * 100 / all.len())), "{of_controllers} of {}", all.len());
    let cuts_one_way_between_voters = |fault: &&Fault| {
        let FaultKind::Cut { peers, direction, .. } = &fault.kind else { return false };
        let to_voters =
            matches!(peers[..], [Peer::Controllers]) || matches!(&peers[..], [Peer::Node(t)] if t.is_controller());
        fault.target.is_controller() && to_voters && *direction != Direction::Both
    };
    assert!(all.iter().filter(cuts_one_way_between_voters).count() > 10);
    for event in ["vote-granted", "became-candidate", "became-quorum-leader", "metadata-appended"] {
        let hangs = |fault: &&Fault| matches!(&fault.when, When::After { trigger, .. } if trigger.event == event);
        assert!(all.iter().filter(hangs).count() > 10, "{event}");
    }
    for fault in &all {
        assert!(fault.target.can_suffer(fault.kind.kind_name()), "{fault:?}");
    }
}

/// Seed 61597 draws faults of which no client can suffer any, and groups to be hit by them.
#[test]
fn every_seed_draws_a_scenario_that_can_be_run() {
    for seed in (0..2_000).chain([61_597]) {
        if let Err(error) = trial_sim::swarm::scenario(seed, &[]) {
            panic!("seed {seed}: {error}");
        }
    }
}

#[test]
fn swarm_runs_differ_in_the_kinds_they_use() {
    let scenario = set(SMALL, &["chaos.faults=40"]).expect("a chaos of everything");
    let kinds = |seed| -> std::collections::BTreeSet<&str> {
        timeline(&scenario, seed).iter().map(|fault| fault.kind.kind_name()).collect()
    };
    let sizes: Vec<usize> = (0..50).map(|seed| kinds(seed).len()).collect();
    assert!(sizes.iter().any(|&n| n <= 4) && sizes.iter().any(|&n| n >= 6), "{sizes:?}");
}

#[test]
fn drawn_times_lie_in_their_ranges_and_spread_over_them() {
    let scenario = read(builtin_text("leader-crash"));
    let mut delays = Vec::new();
    for seed in 0..100 {
        let faults = timeline(&scenario, seed);
        let When::After { not_before, delay, .. } = faults[0].when else { panic!("it hangs on an event") };
        assert!((6_000_000_000..=12_000_000_000).contains(&not_before) && delay <= 5_000_000);
        delays.push(delay);
    }
    assert!(delays.iter().any(|&d| d < 1_000_000) && delays.iter().any(|&d| d > 4_000_000));
}

/// A text with some bytes cut out, doubled or replaced by bytes that mean something in TOML.
fn mangle(text: &str, edits: &[(usize, u8, usize)]) -> String {
    const PIECES: [&str; 16] = [
        "\"",
        "[",
        "]",
        "[[",
        "]]",
        "=",
        ".",
        "\n",
        "{ a = 1 }",
        "-1",
        "9223372036854775807",
        "1e300",
        "'''",
        "é",
        "1..",
        "0s",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for &(at, what, length) in edits {
        let at = at % (chars.len() + 1);
        let end = (at + length % 12).min(chars.len());
        match what % 3 {
            0 => drop(chars.drain(at..end)),
            1 => {
                let copy: Vec<char> = chars[at..end].to_vec();
                chars.splice(at..at, copy);
            }
            _ => drop(chars.splice(at..end, PIECES[length % PIECES.len()].chars())),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn a_range_of_one_value_is_that_value() {
    let text = |heartbeat: &str| {
        format!(
            "format = 1\nrun = \"20s\"\n[cluster]\nbrokers = 3\nbroker.heartbeat.interval.ms = {heartbeat}\n[[topic]]\nname = \"orders\"\n"
        )
    };
    let read = |heartbeat: &str| parse("one.toml", &text(heartbeat), &[]).expect("it is a scenario");
    assert_eq!(read("\"1500ms..1.5s\""), read("1500"));
    assert_ne!(read("\"1500ms..1.6s\""), read("1500"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_and_no_override_makes_the_program_panic(
        which in 0..64usize,
        edits in prop::collection::vec((any::<usize>(), any::<u8>(), any::<usize>()), 0..6),
        section in prop::sample::select(vec!["cluster", "topic", "producer.1", "fault", "chaos", "network", "", "run", "zoo"]),
        rest in "[a-z.\\-=0-9]{0,12}",
        seed in any::<u64>(),
    ) {
        let text = mangle(builtin()[which % builtin().len()].1, &edits);
        let overrides = [format!("{section}.{rest}")];
        for overrides in [&[][..], &overrides[..]] {
            match parse("mangled.toml", &text, overrides) {
                Ok(scenario) => {
                    prop_assert_eq!(&parse(&scenario.name, &to_toml(&scenario), &[]).map_err(|e| e.to_string()), &Ok(scenario.clone()));
                    timeline(&scenario, seed);
                }
                Err(error) => {
                    prop_assert!(!error.problems.is_empty());
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

const GROUP: &str = r#"
format = 1
[[topic]]
name = "orders"
[[topic]]
name = "orders-late"
[[topic]]
name = "other"
[[consumer]]
count = 2
group.id = "readers"
group.instance.id = "i"
enable.auto.commit = false
"#;

#[test]
fn members_of_a_group_say_what_they_read_when_they_commit_and_how_long_they_stay() {
    let text = GROUP.to_owned()
        + "pattern = \"orders.*\"\ncommit = \"after\"\nprocessing = \"30ms..40ms\"\njoin-at = \"5s..8s\"\nleave-at = \"20s\"\n";
    let scenario = read(&text);
    let [spec] = &scenario.consumers[..] else { panic!("one section") };
    assert_eq!(spec.topics, ["orders", "orders-late"]);
    assert!(
        spec.reads("orders-new") && !spec.reads("other") && !spec.reads("my-orders"),
        "a pattern is a whole name's"
    );
    assert_eq!([spec.config_of(0).group_instance_id, spec.config_of(1).group_instance_id], ["i-1", "i-2"]);
    assert_eq!((spec.commit, spec.processing.max, spec.group()), (CommitStyle::After, 40_000_000, Some("readers")));
    assert_eq!(read(&to_toml(&scenario)), scenario);

    let style = |overrides: &[&str]| set(GROUP, overrides).map(|scenario| scenario.consumers[0].commit);
    assert_eq!(style(&[]), Ok(CommitStyle::Never));
    assert_eq!(style(&["consumer.enable.auto.commit=true"]), Ok(CommitStyle::Auto));
    assert_eq!(style(&["consumer.commit=before"]), Ok(CommitStyle::Before));
}

#[test]
fn errors_of_groups_say_what_would_be_right() {
    let alone = GROUP.replace("group.id = \"readers\"\n", "");
    let wrongs = [
        ("no group", alone + "pattern = \"orders.*\"\ncommit = \"after\"\n"),
        ("members begin where the group is", format!("{GROUP}start = \"latest\"\nseek-at = \"5s\"\nseek-to = 3\n")),
        ("two who commit", GROUP.replace("= false", "= true") + "commit = \"after\"\n"),
        ("nobody who commits", format!("{GROUP}commit = \"auto\"\n")),
        ("a style that is nearly right", format!("{GROUP}commit = \"befor\"\n")),
        ("no expression", format!("{GROUP}pattern = \"orders(\"\n")),
        ("topics and a pattern", format!("{GROUP}topics = \"other\"\npattern = \"orders.*\"\n")),
        ("left before it came", format!("{GROUP}join-at = \"5s..9s\"\nleave-at = \"8s\"\n")),
        ("joined in the warm-up", format!("{GROUP}join-at = \"1s\"\n")),
        ("a session that is too short", format!("{GROUP}session.timeout.ms = \"4s..9s\"\n")),
        (
            "heartbeats that are too rare",
            format!("{GROUP}session.timeout.ms = \"6s..9s\"\nheartbeat.interval.ms = 6000\n"),
        ),
        ("the other protocol's key", format!("{GROUP}group.protocol = \"consumer\"\nsession.timeout.ms = 9000\n")),
        ("the other protocol's assignor", format!("{GROUP}group.remote.assignor = \"range\"\n")),
    ];
    let told: Vec<String> = wrongs.iter().map(|(what, text)| format!("# {what}\n{}", errors(text))).collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn whatever_the_checker_may_find_can_be_expected() {
    let missing: Vec<_> = trial_checker::invariants::all()
        .into_iter()
        .map(|invariant| invariant.code)
        .filter(|code| !trial_sim::scenario::FINDING_CODES.contains(code))
        .collect();
    assert_eq!(missing, [""; 0]);
}
