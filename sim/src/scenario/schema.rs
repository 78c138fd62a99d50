//! The format, said once: the parser checks its keys against these tables, and `trial scenario schema` prints them.

use std::fmt::Write as _;

use trial_kafka::config::NOT_MODELLED;
use trial_kafka::event::Event;
use trial_kafka::zoo::Switch;

use super::FINDING_CODES;
use super::admin::{ACTION_NAMES, keys_of_action};
use super::faults::keys_of_kind;
use super::kafka::SETS;
use crate::fault::{KIND_NAMES, MetadataKind};

/// A key of our own; Kafka's keys stand in [`trial_kafka::config`].
pub(super) struct Key {
    pub name: &'static str,
    pub takes: &'static str,
    pub default: &'static str,
    pub about: &'static str,
}

/// Names of sections.
pub(super) const SECTIONS: &[&str] =
    &["cluster", "topic", "producer", "consumer", "network", "disk", "fault", "chaos", "admin", "expect"];
/// Those that may stand more than once, as `[[topic]]`.
pub(super) const LISTS: &[&str] = &["topic", "producer", "consumer", "fault", "admin"];

macro_rules! keys {
    ($($name:literal $takes:literal $default:literal $about:literal;)*) => {
        &[$(Key { name: $name, takes: $takes, default: $default, about: $about }),*]
    };
}

