//! Snappy in the frames of snappy-java, which Kafka's clients use: a header, then blocks, each behind its length. Bytes
//! without that header are one raw block, as `SnappyInputStream` has it and librdkafka may write it.

use snap::raw::{Decoder, Encoder, decompress_len};

use super::{Compression, CompressionError};

const CORRUPT: CompressionError = CompressionError::Corrupt(Compression::Snappy);
/// Magic, version 1, compatible with version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC_BYTES: usize = 8;
/// Bytes of a block before packing.
const BLOCK_BYTES: usize = 32 * 1024;

/// See [`super::compress`].
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut packed = HEADER.to_vec();
    for block in bytes.chunks(BLOCK_BYTES) {
        let block = Encoder::new().compress_vec(block).map_err(|_| CORRUPT)?;
        let length = i32::try_from(block.len()).map_err(|_| CORRUPT)?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}

/// See [`super::decompress`].
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut unpacked = Vec::new();
    if !bytes.starts_with(&HEADER[..MAGIC_BYTES]) {
        unpack_block(bytes, limit, &mut unpacked)?;
        return Ok(unpacked);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        // A header may come again: streams that stand behind one another.
        if rest.starts_with(&HEADER[..MAGIC_BYTES]) {
            rest = rest.get(HEADER.len()..).ok_or(CORRUPT)?;
            continue;
        }
        let (length, behind) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| CORRUPT)?;
        let block = behind.get(..length).ok_or(CORRUPT)?;
        unpack_block(block, limit, &mut unpacked)?;
        rest = &behind[length..];
    }
    Ok(unpacked)
}

/// A block says at its beginning how large it will be: that is looked at before there is room for it.
fn unpack_block(block: &[u8], limit: usize, unpacked: &mut Vec<u8>) -> Result<(), CompressionError> {
    let size = decompress_len(block).map_err(|_| CORRUPT)?;
    let at = unpacked.len();
    if size > limit - at {
        return Err(CompressionError::TooLarge { limit });
    }
    unpacked.resize(at + size, 0);
    Decoder::new().decompress(block, &mut unpacked[at..]).map_err(|_| CORRUPT)?;
    Ok(())
}
