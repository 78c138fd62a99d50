//! What a leader takes from a producer, and as what: each check, its error and its place in the order.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use proptest::prelude::*;
use trial_storage::{Compression, Record, check_batch, parse_header, records};

use super::*;

/// Where the CRC of a batch stands, and what it covers.
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;
const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn with_topic(topic: &'static [(&'static str, &'static str)]) -> Room {
    Room::with(Story { topic, ..Story::default() }, 1, &[1])
}

impl Room {
    fn append(&mut self, version: i16, acks: i16, batch: Bytes) -> PartitionProduceResponse {
        let data = PartitionProduceData::default().with_records(Some(batch));
        let topic =
            TopicProduceData::default().with_name(topic_name(&Topic::new("orders"))).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let req = self.send(version, request);
        match self.answers.remove(&req) {
            Some(ResponseKind::Produce(response)) => response.responses[0].partition_responses[0].clone(),
            other => panic!("{other:?}"),
        }
    }
    /// The error of a batch, which is answered at once.
    fn error_of(&mut self, batch: Bytes) -> String {
        code_name(self.append(versions::PRODUCE, -1, batch).error_code)
    }
    /// The batches in the log.
    fn log(&mut self) -> Bytes {
        let data = self.fetch(Fetching { offset: self.orders().log.log_start_offset(), ..Fetching::default() });
        data.records.unwrap_or_default()
    }
    /// The only batch in the log.
    fn appended(&mut self) -> Bytes {
        let log = self.log();
        let header = check_batch(&log).expect("the log is whole");
        assert_eq!(header.size_in_bytes(), log.len());
        log
    }
}

/// Records of the present time: the room's clock says 1,000 s.
fn some(values: &[&str]) -> Vec<NewRecord> {
    values.iter().map(|value| at(1_000_000, value)).collect()
}
fn at(timestamp: i64, value: &str) -> NewRecord {
    NewRecord { timestamp, value: Some(Bytes::from(value.to_string())), ..NewRecord::default() }
}
fn one() -> Bytes {
    build_batch(&some(&["a"]), BuildOptions::default())
}
fn packed(codec: Compression, records: &[NewRecord]) -> Bytes {
    build_batch(records, BuildOptions { compression: codec, ..BuildOptions::default() })
}
/// The batch with some bytes written over, and the checksum made right again.
fn altered(batch: &Bytes, at: usize, with: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    batch[at..at + with.len()].copy_from_slice(with);
    sealed(batch)
}
fn sealed(mut batch: BytesMut) -> Bytes {
    // Seals it as a producer does that renames itself: with nothing else changed.
    let header = parse_header(&batch).unwrap_or_else(|_| parse_header(&one()).expect("a header"));
    let (id, epoch) = (header.producer_id, header.producer_epoch);
    let sequence = i32::from_be_bytes(batch[53..57].try_into().expect("four bytes"));
    trial_storage::set_producer_state(&mut batch, id, epoch, sequence);
    batch.freeze()
}
/// A batch of these bytes as records.
fn of_payload(template: &Bytes, payload: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&template[..RECORDS_AT]);
    batch.extend_from_slice(payload);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    sealed(batch)
}
fn values_of(batch: &Bytes) -> Vec<String> {
    let text = |record: Record| String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
    records(batch).expect("it can be opened").into_iter().map(text).collect()
}

// ── what a request may hold ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_form_is_looked_at_before_acks() {
    let mut room = Room::leads(&[1]);
    let error = |answer: PartitionProduceResponse| (code_name(answer.error_code), answer.log_start_offset);
    let two = Bytes::from(one().repeat(2));
    assert_eq!(error(room.append(versions::PRODUCE, 7, two)), ("INVALID_RECORD".into(), -1));
    assert_eq!(error(room.append(versions::PRODUCE, 7, one())), ("INVALID_REQUIRED_ACKS".into(), -1));
    // And before leadership; but a partition that does not exist comes first.
    room.elect(2, &[2]);
    assert_eq!(error(room.append(versions::PRODUCE, 1, Bytes::new())), ("INVALID_RECORD".into(), -1));
    assert_eq!(error(room.append(versions::PRODUCE, 1, one())), ("NOT_LEADER_OR_FOLLOWER".into(), -1));
    let nowhere = room.produce_to(7, &[9]);
    assert_eq!(room.produce_error(nowhere), "UNKNOWN_TOPIC_OR_PARTITION");
}