const TOP: &[Key] = keys! {
    "format" "1" "(needed)" "version of this format";
    "name" "text" "the file's name" "what the scenario is called";
    "about" "text" "\"\"" "its one idea, in a line";
    "zoo" "list of switches" "[]" "bugs of Kafka's past that are brought back";
    "warm-up" "duration" "\"4s\"" "the cluster forms and topics are created; no faults; every time counts from the start of this";
    "run" "duration" "\"30s\"" "workload and faults, after the warm-up";
    "core" "everybody, random" "\"everybody\"" "who is healed first: at random a part that can do without the rest has to get on, then all are healed";
    "heal" "duration" "\"90s\"" "faults are over: at most this long until every partition has its leader and full ISR";
    "drain" "duration" "\"180s\"" "every operation is settled and every partition is read: at most this long";
};
const CLUSTER: &[Key] = keys! {
    "brokers" "1..=1000" "3" "brokers b1, b2, …; broker bN has node.id N";
    "controllers" "1..=5" "1" "controllers c1, c2, …: the voters of the metadata quorum";
    "combined" "true or false" "false" "the first brokers' processes are the controllers too (process.roles=broker,controller): c1 is b1";
    "racks" "list of names" "[]" "racks, dealt out to the brokers in turn";
};
const TOPIC: &[Key] = keys! {
    "name" "text" "(needed)" "the topic's name";
    "partitions" "1..=10000" "1" "number of partitions";
    "replication.factor" "1..=brokers" "brokers, at most 3" "replicas of each partition";
    "assignments" "list of lists of brokers" "(the controller's choice)" "replicas of each partition, the preferred leader first";
};
const PRODUCER: &[Key] = keys! {
    "count" "1..=1000" "1" "so many equal producers; all producers together are p1, p2, …";
    "topics" "list of topics" "all" "what it writes to, in turn";
    "rate" "1..=1000000" "200" "records per second of each producer";
    "records" "1..=1000000000" "(until the faults end)" "records of each producer after which it stops; one more shows, once all has healed, that it gets on";
    "value-bytes" "16..=1048576" "100" "size of a value; a value carries its record's number";
    "keys" "1..=1000000000" "(no keys)" "number of different keys; without, the sticky partitioner chooses";
};
const CONSUMER: &[Key] = keys! {
    "count" "1..=1000" "1" "so many equal consumers; all consumers together are k1, k2, …";
    "topics" "list of topics" "all" "what it reads; without group.id all partitions are assigned to it, with it it subscribes";
    "pattern" "regular expression" "(topics)" "with group.id: it subscribes to the topics whose whole names match";
    "commit" "auto, before, after, never" "auto, or never" "with group.id: the client commits (enable.auto.commit), or it does before or after processing, or nobody";
    "poll-interval" "duration" "\"100ms\"" "pause between two polls";
    "processing" "duration or range" "\"0s\"" "how long it works on the records of one poll, before the next; of a range each poll has its own";
    "join-at" "time or range" "the end of the warm-up" "when it begins; of several each has its own time in the range";
    "leave-at" "time or range" "(never)" "when it closes, for good";
    "start" "offset, \"earliest\", \"latest\" or duration" "(by auto.offset.reset)" "where it starts in each partition; a time: at the first record written then or later";
    "seek-at" "duration" "(never)" "virtual time at which it goes elsewhere";
    "seek-to" "as start" "(none)" "where it goes then, in each partition";
};
const NETWORK: &[Key] = keys! {
    "latency.min" "duration" "\"200us\"" "a message takes at least this long, one way";
    "latency.typical" "duration" "\"500us\"" "the median";
    "latency.max" "duration" "\"20ms\"" "a message takes at most this long";
    "latency.tail-per-mille" "0..=1000" "10" "messages of a thousand that take longer than usual";
};
const DISK: &[Key] = keys! {
    "operation" "duration or range" "\"2us..10us\"" "how long an operation on the page cache takes";
    "sync" "duration or range" "\"1ms..6ms\"" "how long a sync takes";
    "writeback" "duration" "\"30s\"" "age at which the operating system writes back; power loss takes only what is younger";
};
const FAULT: &[Key] = keys! {
    "kind" "a kind" "(needed)" "what goes wrong";
    "target" "a target" "(needed)" "who is hit, resolved when the fault fires";
    "at" "time or range" "(this or after)" "when, counted from the start of the trial";
    "after" "an event" "(this or at)" "the event that fires it: \"truncated\", \"truncated of orders-0\", \"truncated on b1\"";
    "not-before" "time or range" "the end of the warm-up" "with after: events count from here on";
    "occurrence" "number or range" "1" "with after: the n-th such event fires it; \"1..20\" is drawn by the seed";
    "delay" "duration or range" "\"0s\"" "with after: from the event to the fault";
    "restart-after" "duration or range" "(when healed)" "from the end of the process to its start";
    "after-operations" "number or range" "0" "so many operations of the disk still succeed; the next kills the process";
    "down-for" "duration or range" "\"1s\"" "from the end of the process to its start";
    "lasts" "duration or range" "(until healed)" "how long it lasts";
    "peers" "list of peers" "[\"everyone\"]" "the other ends of the links";
    "direction" "both, out, in" "\"both\"" "which way, seen from the target";
    "purpose" "client, fetcher, heartbeat, alter-partition, raft, forwarding" "(all)" "only connections of this purpose: nodes have one for each";
    "by" "duration or range" "(needed)" "how much is added; how far the clock jumps; how late metadata is";
    "of" "list of kinds of metadata" "[] (all)" "with which record the delay begins; what follows it is late too";
    "back" "true or false" "false" "the clock jumps back";
    "age" "duration or range" "(needed)" "how old the disk is that a broker comes back with";
    "only" "[\"checkpoints\"]" "(the whole disk)" "only the checkpoint files are that old";
    "id" "a number" "its position" "the fault's name for the seed: it keeps its random choices when others go";
};
const CHAOS: &[Key] = keys! {
    "faults" "number or range \"3..8\"" "\"3..8\"" "how many faults a run has";
    "mix.crash" "weight" "1" "how often a crash; naming any weight makes all others 0";
    "mix.power-loss" "weight" "1" "how often a loss of power";
    "mix.clean-restart" "weight" "1" "how often an orderly restart";
    "mix.pause" "weight" "1" "how often a pause";
    "mix.cut" "weight" "1" "how often a cut link";
    "mix.slow-link" "weight" "1" "how often a slow link";
    "mix.slow-disk" "weight" "1" "how often a slow disk";
    "mix.stall-disk" "weight" "1" "how often a disk that hangs";
    "mix.slow-fetch" "weight" "1" "how often a slow fetcher";
    "mix.clock-jump" "weight" "1" "how often a clock that jumps";
    "mix.replace-disk" "weight" "0" "how often an empty disk; never unless asked for";
    "mix.restore-disk" "weight" "0" "how often a disk, or its checkpoint files, as they were; never unless asked for";
    "mix.disk-fails" "weight" "1" "how often a disk that fails in the middle of what its node does";
    "mix.late-metadata" "weight" "1" "how often metadata that reaches a broker late";
    "mix.lost-sync" "weight" "0" "how often a disk that answers syncs and keeps nothing; never unless asked for";
    "swarm" "true or false" "true" "a run uses a random subset of the kinds";
    "targets" "list of targets" "random brokers and leaders; with several controllers as often one of these" "who is hit, each as likely as the others, by the kinds it can suffer";
    "events" "list of events" "acks, elections, ISR changes, truncations; with several controllers what their quorum does" "what faults hang on, each as likely as the others";
    "by-event" "0..=100" "50" "of a hundred faults, how many hang on an event";
    "occurrence" "number or range" "1" "the n-th such event fires the fault";
    "delay" "duration or range" "\"0s..5ms\"" "from the event to the fault";
    "down-for" "duration or range" "\"500ms..15s\"" "how long a node stays down";
    "lasts" "duration or range" "\"500ms..12s\"" "how long other faults last";
    "slow-link-by" "duration or range" "\"5ms..1s\"" "added to each message";
    "slow-disk-by" "duration or range" "\"500us..50ms\"" "added to each operation";
    "slow-fetch-by" "duration or range" "\"10ms..1s\"" "added to each fetch";
    "clock-jump-by" "duration or range" "\"100ms..60s\"" "how far clocks jump";
    "disk-fails-after" "number or range" "\"0..30\"" "operations that a failing disk still does";
    "metadata-late-by" "duration or range" "\"10ms..5s\"" "how late metadata is";
};
const ADMIN: &[Key] = keys! {
    "at" "time or range" "(this or after)" "when it is tried first, counted from the start of the trial";
    "after" "an event" "(this or at)" "the event that it waits for: \"isr-changed\", \"leader-changed of orders-0\", \"truncated on b1\"";
    "not-before" "time or range" "the end of the warm-up" "with after: events count from here on";
    "occurrence" "number or range" "1" "with after: it waits for the n-th such event; \"1..20\" is drawn by the seed";
    "delay" "duration or range" "\"0s\"" "with after: from the event to the step";
    "do" "an action" "(needed)" "what is done; tried again while no controller answers, until the faults end";
    "topic" "text" "(needed)" "the topic's name; a create-topic takes Kafka's topic keys too";
    "partitions" "1..=10000" "1" "partitions, in all";
    "replication.factor" "1..=brokers" "brokers, at most 3" "replicas of each partition";
    "assignments" "list of lists of brokers" "(the controller's choice)" "replicas of each partition, the preferred leader first";
    "partition" "a number" "0" "the partition; elect-leaders without topic: all partitions";
    "replicas" "list of brokers" "(cancel)" "where the partition moves; without, the reassignment under way is cancelled";
    "before" "an offset" "(the high watermark)" "records below it are deleted";
    "election" "preferred, unclean" "\"preferred\"" "which kind of election";
    "controller" "1..=controllers" "(needed)" "whom add-voter makes a voter of the quorum, on the disk that it has then; whom remove-voter makes none";
    "once" "true, false" "false" "add-voter, remove-voter: not tried again, whatever the answer is";
    "group" "text" "(needed)" "the group that is deleted, or whose offsets of the topic are";
    "resource" "\"topic orders\", \"b1\", \"all brokers\"" "(needed)" "whose configs are changed";
    "set" "list of \"KEY=VALUE\"" "[]" "configs that are set";
    "remove" "list of keys" "[]" "configs that are removed: the next default holds";
};
const EXPECT: &[Key] = keys! {
    "never" "list of codes" "[]" "findings that must not be there, of whichever class";
    "any" "list of codes" "[]" "findings of which one at least must be there";
    "as-configured" "true or false" "false" "with a zoo switch on, what the configuration allows stays allowed";
};

