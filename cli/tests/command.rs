//! The `trial` command as people and scripts meet it: what it prints, and how it ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use trial_sim::build_id::CORE_HASH;

fn trial(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    command.args(args).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("COLUMNS").stdin(Stdio::null());
    command
}

/// What a run of the command printed, and its exit code.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        // The hash changes with every change of the core.
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8").replace(CORE_HASH, "[core]");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }
}

fn run(args: &[&str]) -> Ended {
    Ended::of(trial(args).output().expect("the command starts"))
}

/// A directory of its own for a test, emptied first.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the directory for tests can be written");
    path
}

fn run_in(directory: &Path, args: &[&str]) -> Ended {
    Ended::of(trial(args).current_dir(directory).output().expect("the command starts"))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A scenario whose only fault waits for something that never happens.
const FAULT_IN_VAIN: &str = r#"
format = 1
run = "2s"
[[topic]]
name = "orders"
replication.factor = 3
[[producer]]
records = 20
[[consumer]]
auto.offset.reset = "earliest"
[[fault]]
kind = "crash"
target = "b1"
after = "truncated"
"#;

const SHORT: [&str; 4] = ["--set", "run=2s", "--set", "producer.records=100"];

#[test]
fn help_says_what_there_is() {
    for words in [
        &["--help"][..],
        &["run", "--help"],
        &["describe", "--help"],
        &["explain", "--help"],
        &["shrink", "--help"],
        &["search", "--help"],
        &["merge", "--help"],
        &["zoo", "--help"],
        &["check", "--help"],
        &["export", "--help"],
    ] {
        let name = format!("help-{}", if words.len() > 1 { words[0] } else { "trial" });
        insta::assert_snapshot!(name, run(words).code(0).stdout);
    }
}

#[test]
fn list_has_one_line_each() {
    let list = run(&["list"]).code(0).stdout;
    insta::assert_snapshot!("list", list);
    let json = run(&["list", "--json"]).code(0).stdout;
    assert_eq!(json.lines().count(), list.lines().count());
    for line in json.lines() {
        let entry: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!(keys(&entry), BTreeSet::from(["kind", "name", "about"]));
    }
}

#[test]
fn the_short_log_has_fixed_columns() {
    let mut args = vec!["run", "healthy", "--only", "partition=orders-0,to=4.5s"];
    args.extend(SHORT);
    let printed = run(&args).code(0).stdout;
    let log: Vec<&str> = printed.lines().take_while(|line| line.starts_with("t=")).collect();
    let columns = |line: &str| ["LEO", "HW", "ISR"].map(|name| line.find(name));
    assert!(log.len() > 5 && log.iter().all(|line| columns(line) == columns(log[0])), "{printed}");
    insta::assert_snapshot!("short-log", log.join("\n"));
    // What follows it: belief and truth, findings, counters, verdict, reproduction.
    let rest: Vec<&str> = printed.lines().skip(log.len()).collect();
    assert!(rest[1].starts_with("producer told"), "{printed}");
    assert_eq!(
        rest.last(),
        Some(
            &"Reproduce: trial run healthy --seed 1 --set run=2s --set producer.records=100   # trial 0.1.0, core [core]"
        )
    );
}

#[test]
fn the_filter_and_the_kinds_of_log_choose_lines() {
    let lines = |more: &[&str]| {
        let args: Vec<&str> = ["run", "healthy"].into_iter().chain(SHORT).chain(more.iter().copied()).collect();
        let printed = run(&args).code(0).stdout;
        printed.lines().filter(|line| line.starts_with("t=")).map(str::to_string).collect::<Vec<_>>()
    };
    let (short, full) = (lines(&[]), lines(&["--log", "full"]));
    assert!(lines(&["--log", "none"]).is_empty());
    assert!(full.len() > short.len());
    assert!(short.iter().all(|line| full.contains(line)));
    let only = lines(&["--only", "broker=b1,broker=2,from=1ms,to=3s"]);
    assert!(!only.is_empty());
    assert!(only.iter().all(|line| line.contains(" b1 ") || line.contains(" b2 ")), "{only:?}");
}

#[test]
fn the_legend_needs_no_scenario() {
    insta::assert_snapshot!("legend", run(&["run", "--legend"]).code(0).stdout);
}

#[test]
fn a_trial_as_json_has_exactly_the_promised_keys() {
    let args: Vec<&str> =
        ["run", "healthy", "--json", "--verify", "--seed", "9007199254740991"].into_iter().chain(SHORT).collect();
    let ended = run(&args).code(0);
    assert_eq!(ended.stdout.lines().count(), 1);
    let trial = ended.json();
    let promised =
        ["scenario", "seed", "digest", "virtual_ms", "events", "verdict", "findings", "counters", "reproduce"];
    assert_eq!(keys(&trial), BTreeSet::from(promised));
    assert_eq!((&trial["verdict"], trial["seed"].as_u64()), (&Value::from("pass"), Some((1 << 53) - 1)));
    // A hundred, and the one by which the producer shows in the end that it gets on.
    assert_eq!(trial["counters"]["acked_sends"], 101);
}

#[test]
fn a_trial_as_json_tells_how_long_each_member_stood_still() {
    let trial = run(&["run", "cooperative-vs-eager", "--json"]).code(0).json();
    let pauses = trial["pauses"].as_array().expect("a list");
    assert_eq!(keys(&pauses[0]), BTreeSet::from(["member", "count", "together_ms", "longest_ms"]));
    let longest = |members: [&str; 4]| {
        let of_these = pauses.iter().filter(|of| members.iter().any(|member| of["member"] == *member));
        of_these.filter_map(|of| of["longest_ms"].as_u64()).max().unwrap_or(0)
    };
    let (eager, cooperative) = (longest(["k1", "k2", "k3", "k4"]), longest(["k5", "k6", "k7", "k8"]));
    assert!(eager > cooperative, "{pauses:?}");
}

#[test]
fn a_failed_expectation_is_a_failure() {
    let args: Vec<&str> =
        ["run", "healthy", "--log", "none", "--set", "expect.any=[\"lost-write\"]"].into_iter().chain(SHORT).collect();
    let ended = run(&args).code(1);
    assert!(ended.stdout.contains("[expect] not met"), "{}", ended.stdout);
    assert!(ended.stdout.contains("--set 'expect.any=[\"lost-write\"]'"), "{}", ended.stdout);
    let json =
        run(&args.iter().copied().filter(|a| !["--log", "none"].contains(a)).chain(["--json"]).collect::<Vec<_>>());
    assert_eq!(json.code(1).json()["verdict"], "fail");
}

#[test]
fn a_trial_in_which_nothing_happened_is_vacuous() {
    let place = directory("vacuous");
    std::fs::write(place.join("vain.toml"), FAULT_IN_VAIN).expect("it can be written");
    let ended = run_in(&place, &["run", "vain.toml", "--log", "none"]).code(3);
    assert!(ended.stdout.contains("vacuous: the scheduled fault crash never took effect"), "{}", ended.stdout);
    let search = run_in(&place, &["search", "vain.toml", "--seeds", "1..3", "--json"]).code(3).json();
    assert_eq!((&search["seeds"], &search["vacuous"]), (&Value::from(3), &Value::from(3)));
}

#[test]
fn wrong_input_is_told_with_its_place_and_what_would_be_right() {
    let place = directory("errors");
    let bad = "format = 1\nrun = 5\n[cluster]\nbrokers = 3\nmin.insync.replica = 2\n[[topic]]\nname = \"orders\"\nreplication.factor = 4\n";
    std::fs::write(place.join("bad.toml"), bad).expect("it can be written");
    std::fs::write(place.join("text.trial"), "TRIALREC but not really").expect("it can be written");
    let cases: [(&str, &[&str]); 13] = [
        ("scenario-file", &["run", "bad.toml"]),
        ("no-file", &["run", "absent.toml"]),
        ("no-scenario", &["run", "leader-crahs"]),
        ("override", &["run", "healthy", "--set", "producer.ack=1"]),
        ("seed", &["run", "healthy", "--seed", "9007199254740992"]),
        ("only-key", &["run", "healthy", "--only", "topic=orders"]),
        ("only-broker", &["run", "healthy", "--only", "broker=b9"]),
        ("only-partition", &["run", "healthy", "--only", "partition=orders-3"]),
        ("seeds", &["search", "healthy", "--seeds", "5..4"]),
        ("switch", &["zoo", "truncate-to-hv"]),
        ("record", &["explain", "healthy", "--set", "run=1s", "--record", "100000"]),
        ("recording", &["explain", "text.trial"]),
        ("log-as-json", &["run", "healthy", "--log", "full", "--json"]),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(name, args)| {
            let ended = run_in(&place, args).code(2);
            assert_eq!(ended.stdout, "", "{name}");
            format!("── {name}\n{}", ended.stderr.replace("trial.exe", "trial"))
        })
        .collect();
    insta::assert_snapshot!("errors", told.join("\n"));
}

#[test]
fn describe_prints_what_kafka_topics_does() {
    let printed = run(&["describe", "healthy", "--at", "6s", "--topics"]).code(0).stdout;
    let of_kafka: Vec<&str> = printed.lines().take_while(|line| !line.is_empty()).collect();
    insta::assert_snapshot!("describe", of_kafka.join("\n").replace('\t', "<tab>"));
    assert!(printed.contains("LOG-END-OFFSET"), "{printed}");
    let json = run(&["describe", "healthy", "--at", "6s", "--json"]).code(0).json();
    assert_eq!(json["virtual_ms"], 6_000);
    let on_brokers = &json["topics"][0]["partitions"][0]["on_brokers"];
    assert_eq!(on_brokers.as_array().map(Vec::len), Some(3));
    assert!(on_brokers[0]["log_end_offset"].as_i64() > Some(0), "{on_brokers}");
}

#[test]
fn describe_shows_the_quorum_as_kafka_metadata_quorum_does_and_the_brokers() {
    let printed = run(&["describe", "healthy", "--at", "6s", "--quorum", "--brokers"]).code(0).stdout;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "ClusterId:              trial");
    assert!(printed.contains("CurrentVoters:          [{\"id\": 3001, "), "{printed}");
    let head = lines.iter().position(|line| line.starts_with("NodeId\tDirectoryId")).expect("the replication table");
    assert!(lines[head + 1].starts_with("3001") && lines[head + 1].ends_with("Leader"), "{printed}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("Observer")).count(), 3, "the brokers");
    assert!(!printed.contains("PartitionCount"), "the topics were not asked for");

    let json = run(&["describe", "healthy", "--at", "6s", "--json"]).code(0).json();
    let (quorum, brokers) = (&json["quorum"], &json["brokers"]);
    let leader = &quorum["leader"];
    assert_eq!((&leader["leader_id"], &leader["max_follower_lag"]), (&Value::from(3001), &Value::from(0)), "{quorum}");
    assert_eq!(quorum["controllers"][0]["log_end_offset"], leader["current_voters"][0]["log_end_offset"]);
    for broker in brokers.as_array().expect("brokers") {
        assert_eq!((&broker["fenced"], &broker["lifecycle"]), (&Value::from(false), &Value::from("running")));
        let behind = leader["high_watermark"].as_i64().zip(broker["metadata_offset"].as_i64()).map(|(hw, at)| hw - at);
        assert!(behind.is_some_and(|behind| (1..10).contains(&behind)), "{brokers}");
    }
}

#[test]
fn a_quorum_without_a_leader_says_what_each_believes() {
    let place = directory("no-leader");
    let text = "format = 1\nrun = \"30s\"\n[[topic]]\nname = \"orders\"\nreplication.factor = 3\n[[producer]]\n[[consumer]]\n\
                [[fault]]\nkind = \"crash\"\ntarget = \"c1\"\nat = \"6s\"\n";
    std::fs::write(place.join("headless.toml"), text).expect("it can be written");
    let printed = run_in(&place, &["describe", "headless.toml", "--at", "8s", "--quorum"]).code(0);
    assert!(printed.stderr.contains("no controller is active"), "{}", printed.stderr);
    assert!(printed.stdout.contains("LeaderId:               none"), "{}", printed.stdout);
    assert!(printed.stdout.lines().any(|line| line.contains("c1") && line.contains("dead")), "{}", printed.stdout);
    let json = run_in(&place, &["describe", "headless.toml", "--at", "8s", "--json"]).code(0).json();
    assert!(json["quorum"]["leader"].is_null() && json["topics"][0]["topic"] == "orders", "{json}");
}

#[test]
fn a_partition_without_a_leader_is_described_as_kafka_does() {
    let place = directory("leaderless");
    let text = "format = 1\nrun = \"30s\"\n[[topic]]\nname = \"orders\"\nreplication.factor = 3\n[[producer]]\n[[consumer]]\n\
                [[fault]]\nkind = \"crash\"\ntarget = \"all brokers\"\nat = \"6s\"\n";
    std::fs::write(place.join("dark.toml"), text).expect("it can be written");
    let printed = run_in(&place, &["describe", "dark.toml", "--at", "25s", "--topics"]).code(0).stdout;
    assert!(printed.contains("\tPartition: 0\tLeader: none\tReplicas: "), "{printed}");
    assert_eq!(printed.matches("dead").count(), 3, "{printed}");
}

#[test]
fn a_recording_is_explained_as_its_run_was() {
    let place = directory("recording");
    let args = ["run", "leader-crash", "--seed", "7", "--trace", "run.trial", "--json"];
    let trial = run_in(&place, &args).json();
    let explained = run_in(&place, &["explain", "run.trial", "--json"]);
    assert!(explained.stderr.contains("note: replaying leader-crash seed 7"), "{}", explained.stderr);
    assert_eq!(explained.json()["findings"], trial["findings"]);
    assert!(run_in(&place, &["explain", "run.trial", "--seed", "8"]).code(2).stderr.contains("has its own seed"));

    let mut bytes = std::fs::read(place.join("run.trial")).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(place.join("run.trial"), bytes).expect("it can be written");
    assert!(run_in(&place, &["explain", "run.trial"]).code(2).stderr.contains("is damaged at byte"));
}

#[test]
fn a_loss_is_inevitable_from_the_crash_on_and_the_crash_was_necessary() {
    let lossy = ["leader-crash", "--set", "producer.acks=1", "--set", "run=8s"];
    let loses = |seed: &u64| {
        let args: Vec<&str> = ["run"].into_iter().chain(lossy).chain(["--json", "--seed"]).collect();
        let report = run(&[args.as_slice(), &[&seed.to_string()]].concat()).json();
        report["findings"].as_array().is_some_and(|all| all.iter().any(|finding| finding["code"] == "lost-write"))
    };
    let seed = (1..100).find(loses).expect("a leader that crashes after an ack has records that nobody else has");
    let seed = seed.to_string();
    let args: Vec<&str> = ["explain"].into_iter().chain(lossy).chain(["--seed", &seed, "--rewind"]).collect();
    let told = run(&[args.as_slice(), &["--futures", "6", "--json"]].concat()).json();
    let loss = told["rewind"].as_array().and_then(|all| all.iter().find(|one| one["code"] == "lost-write"));
    let loss = loss.expect("the loss is rewound");
    let crash = &loss["faults"][0];
    assert!(crash["sentence"].as_str().is_some_and(|sentence| sentence.contains("crashed")), "{crash}");
    assert_eq!((&crash["without"], &loss["futures"]), (&Value::from(0), &Value::from(6)), "{loss}");
    let from = loss["inevitable_from"].as_u64().expect("it was inevitable at the end");
    assert!(from <= crash["event"].as_u64().expect("it is an event"), "{loss}");
    let last = loss["steps"].as_array().and_then(|steps| steps.last()).expect("the chain has steps");
    assert_eq!(last["found"], 6, "what has happened has happened");

    let printed = run(&[args.as_slice(), &["--futures", "2"]].concat()).code(0).stdout;
    assert!(printed.contains("it was inevitable") && printed.contains("without it    0 of 2"), "{printed}");
    let args = ["explain", "healthy", "--set", "run=2s", "--rewind", "--futures", "2"];
    assert!(run(&args).code(0).stdout.contains("Nothing to rewind was found"));
    assert!(run(&["explain", "healthy", "--futures", "2"]).code(2).stderr.contains("--rewind"));
}

#[test]
fn a_finding_is_shrunk_to_a_scenario_that_still_shows_it() {
    let place = directory("shrink");
    let text = "format = 1\nrun = \"8s\"\n[cluster]\nmin.insync.replicas = 2\n[[topic]]\nname = \"orders\"\npartitions = 2\n\
                replication.factor = 3\n[[producer]]\ncount = 2\n[[consumer]]\n\
                [[fault]]\nkind = \"pause\"\ntarget = \"b1\"\nat = \"5s\"\nlasts = \"1s\"\n\
                [[fault]]\nkind = \"power-loss\"\ntarget = \"all brokers\"\nat = \"7s..8s\"\nrestart-after = \"2s\"\n";
    std::fs::write(place.join("dark.toml"), text).expect("it can be written");
    let shrunk =
        run_in(&place, &["shrink", "dark.toml", "--seed", "3", "--out", "small.toml", "--json"]).code(0).json();
    assert_eq!(shrunk["finding"]["code"], "lost-write", "{shrunk}");
    let (before, after) = (&shrunk["before"], &shrunk["after"]);
    assert_eq!(
        (&before["faults"], &after["faults"], &after["clients"]),
        (&Value::from(2), &Value::from(1), &Value::from(1))
    );
    assert!(after["records"].as_u64().is_some_and(|records| (1..=5).contains(&records)), "{after}");
    let seed = shrunk["seed"].to_string();
    let trial = run_in(&place, &["run", "small.toml", "--seed", &seed, "--json"]).json();
    let is_it = |finding: &Value| ["class", "code", "rule"].iter().all(|key| finding[key] == shrunk["finding"][key]);
    assert!(trial["findings"].as_array().is_some_and(|findings| findings.iter().any(is_it)), "{trial}");

    let told = run_in(&place, &["shrink", "small.toml", "--seed", &seed]).code(0).stdout;
    let (comments, toml): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| line.starts_with('#'));
    assert!(comments.iter().any(|line| line.contains("tries: 1 fault")), "{told}");
    let again = std::fs::read_to_string(place.join("small.toml")).expect("it was written");
    // It is named after where it comes from; all else is as small as it was.
    let named = |line: &&str| line.starts_with("name") || line.starts_with("about") || line.is_empty();
    let rest = |lines: Vec<&str>| lines.into_iter().filter(|line| !named(line)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(toml), rest(again.lines().collect()));

    assert!(run(&["shrink", "healthy", "--set", "run=1s", "--seed", "1"]).code(2).stderr.contains("nothing to shrink"));
    let other = run_in(&place, &["shrink", "dark.toml", "--seed", "3", "--finding", "stuck"]).code(2).stderr;
    assert!(other.contains("shows no stuck") && other.contains("lost-write, "), "{other}");
}

