//! Our record batches against those of two independent encoders: kafka-python (fixed bytes) and kafka-protocol.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use proptest::prelude::*;
use trial_storage::{
    BatchBuilder, BatchError, Batches, BuildOptions, Compression, CompressionError, HEADER_BYTES, NewRecord,
    build_batch, check_batch, parse_header, records, set_base_offset_and_epoch,
};

/// A batch of the fixture file and what its generator put in.
struct Fixture {
    name: String,
    options: BuildOptions,
    bytes: Bytes,
    records: Vec<NewRecord>,
}

fn word(word: &str) -> Option<Bytes> {
    let hex = word.strip_prefix('x')?;
    let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal");
    Some((0..hex.len()).step_by(2).map(byte).collect())
}

fn kafka_python() -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = Vec::new();
    for line in include_str!("fixtures/kafka-python.txt").lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "batch" => fixtures.push(Fixture {
                name: words[1].to_owned(),
                options: BuildOptions {
                    // kafka-python leaves 0 where the Java client writes -1: the leader overwrites it.
                    partition_leader_epoch: 0,
                    producer_id: words[2].parse().unwrap(),
                    producer_epoch: words[3].parse().unwrap(),
                    base_sequence: words[4].parse().unwrap(),
                    transactional: words[5] == "1",
                    ..BuildOptions::default()
                },
                bytes: word(words[6]).unwrap(),
                records: Vec::new(),
            }),
            _ => {
                let record = NewRecord {
                    timestamp: words[2].parse().unwrap(),
                    key: word(words[3]),
                    value: word(words[4]),
                    headers: words[5..]
                        .chunks(2)
                        .map(|h| (String::from_utf8(word(h[0]).unwrap().to_vec()).unwrap(), word(h[1])))
                        .collect(),
                };
                fixtures.last_mut().expect("a batch comes first").records.push(record);
            }
        }
    }
    fixtures
}

fn as_new(record: trial_storage::Record) -> NewRecord {
    NewRecord { timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers }
}

#[test]
fn we_read_what_kafka_python_writes() {
    let fixtures = kafka_python();
    assert_eq!(fixtures.len(), 14);
    for fixture in &fixtures {
        let header = check_batch(&fixture.bytes).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        assert_eq!(header.records_count as usize, fixture.records.len(), "{}", fixture.name);
        assert_eq!(header.is_transactional(), fixture.name == "transactional");
        assert_eq!(header.max_timestamp, fixture.records.iter().map(|r| r.timestamp).max().unwrap());
        let codec = Compression::ALL.into_iter().find(|codec| codec.name() == fixture.name);
        assert_eq!(header.compression(), codec.or(Some(Compression::None)));
        if let Some(codec) = codec.filter(|codec| !codec.is_built()) {
            assert_eq!(records(&fixture.bytes), Err(BatchError::Compressed(CompressionError::NotBuilt(codec))));
            continue;
        }
        let found = records(&fixture.bytes).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        assert!(found.iter().map(|r| r.offset).eq(0..fixture.records.len() as i64), "{}", fixture.name);
        assert_eq!(found.into_iter().map(as_new).collect::<Vec<_>>(), fixture.records, "{}", fixture.name);
    }
}

#[test]
fn we_write_what_kafka_python_writes() {
    for fixture in kafka_python().iter().filter(|f| Compression::ALL.iter().all(|codec| codec.name() != f.name)) {
        assert_eq!(build_batch(&fixture.records, fixture.options), fixture.bytes, "{}", fixture.name);
    }
}

#[test]
fn a_builder_keeps_to_its_limit() {
    let record = |len| NewRecord { value: Some(vec![0; len].into()), ..NewRecord::default() };
    let mut builder = BatchBuilder::new();
    assert!(builder.is_empty());
    assert_eq!(builder.size_estimate(), HEADER_BYTES);
    assert!(builder.try_push(&record(100), 50), "the first is always taken");
    assert!(!builder.try_push(&record(100), 200));
    let before = builder.size_estimate();
    assert!(builder.try_push(&record(20), before + 27), "20 bytes and 7 around them");
    assert!(!builder.try_push(&record(0), builder.size_estimate() + 6));
    assert_eq!(builder.records_count(), 2);
    let size = builder.size_estimate();
    assert_eq!(builder.build(BuildOptions::default()).len(), size);
}