#[test]
fn a_partition_gets_one_batch_of_format_two() {
    let mut room = Room::leads(&[1]);
    assert_eq!(room.error_of(Bytes::new()), "INVALID_RECORD");
    assert_eq!(room.error_of(one().slice(..40)), "INVALID_RECORD", "no whole batch");
    for magic in [0, 1] {
        assert_eq!(room.error_of(altered(&one(), 16, &[magic])), "INVALID_RECORD");
    }
    assert_eq!(room.error_of(altered(&one(), 16, &[3])), "CORRUPT_MESSAGE", "no format at all");
    assert_eq!(room.error_of(one().repeat(2).into()), "INVALID_RECORD");
    assert_eq!(room.ends().0, 0, "nothing was appended");
    // What is no whole batch behind the first is cut off.
    let more = [&one()[..], &one()[..50]].concat();
    assert_eq!(room.error_of(more.into()), "NONE");
    assert_eq!(values_of(&room.appended()), ["a"]);
}

#[test]
#[cfg(feature = "compression")]
fn zstd_is_not_for_old_requests() {
    let mut room = Room::leads(&[1]);
    let error =
        |room: &mut Room, version, codec| code_name(room.append(version, -1, packed(codec, &some(&["a"]))).error_code);
    assert_eq!(error(&mut room, 6, Compression::Zstd), "UNSUPPORTED_COMPRESSION_TYPE");
    assert_eq!(error(&mut room, 7, Compression::Zstd), "NONE");
    assert_eq!(error(&mut room, 6, Compression::Lz4), "NONE");
}

// ── the header ───────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_batch_is_refused_for_its_header() {
    let mut room = Room::leads(&[1]);
    let elsewhere = build_batch(&some(&["a"]), BuildOptions { base_offset: 5, ..BuildOptions::default() });
    assert_eq!(room.error_of(elsewhere), "INVALID_RECORD");
    // Whatever an altered byte says: the checksum is looked at first.
    for at in [CRC_AT, ATTRIBUTES_AT, COUNT_AT, RECORDS_AT] {
        let mut batch = BytesMut::from(&one()[..]);
        batch[at] ^= 0x80;
        assert_eq!(room.error_of(batch.freeze()), "CORRUPT_MESSAGE", "byte {at}");
    }
    let with = |count: i32| altered(&one(), COUNT_AT, &count.to_be_bytes());
    for count in [0, 2, -1] {
        assert_eq!(room.error_of(with(count)), "INVALID_RECORD", "{count} records");
    }
    let empty = of_payload(&with(0), b"");
    assert_eq!(room.error_of(empty), "INVALID_RECORD", "an offset and no record");
    let options = |options: BuildOptions| build_batch(&some(&["a"]), options);
    assert_eq!(room.error_of(options(BuildOptions { control: true, ..BuildOptions::default() })), "INVALID_RECORD");
    assert_eq!(room.error_of(options(BuildOptions { producer_id: 7, ..BuildOptions::default() })), "INVALID_RECORD");
    assert_eq!(room.ends().0, 0, "nothing was appended");
}

#[test]
fn a_batch_is_refused_for_its_size() {
    let story = || Story {
        config: BrokerConfig { log_segment_bytes: 400, ..BrokerConfig::default() },
        topic: &[("max.message.bytes", "300"), ("compression.type", "uncompressed")],
        ..Story::default()
    };
    let mut room = Room::with(story(), 1, &[1]);
    let large = "v".repeat(300);
    assert_eq!(room.error_of(build_batch(&some(&[&large]), BuildOptions::default())), "MESSAGE_TOO_LARGE");
    // The size is told before the checksum.
    let mut corrupt = BytesMut::from(&build_batch(&some(&[&large]), BuildOptions::default())[..]);
    corrupt[CRC_AT] ^= 1;
    assert_eq!(room.error_of(corrupt.freeze()), "MESSAGE_TOO_LARGE");
    if cfg!(feature = "compression") {
        let small = packed(Compression::Zstd, &some(&[&large]));
        assert!(small.len() < 300);
        assert_eq!(room.error_of(small), "MESSAGE_TOO_LARGE", "too large once it is not packed any more");
    }
    let config = BrokerConfig { log_segment_bytes: 200, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    assert_eq!(room.error_of(build_batch(&some(&[&large]), BuildOptions::default())), "RECORD_LIST_TOO_LARGE");
    assert_eq!(room.ends().0, 0);
}

// ── the records ──────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_batch_is_refused_for_its_records() {
    let mut room = Room::leads(&[1]);
    let two = build_batch(&some(&["a", "b"]), BuildOptions::default());
    let records = two[RECORDS_AT..].to_vec();
    let (first, second) = records.split_at(records.len() / 2);
    for (wrong, payload) in [
        ("one of two is missing", first.to_vec()),
        ("one is cut off", records[..records.len() - 1].to_vec()),
        ("there are bytes behind them", [&records[..], &[0]].concat()),
        ("a length that leads too far", [&[0x7e], &first[1..], second].concat()),
        ("twice the first offset", [first, first].concat()),
        ("offsets that begin at 1", [second, second].concat()),
    ] {
        assert_eq!(room.error_of(of_payload(&two, &payload)), "INVALID_RECORD", "{wrong}");
    }
    assert_eq!(room.ends().0, 0, "nothing was appended");
    assert_eq!(room.error_of(of_payload(&two, &records)), "NONE", "and what is right is taken");
}

