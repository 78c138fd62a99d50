//! gzip, as `java.util.zip` writes and reads it: one member written, several behind one another read.

use std::io::Write;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Compression, CompressionError, read_bounded};

/// See [`super::compress`]. The header bears no time.
pub(super) fn compress(bytes: &[u8], level: u32) -> Result<Vec<u8>, CompressionError> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level.min(9)));
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.map_err(|_| CompressionError::Corrupt(Compression::Gzip))
}

/// See [`super::decompress`].
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    read_bounded(MultiGzDecoder::new(bytes), Compression::Gzip, limit)
}
