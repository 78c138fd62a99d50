//! A recording that was damaged on its way is refused, with the byte at which it is, or was cut short between two events. What
//! bears right checksums and is nonsense does no harm either. What is damaged is the same in every run;
//! `TRIAL_FUZZ=100000 cargo test -p trial-sim --test damaged_recordings` damages so many more.

use std::sync::{Arc, OnceLock};

use trial_sim::recording::{End, Header, Reader, RecordingError, Writer};
use trial_sim::scenario::{builtin, parse};
use trial_sim::trace::TraceEvent;
use trial_sim::trial;
use trial_sim::world::{Note, Sink, World};

/// A real one, of its first events.
fn recording() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let text = builtin().iter().find(|(name, _)| *name == "leader-crash").expect("it is built in").1;
        let scenario = Arc::new(parse("leader-crash.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")));
        let mut events = Events::default();
        let report = trial::run(&scenario, 1, &mut events);
        let world = World::new(scenario.clone(), 1);
        let mut writer = Writer::new(Vec::new(), &Header::of(&world, &scenario, 1)).expect("memory takes everything");
        for event in &events.0 {
            writer.event(event).expect("memory takes everything");
        }
        writer.end(End::of(&report)).expect("memory takes everything")
    })
}

#[derive(Default)]
struct Events(Vec<TraceEvent>);

impl Sink for Events {
    fn after_step(&mut self, _: &World, events: &[TraceEvent], _: &[Note]) {
        let more = events.iter().take(600_usize.saturating_sub(self.0.len()));
        self.0.extend(more.cloned());
    }
}

/// What is read of it, and whether it has an end.
fn read(bytes: &[u8]) -> Result<(Header, usize, bool), RecordingError> {
    let mut reader = Reader::new(bytes)?;
    let mut events = 0;
    while reader.next_event()?.is_some() {
        events += 1;
    }
    Ok((reader.header().clone(), events, reader.end().is_some()))
}

/// Where each frame begins, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut begins = vec![8];
    while let Some(head) = bytes.get(begins[begins.len() - 1]..).filter(|rest| rest.len() >= 8) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        begins.push(begins[begins.len() - 1] + 8 + length);
    }
    begins
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % n
    }
}

fn cases() -> u64 {
    let more = std::env::var("TRIAL_FUZZ").ok().and_then(|cases| cases.parse().ok());
    400 + more.unwrap_or(0)
}

/// An error of a damaged recording names the frame: a byte of it.
fn assert_tells_where(error: &RecordingError, length: usize) {
    match error {
        RecordingError::Damaged { at, what } => {
            assert!(*at >= 8 && *at <= length as u64 && !what.is_empty(), "{error}");
            assert!(error.to_string().contains(&format!("byte {at}")), "{error}");
        }
        RecordingError::NotARecording | RecordingError::OtherBuild { .. } => {}
        RecordingError::Io(error) => panic!("{error}"),
    }
}

#[test]
fn damage_is_refused_and_told_where() {
    let whole = recording();
    let (_, events, has_end) = read(whole).expect("it was just written");
    assert!(events == 600 && has_end);
    let begins = frames(whole);
    for case in 0..cases() {
        let mut dice = Dice(case + 1);
        let mut bytes = whole.to_vec();
        let changed = match case % 5 {
            // Bits flip.
            0 => {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
                at
            }
            // A length lies.
            1 => {
                let at = begins[dice.below(begins.len() - 1)];
                let lie = [0, 1, 7, 8, 255, 65_536, 16 << 20, (16 << 20) + 1, u32::MAX][dice.below(9)];
                if bytes[at..at + 4] == lie.to_le_bytes() {
                    continue;
                }
                bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
                at
            }
            // A stretch is missing, or stands there twice.
            2 => {
                let from = dice.below(bytes.len());
                let to = (from + 1 + dice.below(40)).min(bytes.len());
                let gone: Vec<u8> = bytes.drain(from..to).collect();
                if dice.below(2) == 0 {
                    bytes.splice(from..from, [gone.clone(), gone].concat());
                }
                from
            }
            // Noise takes a place.
            3 => {
                let at = dice.below(bytes.len());
                let end = (at + 1 + dice.below(64)).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = dice.below(256) as u8);
                at
            }
            // It ends early.
            _ => {
                bytes.truncate(dice.below(bytes.len()));
                bytes.len()
            }
        };
        match read(&bytes) {
            Err(error) => {
                assert_tells_where(&error, bytes.len());
                if let RecordingError::Damaged { at, .. } = error {
                    let of_frame = begins.iter().rev().find(|begin| **begin <= changed).copied().unwrap_or(8);
                    assert!(at >= of_frame.min(changed) as u64, "case {case}: byte {at} was well, {changed} was not");
                }
            }
            // Cut between two events it is one that was interrupted; noise may be what stood there.
            Ok((_, _, has_end)) => assert!(!has_end || bytes == whole || case % 5 == 2, "case {case} is not noticed"),
        }
    }
}

/// Somebody who makes checksums right again: what a frame holds is read or refused, and its scenario too.
#[test]
fn frames_that_lie_with_right_checksums_do_no_harm() {
    let whole = recording();
    let begins = frames(whole);
    let mut scenarios = 0;
    for case in 0..cases() {
        let mut dice = Dice(case + 1_000_003);
        let mut bytes = whole.to_vec();
        // The header more often than any event: its text is parsed.
        let frame = if case % 2 == 0 { 1 } else { dice.below(begins.len() - 1) };
        let content = begins[frame] + 8..begins[frame + 1];
        for _ in 0..1 + dice.below(3) {
            let at = content.start + dice.below(content.len());
            bytes[at] = match dice.below(3) {
                0 => bytes[at] ^ (1 << dice.below(8)),
                1 => dice.below(256) as u8,
                _ => [0, 0xfa, 0xfb, 0xfc, 0xfd, 0xff][dice.below(6)],
            };
        }
        let checksum = crc32fast::hash(&bytes[content.clone()]);
        bytes[content.start - 4..content.start].copy_from_slice(&checksum.to_le_bytes());
        match read(&bytes) {
            Err(error) => assert_tells_where(&error, bytes.len()),
            Ok((header, ..)) => {
                scenarios += u64::from(header.scenario.len() > 100);
                if let Err(error) = parse("recording", &header.scenario, &[]) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(scenarios > cases() / 10, "only {scenarios} headers could be read");
}
