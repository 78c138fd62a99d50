//! The same data as JSON lines: one object a line, keys and words as in EDN without their colons.

use std::borrow::Cow;
use std::io::BufRead;

use serde_json::Value;

use super::event::Words;
use super::form::{Form, Kind};
use super::{Fault, InputError, event, next_line};
use crate::operations::History;

/// Reads all lines; returns the number of the last.
pub(super) fn read(input: &mut impl BufRead, history: &mut History) -> Result<u64, InputError> {
    let (mut line, mut number) = (String::new(), 0);
    while next_line(input, number + 1, &mut line)? {
        number += 1;
        if !line.trim().is_empty() {
            // JSON's own nesting limit of 128 keeps the stack.
            let value: Value = serde_json::from_str(&line).map_err(|error| {
                // The text of the error names its place in this one line.
                let text = error.to_string();
                let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
                let at = line.char_indices().nth(error.column().saturating_sub(1)).map_or(line.len(), |(at, _)| at);
                let trimmed = line.trim_end().len();
                Fault::new(at.min(trimmed), format!("this is no JSON: {what}; each line is one object"))
                    .of(&line, number)
            })?;
            let begin = line.len() - line.trim_start().len();
            let form = form(&value, begin);
            event::take(&form, Words::Json, history).map_err(|fault| fault.of(&line, number))?;
        }
        line.clear();
    }
    Ok(number.max(1))
}

/// JSON says nothing of columns inside a line that is well formed: everything begins where the object does.
fn form(value: &Value, at: usize) -> Form<'_> {
    let kind = match value {
        Value::Null => Kind::Nil,
        Value::Bool(b) => Kind::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(|| Kind::Number(Cow::Owned(n.to_string())), Kind::Int),
        Value::String(text) => Kind::Text(Cow::Borrowed(text)),
        Value::Array(items) => Kind::Vector(items.iter().map(|item| form(item, at)).collect()),
        Value::Object(entries) => {
            let key = |text: &str| Form { at, kind: Kind::Text(Cow::Owned(text.to_owned())) };
            Kind::Map(entries.iter().map(|(k, v)| (key(k), form(v, at))).collect())
        }
    };
    Form { at, kind }
}