/// Kafka has no error of its own for bytes that its codecs cannot read.
#[test]
fn what_cannot_be_unpacked_is_refused() {
    let mut room = Room::leads(&[1]);
    for codec in CODECS {
        let id = altered(&one(), ATTRIBUTES_AT, &codec.id().to_be_bytes());
        let error = if cfg!(feature = "compression") { "UNKNOWN_SERVER_ERROR" } else { "UNSUPPORTED_COMPRESSION_TYPE" };
        assert_eq!(room.error_of(of_payload(&id, b"no such thing, whatever it is")), error, "{codec:?}");
    }
    for unknown in [5, 6, 7_i16] {
        assert_eq!(room.error_of(altered(&one(), ATTRIBUTES_AT, &unknown.to_be_bytes())), "UNKNOWN_SERVER_ERROR");
    }
    assert_eq!(room.ends().0, 0);
}

#[test]
#[cfg(feature = "compression")]
fn a_few_bytes_that_unpack_to_many_are_refused() {
    let mut room = Room::leads(&[1]);
    let zeros = vec![0; trial_storage::compression::MAX_UNCOMPRESSED_BYTES + 1];
    let bomb = trial_storage::compression::compress(Compression::Gzip, 6, &zeros).expect("it packs");
    let gzip = altered(&one(), ATTRIBUTES_AT, &Compression::Gzip.id().to_be_bytes());
    let batch = of_payload(&gzip, &bomb);
    assert!(batch.len() < 100_000);
    assert_eq!(room.error_of(batch), "MESSAGE_TOO_LARGE");
    assert_eq!(room.ends().0, 0);
}

