//! Reading the keys of one section: each taken once, converted, and what is left over told.

use super::error::{Place, Problem, ScenarioError, Wrong, line_and_column};
use super::schema::keys_of;
use super::tree::{Failure, Placed, Section, Value, unknown_key};
use super::values::{DurationRange, parse_duration};
use trial_kafka::node::Nanos;

/// Collects problems.
pub(super) struct Problems<'a> {
    pub file: &'a str,
    pub source: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(file: &'a str, source: &'a str) -> Self {
        Problems { file, source, found: Vec::new() }
    }

    /// Tells one; the same said twice (an override of two sections) counts once.
    pub(super) fn add(&mut self, (place, key, wrong): Failure) {
        let place = wrong.place.unwrap_or(place);
        let (line, column) = match &place {
            Place::File(span) => line_and_column(self.source, span.start),
            Place::Override(_) => (0, 0),
        };
        let key = if matches!(place, Place::Override(_)) { String::new() } else { key };
        let problem = Problem { place, line, column, key, message: wrong.message, help: wrong.help };
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_error(mut self) -> ScenarioError {
        self.found.sort_by_key(Problem::order);
        ScenarioError { file: self.file.to_owned(), source: self.source.to_owned(), problems: self.found }
    }
}

/// A section while it is read.
pub(super) struct Reader<'s, 'p, 'a> {
    section: &'s Section,
    problems: &'p mut Problems<'a>,
    taken: Vec<bool>,
    /// What may stand here, for "valid: …".
    pub valid: Vec<&'static str>,
}

impl<'s, 'p, 'a> Reader<'s, 'p, 'a> {
    pub(super) fn new(section: &'s Section, problems: &'p mut Problems<'a>) -> Self {
        let taken = vec![false; section.entries.len()];
        let valid = keys_of(section.name).iter().map(|key| key.name).collect();
        Reader { section, problems, taken, valid }
    }

    /// Takes a key's value; `None` if it is not there, or wrong (which is told).
    pub(super) fn take<T>(&mut self, key: &str, read: impl FnOnce(&Placed) -> Result<T, Wrong>) -> Option<T> {
        debug_assert!(keys_of(self.section.name).iter().any(|k| k.name == key), "the schema does not name {key}");
        self.take_kafkas(key, read)
    }

    /// Is a key's value a range, as `"1s..5s"` is?
    pub(super) fn holds_range(&self, key: &str) -> bool {
        let of_key = self.section.entries.iter().filter(|entry| entry.key == key);
        of_key.into_iter().any(|entry| matches!(&entry.value.value, Value::Text(text) if text.contains("..")))
    }

    /// As [`Self::take`], of a key of Kafka's.
    pub(super) fn take_kafkas<T>(&mut self, key: &str, read: impl FnOnce(&Placed) -> Result<T, Wrong>) -> Option<T> {
        let index = self.section.entries.iter().position(|entry| entry.key == key)?;
        self.taken[index] = true;
        let entry = &self.section.entries[index];
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.problems.add((entry.value.place.clone(), full(self.section, key), wrong));
                None
            }
        }
    }

    /// Takes a key that must be there.
    pub(super) fn require<T>(&mut self, key: &str, read: impl FnOnce(&Placed) -> Result<T, Wrong>) -> Option<T> {
        if !self.has(key) {
            self.fail_here(Wrong::new(format!("{key:?} is missing")));
        }
        self.take(key, read)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.section.entries.iter().any(|entry| entry.key == key)
    }

    /// Tells a problem of a key's value, or of the section if the key is not there.
    pub(super) fn fail(&mut self, key: &str, wrong: Wrong) {
        let entry = self.section.entries.iter().find(|entry| entry.key == key);
        let place = entry.map_or(&self.section.place, |entry| &entry.value.place);
        self.problems.add((place.clone(), full(self.section, key), wrong));
    }

    /// Tells a problem of the section as a whole.
    pub(super) fn fail_here(&mut self, wrong: Wrong) {
        self.problems.add((self.section.place.clone(), self.section.name.to_owned(), wrong));
    }

    /// Hands every key that was not taken to `take`.
    pub(super) fn rest(&mut self, mut take: impl FnMut(&str, &Placed) -> Result<(), Wrong>) {
        for (entry, taken) in self.section.entries.iter().zip(&mut self.taken).filter(|(_, taken)| !**taken) {
            *taken = true;
            if let Err(wrong) = take(&entry.key, &entry.value) {
                self.problems.add((entry.key_place.clone(), full(self.section, &entry.key), wrong));
            }
        }
    }

    /// Tells every key that was not taken.
    pub(super) fn finish(mut self, whose: &str) {
        let valid = std::mem::take(&mut self.valid);
        self.rest(|key, _| Err(unknown_key(key, &valid, whose)));
    }
}