/// A send that is told offset 0, and a poll that finds it at 0 and at 1.
const TWICE: &str = "\
{:process 0, :type :invoke, :f :send, :value [[:send :x 7]]}
{:process 0, :type :ok, :f :send, :value [[:send :x [0 7]]]}
{:process 1, :type :invoke, :f :poll, :value [[:poll]]}
{:process 1, :type :ok, :f :poll, :value [[:poll {:x [[0 7] [1 7]]}]]}
";

#[test]
fn a_history_from_elsewhere_is_checked() {
    let place = directory("history");
    std::fs::write(place.join("history.edn"), TWICE).expect("it can be written");
    let json = run_in(&place, &["check", "history.edn", "--json"]).code(1).json();
    assert_eq!(keys(&json), BTreeSet::from(["valid", "findings", "counters"]));
    assert_eq!(json["valid"], false);
    let finding = &json["findings"][0];
    assert_eq!((&finding["class"], &finding["code"]), (&Value::from("BUG"), &Value::from("duplicate")));
    assert_eq!((&finding["key"], &finding["value"]), (&Value::from(":x"), &Value::from(7)));
    assert_eq!(json["counters"]["acked_sends"], 1);
    let allowed = run_in(&place, &["check", "history.edn", "--idempotence", "false"]).code(0).stdout;
    assert!(allowed.contains("ALLOWED(retry-without-idempotence) duplicate: once"), "{allowed}");
    assert!(allowed.contains("7 of :x lies at offsets 0, 1 (operations 1, 3)"), "{allowed}");

    let jsonl = "{\"process\":0,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[[\"poll\"]]}\n";
    std::fs::write(place.join("history.jsonl"), jsonl).expect("it can be written");
    assert!(run_in(&place, &["check", "history.jsonl"]).code(3).stdout.contains("vacuous: no record was sent"));
    std::fs::write(place.join("bad.edn"), format!("{TWICE}{{:process 1, :type :ok, :f :poll}}\n"))
        .expect("it can be written");
    let error = run_in(&place, &["check", "bad.edn"]).code(2).stderr;
    assert!(
        error.contains("bad.edn: line 5, column 1: process 1 completes an operation that it never invoked"),
        "{error}"
    );
    assert!(run_in(&place, &["check", "none.edn"]).code(2).stderr.contains("there is no such file"));
}

