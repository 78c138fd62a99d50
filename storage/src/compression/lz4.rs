//! LZ4 in its frame format, as `Lz4BlockOutputStream` writes it: independent blocks of 64 KiB, no checksums of content.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Compression, CompressionError, read_bounded};

/// See [`super::compress`].
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    let written = encoder.write_all(bytes).ok().and_then(|()| encoder.finish().ok());
    written.ok_or(CompressionError::Corrupt(Compression::Lz4))
}

/// See [`super::decompress`].
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    read_bounded(FrameDecoder::new(bytes), Compression::Lz4, limit)
}
