//! The few primitives of Kafka's flexible message format that metadata records use.
//!
//! Reading trusts nothing: every length is held against the bytes that are left before anything is allocated.

use uuid::Uuid;

use crate::metadata::RecordError;

/// Reads primitives off the front of a slice.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
    pub fn i8(&mut self) -> Result<i8, RecordError> {
        Ok(i8::from_be_bytes(self.array()?))
    }
    pub fn i16(&mut self) -> Result<i16, RecordError> {
        Ok(i16::from_be_bytes(self.array()?))
    }
    pub fn u16(&mut self) -> Result<u16, RecordError> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    pub fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }
    pub fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }
    pub fn uuid(&mut self) -> Result<Uuid, RecordError> {
        Ok(Uuid::from_bytes(self.array()?))
    }
    /// Any byte but 0 is true, as in Kafka.
    pub fn bool(&mut self) -> Result<bool, RecordError> {
        Ok(self.i8()? != 0)
    }
    /// At most five bytes; the fifth may carry four bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            if shift == 28 && byte > 0x0f {
                return Err(RecordError::Malformed("varint"));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed("varint"))
    }
    fn compact_length(&mut self) -> Result<Option<usize>, RecordError> {
        match self.unsigned_varint()? {
            0 => Ok(None),
            length_plus_one => {
                usize::try_from(length_plus_one - 1).map(Some).map_err(|_| RecordError::Malformed("length"))
            }
        }
    }
    pub fn nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        let Some(length) = self.compact_length()? else { return Ok(None) };
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| RecordError::Malformed("string: not UTF-8"))?;
        Ok(Some(text.to_string()))
    }
    pub fn string(&mut self) -> Result<String, RecordError> {
        self.nullable_string()?.ok_or(RecordError::Malformed("string: null"))
    }
    /// A compact array of elements that take at least `least_bytes` each.
    pub fn nullable_array<T>(
        &mut self,
        least_bytes: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Option<Vec<T>>, RecordError> {
        let Some(count) = self.compact_length()? else { return Ok(None) };
        if count > self.rest.len() / least_bytes.max(1) {
            return Err(RecordError::Truncated);
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }
    /// A compact array that may not be null; see [`Self::nullable_array`].
    pub fn array_of<T>(
        &mut self,
        least_bytes: usize,
        element: impl FnMut(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Vec<T>, RecordError> {
        self.nullable_array(least_bytes, element)?.ok_or(RecordError::Malformed("array: null"))
    }
    pub fn ids(&mut self) -> Result<Vec<i32>, RecordError> {
        self.array_of(4, Reader::i32)
    }
    pub fn nullable_ids(&mut self) -> Result<Option<Vec<i32>>, RecordError> {
        self.nullable_array(4, Reader::i32)
    }
    /// The tagged fields at the end of a structure. `field` gets each tag with a reader of exactly its bytes; a tag it
    /// does not know it leaves alone, as Kafka does.
    pub fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'_>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let length = usize::try_from(self.unsigned_varint()?).map_err(|_| RecordError::Malformed("length"))?;
            let mut bytes = Reader::new(self.take(length)?);
            field(tag, &mut bytes)?;
        }
        Ok(())
    }
    /// Tagged fields of a structure of which none is of interest.
    pub fn skip_tagged_fields(&mut self) -> Result<(), RecordError> {
        self.tagged_fields(|_, _| Ok(()))
    }
}

/// Writes primitives to the end of a buffer.
#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn i8(&mut self, value: i8) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    pub fn i16(&mut self, value: i16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }
    pub fn uuid(&mut self, value: Uuid) {
        self.bytes.extend_from_slice(value.as_bytes());
    }
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
    /// Length plus one, as compact strings and arrays begin. What is longer than 4 GB never gets here.
    fn compact_length(&mut self, length: usize) {
        self.unsigned_varint(u32::try_from(length).unwrap_or(u32::MAX - 1) + 1);
    }
    pub fn string(&mut self, text: &str) {
        self.compact_length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
    pub fn nullable_string(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.unsigned_varint(0),
        }
    }
    pub fn array_of<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.compact_length(elements.len());
        for e in elements {
            element(self, e);
        }
    }
    pub fn ids(&mut self, ids: &[i32]) {
        self.array_of(ids, |w, id| w.i32(*id));
    }
    pub fn no_tagged_fields(&mut self) {
        self.unsigned_varint(0);
    }
    /// Tagged fields, which must come in rising order of their tags.
    pub fn tagged_fields(&mut self, fields: &[(u32, Writer)]) {
        debug_assert!(fields.is_sorted_by_key(|(tag, _)| *tag));
        self.unsigned_varint(fields.len() as u32);
        for (tag, field) in fields {
            self.unsigned_varint(*tag);
            self.unsigned_varint(field.bytes.len() as u32);
            self.bytes.extend_from_slice(&field.bytes);
        }
    }
}

/// The bytes of one tagged field.
pub fn field(write: impl FnOnce(&mut Writer)) -> Writer {
    let mut writer = Writer::default();
    write(&mut writer);
    writer
}
