//! The same data as JSON lines: one object a line, keys and words as in EDN without their colons.
//!
//! serde_json's own `Value` keeps the last of two entries of one key, and takes an integer of more than 64 bits for a float, so that two of
//! them may become one. Nothing is guessed: here both are errors.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::event::Words;
use super::form::{Form, Kind, twice};
use super::{Fault, InputError, event, next_line};
use crate::operations::History;

/// Reads all lines; returns the number of the last.
pub(super) fn read(input: &mut impl BufRead, history: &mut History) -> Result<u64, InputError> {
    let (mut line, mut number) = (String::new(), 0);
    while next_line(input, number + 1, &mut line)? {
        number += 1;
        if !line.trim().is_empty() {
            // JSON's own nesting limit of 128 keeps the stack.
            let Json(kind) = serde_json::from_str(&line).map_err(|error| {
                // The text of the error names its place in this one line.
                let text = error.to_string();
                let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
                let at = line.char_indices().nth(error.column().saturating_sub(1)).map_or(line.len(), |(at, _)| at);
                let trimmed = line.trim_end().len();
                Fault::new(at.min(trimmed), format!("this is no JSON: {what}; each line is one object"))
                    .of(&line, number)
            })?;
            // JSON says nothing of columns inside a line that is well formed: everything begins where the object does.
            let form = Form { at: line.len() - line.trim_start().len(), kind };
            event::take(&form, Words::Json, history).map_err(|fault| fault.of(&line, number))?;
        }
        line.clear();
    }
    Ok(number.max(1))
}

/// One value of JSON as a form.
struct Json<'a>(Kind<'a>);

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Json)
    }
}

/// Above, a float may stand for several integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Kind<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Kind::Nil)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Kind::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Kind::Number(Cow::Owned(value.to_string())), Kind::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.abs() > EXACT {
            return Err(E::custom(
                "a number is an integer of 64 bits, or a fraction: a larger one is written as a string",
            ));
        }
        Ok(Kind::Number(Cow::Owned(value.to_string())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Kind::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Kind::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut vector = Vec::new();
        while let Some(Json(kind)) = items.next_element()? {
            vector.push(Form { at: 0, kind });
        }
        Ok(Kind::Vector(vector))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Vec::new();
        while let Some((Json(key), Json(value))) = entries.next_entry()? {
            map.push((Form { at: 0, kind: key }, Form { at: 0, kind: value }));
        }
        match twice(&map) {
            Some((key, _)) => {
                Err(A::Error::custom(format!("an object has each key once: {} stands here twice", key.shown())))
            }
            None => Ok(Kind::Map(map)),
        }
    }
}