#[test]
fn timestamps_far_from_the_brokers_clock_are_refused() {
    let mut room =
        with_topic(&[("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "500")]);
    let times = [999_000, 998_999, 1_000_000, 1_000_500, 1_000_501, -1].map(|time| at(time, "v"));
    let answer = room.append(versions::PRODUCE, -1, build_batch(&times, BuildOptions::default()));
    assert_eq!(
        (code_name(answer.error_code), answer.base_offset, answer.log_start_offset),
        ("INVALID_TIMESTAMP".into(), -1, 0)
    );
    let told: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(told, [1, 4], "a record without timestamp is not at fault");
    let why = answer.record_errors[0].batch_index_error_message.as_deref();
    assert_eq!(why, Some("timestamp 998999 is not from 999000 to 1000500"));
    let message = answer.error_message.as_deref().unwrap_or_default();
    assert!(message.starts_with("2 records have a timestamp that is not taken"), "{message}");
    assert_eq!(room.error_of(build_batch(&[at(1_000_500, "v")], BuildOptions::default())), "NONE");
    // Kafka's default takes the oldest, and an hour of the future.
    let mut room = Room::leads(&[1]);
    let one_at = |time| build_batch(&[at(time, "v")], BuildOptions::default());
    assert_eq!(
        ["NONE", "NONE", "INVALID_TIMESTAMP"].map(str::to_string),
        [0, 4_600_000, 4_600_001].map(|time| room.error_of(one_at(time)))
    );
}

// ── as what it goes into the log ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_largest_timestamp_is_that_of_the_records() {
    let mut room = Room::leads(&[1]);
    let batch = build_batch(&[at(5, "a"), at(9, "b"), at(7, "c")], BuildOptions::default());
    assert_eq!(room.error_of(altered(&batch, 35, &1_234_567_i64.to_be_bytes())), "NONE");
    let header = check_batch(&room.appended()).expect("sealed anew");
    assert_eq!((header.max_timestamp, header.log_append_time()), (9, false));
}

#[test]
fn the_time_of_the_append_is_the_timestamp_where_the_topic_wants_it() {
    let claims = build_batch(&some(&["a"]), BuildOptions { log_append_time: Some(-1), ..BuildOptions::default() });
    assert_eq!(
        Room::leads(&[1]).error_of(claims),
        "INVALID_TIMESTAMP",
        "a producer says that it is that of the append"
    );

    let mut room = with_topic(&[("message.timestamp.type", "LogAppendTime"), ("message.timestamp.after.max.ms", "0")]);
    let batch = build_batch(&[at(5, "a"), at(9_000_000, "b")], BuildOptions::default());
    room.pass(77);
    let answer = room.append(versions::PRODUCE, -1, batch);
    assert_eq!((answer.error_code, answer.log_append_time_ms), (0, room.now.wall), "and the producer is told it");
    let appended = room.appended();
    assert!(check_batch(&appended).expect("sealed anew").log_append_time());
    assert!(records(&appended).expect("records").iter().all(|record| record.timestamp == room.now.wall));
    assert_eq!(room.list_offset(room.now.wall, 0), ("NONE".to_string(), 0));
}

#[test]
#[cfg(feature = "compression")]
fn a_batch_is_packed_as_the_topic_wants_it() {
    type Row = (&'static [(&'static str, &'static str)], Option<Compression>);
    let topics: [Row; 6] = [
        (&[("compression.type", "producer")], None),
        (&[("compression.type", "uncompressed")], Some(Compression::None)),
        (&[("compression.type", "gzip"), ("compression.gzip.level", "1")], Some(Compression::Gzip)),
        (&[("compression.type", "snappy")], Some(Compression::Snappy)),
        (&[("compression.type", "lz4")], Some(Compression::Lz4)),
        (&[("compression.type", "zstd")], Some(Compression::Zstd)),
    ];
    let sent = some(&["one", "two", "one", "two"]);
    for (topic, target) in topics {
        for source in Compression::ALL {
            let mut room = with_topic(topic);
            let options = BuildOptions {
                producer_id: 7,
                producer_epoch: 3,
                base_sequence: 40,
                compression: source,
                ..BuildOptions::default()
            };
            let batch = build_batch(&sent, options);
            assert_eq!(room.error_of(batch.clone()), "NONE", "{source:?} {topic:?}");
            let appended = room.appended();
            let header = check_batch(&appended).expect("sealed");
            assert_eq!(header.compression(), Some(target.unwrap_or(source)), "{source:?} {topic:?}");
            assert_eq!(values_of(&appended), ["one", "two", "one", "two"]);
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, 40));
            assert_eq!((header.max_timestamp, room.ends()), (1_000_000, (4, 4)));
            // What is packed as it should be stays as it came.
            assert_eq!(appended[RECORDS_AT..] == batch[RECORDS_AT..], header.compression() == Some(source));
            // The broker knows what it packed anew as what was sent.
            assert_eq!(room.append(versions::PRODUCE, -1, batch).base_offset, 0, "a duplicate");
        }
    }
}

/// Old clients wrote what is inside a compressed batch at whatever offsets; brokers have always mended that.
#[test]
#[cfg(feature = "compression")]
fn a_compressed_batch_with_gaps_is_mended() {
    let two = build_batch(&some(&["a", "b"]), BuildOptions::default());
    let records = two[RECORDS_AT..].to_vec();
    let (first, second) = records.split_at(records.len() / 2);
    let wrong = [second, first].concat();
    for codec in CODECS {
        let mut room = Room::leads(&[1]);
        let payload = trial_storage::compression::compress(codec, 6, &wrong).expect("it packs");
        let batch = of_payload(&altered(&two, ATTRIBUTES_AT, &codec.id().to_be_bytes()), &payload);
        assert_eq!(room.error_of(batch), "NONE");
        let appended = room.appended();
        let found = trial_storage::records(&appended).expect("it can be opened");
        assert_eq!(found.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1], "{codec:?}");
        assert_eq!(values_of(&appended), ["b", "a"]);
        assert_eq!(check_batch(&appended).expect("sealed").compression(), Some(codec));
    }
}

