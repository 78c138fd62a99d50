//! Reads bytes that another member wrote, and believes none of their lengths.

/// Bytes that do not say what they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The version is below 0.
    #[error("version {version} of the consumer protocol does not exist: the lowest is 0")]
    Version {
        /// What stands there.
        version: i16,
    },
    /// The bytes end too early, or a length is wrong.
    #[error("{what} should take {needed} bytes, {left} are left")]
    Truncated {
        /// What was to be read.
        what: &'static str,
        /// How many bytes it takes, at least.
        needed: i64,
        /// How many bytes are left.
        left: i64,
    },
    /// A length is negative where there has to be something.
    #[error("{what} has the length {length}, which only what may be null can have")]
    Null {
        /// What was to be read.
        what: &'static str,
        /// What stands there.
        length: i64,
    },
    /// A text is no UTF-8.
    #[error("{what} is no UTF-8")]
    NoText {
        /// What was to be read.
        what: &'static str,
    },
}

/// A place in bytes.
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { left: bytes }
    }

    fn take(&mut self, what: &'static str, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, left)) = self.left.split_at_checked(length) else {
            return Err(Malformed::Truncated { what, needed: length as i64, left: self.left.len() as i64 });
        };
        self.left = left;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        // Exactly N bytes were taken.
        self.take(what, N).map(|bytes| bytes.try_into().unwrap_or([0; N]))
    }

    pub(super) fn i16(&mut self, what: &'static str) -> Result<i16, Malformed> {
        self.fixed(what).map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, Malformed> {
        self.fixed(what).map(i32::from_be_bytes)
    }

    pub(super) fn nullable_string(&mut self, what: &'static str) -> Result<Option<&'a str>, Malformed> {
        let Ok(length) = usize::try_from(self.i16(what)?) else { return Ok(None) };
        let bytes = self.take(what, length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed::NoText { what })
    }

    pub(super) fn string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        self.nullable_string(what)?.ok_or(Malformed::Null { what, length: -1 })
    }

    pub(super) fn nullable_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        let Ok(length) = usize::try_from(self.i32(what)?) else { return Ok(None) };
        self.take(what, length).map(Some)
    }

    /// An array of what `element` reads. Elements take at least a byte each, so their number is bounded by what is left.
    pub(super) fn array<T>(
        &mut self,
        what: &'static str,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = i64::from(self.i32(what)?);
        let left = self.left.len() as i64;
        if length < 0 {
            return Err(Malformed::Null { what, length });
        }
        if length > left {
            return Err(Malformed::Truncated { what, needed: length, left });
        }
        (0..length).map(|_| element(self)).collect()
    }
}