#[test]
fn offset_and_epoch_are_outside_the_checksum() {
    let mut bytes = BytesMut::from(&build_batch(&[NewRecord::default()], BuildOptions::default())[..]);
    set_base_offset_and_epoch(&mut bytes, 1 << 40, 12);
    let header = check_batch(&bytes).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (1 << 40, 12));
    set_base_offset_and_epoch(&mut [0; 10], 1, 1); // too short to be a batch: nothing happens
}

#[test]
fn batches_are_walked_until_the_bytes_end() {
    let batch = build_batch(&[NewRecord::default()], BuildOptions::default());
    let three = Bytes::from(batch.repeat(3));
    assert_eq!(Batches::new(three.clone()).filter(|batch| batch.is_ok()).count(), 3);
    let mut short = Batches::new(three.slice(..three.len() - 1));
    assert!(short.next().unwrap().is_ok() && short.next().unwrap().is_ok());
    let needed = batch.len();
    assert_eq!(short.next(), Some(Err(BatchError::TooShort { needed, got: needed - 1 })));
    assert_eq!(short.next(), None);
}

#[test]
fn impossible_headers_are_refused() {
    let batch = build_batch(&[NewRecord::default()], BuildOptions::default());
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = batch.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        parse_header(&changed)
    };
    assert_eq!(with(8, &48i32.to_be_bytes()), Err(BatchError::BadLength(48)));
    assert_eq!(with(8, &i32::MAX.to_be_bytes()), Err(BatchError::BadLength(i32::MAX)));
    assert_eq!(with(16, &[1]), Err(BatchError::BadMagic(1)));
    for (at, bytes) in
        [(0, &(-1i64).to_be_bytes()[..]), (0, &i64::MAX.to_be_bytes()), (23, &[0xff; 4]), (57, &[0xff; 4])]
    {
        assert!(matches!(with(at, bytes), Err(BatchError::Malformed(_))), "{at} {bytes:?}");
    }
    assert_eq!(parse_header(&batch[..60]), Err(BatchError::TooShort { needed: 61, got: 60 }));
    assert_eq!(with(57, &i32::MAX.to_be_bytes()).unwrap().records_count, i32::MAX);
}

#[test]
fn log_append_time_is_every_records_timestamp() {
    let record = |timestamp| NewRecord { timestamp, ..NewRecord::default() };
    let mut bytes = build_batch(&[record(5), record(9)], BuildOptions::default()).to_vec();
    bytes[22] |= 0x08;
    let timestamps = records(&bytes.into()).unwrap().into_iter().map(|r| r.timestamp);
    assert_eq!(timestamps.collect::<Vec<_>>(), [9, 9]);
}

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

fn new_record(timestamps: impl Strategy<Value = i64>) -> impl Strategy<Value = NewRecord> {
    let headers = prop::collection::vec(("[a-c]{0,3}|ä", bytes()), 0..4);
    (timestamps, bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| {
        let headers = headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        NewRecord { timestamp, key, value, headers }
    })
}

fn options() -> impl Strategy<Value = BuildOptions> {
    let offsets = (0..1i64 << 40, any::<i32>());
    (offsets, any::<i64>(), any::<i16>(), any::<i32>(), any::<bool>(), any::<bool>()).prop_map(
        |((base_offset, epoch), producer_id, producer_epoch, base_sequence, control, transactional)| BuildOptions {
            partition_leader_epoch: epoch,
            base_offset,
            producer_id,
            producer_epoch,
            base_sequence,
            control,
            transactional,
            ..BuildOptions::default()
        },
    )
}

/// The same records for kafka-protocol, whose headers cannot have one name twice.
fn for_them(records: &[NewRecord], options: BuildOptions) -> Vec<theirs::Record> {
    let record = |(i, record): (usize, &NewRecord)| theirs::Record {
        transactional: options.transactional,
        control: options.control,
        delete_horizon: false,
        partition_leader_epoch: options.partition_leader_epoch,
        producer_id: options.producer_id,
        producer_epoch: options.producer_epoch,
        timestamp_type: theirs::TimestampType::Creation,
        offset: options.base_offset + i as i64,
        sequence: options.base_sequence.wrapping_add(i as i32),
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(|(name, v)| (StrBytes::from_string(name.clone()), v.clone())).collect(),
    };
    records.iter().enumerate().map(record).collect()
}

