//! Recordings: a trial's trace in a file.
//!
//! ```text
//!   "TRIALREC" ─ frame: build ─ frame: header ─ frame: event … event ─ frame: end
//!                                      frame = length (u32) ─ CRC-32 (u32) ─ bincode, all little-endian
//! ```
//!
//! The build comes first and never changes its form, so that a recording of another build is refused by name and not
//! by whatever its bytes happen to mean here. A reader trusts nothing: a length is checked before anything is
//! allocated, a checksum before anything is decoded, and decoding is limited to the frame.

use std::io::{self, Read, Write};

use bincode::serde::{decode_from_slice, encode_into_std_write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::build_id::{CORE_HASH, VERSION};
use crate::scenario::{Scenario, to_toml};
use crate::trace::TraceEvent;
use crate::trial::Report;
use crate::world::World;

const MAGIC: [u8; 8] = *b"TRIALREC";
/// The longest frame that is read or written: a scenario with many topics stays far below.
const LONGEST_FRAME: usize = 16 << 20;

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The scenario's name.
    pub name: String,
    /// The scenario with its overrides, as a file.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Names of the nodes, by index.
    pub nodes: Vec<String>,
}

impl Header {
    /// The header of a trial that begins.
    pub fn of(world: &World, scenario: &Scenario, seed: u64) -> Self {
        let nodes = (0..).take(world.node_count()).map(|n| world.node_name(crate::trace::NodeIx(n)).to_string());
        Header { name: scenario.name.clone(), scenario: to_toml(scenario), seed, nodes: nodes.collect() }
    }
}

/// How the recorded run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Digest of every event.
    pub digest: String,
    /// Number of events.
    pub events: u64,
    /// Virtual time at the end, in nanoseconds.
    pub virtual_ns: u64,
}

impl End {
    /// The end of a trial.
    pub fn of(report: &Report) -> Self {
        End { digest: report.digest.clone(), events: report.events, virtual_ns: report.virtual_ns }
    }
}

#[derive(Serialize, Deserialize)]
struct Build {
    version: String,
    core_hash: String,
}

#[derive(Serialize, Deserialize)]
enum Frame {
    Event(TraceEvent),
    End(End),
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("is not a recording: it does not begin with TRIALREC. Recordings are written by `trial run --trace FILE`")]
    NotARecording,
    /// It is of another build, in which seeds mean other runs.
    #[error(
        "is a recording of another build: trial {version}, core {core_hash}; this is trial {VERSION}, core {CORE_HASH}. \
         Record it again with this build, or read it with that one"
    )]
    OtherBuild {
        /// Version of that build.
        version: String,
        /// Core hash of that build.
        core_hash: String,
    },
    /// Bytes were changed or are missing.
    #[error("is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the frame begins.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Writes a recording.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Writer { out, scratch: Vec::new() };
        writer.out.write_all(&MAGIC)?;
        writer.frame(&Build { version: VERSION.to_string(), core_hash: CORE_HASH.to_string() })?;
        writer.frame(header)?;
        Ok(writer)
    }
    /// Writes the next event.
    pub fn event(&mut self, event: &TraceEvent) -> io::Result<()> {
        self.frame(&Frame::Event(event.clone()))
    }
    /// Ends the recording and gives the output back.
    pub fn end(mut self, end: End) -> io::Result<W> {
        self.frame(&Frame::End(end))?;
        self.interrupted()
    }
    /// Gives the output back without an end: whoever reads it knows that the run went on.
    pub fn interrupted(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.scratch.clear();
        encode_into_std_write(value, &mut self.scratch, bincode::config::standard()).map_err(io::Error::other)?;
        let length = u32::try_from(self.scratch.len()).ok().filter(|length| *length as usize <= LONGEST_FRAME);
        let length = length.ok_or_else(|| io::Error::other("a frame of a recording is longer than 16 MiB"))?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&crc32fast::hash(&self.scratch).to_le_bytes())?;
        self.out.write_all(&self.scratch)
    }
}

/// Reads a recording: the header at once, the events one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    at: u64,
    header: Header,
    end: Option<End>,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads up to the header.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = Vec::new();
        (&mut input).take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(RecordingError::NotARecording);
        }
        let mut at = MAGIC.len() as u64;
        let missing = |at| RecordingError::Damaged { at, what: "it ends before its header" };
        let Build { version, core_hash } = frame(&mut input, &mut at)?.ok_or(missing(at))?;
        if version != VERSION || core_hash != CORE_HASH {
            return Err(RecordingError::OtherBuild { version, core_hash });
        }
        let header = frame(&mut input, &mut at)?.ok_or(missing(at))?;
        Ok(Reader { input, at, header, end: None, over: false })
    }
    /// What was recorded.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The next event, `None` after the last.
    pub fn next_event(&mut self) -> Result<Option<TraceEvent>, RecordingError> {
        if self.over {
            return Ok(None);
        }
        // After damage nothing is read any more.
        self.over = true;
        match frame(&mut self.input, &mut self.at)? {
            Some(Frame::Event(event)) => {
                self.over = false;
                Ok(Some(event))
            }
            Some(Frame::End(end)) => {
                self.end = Some(end);
                Ok(None)
            }
            None => Ok(None),
        }
    }
    /// How the run ended, once all events are read; `None` if the recording was interrupted.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

