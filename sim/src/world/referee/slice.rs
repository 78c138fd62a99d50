//! Is what a fetch is answered with a slice of the log? It begins with the batch that has the offset asked for, goes on without a
//! hole, and ends where a consumer may read no further.
//!
//! Nearly always it is, and then nothing is copied to see that; where the answer is the very memory of the disk, no byte is looked
//! at. Sources: `UnifiedLog.read`, `LogSegment.read`, `FetchIsolation`.

use bytes::Bytes;
use trial_checker::Word;
use trial_kafka::broker::partition::Partition;
use trial_storage::{Batch, BatchHeader, Batches, parse_header};

use super::Speaker;

/// A fetch from an offset is answered with these bytes, and nothing from `end` on may be among them.
pub(super) fn judge(replica: &Partition, from: i64, answer: &Bytes, end: i64, speaker: &mut Speaker<'_>) {
    let slice = |end: i64| replica.log.read(&mut speaker.slot.disk.view_like(answer), from, end, answer.len(), true);
    // A disk that can't be read has no truth to compare with.
    let Ok(truth) = slice(end) else { return };
    let begins_there =
        parse_header(answer).is_ok_and(|first| (first.base_offset..=first.last_offset()).contains(&from));
    if begins_there && is_same(answer, &truth) {
        return;
    }
    let is_beyond = slice(i64::MAX).is_ok_and(|all| is_same(answer, &all));
    let (word, said, truth) = match begins_there && is_beyond {
        true => (
            Word::FetchedRecords,
            format!("with records {}", span(answer)),
            format!("nothing from the high watermark, {end}, on"),
        ),
        false => difference(answer, &truth).map_or_else(
            || (Word::FetchedSlice, format!("{} bytes", answer.len()), format!("{} bytes", truth.len())),
            |(said, truth)| (Word::FetchedSlice, said, truth),
        ),
    };
    speaker.wrong(word, Some(&replica.id), format!("{said} (asked from offset {from} on)"), truth);
}

fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.len() == other.len() && (one.as_ptr() == other.as_ptr() || one == other)
}

/// The first batches that differ, in words.
fn difference(answer: &Bytes, truth: &Bytes) -> Option<(String, String)> {
    let whole = |bytes: &Bytes| Batches::new(bytes.clone()).map_while(Result::ok);
    let (mut said, mut there) = (whole(answer), whole(truth));
    loop {
        match (said.next(), there.next()) {
            (None, None) => return None,
            (one, other) if one.as_ref().map(|b| &b.bytes) == other.as_ref().map(|b| &b.bytes) => {}
            (one, other) => return Some((in_words(one.as_ref()), in_words(other.as_ref()))),
        }
    }
}

fn in_words(batch: Option<&Batch>) -> String {
    let Some(Batch { header, .. }) = batch else { return "no more batch".to_string() };
    let BatchHeader { base_offset, partition_leader_epoch, crc, .. } = header;
    let last = header.last_offset();
    format!("the batch of offsets {base_offset} to {last} of epoch {partition_leader_epoch} (checksum {crc:08x})")
}

fn span(bytes: &Bytes) -> String {
    let mut headers = Batches::new(bytes.clone()).map_while(Result::ok).map(|batch| batch.header);
    let Some(first) = headers.next() else { return "that are no batch".to_string() };
    let last = headers.last().map_or(first.last_offset(), |last| last.last_offset());
    format!("of offsets {} to {last}", first.base_offset)
}