#[test]
fn a_recording_is_checked_and_its_export_reads_back_to_the_same_verdict() {
    let place = directory("export");
    run_in(
        &place,
        &["run", "leader-crash", "--seed", "7", "--set", "producer.acks=1", "--trace", "run.trial", "--log", "none"],
    );
    let recorded = run_in(&place, &["check", "run.trial", "--json"]).json();
    assert!(recorded["counters"]["acked_sends"].as_u64().is_some_and(|n| n > 100), "{recorded}");
    for to in ["edn", "jsonl"] {
        run_in(&place, &["export", "run.trial", "--to", to, "--out", "history"]).code(0);
        let history = std::fs::read_to_string(place.join("history")).expect("it was written");
        // The head of the EDN says with which options.
        let head = history
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("; trial check "))
            .unwrap_or("--acks 1 --idempotence false");
        let options: Vec<&str> = ["check", "history", "--json"].into_iter().chain(head.split(' ')).collect();
        let again = run_in(&place, &options).json();
        assert_eq!((&again["valid"], &again["counters"]), (&recorded["valid"], &recorded["counters"]));
        if to == "edn" {
            assert_eq!(again["findings"], recorded["findings"]);
        }
    }
}

#[test]
fn a_record_has_a_story() {
    let args: Vec<&str> = ["explain", "healthy", "--record", "r42", "--json"].into_iter().chain(SHORT).collect();
    let story = run(&args).code(0).json();
    let told: Vec<&str> =
        story["steps"].as_array().expect("steps").iter().filter_map(|s| s["sentence"].as_str()).collect();
    let at = |what: &str| {
        told.iter().position(|sentence| sentence.contains(what)).unwrap_or_else(|| panic!("{what}: {told:#?}"))
    };
    let order =
        ["is to send record r42", "sent", "as leader", "as follower", "acknowledged", "in the final read"].map(at);
    assert!(order.is_sorted(), "{told:#?}");
    assert_eq!(told.iter().filter(|sentence| sentence.contains("it lies at offset")).count(), 3, "{told:#?}");
    let args: Vec<&str> = ["explain", "healthy", "--record", "42", "--mermaid"].into_iter().chain(SHORT).collect();
    let drawn = run(&args).code(0).stdout;
    assert!(drawn.contains("flowchart TD") && drawn.contains("s0 --> s1"), "{drawn}");
}

