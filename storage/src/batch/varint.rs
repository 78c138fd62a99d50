//! Kafka's variable-length integers: zig-zag, then seven bits to a byte, lowest first (Protocol Buffers' sint).

use bytes::Bytes;

use super::BatchError;

/// Longest varint of 32 bits, in bytes.
const VARINT_BYTES: usize = 5;
/// Longest varint of 64 bits, in bytes.
const VARLONG_BYTES: usize = 10;

/// Appends `value`. A value of 32 bits takes the same bytes as varint and as varlong.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zig_zag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that `put` appends.
pub(super) fn size(value: i64) -> usize {
    // A zero takes one byte all the same.
    let bits = 64 - (zig_zag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zig_zag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Reads from the front of some bytes; nothing it is given can make it panic.
#[derive(Default)]
pub(crate) struct Cursor {
    bytes: Bytes,
    at: usize,
    end: usize,
}

impl Cursor {
    pub(super) fn new(bytes: Bytes) -> Self {
        Cursor { end: bytes.len(), bytes, at: 0 }
    }

    pub(super) fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Reads a length, and with `read` no more than as many bytes, which are passed over whatever becomes of them.
    pub(super) fn within<T>(
        &mut self,
        read: impl FnOnce(&mut Cursor) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        let length = self.varint()?;
        let outer = self.end;
        self.end = self.at + self.checked(length)?;
        let result = read(self);
        (self.at, self.end) = (self.end, outer);
        result
    }

    pub(super) fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = self.bytes[..self.end].get(self.at).ok_or(BatchError::Malformed("record ends early"))?;
        self.at += 1;
        Ok(*byte)
    }

    pub(super) fn varlong(&mut self) -> Result<i64, BatchError> {
        let rest = self.unsigned(VARLONG_BYTES)?;
        Ok((rest >> 1) as i64 ^ -((rest & 1) as i64))
    }

    pub(super) fn varint(&mut self) -> Result<i32, BatchError> {
        let rest =
            u32::try_from(self.unsigned(VARINT_BYTES)?).map_err(|_| BatchError::Malformed("varint too large"))?;
        Ok((rest >> 1) as i32 ^ -((rest & 1) as i32))
    }

    fn unsigned(&mut self, most_bytes: usize) -> Result<u64, BatchError> {
        let mut value = 0u64;
        for i in 0..most_bytes {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if i == VARLONG_BYTES - 1 && bits > 1 {
                return Err(BatchError::Malformed("varlong too large"));
            }
            value |= bits << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BatchError::Malformed("varint too long"))
    }

    /// A length and as many bytes; a length of -1 is null. Shares the memory.
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, BatchError> {
        match self.varint()? {
            -1 => Ok(None),
            len => self.take(len).map(Some),
        }
    }

    /// Passes over a length and as many bytes.
    pub(super) fn skip_nullable(&mut self) -> Result<(), BatchError> {
        match self.varint()? {
            -1 => Ok(()),
            len => self.skip(len),
        }
    }

    /// A length and as many bytes; a length of -1 is null.
    pub(super) fn nullable_slice(&mut self) -> Result<Option<&[u8]>, BatchError> {
        let len = match self.varint()? {
            -1 => return Ok(None),
            len => self.checked(len)?,
        };
        self.at += len;
        Ok(Some(&self.bytes[self.at - len..self.at]))
    }

    /// Passes over the next `len` bytes.
    pub(super) fn skip(&mut self, len: i32) -> Result<(), BatchError> {
        self.at += self.checked(len)?;
        Ok(())
    }

    /// The next `len` bytes. Shares the memory.
    pub(super) fn take(&mut self, len: i32) -> Result<Bytes, BatchError> {
        let len = self.checked(len)?;
        let taken = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(taken)
    }

    /// So many bytes are there.
    fn checked(&self, len: i32) -> Result<usize, BatchError> {
        let len = usize::try_from(len).map_err(|_| BatchError::Malformed("negative length"))?;
        if len > self.remaining() {
            return Err(BatchError::Malformed("length beyond the end"));
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value);
        out
    }

    #[test]
    fn known_values() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            assert_eq!(encoded(value), bytes, "{value}");
            assert_eq!(Cursor::new(Bytes::from_static(bytes)).varint(), Ok(value as i32));
        }
        assert_eq!(encoded(i64::MIN).len(), VARLONG_BYTES);
    }

    #[test]
    fn overlong_and_truncated_are_refused() {
        let cursor = |bytes: &'static [u8]| Cursor::new(Bytes::from_static(bytes));
        assert!(cursor(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).varint().is_err());
        assert!(cursor(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint().is_err());
        assert!(cursor(&[0xff; 11]).varlong().is_err());
        assert!(cursor(&[0x80]).varlong().is_err());
        assert!(cursor(&[]).varint().is_err());
    }

    proptest! {
        #[test]
        fn round_trip(value: i64) {
            let bytes = encoded(value);
            prop_assert_eq!(bytes.len(), size(value));
            let mut cursor = Cursor::new(bytes.into());
            prop_assert_eq!(cursor.varlong(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
        }
    }
}