fn unique_headers(mut records: Vec<NewRecord>) -> Vec<NewRecord> {
    for record in &mut records {
        let mut names = std::collections::BTreeSet::new();
        record.headers.retain(|(name, _)| names.insert(name.clone()));
    }
    records
}

proptest! {
    #[test]
    fn round_trip(
        records_in in prop::collection::vec(new_record(any::<i64>()), 1..20),
        options in options(),
        codec in 0..5usize,
    ) {
        let compression = Some(Compression::ALL[codec]).filter(|codec| codec.is_built()).unwrap_or(Compression::None);
        let batch = build_batch(&records_in, BuildOptions { compression, ..options });
        let header = check_batch(&batch).unwrap();
        prop_assert_eq!(header.compression(), Some(compression));
        prop_assert_eq!(header.size_in_bytes(), batch.len());
        prop_assert_eq!(header.base_offset, options.base_offset);
        prop_assert_eq!(header.last_offset(), options.base_offset + records_in.len() as i64 - 1);
        prop_assert_eq!(header.partition_leader_epoch, options.partition_leader_epoch);
        prop_assert_eq!((header.producer_id, header.producer_epoch), (options.producer_id, options.producer_epoch));
        prop_assert_eq!(header.base_sequence, options.base_sequence);
        prop_assert_eq!((header.is_control(), header.is_transactional()), (options.control, options.transactional));
        let found: Vec<_> = records(&batch).unwrap().into_iter().map(as_new).collect();
        prop_assert_eq!(found, records_in);
    }

    #[test]
    fn kafka_protocol_reads_what_we_write(
        records_in in prop::collection::vec(new_record(0..1i64 << 50), 1..20).prop_map(unique_headers),
        options in options(),
    ) {
        let mut batch = build_batch(&records_in, options);
        let decoded = theirs::RecordBatchDecoder::decode(&mut batch).unwrap();
        // It gives a record without producer the sequence number its place suggests, as `for_them` does.
        prop_assert_eq!(decoded.version, 2);
        let expected = for_them(&records_in, options);
        prop_assert_eq!(decoded.records.len(), expected.len());
        for (ours, theirs) in decoded.records.into_iter().zip(expected) {
            prop_assert_eq!(theirs::Record { sequence: 0, ..ours }, theirs::Record { sequence: 0, ..theirs });
        }
    }

    #[test]
    fn we_write_and_read_what_kafka_protocol_writes(
        records_in in prop::collection::vec(new_record(0..1i64 << 50), 1..20).prop_map(unique_headers),
        options in options(),
        in_order: bool,
    ) {
        let mut records_in = records_in;
        if in_order {
            records_in.sort_by_key(|record| record.timestamp);
        }
        let mut encoded = BytesMut::new();
        let encode = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        let records_for_them = for_them(&records_in, options);
        theirs::RecordBatchEncoder::encode(&mut encoded, &records_for_them, &encode).unwrap();
        let encoded = encoded.freeze();
        let header = check_batch(&encoded).unwrap();
        prop_assert_eq!(header.size_in_bytes(), encoded.len(), "one batch");
        let found: Vec<_> = records(&encoded).unwrap().into_iter().map(as_new).collect();
        prop_assert_eq!(&found, &records_in);
        // It counts timestamps from the least, we and the Java client from the first.
        if records_in.iter().all(|record| record.timestamp >= records_in[0].timestamp) {
            prop_assert_eq!(build_batch(&records_in, options), encoded);
        }
    }

    #[test]
    fn no_bytes_make_us_panic(mut batch in prop::collection::vec(new_record(any::<i64>()), 0..4)
        .prop_flat_map(|records| (0..5usize).prop_map(move |codec| {
            let compression = Compression::ALL[codec];
            build_batch(&records, BuildOptions { compression, ..BuildOptions::default() }).to_vec()
        })),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for (at, byte) in changes {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        batch.truncate(cut.index(batch.len() + 1));
        let bytes = Bytes::from(batch);
        let _ = (records(&bytes), check_batch(&bytes));
        Batches::new(bytes).for_each(drop);
    }

    #[test]
    fn every_flipped_bit_behind_the_epoch_is_noticed(
        record in new_record(any::<i64>()),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut batch = build_batch(&[record], BuildOptions::default()).to_vec();
        let at = 16 + at.index(batch.len() - 16);
        batch[at] ^= 1u8 << bit;
        prop_assert!(check_batch(&batch).is_err());
    }
}