#[test]
fn a_campaign_is_the_same_on_any_number_of_threads() {
    let search = |jobs: &str| run(&["search", "leader-crash", "--seeds", "1..6", "--json", "--jobs", jobs]).json();
    let (one, three) = (search("1"), search("3"));
    let promised = [
        "seeds",
        "passed",
        "failed",
        "vacuous",
        "wall_s",
        "trials_per_s",
        "events_per_s",
        "virtual_s_per_s",
        "findings",
        "coverage",
    ];
    assert_eq!(keys(&one), BTreeSet::from(promised));
    for key in ["seeds", "passed", "failed", "vacuous", "findings", "coverage"] {
        assert_eq!(one[key], three[key], "{key}");
    }
    assert_eq!(one["seeds"], 6);
}

#[test]
fn without_a_scenario_each_seed_draws_its_own() {
    let printed = run(&["search", "--seeds", "11..14"]).code(0).stdout;
    assert!(printed.starts_with("swarm, seeds 11..14: 4 trials"), "{printed}");
    let place = directory("swarm");
    let drawn = run(&["scenario", "swarm", "--seed", "12", "--set", "run=30s"]).code(0).stdout;
    std::fs::write(place.join("swarm-12.toml"), drawn).expect("it can be written");
    let file = run_in(&place, &["run", "swarm-12.toml", "--seed", "12", "--json"]).code(0).json();
    let sum = run(&["search", "--seeds", "12..12", "--set", "run=30s", "--json"]).code(0).json();
    assert_eq!(file["scenario"], "swarm-12");
    assert_eq!(file["counters"]["sends"], sum["coverage"]["sends"], "the file is what the campaign ran");
}