#[test]
#[cfg(not(feature = "compression"))]
fn a_build_without_codecs_refuses_what_is_compressed() {
    let mut room = Room::leads(&[1]);
    for codec in CODECS {
        // Not even a batch without a doubt: nobody here can tell.
        let batch = altered(&one(), ATTRIBUTES_AT, &codec.id().to_be_bytes());
        assert_eq!(room.error_of(batch), "UNSUPPORTED_COMPRESSION_TYPE", "{codec:?}");
    }
    assert_eq!(room.ends().0, 0);
    // A follower carries what its leader took.
    let mut room = Room::follows();
    room.leader_answers(PartitionData::default().with_records(Some(altered(&one(), ATTRIBUTES_AT, &[0, 1]))));
    assert_eq!(room.ends().0, 1);
}

#[test]
fn a_segment_is_rolled_when_its_first_batch_is_old() {
    let mut room = with_topic(&[("segment.ms", "1000")]);
    let at = |time| build_batch(&[at(time, "v")], BuildOptions::default());
    let segments = |room: &mut Room, time| {
        assert_eq!(room.error_of(at(time)), "NONE");
        room.orders().log.segment_count()
    };
    // By the records' time, not by the clock, and counted from the first batch of each segment.
    assert_eq!([5_000, 6_000, 6_001, 100, 7_000, 7_002].map(|time| segments(&mut room, time)), [1, 1, 2, 2, 2, 3]);

    // Spread over the jitter: some segment is rolled by records that are not that much younger.
    let mut room = with_topic(&[("segment.ms", "1000"), ("segment.jitter.ms", "900")]);
    let mut wait_of_next = |first: i64| {
        let before = segments(&mut room, first);
        (0..=1_001).step_by(13).find(|wait| segments(&mut room, first + wait) > before)
    };
    let waits =
        [5_000, 505_000, 1_005_000, 1_505_000].map(|first| wait_of_next(first).expect("it is rolled in the end"));
    assert!(waits.iter().any(|wait| *wait < 1_000) && waits.iter().all(|wait| *wait > 90), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "each by an amount of its own: {waits:?}");
}

// ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_place_in_the_log_is_told_whatever_becomes_of_the_batch() {
    let mut room = Room::leads(&[1, 2]);
    let (late, refused) = (room.produce(-1), room.produce(-1));
    room.pass(30_000);
    assert_eq!(room.produced(late), Some(vec![("REQUEST_TIMED_OUT".to_string(), 0)]));
    assert_eq!(room.produced(refused), Some(vec![("REQUEST_TIMED_OUT".to_string(), 1)]));
    let given_away = room.produce(-1);
    room.elect(2, &[2]);
    assert_eq!(room.produced(given_away), Some(vec![("NOT_LEADER_OR_FOLLOWER".to_string(), 2)]));
}

// ── anything at all ──────────────────────────────────────────────────────────────────────────────────────────────

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>) {
        let mut room = Room::leads(&[1]);
        prop_assert_ne!(room.error_of(bytes.into()), "NONE");
    }

    /// The header is right, and so is the checksum: what the codec and the reader of records get is anything.
    #[test]
    fn any_records_are_answered(payload: Vec<u8>, count in 1..4i32, codec in 0..5usize) {
        let header = altered(&one(), ATTRIBUTES_AT, &Compression::ALL[codec].id().to_be_bytes());
        let header = altered(&header, COUNT_AT, &count.to_be_bytes());
        let header = altered(&header, 23, &(count - 1).to_be_bytes());
        let mut room = Room::leads(&[1]);
        room.error_of(of_payload(&header, &payload));
        prop_assert!(room.halted.is_none());
    }

    #[test]
    fn an_altered_byte_is_refused_or_makes_no_difference(
        values in prop::collection::vec("[a-z]{0,40}", 1..20),
        at: prop::sample::Index,
        with: u8,
        reseal: bool,
        codec in 0..5usize,
    ) {
        let records: Vec<NewRecord> = values.iter().map(|value| super::append::at(1_000_000, value)).collect();
        let batch = packed(Compression::ALL[codec], &records);
        let place = RECORDS_AT + at.index(batch.len() - RECORDS_AT);
        let mut room = Room::leads(&[1]);
        if reseal {
            // The checksum is right again: what is taken can at least be read again.
            if room.error_of(altered(&batch, place, &[with])) == "NONE" {
                let appended = room.appended();
                prop_assert_eq!(trial_storage::records(&appended).map(|records| records.len()), Ok(values.len()));
            }
        } else {
            let mut one_altered = BytesMut::from(&batch[..]);
            one_altered[place] = with;
            if room.error_of(one_altered.freeze()) == "NONE" {
                prop_assert_eq!(values_of(&room.appended()), values);
            }
        }
    }
}
