//! Histories from outside: Jepsen's `history.edn`, and the same as JSON lines.
//!
//! ```text
//!   bytes ─► edn, one form after the other ─┐
//!            jsonl, one line after the other ┴─► form ─► event ─► History
//! ```
//!
//! A file is read in pieces of one form; what is kept is the [`History`]. Nothing is guessed: a line that does not say what
//! it must is an [`InputError`] with its place and what would be right.

mod edn;
mod event;
mod form;
mod jsonl;

use std::fmt;
use std::io::{self, BufRead};

use crate::operations::History;

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// EDN: one map after the other.
    Edn,
    /// JSON: one object a line.
    JsonLines,
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The bytes cannot be had.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is wrong.
    #[error("{place}: {what}")]
    Wrong {
        /// Where.
        place: Place,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl InputError {
    fn wrong(place: Place, what: impl Into<String>) -> Self {
        InputError::Wrong { place, what: what.into() }
    }
}

/// A place in a file, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Something is wrong at a byte of the piece that is being read.
#[derive(Clone, Debug)]
struct Fault {
    at: usize,
    what: String,
}

impl Fault {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Fault { at, what: what.into() }
    }

    /// With the place of a byte of a piece that begins at a line.
    fn of(self, piece: &str, line: u64) -> InputError {
        let before = piece.get(..self.at).unwrap_or(piece);
        let last = before.rsplit('\n').next().unwrap_or_default();
        let lines = before.bytes().filter(|b| *b == b'\n').count() as u64;
        InputError::wrong(Place { line: line + lines, column: last.chars().count() as u64 + 1 }, self.what)
    }
}

/// Reads a history to its end. Without a format the first bytes decide: JSON begins with `{"`.
pub fn read(mut input: impl BufRead, format: Option<Format>) -> Result<History, InputError> {
    let format = match format {
        Some(format) => format,
        None => guess(&mut input)?,
    };
    let mut history = History::new();
    let end = match format {
        Format::Edn => edn::read(&mut input, &mut history)?,
        Format::JsonLines => jsonl::read(&mut input, &mut history)?,
    };
    history.finish().map_err(|misfit| InputError::wrong(Place { line: end, column: 1 }, misfit.to_string()))?;
    Ok(history)
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn guess(input: &mut impl BufRead) -> Result<Format, InputError> {
    let bytes = input.fill_buf()?;
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let mut dense = bytes.iter().filter(|b| !b.is_ascii_whitespace());
    Ok(match (dense.next(), dense.next()) {
        (Some(b'{'), Some(b'"')) => Format::JsonLines,
        _ => Format::Edn,
    })
}

/// One line with its number, or `None` at the end. A byte order mark at the very beginning is no part of the text.
fn next_line(input: &mut impl BufRead, number: u64, text: &mut String) -> Result<bool, InputError> {
    let mut bytes = Vec::new();
    if input.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(false);
    }
    let bytes = match number {
        1 => bytes.strip_prefix(MARK).unwrap_or(&bytes),
        _ => &bytes,
    };
    match std::str::from_utf8(bytes) {
        Ok(line) => text.push_str(line),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = Place { line: number, column: good.chars().count() as u64 + 1 };
            return Err(InputError::wrong(place, "this is no UTF-8: histories are text in UTF-8"));
        }
    }
    Ok(true)
}
