//! A scenario file in the making: what is drawn is written down at once, under the section it belongs to.
//!
//! Every draw has a stream of its own, named by the seed, the section and the key: a key that is added to the space, or
//! taken away, leaves the others as they were. A variation draws some keys anew.

use std::fmt::Display;

use xxhash_rust::xxh3::xxh3_64;

use super::Draw;
use crate::fault::Stream;
use crate::scenario::{parse_duration, show_duration};

/// So many segments a second all producers fill together at most.
const SEGMENTS: u64 = 50;

/// Milliseconds as Kafka's keys count them.
pub(super) type Millis = u64;

/// See the module documentation.
pub(super) struct Sheet {
    draw: Draw,
    /// Headers, and under each its keys with their values as TOML.
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Sheet {
    /// An empty one, for the keys above all sections.
    pub(super) fn new(draw: &Draw) -> Self {
        Sheet { draw: draw.clone(), sections: vec![(String::new(), Vec::new())] }
    }

    /// Begins a section: `[cluster]`, `[[topic]]`.
    pub(super) fn section(&mut self, header: &str) {
        self.sections.push((header.to_owned(), Vec::new()));
    }

    /// A value of the section begun last. One that is there already gives way.
    pub(super) fn put(&mut self, key: &str, value: impl Display) {
        let last = self.sections.len() - 1;
        put(&mut self.sections[last].1, key, value.to_string());
    }

    /// The same, as text.
    pub(super) fn put_text(&mut self, key: &str, text: impl Display) {
        self.put(key, format!("\"{text}\""));
    }

    /// A value of the first section with this header, which is there.
    pub(super) fn put_into(&mut self, header: &str, key: &str, value: impl Display) {
        if let Some((_, keys)) = self.sections.iter_mut().find(|(name, _)| name == header) {
            put(keys, key, value.to_string());
        }
    }

    /// The same of the first of them with this value under another key.
    pub(super) fn put_beside(&mut self, header: &str, beside: (&str, &str), key: &str, value: impl Display) {
        let is_beside =
            |keys: &[(String, String)]| keys.iter().any(|(key, value)| (key.as_str(), value.as_str()) == beside);
        let found = self.sections.iter_mut().find(|(name, keys)| name == header && is_beside(keys));
        if let Some((_, keys)) = found {
            put(keys, key, value.to_string());
        }
    }

    /// The same of every section with this header.
    pub(super) fn put_into_each(&mut self, header: &str, key: &str, value: impl Display) {
        for (_, keys) in self.sections.iter_mut().filter(|(name, _)| name == header) {
            put(keys, key, value.to_string());
        }
    }

    /// Below `bound`, for this purpose in this section.
    pub(super) fn below(&self, purpose: &str, bound: u64) -> u64 {
        let nth = self.sections.len();
        let header = self.sections.last().map_or("", |(header, _)| header.as_str());
        // The same header may come again: then its position among equals tells it apart.
        let equals = self.sections[..nth].iter().filter(|(name, _)| name == header).count();
        let id = xxh3_64(format!("{header} {equals} {purpose}").as_bytes()) as u32;
        Stream::new(self.draw.seed_of(id), "swarm", id).below(bound)
    }

    /// In so many of a hundred seeds.
    pub(super) fn chance(&self, per_hundred: u64, purpose: &str) -> bool {
        self.below(&format!("{purpose}?"), 100) < per_hundred
    }

    /// One of these. What stands there twice comes twice as often.
    pub(super) fn pick<T: Copy>(&self, purpose: &str, of: &[T]) -> T {
        of[self.below(purpose, of.len() as u64) as usize]
    }

    /// From `least` to `most`, each order of magnitude as likely as the others.
    pub(super) fn spread(&self, purpose: &str, least: u64, most: u64) -> u64 {
        let doublings = u64::from(((most + 1) / (least + 1)).max(1).ilog2());
        let doubled = self.below(&format!("{purpose} magnitude"), doublings + 1);
        let low = ((least + 1) << doubled) - 1;
        let high = (2 * low).min(most).max(low);
        low + self.below(purpose, high - low + 1)
    }

    /// The key is one of these.
    pub(super) fn one_of<T: Copy + Display>(&mut self, key: &str, of: &[T]) -> T {
        let value = self.pick(key, of);
        self.put(key, value);
        value
    }

    /// In so many of a hundred seeds the key has one of these values; in the others it has its default.
    pub(super) fn some<T: Copy + Display>(&mut self, per_hundred: u64, key: &str, of: &[T]) {
        if self.chance(per_hundred, key) {
            self.one_of(key, of);
        }
    }

    /// The same of numbers, each order of magnitude as likely as the others.
    pub(super) fn number(&mut self, per_hundred: u64, key: &str, least: u64, most: u64) {
        if self.chance(per_hundred, key) {
            self.put(key, self.spread(key, least, most));
        }
    }

    /// The same of durations.
    pub(super) fn time(&mut self, per_hundred: u64, key: &str, least: Millis, most: Millis) {
        if self.chance(per_hundred, key) {
            self.put_text(key, shown(self.spread(key, least, most)));
        }
    }

    /// A range of durations within these bounds, for a key that takes one.
    pub(super) fn times(&mut self, key: &str, least: Millis, most: Millis) {
        let one = self.spread(&format!("{key} from"), least, most);
        let other = self.spread(&format!("{key} to"), least, most);
        self.put_text(key, format!("{}..{}", shown(one.min(other)), shown(one.max(other))));
    }

    /// The same, every instant as likely as the others.
    pub(super) fn times_within(&mut self, key: &str, least: Millis, most: Millis) {
        let width = most.saturating_sub(least) + 1;
        let (one, other) = (self.below(&format!("{key} from"), width), self.below(&format!("{key} to"), width));
        self.put_text(key, format!("{}..{}", shown(least + one.min(other)), shown(least + one.max(other))));
    }

    /// A broker that is heard of less often than its session lasts is fenced again and again, and so is everybody: a heartbeat
    /// comes three times in each session at least.
    fn relieve_sessions(&mut self) {
        const DEFAULTS: (u64, u64) = (9_000, 2_000);
        for (_, keys) in self.sections.iter_mut().filter(|(header, _)| header == "[cluster]") {
            let millis = |key: &str, default: u64| number(keys, key).map_or(default, in_millis);
            let session = millis("broker.session.timeout.ms", DEFAULTS.0);
            if millis("broker.heartbeat.interval.ms", DEFAULTS.1) > session / 3 {
                put(keys, "broker.heartbeat.interval.ms", format!("\"{}\"", shown(session / 3)));
            }
        }
    }

    /// Whoever is given more than it can get rid of is behind for ever, and that is no news: no producer writes more than a
    /// third of what one leader takes from it, and all together no more than a follower fetches of one partition, or than a
    /// disk keeps up with where every so many records are synced. A broker takes the next request of a connection when it has
    /// answered the last one, so with acks=all one is replicated at a time, however many are in flight; and its answer waits
    /// for the syncs of leader and follower where every batch is synced. Nor does anybody learn from a log that rolls with every
    /// record: thousands of segments take long to run and show what a hundred show.
    pub(super) fn relieve(&mut self) {
        self.relieve_sessions();
        let network = self.sections.iter().find(|(header, _)| header == "[network]");
        let network = network.map_or(&[][..], |(_, keys)| keys);
        let millis = |key: &str| number(network, key).unwrap_or_default() / 1_000_000;
        let round_trip = 20 + 2 * (millis("latency.typical") + millis("latency.max") * tail(network) / 1_000);
        let of_kind =
            |kind: &'static str| self.sections.iter().filter(move |(header, _)| header == kind).map(|(_, keys)| keys);
        let fetched = of_kind("[cluster]").find_map(|keys| number(keys, "replica.fetch.max.bytes"));
        let synced_every = of_kind("[cluster]").find_map(|keys| number(keys, "log.flush.interval.messages"));
        let segments = of_kind("[cluster]").find_map(|keys| number(keys, "log.segment.bytes"));
        let is_slow = of_kind("[disk]").any(|keys| keys.iter().any(|(key, _)| key == "sync"));
        let sync = if is_slow { 60 } else { 10 };
        let producers: u64 = of_kind("[[producer]]").map(|keys| number(keys, "count").unwrap_or(1)).sum();
        for (_, keys) in self.sections.iter_mut().filter(|(header, _)| header == "[[producer]]") {
            let of = |key: &str, default: u64| number(keys, key).unwrap_or(default);
            let bytes = of("value-bytes", 100) + 70;
            let records = (of("batch.size", 16_384) / bytes).max(1);
            let acks = keys.iter().find(|(key, _)| key == "acks");
            let is_replicated = acks.is_none_or(|(_, acks)| acks.trim_matches('"') == "all");
            let taken = match is_replicated {
                true => {
                    let syncs = synced_every.filter(|every| *every <= records).map_or(0, |_| 2 * sync);
                    2 * records * 1_000 / (round_trip + syncs)
                }
                false => of("max.in.flight.requests.per.connection", 5) * records * 1_000 / round_trip,
            };
            let at_a_time = fetched.map_or(u64::MAX, |most| (most / (bytes * records)).max(1).saturating_mul(records));
            let synced = synced_every.map_or(u64::MAX, |every| every.max(records) * 1_000 / sync / producers.max(1));
            let replicated = at_a_time.saturating_mul(1_000) / round_trip / producers.max(1);
            let rolled = segments.map_or(u64::MAX, |most| SEGMENTS * (most / bytes).max(1) / producers.max(1));
            let rate = of("rate", 200).min(taken / 3).min(replicated / 2).min(synced / 2).min(rolled).max(1);
            put(keys, "rate", rate.to_string());
        }
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (header, keys) in &self.sections {
            text.push_str(header);
            text.push('\n');
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }
}

/// A number or a duration in nanoseconds.
fn number(keys: &[(String, String)], key: &str) -> Option<u64> {
    let (_, value) = keys.iter().find(|(name, _)| name == key)?;
    let value = value.trim_matches('"');
    value.parse().ok().or_else(|| parse_duration(value).ok())
}

/// Durations of Kafka's keys may stand there as plain numbers, which are milliseconds.
fn in_millis(value: u64) -> u64 {
    if value < 1_000_000 { value } else { value / 1_000_000 }
}

/// Messages of a thousand that are slow.
fn tail(network: &[(String, String)]) -> u64 {
    number(network, "latency.tail-per-mille").unwrap_or(10)
}

fn put(keys: &mut Vec<(String, String)>, key: &str, value: String) {
    match keys.iter_mut().find(|(name, _)| name == key) {
        Some((_, old)) => *old = value,
        None => keys.push((key.to_owned(), value)),
    }
}

/// As scenario files have durations.
pub(super) fn shown(millis: Millis) -> String {
    show_duration(millis * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(seed: u64) -> Sheet {
        Sheet::new(&Draw::of(seed))
    }

    #[test]
    fn a_spread_reaches_both_ends_and_nothing_beyond() {
        let drawn: Vec<u64> = (0..2_000).map(|seed| sheet(seed).spread("x", 3, 1_000)).collect();
        assert!(drawn.iter().all(|n| (3..=1_000).contains(n)), "{drawn:?}");
        assert!(drawn.iter().any(|n| *n < 6) && drawn.iter().any(|n| *n > 900));
        assert!((0..200).all(|seed| (5..=8).contains(&sheet(seed).spread("x", 5, 8))));
        assert!((0..200).all(|seed| sheet(seed).spread("x", 7, 7) == 7));
    }

    #[test]
    fn no_broker_is_heard_of_less_often_than_three_times_in_a_session() {
        let heartbeat = |session: Option<&str>, heartbeat: Option<&str>| {
            let mut sheet = sheet(1);
            sheet.section("[cluster]");
            session.into_iter().for_each(|session| sheet.put("broker.session.timeout.ms", session));
            heartbeat.into_iter().for_each(|heartbeat| sheet.put("broker.heartbeat.interval.ms", heartbeat));
            sheet.relieve();
            number(&sheet.sections[1].1, "broker.heartbeat.interval.ms").map(in_millis)
        };
        assert_eq!(heartbeat(Some("\"1916ms\""), None), Some(638), "the default would be longer than the session");
        assert_eq!(heartbeat(Some("3000"), Some("1500")), Some(1_000));
        assert_eq!(heartbeat(Some("\"7s\""), Some("\"700ms\"")), Some(700));
        assert_eq!(heartbeat(None, None), None, "the defaults go together");
    }

    #[test]
    fn nobody_writes_more_than_one_replicated_request_at_a_time_can_carry() {
        let rate = |acks: Option<&str>, every_batch_synced: bool| {
            let mut sheet = sheet(1);
            sheet.section("[cluster]");
            if every_batch_synced {
                sheet.put("log.flush.interval.messages", 1);
            }
            sheet.section("[[producer]]");
            for (key, value) in [("rate", 150), ("value-bytes", 268), ("batch.size", 200)] {
                sheet.put(key, value);
            }
            sheet.put("max.in.flight.requests.per.connection", 20);
            acks.into_iter().for_each(|acks| sheet.put_text("acks", acks));
            sheet.section("[network]");
            sheet.put_text("latency.typical", "11ms");
            sheet.section("[disk]");
            sheet.put_text("sync", "5ms..50ms");
            sheet.relieve();
            number(&sheet.sections[2].1, "rate").expect("it has one")
        };
        // A round trip and what else there is to wait for: 42 ms; two syncs more: 162 ms.
        assert_eq!((rate(None, false), rate(Some("all"), false), rate(None, true)), (15, 15, 4));
        assert_eq!(rate(Some("1"), false), 150, "twenty are in flight");
    }

    #[test]
    fn a_draw_depends_on_nothing_but_seed_section_and_key() {
        let (mut one, mut other) = (sheet(5), sheet(5));
        one.some(50, "first", &[1, 2, 3]);
        for sheet in [&mut one, &mut other] {
            sheet.section("[[topic]]");
            sheet.section("[[topic]]");
        }
        assert_eq!(one.below("rate", 1 << 40), other.below("rate", 1 << 40));
        other.section("[[topic]]");
        assert_ne!(one.below("rate", 1 << 40), other.below("rate", 1 << 40), "the third topic is another one");
    }
}
