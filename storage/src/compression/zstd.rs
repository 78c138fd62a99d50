//! Zstandard: frames, one behind the other.

use std::io::Read;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{Compression, CompressionError};

const CORRUPT: CompressionError = CompressionError::Corrupt(Compression::Zstd);
/// Bytes that may be unpacked between two looks at the limit, over the window that a frame asks for.
const STEP_BYTES: usize = 128 * 1024;

/// See [`super::compress`].
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// See [`super::decompress`].
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut decoder = FrameDecoder::new();
    let (mut rest, mut unpacked) = (bytes, Vec::new());
    while !rest.is_empty() {
        match decoder.init(&mut rest) {
            Ok(()) => unpack_frame(&mut decoder, &mut rest, limit, &mut unpacked)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).map_err(|_| CORRUPT)?;
                rest = rest.get(length..).ok_or(CORRUPT)?;
            }
            Err(_) => return Err(CORRUPT),
        }
    }
    Ok(unpacked)
}

fn unpack_frame(
    decoder: &mut FrameDecoder,
    rest: &mut &[u8],
    limit: usize,
    unpacked: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    loop {
        decoder.decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBytes(STEP_BYTES)).map_err(|_| CORRUPT)?;
        let one_more = (limit - unpacked.len()) as u64 + 1;
        decoder.by_ref().take(one_more).read_to_end(unpacked).map_err(|_| CORRUPT)?;
        if unpacked.len() > limit {
            return Err(CompressionError::TooLarge { limit });
        }
        if decoder.is_finished() {
            break;
        }
    }
    let told = decoder.get_checksum_from_data();
    if told.is_some() && told != decoder.get_calculated_checksum() {
        return Err(CORRUPT);
    }
    Ok(())
}