fn full(section: &Section, key: &str) -> String {
    if section.name.is_empty() { key.to_owned() } else { format!("{}.{key}", section.name) }
}

fn expected<T>(what: impl std::fmt::Display, found: &Placed) -> Result<T, Wrong> {
    Err(Wrong::new(format!("expected {what}, found {}", found.found())).at(found.place.clone()))
}

/// A whole number of `min..=max`.
pub(super) fn int(min: i64, max: i64) -> impl Fn(&Placed) -> Result<i64, Wrong> {
    move |found| match found.value {
        Value::Int(n) if (min..=max).contains(&n) => Ok(n),
        Value::Int(n) => Err(Wrong::new(format!("{n} is impossible: it must be from {min} to {max}"))),
        _ => expected(format!("a whole number from {min} to {max}"), found),
    }
}

/// A number that fits the type it is used as: `max` must be one of its values.
pub(super) fn number<T: TryFrom<i64>>(min: i64, max: i64) -> impl Fn(&Placed) -> Result<T, Wrong> {
    move |found| {
        let n = int(min, max)(found)?;
        T::try_from(n).map_err(|_| Wrong::new(format!("{n} is too large")))
    }
}

pub(super) fn boolean(found: &Placed) -> Result<bool, Wrong> {
    match found.value {
        Value::Bool(b) => Ok(b),
        _ => expected("true or false", found),
    }
}

pub(super) fn text(found: &Placed) -> Result<String, Wrong> {
    match &found.value {
        Value::Text(text) => Ok(text.clone()),
        _ => expected("a text", found),
    }
}

pub(super) fn duration(found: &Placed) -> Result<Nanos, Wrong> {
    match &found.value {
        Value::Text(text) => parse_duration(text).map_err(Wrong::new),
        _ => expected("a duration such as \"5.2s\"", found),
    }
}

/// A duration of at least `min`.
pub(super) fn duration_from(min: Nanos) -> impl Fn(&Placed) -> Result<Nanos, Wrong> {
    move |found| match duration(found)? {
        duration if duration < min => {
            Err(Wrong::new(format!("must be at least {:?}", super::values::show_duration(min))))
        }
        duration => Ok(duration),
    }
}

pub(super) fn duration_range(found: &Placed) -> Result<DurationRange, Wrong> {
    match &found.value {
        Value::Text(text) => DurationRange::parse(text).map_err(Wrong::new),
        _ => expected("a duration such as \"5.2s\" or a range such as \"5s..6s\"", found),
    }
}

/// A list, or a single one of what would be its elements; commas in a single text separate elements.
pub(super) fn list<T>(element: impl Fn(&Placed) -> Result<T, Wrong>) -> impl Fn(&Placed) -> Result<Vec<T>, Wrong> {
    move |found| match &found.value {
        Value::List(elements) => {
            elements.iter().map(|each| element(each).map_err(|wrong| wrong.at(each.place.clone()))).collect()
        }
        Value::Text(text) => text
            .split(',')
            .map(|part| element(&Placed { value: Value::Text(part.trim().to_owned()), place: found.place.clone() }))
            .collect(),
        _ => Ok(vec![element(found)?]),
    }
}
