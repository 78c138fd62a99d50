//! Frames: four bytes of size, then as many bytes.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest frame, request or response: Kafka's default of `socket.request.max.bytes`, 100 MiB.
pub const MAX_FRAME_BYTES: u32 = 100 * 1024 * 1024;
/// So much is reserved for a frame before any of it has arrived.
const FIRST_RESERVE: usize = 64 * 1024;

/// Why no frame came.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed, or ended inside a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The size is negative or above [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes")]
    Size(i32),
}

/// Reads the next frame, without its size; `None` if the stream ends before one.
///
/// Memory grows with what has arrived, not with what is announced. Not safe to cancel and call again.
pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Bytes>, FrameError> {
    let mut size = [0; 4];
    if stream.read(&mut size[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut size[1..]).await?;
    let size = i32::from_be_bytes(size);
    let length = u32::try_from(size).ok().filter(|n| *n <= MAX_FRAME_BYTES).ok_or(FrameError::Size(size))? as usize;
    let mut frame = BytesMut::with_capacity(length.min(FIRST_RESERVE));
    while frame.len() < length {
        let left = length - frame.len();
        if frame.capacity() == frame.len() {
            frame.reserve(left.min(frame.len()));
        }
        if stream.read_buf(&mut (&mut frame).limit(left)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(Some(frame.freeze()))
}

/// Room for a frame's size, to be filled in by [`finish_frame`].
pub(super) fn begin_frame() -> BytesMut {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    frame
}

/// Writes the size of everything after it into a frame's first four bytes. `None` if it is too large.
pub(super) fn finish_frame(mut frame: BytesMut) -> Option<Bytes> {
    let size = u32::try_from(frame.len() - 4).ok().filter(|n| *n <= MAX_FRAME_BYTES)?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Some(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_one_by_one() {
        let mut stream: &[u8] = &[0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(read_frame(&mut stream).await.unwrap().unwrap(), "ab");
        assert_eq!(read_frame(&mut stream).await.unwrap().unwrap(), "");
        assert!(matches!(read_frame(&mut stream).await, Err(FrameError::Io(_))), "ends inside a frame");
        assert!(matches!(read_frame(&mut stream).await, Ok(None)));
    }

    #[tokio::test]
    async fn impossible_sizes_are_refused_before_anything_is_reserved() {
        for size in [-1, i32::MIN, i32::MAX, MAX_FRAME_BYTES as i32 + 1] {
            let mut stream: &[u8] = &size.to_be_bytes();
            assert!(matches!(read_frame(&mut stream).await, Err(FrameError::Size(n)) if n == size));
        }
    }

    #[tokio::test]
    async fn large_frames_arrive_whole() {
        let body: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let mut stream = (body.len() as i32).to_be_bytes().to_vec();
        stream.extend(&body);
        stream.extend([0, 0, 0, 0]);
        let mut stream = &stream[..];
        assert_eq!(read_frame(&mut stream).await.unwrap().unwrap(), body);
        assert_eq!(read_frame(&mut stream).await.unwrap().unwrap(), "");
    }
}