/// What is printed of a campaign, but for the line with its times.
fn but_for_times(printed: &str) -> String {
    let timeless = |line: &&str| !line.contains(" trials/s, ");
    printed.lines().filter(timeless).collect::<Vec<_>>().join("\n")
}

#[test]
fn shards_that_are_merged_are_the_whole_campaign() {
    let place = directory("shards");
    let args = ["search", "leader-crash", "--set", "producer.acks=1", "--seeds", "3..12"];
    let search = |more: &[&str]| run_in(&place, &[&args[..], more].concat());
    let whole = search(&["--json"]).json();
    let printed = but_for_times(&search(&[]).stdout);
    search(&["--out", "found", "--shard", "1/3"]);
    search(&["--out", "found", "--shard", "3/3"]);
    let incomplete = run_in(&place, &["merge", "found"]).code(2);
    assert!(incomplete.stderr.contains("shard 2/3 is not here"), "{}", incomplete.stderr);
    search(&["--out", "found", "--shard", "2/3"]);
    let merged = run_in(&place, &["merge", "found", "--junit", "found.xml"]).code(0);
    assert_eq!(but_for_times(&merged.stdout), printed);
    let apart = ["found/shard-3-of-3", "found/shard-1-of-3", "found/shard-2-of-3"];
    let merged = run_in(&place, &[&["merge", "--json"][..], &apart].concat()).code(0).json();
    for key in ["seeds", "passed", "failed", "vacuous", "findings", "coverage"] {
        assert_eq!(merged[key], whole[key], "{key}");
    }
    let twice = run_in(&place, &["merge", "found", "found/shard-1-of-3"]).code(2);
    assert!(twice.stderr.contains("shard 1/3 is there twice"), "{}", twice.stderr);
    let junit = std::fs::read_to_string(place.join("found.xml")).expect("it was written");
    assert!(junit.contains("name=\"ALLOWED(acks-1) lost-write\"") && junit.contains("failures=\"0\""), "{junit}");
}

