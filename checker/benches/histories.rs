//! How long a history takes, by its size and its shape: 10^5, 10^6 and 10^7 records, and shapes made to be slow.
//!
//! `cargo bench -p trial-checker`; each line counts records. `cargo bench -p trial-checker --bench histories -- --cpu` measures CPU time
//! instead, which says more on a machine that others use too, and the largest resident memory; `--only 'ten'` of some shapes.

use divan::Bencher;
use divan::counter::ItemsCount;
use trial_checker::input::{self, Format};
use trial_checker::operations::{Atom, Event, Function, History, Kind, Options, Value, check};

fn main() {
    match std::env::args().any(|arg| arg == "--cpu") {
        true => in_cpu_time(),
        false => divan::main(),
    }
}

/// A shape, how it is made, and its largest size.
type Shape = (&'static str, fn(u64) -> History, u64);

const SHAPES: [Shape; 9] = [
    ("ten partitions", |records| healthy(records, 10), 10_000_000),
    ("one partition", |records| healthy(records, 1), 10_000_000),
    ("all indeterminate", indeterminate, 10_000_000),
    ("one giant cycle", giant_cycle, 10_000_000),
    ("all wrong", everything_wrong, 10_000_000),
    ("two values at every offset", two_values_everywhere, 1_000_000),
    ("all values at one offset", all_at_one_offset, 1_000_000),
    ("one value by everybody", one_value_of_all, 1_000_000),
    ("one record gone over by everybody", all_go_over_one, 1_000_000),
];

fn in_cpu_time() {
    let named = std::env::args().skip_while(|arg| arg != "--only").nth(1).unwrap_or_default();
    if named.is_empty() || named == "reading" {
        reading_in_cpu_time(1_000_000);
    }
    for (name, made, largest) in SHAPES.into_iter().filter(|(name, ..)| name.contains(&named)) {
        for records in SIZES.into_iter().filter(|records| *records <= largest) {
            let history = made(records);
            // Linux forgets the peak so far.
            let _ = std::fs::write("/proc/self/clear_refs", "5");
            let once = || {
                let began = cpu_time::ProcessTime::now();
                let report = check(&history, Options::default());
                (began.elapsed(), report.groups.len())
            };
            let (took, kinds) = (0..3).map(|_| once()).min().unwrap_or_default(); // the others were disturbed
            let per_second = records as u128 * 1_000_000 / took.as_micros().max(1);
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
            println!(
                "{name:<34} {records:>9} records {:>7} ms {per_second:>9} records/s, peak {peak}, {kinds} kinds of finding",
                took.as_millis()
            );
        }
    }
}

/// How fast lines are read.
fn reading_in_cpu_time(records: u64) {
    let history = healthy(records, 10);
    for (name, format) in [("EDN", Format::Edn), ("JSON lines", Format::JsonLines)] {
        let mut text = Vec::new();
        let written = match format {
            Format::Edn => history.write_edn(&mut text),
            Format::JsonLines => history.write_json_lines(&mut text),
        };
        written.expect("memory can be written");
        let once = || {
            let began = cpu_time::ProcessTime::now();
            let read = input::read(divan::black_box(text.as_slice()), Some(format)).expect("it is a history");
            (began.elapsed(), read.operations())
        };
        let (took, operations) = (0..3).map(|_| once()).min().unwrap_or_default();
        let per_second = records as u128 * 1_000_000 / took.as_micros().max(1);
        let (ms, megabytes) = (took.as_millis(), text.len() / 1_000_000);
        println!(
            "reading {name}: {records} records, {operations} operations, {megabytes} MB in {ms} ms, {per_second} records/s"
        );
    }
}

const SIZES: [u64; 3] = [100_000, 1_000_000, 10_000_000];

/// A history as it grows.
#[derive(Default)]
struct Story {
    history: History,
}

type Record = (u64, u64, Option<u64>);

impl Story {
    fn line(&mut self, process: u64, kind: Kind, function: Function, sends: &[Record], polls: &[Record]) {
        let atoms = &mut self.history.atoms;
        let mut records = |records: &[Record]| -> Vec<(Atom, Atom, Option<i64>)> {
            let record = |&(key, value, offset): &Record| {
                (atoms.integer(key as i64), atoms.integer(value as i64), offset.map(|offset| offset as i64))
            };
            records.iter().map(record).collect()
        };
        let value = Value { sends: records(sends), polls: records(polls), keys: Vec::new() };
        let event = Event {
            process: process as i64,
            producer: None,
            kind,
            function,
            time: None,
            index: None,
            value: Some(value),
            rebalances: Vec::new(),
            seek_to_beginning: false,
        };
        self.history.push(event).expect("each completion follows its invocation");
    }

    fn finish(mut self) -> History {
        self.history.finish().expect("it is not too long");
        self.history
    }
}

/// Five producers with a send each under way, a consumer that polls ten at a time; over so many partitions.
fn healthy(records: u64, partitions: u64) -> History {
    let mut story = Story::default();
    let mut read = 0;
    for batch in 0..records / 5 {
        let of = |n: u64| {
            let value = batch * 5 + n;
            (value % partitions, value, value / partitions)
        };
        for n in 0..5 {
            let (key, value, _) = of(n);
            story.line(n, Kind::Invoke, Function::Send, &[(key, value, None)], &[]);
        }
        for n in 0..5 {
            let (key, value, offset) = of(n);
            story.line(n, Kind::Ok, Function::Send, &[(key, value, Some(offset))], &[]);
        }
        if batch % 2 == 1 {
            let polls: Vec<Record> = (read..read + 10).map(|v| (v % partitions, v, Some(v / partitions))).collect();
            read += 10;
            story.line(9, Kind::Invoke, Function::Poll, &[], &[]);
            story.line(9, Kind::Ok, Function::Poll, &[], &polls);
        }
    }
    story.finish()
}

/// Nobody knows of any send; all are read.
fn indeterminate(records: u64) -> History {
    let mut story = Story::default();
    for value in 0..records {
        story.line(value, Kind::Invoke, Function::Send, &[(0, value, None)], &[]);
        story.line(value, Kind::Info, Function::Send, &[(0, value, None)], &[]);
    }
    for ten in 0..records / 10 {
        let polls: Vec<Record> = (ten * 10..ten * 10 + 10).map(|v| (0, v, Some(v))).collect();
        story.line(0, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(0, Kind::Ok, Function::Poll, &[], &polls);
    }
    story.finish()
}

/// Each transaction reads what the next one writes, and the last what the first does.
fn giant_cycle(records: u64) -> History {
    let mut story = Story::default();
    for process in 0..records {
        story.line(process, Kind::Invoke, Function::Txn, &[(0, process, None)], &[]);
    }
    for process in 0..records {
        let next = (process + 1) % records;
        story.line(process, Kind::Ok, Function::Txn, &[(0, process, Some(process))], &[(0, next, Some(next))]);
    }
    story.finish()
}

/// Every value lies at two offsets, every offset holds two values, and one process goes back and forth over all of them.
fn everything_wrong(records: u64) -> History {
    let mut story = Story::default();
    for value in 0..records {
        story.line(0, Kind::Invoke, Function::Send, &[(0, value, None)], &[]);
        story.line(0, Kind::Ok, Function::Send, &[(0, value, Some(records - value))], &[]);
        let far = records - value;
        story.line(1, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(1, Kind::Ok, Function::Poll, &[], &[(0, value, Some(value)), (0, value, Some(far))]);
    }
    story.finish()
}

/// Two values, each polled at every offset: each has as many sightings as there are records.
fn two_values_everywhere(records: u64) -> History {
    let mut story = Story::default();
    story.line(0, Kind::Invoke, Function::Send, &[(0, 0, None), (0, 1, None)], &[]);
    story.line(0, Kind::Info, Function::Send, &[(0, 0, None), (0, 1, None)], &[]);
    for offset in 0..records / 2 {
        story.line(1, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(1, Kind::Ok, Function::Poll, &[], &[(0, 0, Some(offset)), (0, 1, Some(offset))]);
    }
    story.finish()
}

/// One producer is told the same offset for all it sends, and one consumer polls them all there.
fn all_at_one_offset(records: u64) -> History {
    let mut story = Story::default();
    for value in 0..records / 2 {
        story.line(0, Kind::Invoke, Function::Send, &[(0, value, None)], &[]);
        story.line(0, Kind::Ok, Function::Send, &[(0, value, Some(7))], &[]);
        story.line(1, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(1, Kind::Ok, Function::Poll, &[], &[(0, value, Some(7))]);
    }
    story.finish()
}

/// Everybody sends one value in a transaction with another, nobody knows of any, and everybody polls it and fails.
fn one_value_of_all(records: u64) -> History {
    let mut story = Story::default();
    for n in 0..records / 3 {
        let sends = [(0, 0, None), (1, n, None)];
        story.line(n, Kind::Invoke, Function::Txn, &sends, &[]);
        story.line(n, Kind::Info, Function::Txn, &sends, &[]);
    }
    for n in 0..records / 3 {
        story.line(n, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(n, if n % 2 == 0 { Kind::Fail } else { Kind::Ok }, Function::Poll, &[], &[(0, 0, Some(0))]);
    }
    story.finish()
}

/// A group goes over one record again and again, and later all its members read it.
fn all_go_over_one(records: u64) -> History {
    let mut story = Story::default();
    for process in 0..records / 3 {
        story.line(process, Kind::Invoke, Function::Subscribe, &[], &[]);
        story.line(process, Kind::Ok, Function::Subscribe, &[], &[]);
    }
    let sends = [(0, 0, Some(0)), (0, 1, Some(1)), (0, 2, Some(2))];
    story.line(0, Kind::Invoke, Function::Send, &sends, &[]);
    story.line(0, Kind::Ok, Function::Send, &sends, &[]);
    let mut poll = |process: u64, polls: &[Record]| {
        story.line(process, Kind::Invoke, Function::Poll, &[], &[]);
        story.line(process, Kind::Ok, Function::Poll, &[], polls);
    };
    poll(0, &[(0, 0, Some(0))]);
    (0..records / 3).for_each(|process| poll(process, &[(0, 2, Some(2))]));
    (0..records / 3).for_each(|process| poll(process, &[(0, 1, Some(1))]));
    story.finish()
}

fn measure(bencher: Bencher<'_, '_>, records: u64, history: &History) {
    bencher.counter(ItemsCount::new(records)).bench_local(|| check(divan::black_box(history), Options::default()));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn ten_partitions(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &healthy(records, 10));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn one_partition(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &healthy(records, 1));
}

#[divan::bench(args = SIZES, sample_count = 3, sample_size = 1)]
fn all_indeterminate(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &indeterminate(records));
}

#[divan::bench(args = SIZES, sample_count = 1, sample_size = 1)]
fn one_giant_cycle(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &giant_cycle(records));
}

#[divan::bench(args = SIZES, sample_count = 1, sample_size = 1)]
fn all_wrong(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &everything_wrong(records));
}

const ADVERSARIES: [u64; 2] = [100_000, 1_000_000];

#[divan::bench(args = ADVERSARIES, sample_count = 1, sample_size = 1)]
fn two_values_at_every_offset(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &two_values_everywhere(records));
}

#[divan::bench(args = ADVERSARIES, sample_count = 1, sample_size = 1)]
fn all_values_at_one_offset(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &all_at_one_offset(records));
}

#[divan::bench(args = ADVERSARIES, sample_count = 1, sample_size = 1)]
fn one_value_by_everybody(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &one_value_of_all(records));
}

#[divan::bench(args = ADVERSARIES, sample_count = 1, sample_size = 1)]
fn one_record_gone_over_by_everybody(bencher: Bencher<'_, '_>, records: u64) {
    measure(bencher, records, &all_go_over_one(records));
}

#[divan::bench(args = [100_000, 1_000_000], sample_count = 3, sample_size = 1)]
fn reading_edn(bencher: Bencher<'_, '_>, records: u64) {
    let mut text = Vec::new();
    healthy(records, 10).write_edn(&mut text).expect("memory can be written");
    let read = || input::read(divan::black_box(text.as_slice()), Some(Format::Edn)).expect("it is a history");
    bencher.counter(ItemsCount::new(records)).bench_local(read);
}

#[divan::bench(args = [100_000, 1_000_000], sample_count = 3, sample_size = 1)]
fn reading_json_lines(bencher: Bencher<'_, '_>, records: u64) {
    let mut text = Vec::new();
    healthy(records, 10).write_json_lines(&mut text).expect("memory can be written");
    let read = || input::read(divan::black_box(text.as_slice()), Some(Format::JsonLines)).expect("it is a history");
    bencher.counter(ItemsCount::new(records)).bench_local(read);
}
