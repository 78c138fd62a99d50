//! What is wrong with a scenario: every problem with its place, and what would be right.

use std::fmt;
use std::ops::Range;

/// A scenario that cannot be run: all problems that were found, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file's name.
    pub file: String,
    /// Its whole text, for showing the lines.
    pub source: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// Line in the file, from 1; 0 for an override.
    pub line: u32,
    /// Column in characters, from 1; 0 for an override.
    pub column: u32,
    /// The key with its section, for instance `producer.acks`; empty where no key is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, a line each.
    pub help: Vec<String>,
}

/// Where something of a scenario stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bytes of the file.
    File(Range<usize>),
    /// An override, as it was given: `producer.acks=1`.
    Override(String),
}

impl Problem {
    /// The bytes of the file that are meant; `None` for an override.
    pub fn span(&self) -> Option<Range<usize>> {
        match &self.place {
            Place::File(span) => Some(span.clone()),
            Place::Override(_) => None,
        }
    }

    pub(super) fn order(&self) -> (bool, usize) {
        (self.span().is_none(), self.span().map_or(0, |span| span.start))
    }
}

/// Line and column, from 1, of a byte of the text; past its end counts as its end.
pub(super) fn line_and_column(text: &str, byte: usize) -> (u32, u32) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (count(before.matches('\n').count() + 1), count(before[line_start..].chars().count() + 1))
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            match &problem.place {
                Place::File(_) => write!(f, "{}:{}:{}: ", self.file, problem.line, problem.column)?,
                Place::Override(text) => write!(f, "--set {text}: ")?,
            }
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            f.write_str(&problem.message)?;
            for help in &problem.help {
                write!(f, "\n  {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ScenarioError {}

/// What is wrong with a value or a key, before it is known where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub help: Vec<String>,
    /// Where, if more exactly than the whole value.
    pub place: Option<Place>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Wrong { message: message.into(), help: Vec::new(), place: None }
    }

    /// Lists what is valid and suggests the nearest.
    pub(super) fn among<'a>(mut self, given: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        let valid: Vec<&str> = valid.into_iter().collect();
        if let Some(nearest) = nearest(given, valid.iter().copied()) {
            self.help.push(format!("did you mean {nearest:?}?"));
        }
        let valid = if valid.is_empty() { "nothing, there are none here".to_owned() } else { valid.join(", ") };
        self.help.push(format!("valid: {valid}"));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

/// The name that was probably meant: at most a third of it is different, or it goes on where the given one ends.
/// The first of equally near ones.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| {
            *distance <= (name.len() / 3).max(1) || (given.len() >= 4 && name.starts_with(given))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