#[test]
fn a_campaign_goes_on_where_it_stopped() {
    let place = directory("goes-on");
    let args = ["search", "leader-crash", "--set", "producer.acks=1", "--seeds", "1..6", "--out", "found"];
    let whole = run_in(&place, &args).code(0);
    let lines = place.join("found/trials.jsonl");
    let text = std::fs::read_to_string(&lines).expect("the sums are there");
    // Killed in the middle of a line: what stood in it is run again.
    std::fs::write(&lines, &text[..text.len() - 10]).expect("it can be written");
    let again = run_in(&place, &args).code(0);
    assert_eq!(but_for_times(&again.stdout), but_for_times(&whole.stdout));
    let nothing_left = run_in(&place, &args).code(0);
    assert_eq!(but_for_times(&nothing_left.stdout), but_for_times(&whole.stdout));
    assert!(nothing_left.stderr.contains("6 of 6 seeds are done"), "{}", nothing_left.stderr);
    // The first run of a finding is there, and it is that run.
    let kept = run_in(&place, &["run", "found/findings/ALLOWED-lost-write-by-acks-1.toml", "--seed", "1", "--json"]);
    assert!(kept.stdout.contains("\"code\":\"lost-write\",\"rule\":\"acks-1\""), "{}", kept.stdout);
    let explained = run_in(&place, &["explain", "found/findings/ALLOWED-lost-write-by-acks-1.trial"]).code(0);
    assert!(explained.stdout.contains("ALLOWED(acks-1) lost-write"), "{}", explained.stdout);
    for (other, word) in [
        (vec!["search", "leader-crash", "--seeds", "1..6", "--out", "found"], "of leader-crash with other settings"),
        (vec!["search", "--seeds", "1..6", "--out", "found"], "of leader-crash, not of swarm"),
        ([&args[..5], &["1..7", "--out", "found"]].concat(), "of the seeds 1..6, not 1..7"),
    ] {
        let refused = run_in(&place, &other).code(2);
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    let header = place.join("found/campaign.json");
    let text = std::fs::read_to_string(&header).expect("it is there");
    std::fs::write(&header, text.replace(CORE_HASH, "00000000")).expect("it can be written");
    for args in [&args[..], &["merge", "found"]] {
        let refused = run_in(&place, args).code(2);
        assert!(refused.stderr.contains("another build: trial 0.1.0, core 00000000"), "{}", refused.stderr);
    }
}

#[test]
fn a_switch_of_the_zoo_is_found() {
    let found = run(&["zoo", "ack-before-hw", "--seeds", "40", "--json"]).code(0).json();
    let promised = ["switch", "found", "seeds_median", "seeds_worst", "cpu_s_median", "codes", "must_any", "may"];
    assert_eq!(keys(&found), BTreeSet::from(promised));
    assert_eq!(found["found"], true);
    let elsewhere = run(&["zoo", "ack-before-hw", "--seeds", "5001..5040"]).code(0).stdout;
    assert!(elsewhere.contains("--seed 50"), "{elsewhere}");
    let args = ["search", "healthy", "--seeds", "1..50", "--zoo", "ack-before-hw", "--until-bug"];
    let ended = run(&args.into_iter().chain(SHORT).collect::<Vec<_>>()).code(1);
    assert!(ended.stdout.contains("--set 'zoo=[\"ack-before-hw\"]'"), "{}", ended.stdout);
}

#[test]
fn the_format_is_there_for_machines() {
    let schema = run(&["scenario", "schema", "--json"]).code(0).stdout;
    let entries: Vec<Value> =
        schema.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert!(entries.iter().any(|entry| entry["section"] == "producer" && entry["key"] == "acks"), "{schema}");
    let place = directory("new");
    std::fs::write(place.join("my.toml"), run(&["scenario", "new"]).code(0).stdout).expect("it can be written");
    let trial = run_in(&place, &["run", "my.toml", "--json"]).json();
    assert_eq!(trial["scenario"], "my");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = trial(&["run", "healthy", "--log", "full"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut stderr).expect("it can be read");
    assert_eq!((child.wait().expect("it ends").code(), stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_what_is_known() {
    let args = ["run", "chaos", "--log", "full", "--set", "run=10h", "--set", "producer.records=100000000"];
    let mut child = trial(&args).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut printed = String::new();
    // It runs now, and it listens.
    stdout.read_line(&mut printed).expect("it can be read");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(killed.success());
    printed.clear();
    stdout.read_to_string(&mut printed).expect("it can be read");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(
        printed.contains("Interrupted: this is what was known by then.") && printed.contains("Reproduce: "),
        "no verdict"
    );
}
