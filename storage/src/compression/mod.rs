//! The codecs of record batches: gzip, snappy, lz4, zstd, each in pure Rust, each a function of its input.
//!
//! ```text
//!   compress(codec, level, bytes) ──▶ bytes
//!   decompress(codec, bytes, limit) ──▶ bytes | what is wrong with them
//! ```
//!
//! Compressed bytes are the same in every run of one build; another version of a codec may make others. Decompressed bytes
//! are the same everywhere. What a codec unpacks is bounded: a few bytes from a socket may claim to be gigabytes, and
//! Kafka, which reads records from a stream one by one, is bounded only by its memory.
//!
//! In a build without the feature `compression` there are no codecs: what is compressed is carried, never opened.
//!
//! Not modelled: levels other than gzip's. lz4 and zstd are compressed as fast as they can be.

#[cfg(feature = "compression")]
mod gzip;
#[cfg(feature = "compression")]
mod lz4;
#[cfg(feature = "compression")]
mod snappy;
#[cfg(feature = "compression")]
mod zstd;

/// Most bytes that the records of one batch may take unpacked.
pub const MAX_UNCOMPRESSED_BYTES: usize = 64 << 20;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Every kind, each in the place of its number.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// Its name in configurations (`CompressionType.name`); "none" for none.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
    /// The kind of that number in a batch's attributes; `None` for a number Kafka does not know.
    pub fn of_id(id: i16) -> Option<Compression> {
        usize::try_from(id).ok().and_then(|id| Compression::ALL.get(id)).copied()
    }
    /// Its number in a batch's attributes (`CompressionType.id`).
    pub fn id(self) -> i16 {
        self as i16
    }
    /// Can this build pack and unpack it?
    pub fn is_built(self) -> bool {
        self == Compression::None || cfg!(feature = "compression")
    }
}

/// gzip's level where none is given (`GzipCompression`, as zlib's default).
pub const DEFAULT_GZIP_LEVEL: u32 = 6;

/// Why bytes were not packed or unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// There are no codecs in this build.
    #[error("this build cannot unpack {}: it was made without the feature `compression`", .0.name())]
    NotBuilt(Compression),
    /// These bytes are not what the codec makes.
    #[error("the bytes are no {}", .0.name())]
    Corrupt(Compression),
    /// They unpack to more than allowed.
    #[error("more than {limit} bytes when unpacked")]
    TooLarge {
        /// What is allowed, in bytes.
        limit: usize,
    },
}

/// Packs bytes. `gzip_level`: 1 (fast) to 9 (small).
#[cfg(feature = "compression")]
pub fn compress(codec: Compression, gzip_level: u32, bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip::compress(bytes, gzip_level),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => lz4::compress(bytes),
        Compression::Zstd => Ok(zstd::compress(bytes)),
    }
}
/// There are no codecs in this build.
#[cfg(not(feature = "compression"))]
pub fn compress(codec: Compression, _gzip_level: u32, bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None => Ok(bytes.to_vec()),
        codec => Err(CompressionError::NotBuilt(codec)),
    }
}

/// Unpacks bytes, at most `limit` of them.
#[cfg(feature = "compression")]
pub fn decompress(codec: Compression, bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None if bytes.len() > limit => Err(CompressionError::TooLarge { limit }),
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => gzip::decompress(bytes, limit),
        Compression::Snappy => snappy::decompress(bytes, limit),
        Compression::Lz4 => lz4::decompress(bytes, limit),
        Compression::Zstd => zstd::decompress(bytes, limit),
    }
}
/// There are no codecs in this build.
#[cfg(not(feature = "compression"))]
pub fn decompress(codec: Compression, bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None if bytes.len() > limit => Err(CompressionError::TooLarge { limit }),
        Compression::None => Ok(bytes.to_vec()),
        codec => Err(CompressionError::NotBuilt(codec)),
    }
}

