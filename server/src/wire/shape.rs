//! Whether bytes have the shape of a message, told without allocating anything.
//!
//! The decoders of kafka-protocol trust array lengths: a frame of ten bytes that announces two thousand million elements
//! makes them ask for gigabytes, and the process is aborted. So a frame is walked along the message's *shape* first: the
//! widths of its fields per version, and nothing of their meaning. What passes here has as many elements as it announces,
//! and no more than [`MAX_ELEMENTS`].

/// Most array elements and tagged fields of one message. A decoded element takes a few hundred bytes at most.
pub const MAX_ELEMENTS: u32 = 1_000_000;

/// Why bytes were refused before decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A field or an announced length reaches beyond the end.
    #[error("the message ends in the middle of a field")]
    TooShort,
    /// A length below -1, or a variable-length number of more than five bytes.
    #[error("a length is impossible")]
    ImpossibleLength,
    /// More than [`MAX_ELEMENTS`].
    #[error("more than {MAX_ELEMENTS} elements")]
    TooManyElements,
    /// A known tagged field is longer or shorter than its own size says.
    #[error("a tagged field has not the size it announces")]
    TaggedFieldSize,
}

/// How a field stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// That many bytes.
    Fixed(usize),
    /// A string, possibly null; compact in flexible versions.
    Text,
    /// Bytes, possibly null; compact in flexible versions.
    Blob,
    /// An array, possibly null; compact in flexible versions.
    Array(&'static Kind),
    /// Fields, followed by tagged fields in flexible versions.
    Struct(&'static Struct),
    /// The same behind a byte; a negative one says that there is none.
    NullableStruct(&'static Struct),
}

/// A field and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    kind: Kind,
    since: i16,
    until: i16,
}

impl Field {
    pub(crate) const fn of(kind: Kind) -> Field {
        Field { kind, since: 0, until: i16::MAX }
    }
    /// From that version on.
    pub(crate) const fn since(self, since: i16) -> Field {
        Field { since, ..self }
    }
    /// Up to and including that version.
    pub(crate) const fn until(self, until: i16) -> Field {
        Field { until, ..self }
    }
    const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

/// Fields in order, and tagged fields by their tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    pub(crate) fields: &'static [Field],
    pub(crate) tagged: &'static [(u32, Field)],
}

/// A message: its struct, and since when it is flexible (KIP-482).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) flexible_since: i16,
    pub(crate) body: Struct,
}

impl Shape {
    /// Walks `bytes` as a message of that version. Bytes after its end are ignored, as Kafka does.
    pub(crate) fn check(&self, bytes: &[u8], version: i16) -> Result<(), ShapeError> {
        self.walk(&mut Walker::new(bytes, version, version >= self.flexible_since))
    }

    fn walk(&self, walker: &mut Walker<'_>) -> Result<(), ShapeError> {
        walker.structure(&self.body)
    }
}

