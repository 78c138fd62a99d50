//! What a file holds, cheap to clone, to append to and to read from.
//!
//! The bytes stand in extents, shared by every clone. An append adds an extent without copying; small neighbours are
//! merged as they gather (eight at a time, so that a byte is copied about three times) until a run of 64 KiB is sealed
//! and left alone. So a file of n bytes has about n / 64 KiB extents and a few small ones at its end.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Extents of this size and above are never copied again.
const SEALED_BYTES: usize = 64 * 1024;
/// Small extents of one size class that may stand side by side.
const MERGE_AT: usize = 8;

static ZEROS: [u8; SEALED_BYTES] = [0; SEALED_BYTES];

#[derive(Clone)]
struct Extent {
    at: u64,
    bytes: Bytes,
}

/// The bytes of a file.
#[derive(Clone, Default)]
pub(super) struct Content {
    /// By position, without gaps, none empty.
    extents: Vec<Extent>,
    len: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Megabytes are not worth printing.
        write!(f, "{} bytes in {} extents", self.len, self.extents.len())
    }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Up to `len` bytes from `at`; shared if they stand in one extent.
    pub(super) fn read(&self, at: u64, len: usize) -> Bytes {
        let len = self.len.saturating_sub(at).min(len as u64) as usize;
        if len == 0 {
            return Bytes::new();
        }
        let first = self.extent_at(at);
        let extent = &self.extents[first];
        let skip = (at - extent.at) as usize;
        if skip + len <= extent.bytes.len() {
            return extent.bytes.slice(skip..skip + len);
        }
        let mut bytes = BytesMut::with_capacity(len);
        bytes.extend_from_slice(&extent.bytes[skip..]);
        for extent in &self.extents[first + 1..] {
            let wanted = (len - bytes.len()).min(extent.bytes.len());
            bytes.extend_from_slice(&extent.bytes[..wanted]);
            if bytes.len() == len {
                break;
            }
        }
        bytes.freeze()
    }

    /// The same; the beginning of `like` itself, if that is what stands there.
    pub(super) fn read_like(&self, at: u64, len: usize, like: &Bytes) -> Bytes {
        let len = self.len.saturating_sub(at).min(len as u64) as usize;
        if len == 0 || len > like.len() {
            return self.read(at, len);
        }
        let (mut rest, first) = (&like[..len], self.extent_at(at));
        let mut skip = (at - self.extents[first].at) as usize;
        for extent in &self.extents[first..] {
            let here = &extent.bytes[std::mem::take(&mut skip)..];
            let (there, behind) = rest.split_at(here.len().min(rest.len()));
            // The same memory takes no look at its bytes.
            if here.as_ptr() != there.as_ptr() && here[..there.len()] != *there {
                return self.read(at, len);
            }
            rest = behind;
            if rest.is_empty() {
                return like.slice(..len);
            }
        }
        self.read(at, len)
    }

    /// Puts `data` at `at`; a gap before it reads as zeros.
    pub(super) fn write(&mut self, at: u64, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let end = at + data.len() as u64;
        let behind = self.read(end, self.len.saturating_sub(end) as usize);
        self.truncate(at);
        self.extend_with_zeros(at);
        self.append(data);
        self.append(behind);
    }

    /// Cuts the bytes from `len` on.
    pub(super) fn truncate(&mut self, len: u64) {
        if len >= self.len {
            return;
        }
        self.extents.truncate(self.extents.partition_point(|extent| extent.at < len));
        if let Some(last) = self.extents.last_mut() {
            let keep = (len - last.at).min(last.bytes.len() as u64);
            last.bytes.truncate(keep as usize);
        }
        self.len = len;
    }

    pub(super) fn extend_with_zeros(&mut self, len: u64) {
        while self.len < len {
            let count = (len - self.len).min(SEALED_BYTES as u64) as usize;
            self.append(Bytes::from_static(&ZEROS[..count]));
        }
    }

    /// Number of bytes at the start that are the same in both.
    pub(super) fn common_prefix(&self, other: &Content) -> u64 {
        let most = self.len.min(other.len);
        let mut at = 0;
        while at < most {
            let (mine, theirs) = (self.rest_of_extent(at), other.rest_of_extent(at));
            let count = mine.len().min(theirs.len());
            if mine[..count] != theirs[..count] {
                let differs = mine.iter().zip(theirs).take_while(|(a, b)| a == b).count();
                return at + differs as u64;
            }
            at += count as u64;
        }
        most
    }

    fn rest_of_extent(&self, at: u64) -> &[u8] {
        let extent = &self.extents[self.extent_at(at)];
        &extent.bytes[(at - extent.at) as usize..]
    }

    /// The extent in which byte `at` lies, which must be below the length.
    fn extent_at(&self, at: u64) -> usize {
        self.extents.partition_point(|extent| extent.at <= at) - 1
    }

    fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let at = self.len;
        self.len += bytes.len() as u64;
        self.extents.push(Extent { at, bytes });
        self.merge_small();
    }

    /// Merges the last extents while too many of the last one's class or below stand side by side.
    fn merge_small(&mut self) {
        while let Some(last) = self.extents.last() {
            let class = size_class(last.bytes.len());
            let small = |extent: &&Extent| size_class(extent.bytes.len()) <= class;
            let run = self.extents.iter().rev().take_while(small).count();
            if class == size_class(SEALED_BYTES) || run < MERGE_AT {
                return;
            }
            let merged = self.extents.split_off(self.extents.len() - run);
            let mut bytes = BytesMut::with_capacity(merged.iter().map(|extent| extent.bytes.len()).sum());
            merged.iter().for_each(|extent| bytes.extend_from_slice(&extent.bytes));
            self.extents.push(Extent { at: merged[0].at, bytes: bytes.freeze() });
        }
    }
}