/// Our own keys of a section, the top of the file being "".
pub(super) fn keys_of(section: &str) -> &'static [Key] {
    match section {
        "cluster" => CLUSTER,
        "topic" => TOPIC,
        "producer" => PRODUCER,
        "consumer" => CONSUMER,
        "network" => NETWORK,
        "disk" => DISK,
        "fault" => FAULT,
        "chaos" => CHAOS,
        "admin" => ADMIN,
        "expect" => EXPECT,
        _ => TOP,
    }
}

const HEAD: &str = "\
A scenario is a TOML file. Everything has a default but `format`, one topic, and what is marked (needed).
Durations are text: \"5.2s\", \"300ms\", \"250us\", \"2m\"; a range \"5s..6s\" is drawn by the seed.
Kafka's keys stand beside ours under Kafka's names, dotted or quoted: linger.ms = 5, \"linger.ms\" = \"5ms\".
Of those that are int or millis in [cluster], [[producer]] and [[consumer]] the seed draws a value, where a range is given:
replica.lag.time.max.ms = \"1s..10s\", num.replica.fetchers = \"1..3\"; equal producers have equal values.
Any key can be set from outside: --set producer.acks=1, --set cluster.min.insync.replicas=2, --set run=1m;
a number picks one of several: --set producer.2.acks=all.
A key that is unknown, or that Kafka knows and the model does not have, is an error and never ignored.
";