/// Reads a stream to its end, but no more than `limit` bytes.
#[cfg(feature = "compression")]
fn read_bounded(stream: impl std::io::Read, codec: Compression, limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut bytes = Vec::new();
    let one_more = (limit as u64).saturating_add(1);
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(stream, one_more), &mut bytes);
    match read {
        _ if bytes.len() > limit => Err(CompressionError::TooLarge { limit }),
        Ok(_) => Ok(bytes),
        Err(_) => Err(CompressionError::Corrupt(codec)),
    }
}

#[cfg(all(test, feature = "compression"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn packed(codec: Compression, bytes: &[u8]) -> Vec<u8> {
        compress(codec, DEFAULT_GZIP_LEVEL, bytes).expect("it packs")
    }

    #[test]
    fn what_unpacks_to_more_than_allowed_is_refused() {
        let zeros = vec![0; 3_000_000];
        for codec in CODECS {
            let small = packed(codec, &zeros);
            assert!(small.len() < 200_000, "{codec:?}: {} bytes", small.len());
            assert_eq!(decompress(codec, &small, zeros.len()).as_ref(), Ok(&zeros), "{codec:?}");
            let limit = zeros.len() - 1;
            assert_eq!(decompress(codec, &small, limit), Err(CompressionError::TooLarge { limit }), "{codec:?}");
        }
    }

    #[test]
    fn a_size_that_is_only_claimed_takes_no_memory() {
        // A raw snappy block of claimed 4 GiB, and a zstd frame of one segment of claimed 256 TiB.
        let snappy = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert!(decompress(Compression::Snappy, &snappy, 1_000).is_err());
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0];
        assert!(decompress(Compression::Zstd, &zstd, 1_000).is_err());
    }

    #[test]
    fn snappy_is_read_with_and_without_frames_as_java_reads_it() {
        let text = b"the same text, the same text, the same text".to_vec();
        let raw = snap::raw::Encoder::new().compress_vec(&text).expect("it packs");
        assert_eq!(decompress(Compression::Snappy, &raw, 1_000).as_ref(), Ok(&text));
        // Two streams, one behind the other.
        let twice = [packed(Compression::Snappy, &text), packed(Compression::Snappy, &text)].concat();
        assert_eq!(decompress(Compression::Snappy, &twice, 1_000), Ok([text.clone(), text].concat()));
    }

    #[test]
    fn better_gzip_is_smaller() {
        let bytes: Vec<u8> = (0..20_000u32).flat_map(|n| (n % 977 * n % 31).to_be_bytes()).collect();
        let [fast, small] = [1, 9].map(|level| compress(Compression::Gzip, level, &bytes).expect("it packs").len());
        assert!(small < fast, "{small} {fast}");
    }

    #[test]
    fn nothing_is_packed_and_unpacked_too() {
        for codec in CODECS {
            assert_eq!(decompress(codec, &packed(codec, b""), 10), Ok(Vec::new()), "{codec:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(bytes: Vec<u8>, times in 1..50usize, codec in 0..4usize) {
            let bytes = bytes.repeat(times);
            let packed = packed(CODECS[codec], &bytes);
            prop_assert_eq!(decompress(CODECS[codec], &packed, bytes.len()), Ok(bytes));
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes: Vec<u8>, codec in 0..4usize) {
            if let Ok(unpacked) = decompress(CODECS[codec], &bytes, 10_000) {
                prop_assert!(unpacked.len() <= 10_000);
            }
        }

        #[test]
        fn altered_bytes_are_unpacked_or_refused(bytes: Vec<u8>, at: prop::sample::Index, with: u8, codec in 0..4usize) {
            let mut packed = packed(CODECS[codec], &bytes.repeat(9));
            if !packed.is_empty() {
                let at = at.index(packed.len());
                packed[at] = with;
            }
            if let Ok(unpacked) = decompress(CODECS[codec], &packed, 10_000) {
                prop_assert!(unpacked.len() <= 10_000);
            }
        }
    }
}