fn size_class(len: usize) -> u8 {
    match len {
        0..1_024 => 0,
        1_024..8_192 => 1,
        8_192..SEALED_BYTES => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn many_small_appends_make_few_extents() {
        let mut content = Content::default();
        for i in 0..20_000u32 {
            // Sizes of all classes, so that no class is left waiting for its like.
            content.write(content.len(), Bytes::from(vec![i as u8; 100 + (i as usize * 37) % 2_000]));
        }
        let sealed = content.len() as usize / SEALED_BYTES;
        assert!(content.extents.len() <= sealed + 3 * MERGE_AT, "{} for {sealed}", content.extents.len());
    }

    #[test]
    fn a_read_inside_an_extent_shares_it() {
        let data = Bytes::from(vec![7; 1_000]);
        let mut content = Content::default();
        content.write(0, data.clone());
        assert_eq!(content.read(100, 50).as_ptr(), data[100..].as_ptr());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Write { at: u64, data: Vec<u8> },
        Append(Vec<u8>),
        Truncate(u64),
        Read { at: u64, len: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        let data = || prop::collection::vec(any::<u8>(), 0..3_000);
        prop_oneof![
            1 => (0..9_000u64, data()).prop_map(|(at, data)| Op::Write { at, data }),
            6 => data().prop_map(Op::Append),
            1 => (0..9_000u64).prop_map(Op::Truncate),
            2 => (0..9_000u64, 0..9_000usize).prop_map(|(at, len)| Op::Read { at, len }),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_vector(ops in prop::collection::vec(op(), 0..60)) {
            let (mut content, mut model) = (Content::default(), Vec::<u8>::new());
            for op in ops {
                match op {
                    Op::Write { at, data } => {
                        content.write(at, data.clone().into());
                        if !data.is_empty() {
                            let end = at as usize + data.len();
                            model.resize(model.len().max(end), 0);
                            model[at as usize..end].copy_from_slice(&data);
                        }
                    }
                    Op::Append(data) => {
                        content.write(content.len(), data.clone().into());
                        model.extend(data);
                    }
                    Op::Truncate(len) => {
                        content.truncate(len);
                        model.truncate(len as usize);
                    }
                    Op::Read { at, len } => {
                        let start = (at as usize).min(model.len());
                        let end = (start + len).min(model.len());
                        prop_assert_eq!(&content.read(at, len)[..], &model[start..end]);
                        // Who expects these bytes gets its own; who expects others gets these.
                        let like = Bytes::from([&model[start..end], b"more"].concat());
                        let shared = content.read_like(at, len, &like);
                        prop_assert_eq!(&shared[..], &model[start..end]);
                        prop_assert!(shared.is_empty() || shared.as_ptr() == like.as_ptr());
                        let mut other = like.to_vec();
                        other[len % (end - start).max(1)] ^= 1;
                        prop_assert_eq!(&content.read_like(at, len, &other.into())[..], &model[start..end]);
                    }
                }
                prop_assert_eq!(content.len(), model.len() as u64);
            }
            prop_assert_eq!(&content.read(0, usize::MAX)[..], &model[..]);
        }

        #[test]
        fn common_prefix_is_found(a in prop::collection::vec(0..2u8, 0..40), b in prop::collection::vec(0..2u8, 0..40)) {
            let content = |bytes: &[u8]| {
                let mut content = Content::default();
                bytes.chunks(3).for_each(|c| content.write(content.len(), Bytes::copy_from_slice(c)));
                content
            };
            let expected = a.iter().zip(&b).take_while(|(x, y)| x == y).count() as u64;
            prop_assert_eq!(content(&a).common_prefix(&content(&b)), expected);
        }
    }
}