const WORDS: &str = "\
targets   b1, c1, p1, k1 (broker, controller, producer, consumer), leader of orders-0, follower 1 of orders-0,
          random broker, all brokers, rack r1, that node (with after: the node of the event),
          coordinator of readers (the broker that coordinates this group), random consumer,
          active controller, standby controller 1, random controller, all controllers, c1 and c3,
          minority of controllers, majority of controllers (drawn by the seed, with or without the active one),
          minority of controllers with the active, majority of controllers without the active
peers     everyone, brokers, controllers, clients, or any target
";

const TAIL: &str = "\
As in Kafka, idempotence is on by default, and off without a word where acks is 0 or 1 or retries is 0: whoever compares
values of acks sets enable.idempotence too, or two things change at once. Asked for with such values it is an error.
";

/// The whole format, for people.
pub fn schema() -> String {
    let mut out = String::from(HEAD);
    section(&mut out, "the top of the file", "");
    for &name in SECTIONS {
        let header = if LISTS.contains(&name) { format!("[[{name}]]") } else { format!("[{name}]") };
        section(&mut out, &header, name);
        if name == "fault" {
            out.push_str("\n  The keys of each kind, besides those that say who and when:\n");
            for kind in KIND_NAMES {
                line(&mut out, &format!("    {kind:<14} {}", keys_of_kind(kind).join(", ")));
            }
        }
        if name == "admin" {
            out.push_str("\n  The keys of each action, besides those that say what and when:\n");
            for action in ACTION_NAMES {
                line(&mut out, &format!("    {action:<18} {}", keys_of_action(action).join(", ")));
            }
        }
    }
    line(&mut out, "\nWords");
    out.push_str(WORDS);
    words(&mut out, "events", Event::NAMES.iter().copied());
    words(&mut out, "kinds of metadata", MetadataKind::NAMES.iter().map(|(name, _)| *name));
    words(&mut out, "codes", FINDING_CODES.iter().copied());
    line(&mut out, "zoo");
    for switch in Switch::ALL {
        line(&mut out, &format!("  {:<24} {}", switch.name(), switch.about()));
    }
    words(&mut out, "\nKnown to Kafka, not modelled", NOT_MODELLED.iter().copied());
    out.push('\n');
    out.push_str(TAIL);
    out
}

/// One key of the format, for machines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SchemaEntry {
    /// The section it stands in; empty for the top of the file.
    pub section: &'static str,
    /// Its name.
    pub key: &'static str,
    /// What it takes.
    pub takes: String,
    /// What holds if it is not given, in words.
    pub default: &'static str,
    /// Its meaning, in one line.
    pub about: &'static str,
}

/// Every key, in the order of [`schema`].
pub fn schema_entries() -> Vec<SchemaEntry> {
    let mut entries = Vec::new();
    for &section in [""].iter().chain(SECTIONS) {
        let ours = keys_of(section).iter();
        entries.extend(ours.map(|&Key { name: key, takes, default, about }| SchemaEntry {
            section,
            key,
            takes: takes.to_string(),
            default,
            about,
        }));
        let kafkas = SETS.iter().filter(|(name, _)| *name == section).flat_map(|(_, keys)| keys.iter());
        entries.extend(kafkas.map(|config| SchemaEntry {
            section,
            key: config.name,
            takes: format!("{:?}", config.kind).to_lowercase(),
            default: config.default,
            about: config.about,
        }));
    }
    entries
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn section(out: &mut String, header: &str, name: &str) {
    line(out, &format!("\n{header}"));
    for key in keys_of(name) {
        line(out, &format!("  {:<24} {:<26} {:<28} {}", key.name, key.takes, key.default, key.about));
    }
    for config in SETS.iter().filter(|(section, _)| *section == name).flat_map(|(_, keys)| keys.iter()) {
        let takes = format!("{:?}", config.kind).to_lowercase();
        line(out, &format!("  {:<46} {takes:<7} {:<22} {}", config.name, config.default, config.about));
    }
}

/// A heading and its words, folded at 116 columns.
fn words<'a>(out: &mut String, heading: &str, words: impl Iterator<Item = &'a str>) {
    line(out, heading);
    let mut current = String::new();
    for word in words {
        if current.len() + word.len() > 112 {
            line(out, &format!("  {current}"));
            current.clear();
        }
        // Writing to a String cannot fail.
        let _ = write!(current, "{word}, ");
    }
    line(out, &format!("  {}", current.trim_end_matches(", ")));
}