/// One frame; `None` at the end of the input.
fn frame<T: DeserializeOwned>(input: &mut impl Read, at: &mut u64) -> Result<Option<T>, RecordingError> {
    let start = *at;
    let damaged = |what| RecordingError::Damaged { at: start, what };
    let mut head = Vec::with_capacity(8);
    input.take(8).read_to_end(&mut head)?;
    let [l0, l1, l2, l3, c0, c1, c2, c3] = head[..] else {
        return if head.is_empty() { Ok(None) } else { Err(damaged("it ends in the middle of a frame")) };
    };
    let (length, checksum) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
    if length as usize > LONGEST_FRAME {
        return Err(damaged("a frame claims to be longer than any frame is"));
    }
    // Grows with what is there, not with what is claimed.
    let mut bytes = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(damaged("it ends in the middle of a frame"));
    }
    if crc32fast::hash(&bytes) != checksum {
        return Err(damaged("the checksum of a frame is wrong"));
    }
    *at += 8 + u64::from(length);
    let limited = bincode::config::standard().with_limit::<LONGEST_FRAME>();
    match decode_from_slice(&bytes, limited) {
        Ok((value, used)) if used == bytes.len() => Ok(Some(value)),
        _ => Err(damaged("a frame does not hold what it should")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trial_kafka::event::Event;
    use trial_kafka::node::EventId;

    use super::*;
    use crate::trace::NodeIx;

    fn header() -> Header {
        Header { name: "x".into(), scenario: "format = 1\n".into(), seed: 7, nodes: vec!["c1".into(), "b1".into()] }
    }
    fn event(id: u64) -> TraceEvent {
        let event = Event::Phase { name: "warm-up".into() };
        TraceEvent { id: EventId(id), time: id * 1_000, node: NodeIx::WORLD, causes: vec![EventId(id / 2)], event }
    }
    fn end() -> End {
        End { digest: "00".into(), events: 3, virtual_ns: 3_000 }
    }
    fn recording() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &header()).expect("memory takes everything");
        (1..=3).for_each(|id| writer.event(&event(id)).expect("memory takes everything"));
        writer.end(end()).expect("memory takes everything")
    }
    /// Everything that can be read.
    fn read(bytes: &[u8]) -> Result<(Header, Vec<TraceEvent>, Option<End>), RecordingError> {
        let mut reader = Reader::new(bytes)?;
        let mut events = Vec::new();
        while let Some(event) = reader.next_event()? {
            events.push(event);
        }
        Ok((reader.header().clone(), events, reader.end().cloned()))
    }

    #[test]
    fn what_is_written_is_read() {
        let (header_read, events, end_read) = read(&recording()).expect("it was just written");
        assert_eq!(header_read, header());
        assert_eq!(events, (1..=3).map(event).collect::<Vec<_>>());
        assert_eq!(end_read, Some(end()));
    }

    #[test]
    fn without_its_end_a_recording_was_interrupted() {
        let mut writer = Writer::new(Vec::new(), &header()).expect("memory takes everything");
        writer.event(&event(1)).expect("memory takes everything");
        let bytes = writer.interrupted().expect("memory takes everything");
        let (_, events, end) = read(&bytes).expect("every frame is whole");
        assert_eq!((events.len(), end), (1, None));
    }

    #[test]
    fn a_recording_of_another_build_is_refused_by_name() {
        let mut writer = Writer { out: MAGIC.to_vec(), scratch: Vec::new() };
        let build = Build { version: "0.0.1".into(), core_hash: "deadbeef".into() };
        writer.frame(&build).expect("memory takes everything");
        let refused = read(&writer.out).expect_err("it is of another build");
        assert!(matches!(&refused, RecordingError::OtherBuild { core_hash, .. } if core_hash == "deadbeef"));
        assert!(refused.to_string().contains("another build: trial 0.0.1, core deadbeef"), "{refused}");
    }

    #[test]
    fn a_frame_that_claims_gigabytes_is_refused() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0xff; 64]);
        assert!(matches!(read(&bytes), Err(RecordingError::Damaged { at: 8, .. })));
        assert!(matches!(read(b"PK\x03\x04"), Err(RecordingError::NotARecording)));
    }

    proptest! {
        /// One changed byte is noticed, wherever it stands.
        #[test]
        fn damage_is_noticed(at in 0..recording().len(), flip in 1_u8..) {
            let mut bytes = recording();
            bytes[at] ^= flip;
            prop_assert!(read(&bytes).is_err());
        }
        /// A recording that ends early is damaged or interrupted, and never whole.
        #[test]
        fn a_cut_is_noticed(length in 0..recording().len()) {
            prop_assert!(!matches!(read(&recording()[..length]), Ok((_, _, Some(_)))));
        }
        /// Frames with a right checksum and any content are refused or read, and nothing else.
        #[test]
        fn hostile_frames_do_no_harm(content in proptest::collection::vec(any::<u8>(), 0..200), frames in 0..3_usize) {
            let mut writer = Writer { out: MAGIC.to_vec(), scratch: Vec::new() };
            if frames > 0 {
                let build = Build { version: VERSION.into(), core_hash: CORE_HASH.into() };
                writer.frame(&build).expect("memory takes everything");
            }
            if frames > 1 {
                writer.frame(&header()).expect("memory takes everything");
            }
            let mut bytes = writer.out;
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend(crc32fast::hash(&content).to_le_bytes());
            bytes.extend(&content);
            let _ = read(&bytes);
        }
    }
}
