//! Batches that are packed, and batches that are too large.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use trial_storage::{BuildOptions, Compression, NewRecord, build_batch, parse_header};

use super::fixture::*;
use crate::client::Role;
use crate::config::{ProducerCompression, ProducerConfig};
use crate::ids::Topic;
use crate::node::{Belief, Command};

use ResponseError::MessageTooLarge;

fn config() -> ProducerConfig {
    ProducerConfig { linger_ms: 5, ..ProducerConfig::default() }
}
fn producer(config: ProducerConfig) -> Bench {
    Bench::new(Role::Producer(config), &[1])
}

impl Bench {
    fn give(&mut self, op: u64, value: String) -> &mut Self {
        let (topic, value) = (Topic::new(TOPIC), Some(Bytes::from(value)));
        self.command(op, Command::Produce { topic, partition: Some(0), key: None, value, headers: vec![] })
    }
    /// The next request, whose one batch begins at this sequence and has these records.
    fn next_is(&mut self, sequence: i32, records: &str) -> Call {
        let call = self.next_call();
        let (_, batch) = batches(&call).remove(0);
        assert_eq!(parse_header(&batch).expect("a batch").base_sequence, sequence);
        assert_eq!(values(batch).join(" "), records);
        call
    }
}

/// So many bytes does a batch of these records take.
fn size_of(values: &[&str]) -> i64 {
    let record = |value: &&str| NewRecord { value: Some(Bytes::from(value.to_string())), ..NewRecord::default() };
    build_batch(&values.iter().map(record).collect::<Vec<_>>(), BuildOptions::default()).len() as i64
}

#[test]
fn a_batch_is_packed_when_it_is_sent() {
    for codec in Compression::ALL.into_iter().filter(|codec| codec.is_built()) {
        let mut bench = producer(ProducerConfig { compression_type: ProducerCompression(codec), ..config() });
        let (long, short) = ("v".repeat(3_000), "w".to_string());
        bench.give(1, long.clone()).give(2, short.clone()).sleep(5);
        let call = bench.next_call();
        let (_, batch) = batches(&call).remove(0);
        assert_eq!(parse_header(&batch).expect("a batch").compression(), Some(codec));
        assert!(codec == Compression::None || batch.len() < 1_000, "{codec:?}: {} bytes", batch.len());
        assert_eq!(values(batch), [long, short]);
        // The same bytes again, with another sequence if need be.
        bench.answer_produce(call, Err(ResponseError::NotEnoughReplicas)).sleep(200);
        let call = bench.next_call();
        assert_eq!(sent(&call)[0].1.len(), 2);
        bench.answer_produce(call, Ok(0));
        assert_eq!(bench.produced(2).0, Belief::Acked { offset: 1 });
    }
}

#[test]
#[cfg(feature = "compression")]
fn more_goes_into_a_batch_the_better_it_is_packed() {
    let gzip = ProducerCompression(Compression::Gzip);
    let mut bench =
        producer(ProducerConfig { compression_type: gzip, batch_size: 1_000, linger_ms: 1_000, ..config() });
    let mut op = 0;
    let mut most = Vec::new();
    for _ in 0..60 {
        // Records until a batch leaves because it is full.
        while bench.calls_waiting() == 0 {
            op += 1;
            bench.give(op, "v".repeat(80));
        }
        let call = bench.next_call();
        most.push(sent(&call)[0].1.len());
        bench.answer_produce(call, Ok(0));
    }
    assert_eq!(most[0], 10, "at first nothing is hoped for: {most:?}");
    assert!(most[59] > most[0] && most.windows(2).all(|pair| pair[0] <= pair[1]), "{most:?}");
}

/// The middle one of three batches under way is too large. Its parts come in its place, and what was sent behind it and
/// finds a gap comes after them.
#[test]
fn a_batch_that_is_too_large_is_sent_in_parts_that_take_over_its_sequences() {
    let limit = size_of(&["a2", "a3"]);
    let mut bench = producer(ProducerConfig { batch_size: limit, ..config() });
    bench.give(1, "a1".into()).sleep(5);
    let first = bench.next_is(0, "a1");
    bench.give(2, "a2".into()).give(3, "a3".into());
    let too_large = bench.next_is(1, "a2 a3");
    bench.give(4, "a4".into()).sleep(5);
    let behind = bench.next_is(3, "a4");
    bench.answer_produce(first, Ok(0));
    bench.answer_produce(too_large, Err(MessageTooLarge));
    // batch.size allows as much: split once it is the same batch, split again it is halved.
    let again = bench.next_is(1, "a2 a3");
    bench.answer_produce(behind, Err(ResponseError::OutOfOrderSequenceNumber));
    bench.answer_produce(again, Err(MessageTooLarge));
    assert_eq!(bench.told("batch-split").len(), 2);
    for (sequence, record, offset) in [(1, "a2", 1), (2, "a3", 2)] {
        let call = bench.next_is(sequence, record);
        bench.answer_produce(call, Ok(offset));
    }
    bench.sleep(200);
    let call = bench.next_is(3, "a4");
    bench.answer_produce(call, Ok(3));
    for (op, offset) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        assert_eq!(bench.produced(op).0, Belief::Acked { offset }, "a{op}");
    }
    bench.give(5, "a5".into()).sleep(5);
    bench.next_is(4, "a5");
    assert_eq!(bench.told("producer-epoch-raised"), [""; 0], "no sequence is missing");
}

#[test]
fn a_record_that_is_too_large_alone_fails() {
    let mut bench = producer(config());
    bench.give(1, "a1".into()).give(2, "a2".into()).sleep(5);
    let mut refused = 0;
    while bench.calls_waiting() > 0 {
        let call = bench.next_call();
        refused += 1;
        bench.answer_produce(call, Err(MessageTooLarge));
    }
    assert_eq!(refused, 4, "both, both again, and each of them");
    for op in [1, 2] {
        assert_eq!(bench.produced(op), (Belief::Failed, 3, Some("MESSAGE_TOO_LARGE")), "it was sent three times");
    }
}

/// What may have been written of a batch may have been written of each of its parts.
#[test]
fn the_parts_of_an_ambiguous_batch_are_ambiguous() {
    let mut bench = producer(config());
    bench.give(1, "a1".into()).give(2, "a2".into()).sleep(5);
    let call = bench.next_call();
    bench.answer_produce(call, Err(ResponseError::NotEnoughReplicasAfterAppend)).sleep(200);
    while bench.calls_waiting() > 0 {
        let call = bench.next_call();
        bench.answer_produce(call, Err(MessageTooLarge));
    }
    for op in [1, 2] {
        assert_eq!(bench.produced(op).0, Belief::Unknown);
    }
}