/// A position in bytes that only moves forward.
pub(crate) struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: u32,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Self {
        Walker { rest: bytes, version, flexible, elements: 0 }
    }
    /// What was not walked yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
    /// The next bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], ShapeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ShapeError::TooShort)?;
        self.rest = rest;
        Ok(taken)
    }
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ShapeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(ShapeError::TooShort)?;
        self.rest = rest;
        Ok(*taken)
    }
    pub(crate) fn int16(&mut self) -> Result<i16, ShapeError> {
        self.fixed().map(i16::from_be_bytes)
    }
    pub(crate) fn int32(&mut self) -> Result<i32, ShapeError> {
        self.fixed().map(i32::from_be_bytes)
    }
    fn unsigned_varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ShapeError::ImpossibleLength)
    }
    /// A length as classic encodings have it: -1 is null.
    fn classic_length(length: i32) -> Result<Option<usize>, ShapeError> {
        match length {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| ShapeError::ImpossibleLength),
        }
    }
    /// A length as compact encodings have it: one more, and 0 is null.
    fn compact_length(&mut self) -> Result<Option<usize>, ShapeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|n| n as usize))
    }
    fn length(&mut self, kind: Kind) -> Result<Option<usize>, ShapeError> {
        match kind {
            _ if self.flexible => self.compact_length(),
            Kind::Text => Self::classic_length(i32::from(self.int16()?)),
            _ => Self::classic_length(self.int32()?),
        }
    }
    /// A string with a length of two bytes, whatever the version: the client id of a request header.
    pub(crate) fn classic_text(&mut self) -> Result<Option<&'a [u8]>, ShapeError> {
        let length = Self::classic_length(i32::from(self.int16()?))?;
        length.map(|length| self.take(length)).transpose()
    }
    fn count_elements(&mut self, more: usize) -> Result<(), ShapeError> {
        let more = u32::try_from(more).map_err(|_| ShapeError::TooManyElements)?;
        self.elements = self.elements.checked_add(more).ok_or(ShapeError::TooManyElements)?;
        if self.elements > MAX_ELEMENTS { Err(ShapeError::TooManyElements) } else { Ok(()) }
    }
    fn value(&mut self, kind: Kind) -> Result<(), ShapeError> {
        match kind {
            Kind::Fixed(len) => self.take(len).map(drop),
            Kind::Text | Kind::Blob => {
                let length = self.length(kind)?.unwrap_or(0);
                self.take(length).map(drop)
            }
            Kind::Array(element) => {
                let length = self.length(kind)?.unwrap_or(0);
                self.count_elements(length)?;
                (0..length).try_for_each(|_| self.value(*element))
            }
            Kind::Struct(structure) => self.structure(structure),
            Kind::NullableStruct(structure) => match self.fixed()?.map(|byte: u8| byte as i8) {
                [..0] => Ok(()),
                [_] => self.structure(structure),
            },
        }
    }
    fn structure(&mut self, structure: &Struct) -> Result<(), ShapeError> {
        let version = self.version;
        for field in structure.fields.iter().filter(|field| field.is_in(version)) {
            self.value(field.kind)?;
        }
        if self.flexible { self.tagged_fields(structure.tagged) } else { Ok(()) }
    }
    /// Tagged fields: known ones are walked, unknown ones skipped (KIP-482).
    pub(crate) fn tagged_fields(&mut self, known: &[(u32, Field)]) -> Result<(), ShapeError> {
        let count = self.unsigned_varint()?;
        self.count_elements(count as usize)?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            match known.iter().find(|(known, field)| *known == tag && field.is_in(self.version)) {
                Some((_, field)) => {
                    let before = self.rest.len();
                    self.value(field.kind)?;
                    if before - self.rest.len() != size {
                        return Err(ShapeError::TaggedFieldSize);
                    }
                }
                None => drop(self.take(size)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod generate {
    //! Random bytes of a shape: what the decoders must take completely, if the shape is right.

    use super::{Field, Kind, Shape, Struct};
    use rand::Rng;

    struct Generator<'a, R> {
        random: &'a mut R,
        version: i16,
        flexible: bool,
        bytes: Vec<u8>,
    }

    /// A random message of that version.
    pub(crate) fn message<R: Rng>(shape: &Shape, version: i16, random: &mut R) -> Vec<u8> {
        let flexible = version >= shape.flexible_since;
        let mut generator = Generator { random, version, flexible, bytes: Vec::new() };
        generator.structure(&shape.body);
        generator.bytes
    }

    impl<R: Rng> Generator<'_, R> {
        fn below(&mut self, bound: u32) -> u32 {
            self.random.next_u32() % bound
        }
        fn unsigned_varint(&mut self, mut value: u32) {
            while value >= 0x80 {
                self.bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            self.bytes.push(value as u8);
        }
        fn length(&mut self, kind: Kind, length: u32) {
            match kind {
                _ if self.flexible => self.unsigned_varint(length + 1),
                Kind::Text => self.bytes.extend((length as i16).to_be_bytes()),
                _ => self.bytes.extend((length as i32).to_be_bytes()),
            }
        }
        fn letters(&mut self, length: u32) {
            for _ in 0..length {
                let letter = b'a' + self.below(26) as u8;
                self.bytes.push(letter);
            }
        }
        fn value(&mut self, kind: Kind) {
            match kind {
                Kind::Fixed(length) => self.letters(length as u32),
                Kind::Text | Kind::Blob => {
                    let length = self.below(200);
                    self.length(kind, length);
                    self.letters(length);
                }
                Kind::Array(element) => {
                    let length = self.below(4);
                    self.length(kind, length);
                    (0..length).for_each(|_| self.value(*element));
                }
                Kind::Struct(structure) => self.structure(structure),
                Kind::NullableStruct(_) if self.below(4) == 0 => self.bytes.push(0xff),
                Kind::NullableStruct(structure) => {
                    self.bytes.push(1);
                    self.structure(structure);
                }
            }
        }
        fn structure(&mut self, structure: &Struct) {
            let version = self.version;
            structure.fields.iter().filter(|f| f.is_in(version)).for_each(|f| self.value(f.kind));
            if !self.flexible {
                return;
            }
            let known: Vec<&(u32, Field)> = structure.tagged.iter().filter(|(_, f)| f.is_in(version)).collect();
            let (known, unknown) = if self.below(2) == 0 { (known, self.below(3)) } else { (Vec::new(), 0) };
            self.unsigned_varint(known.len() as u32 + unknown);
            for (tag, field) in known {
                self.unsigned_varint(*tag);
                let outer = std::mem::take(&mut self.bytes);
                self.value(field.kind);
                let inner = std::mem::replace(&mut self.bytes, outer);
                self.unsigned_varint(inner.len() as u32);
                self.bytes.extend(inner);
            }
            for tag in 0..unknown {
                self.unsigned_varint(1_000 + tag);
                self.unsigned_varint(5);
                self.letters(5);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ELEMENT: Kind = Kind::Fixed(4);
    static EMPTY: Kind = Kind::Struct(&Struct { fields: &[], tagged: &[] });
    static FIELDS: [Field; 2] = [Field::of(Kind::Array(&ELEMENT)), Field::of(Kind::Array(&EMPTY)).since(5)];
    const SHAPE: Shape = Shape { flexible_since: 9, body: Struct { fields: &FIELDS, tagged: &[] } };

    #[test]
    fn lengths_that_the_bytes_do_not_hold_are_refused() {
        assert_eq!(SHAPE.check(&[0, 0, 0, 1, 1, 2, 3, 4], 0), Ok(()));
        assert_eq!(SHAPE.check(&[0, 0, 0, 2, 1, 2, 3, 4], 0), Err(ShapeError::TooShort));
        assert_eq!(SHAPE.check(&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4], 0), Err(ShapeError::TooManyElements));
        assert_eq!(SHAPE.check(&[0xff, 0xff, 0xff, 0xff], 0), Ok(()), "null");
        assert_eq!(SHAPE.check(&[0xff, 0xff, 0xff, 0xfe], 0), Err(ShapeError::ImpossibleLength));
        assert_eq!(SHAPE.check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 9), Err(ShapeError::ImpossibleLength));
        assert_eq!(SHAPE.check(&[], 0), Err(ShapeError::TooShort));
    }

    #[test]
    fn elements_of_no_bytes_are_counted_too() {
        assert_eq!(SHAPE.check(&[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff], 5), Err(ShapeError::TooManyElements));
    }
}
