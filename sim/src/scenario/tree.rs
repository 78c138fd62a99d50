//! From TOML to sections of flat keys, each with its place; and overrides, which replace or add keys.
//!
//! Kafka's names have dots, and TOML makes tables of dotted keys. So every section is flattened: `linger.ms = 5`,
//! `"linger.ms" = 5` and a table `[producer.config]` with either of them are all the key `linger.ms` of `producer`.

use toml_edit::{Document, Item, TableLike};

use super::error::{Place, Wrong, nearest};
use super::schema::{LISTS, SECTIONS};

/// A value as TOML has it, as far as scenarios use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Bool(bool),
    Text(String),
    List(Vec<Placed>),
    /// What a scenario has no use for, in words: "a date".
    Other(&'static str),
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub value: Value,
    pub place: Place,
}

impl Placed {
    /// What it is, in words, for "expected …, found …".
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::Int(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Other(what) => (*what).to_owned(),
        }
    }
}

/// One key of a section.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// With dots, relative to the section.
    pub key: String,
    pub key_place: Place,
    pub value: Placed,
}

/// A table of the file.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// One of [`SECTIONS`]; empty for the top of the file.
    pub name: &'static str,
    /// Its header.
    pub place: Place,
    pub entries: Vec<Entry>,
}

/// A whole file.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The keys above all sections.
    pub top: Section,
    /// In the order of the file.
    pub sections: Vec<Section>,
}

/// What may go wrong at this level: a place, a key and what is wrong.
pub(super) type Failure = (Place, String, Wrong);

/// Reads TOML. What has the wrong shape is left out of the tree and told.
pub(super) fn read(text: &str) -> Result<(Tree, Vec<Failure>), Failure> {
    let document = Document::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        (Place::File(span), String::new(), Wrong::new(format!("this is not TOML: {}", error.message())))
    })?;
    let mut failures = Vec::new();
    let mut tree = Tree { top: Section { name: "", place: Place::File(0..0), entries: vec![] }, sections: vec![] };
    for (key, item) in document.iter() {
        let key_place = key_place(document.as_table(), key);
        let Some(&name) = SECTIONS.iter().find(|&&name| name == key) else {
            let mut entries = Vec::new();
            flatten(key.to_owned(), key_place.clone(), item, &mut entries);
            if item.is_table_like() || item.is_array_of_tables() {
                let first = entries.first().map_or(key, |entry| entry.key.as_str());
                failures.push((key_place, first.to_owned(), unknown_at_the_top(first, SECTIONS)));
            } else {
                tree.top.entries.append(&mut entries);
            }
            continue;
        };
        let is_list = LISTS.contains(&name);
        let mut add = |table: &dyn TableLike, place: Place| {
            let mut section = Section { name, place, entries: vec![] };
            for (key, item) in table.iter() {
                flatten(key.to_owned(), self::key_place(table, key), item, &mut section.entries);
            }
            section.entries.iter_mut().for_each(|entry| drop_config_prefix(&mut entry.key));
            for (nth, entry) in section.entries.iter().enumerate() {
                if section.entries[..nth].iter().any(|earlier| earlier.key == entry.key) {
                    let key = format!("{name}.{}", entry.key);
                    failures.push((entry.key_place.clone(), key, Wrong::new("this key is given twice")));
                }
            }
            tree.sections.push(section);
        };
        let place = |span: Option<std::ops::Range<usize>>| span.map_or_else(|| key_place.clone(), Place::File);
        let well = if let Some(table) = item.as_table_like() {
            add(table, place(item.span().filter(|_| item.is_table())));
            true
        } else if let Some(tables) = item.as_array_of_tables().filter(|_| is_list) {
            tables.iter().for_each(|table| add(table, place(table.span())));
            true
        } else if let Some(array) = item.as_array().filter(|_| is_list) {
            array
                .iter()
                .all(|value| value.as_inline_table().inspect(|table| add(*table, place(table.span()))).is_some())
        } else {
            false
        };
        if !well {
            let shape = if is_list { format!("[[{name}]]") } else { format!("[{name}]") };
            failures.push((
                key_place.clone(),
                name.to_owned(),
                Wrong::new(format!("this is a section: write {shape}")),
            ));
        }
    }
    Ok((tree, failures))
}

fn key_place(table: &dyn TableLike, key: &str) -> Place {
    Place::File(table.key(key).and_then(|key| key.span()).unwrap_or(0..0))
}

fn flatten(key: String, key_place: Place, item: &Item, entries: &mut Vec<Entry>) {
    if let Some(table) = item.as_table_like() {
        for (inner, item) in table.iter() {
            flatten(format!("{key}.{inner}"), self::key_place(table, inner), item, entries);
        }
        return;
    }
    let place = item.span().map_or_else(|| key_place.clone(), Place::File);
    let value = match item.as_value() {
        Some(value) => Placed { value: convert(value, &place), place },
        None => Placed { value: Value::Other("a list of tables"), place },
    };
    entries.push(Entry { key, key_place, value });
}

fn convert(value: &toml_edit::Value, place: &Place) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(n) => Value::Int(*n.value()),
        toml_edit::Value::Boolean(b) => Value::Bool(*b.value()),
        toml_edit::Value::Float(_) => Value::Other("a number with a point"),
        toml_edit::Value::Datetime(_) => Value::Other("a date"),
        toml_edit::Value::InlineTable(_) => Value::Other("a table"),
        toml_edit::Value::Array(array) => Value::List(
            array
                .iter()
                .map(|value| {
                    let place = value.span().map_or_else(|| place.clone(), Place::File);
                    Placed { value: convert(value, &place), place }
                })
                .collect(),
        ),
    }
}

/// `config.` before a Kafka name may stand there or not.
fn drop_config_prefix(key: &mut String) {
    if let Some(rest) = key.strip_prefix("config.") {
        *key = rest.to_owned();
    }
}

impl Tree {
    /// Applies `KEY=VALUE`: to one key of the top, of a section, or of all sections of that name (`producer.acks=1`),
    /// or of the n-th (`producer.2.acks=1`).
    pub(super) fn apply(&mut self, text: &str, top_keys: &[&'static str]) -> Result<(), Failure> {
        let place = Place::Override(text.to_owned());
        let fail = |wrong: Wrong| (place.clone(), String::new(), wrong);
        let Some((path, value)) = text.split_once('=') else {
            return Err(fail(Wrong::new("an override is KEY=VALUE, for instance producer.acks=1")));
        };
        let path = path.trim();
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let entry = |key: &str| {
            let mut key = key.to_owned();
            drop_config_prefix(&mut key);
            let value = Placed { value: override_value(value.trim(), &place), place: place.clone() };
            Entry { key, key_place: place.clone(), value }
        };
        if top_keys.contains(&first) {
            self.top.replace(entry(path));
            return Ok(());
        }
        let Some(&name) = SECTIONS.iter().find(|&&name| name == first) else {
            let valid: Vec<&str> = top_keys.iter().chain(SECTIONS).copied().collect();
            return Err(fail(unknown_at_the_top(path, &valid)));
        };
        if rest.is_empty() {
            return Err(fail(Wrong::new(format!("{name} is a section: write {name}.KEY=VALUE"))));
        }
        let mut of_name: Vec<&mut Section> = self.sections.iter_mut().filter(|section| section.name == name).collect();
        if of_name.is_empty() {
            if LISTS.contains(&name) {
                return Err(fail(Wrong::new(format!("this scenario has no [[{name}]]"))));
            }
            self.sections.push(Section { name, place: place.clone(), entries: vec![entry(rest)] });
            return Ok(());
        }
        if LISTS.contains(&name)
            && let Some((number, key)) = rest.split_once('.')
            && let Ok(number) = number.parse::<usize>()
        {
            let count = of_name.len();
            let Some(section) = number.checked_sub(1).and_then(|index| of_name.get_mut(index)) else {
                return Err(fail(Wrong::new(format!("there is no {name} {number}: this scenario has {count}"))));
            };
            section.replace(entry(key));
            return Ok(());
        }
        of_name.into_iter().for_each(|section| section.replace(entry(rest)));
        Ok(())
    }
}

impl Section {
    /// A key set anew takes its old place's role; so do the ways to say *when* of a fault, which exclude each other.
    fn replace(&mut self, entry: Entry) {
        if self.name == "fault" && entry.key == "at" {
            self.entries.retain(|e| !["after", "not-before", "delay", "occurrence"].contains(&e.key.as_str()));
        }
        if self.name == "fault" && entry.key == "after" {
            self.entries.retain(|e| e.key != "at");
        }
        self.entries.retain(|e| e.key != entry.key);
        self.entries.push(entry);
    }
}

/// What is not TOML is a word: `acks=all`, `run=30s`.
fn override_value(text: &str, place: &Place) -> Value {
    match text.parse::<toml_edit::Value>() {
        Ok(value) if !value.is_datetime() => convert_override(&value, place),
        _ => Value::Text(text.to_owned()),
    }
}

fn convert_override(value: &toml_edit::Value, place: &Place) -> Value {
    match convert(value, place) {
        Value::Other("a table") => Value::Other("a table (set its keys one by one)"),
        value => value,
    }
}

/// The error of a section that does not exist, or of Kafka's keys outside of their sections.
fn unknown_at_the_top(path: &str, valid: &[&str]) -> Wrong {
    let homes = super::kafka::homes_of(path);
    if !homes.is_empty() {
        let right: Vec<String> = homes.iter().map(|section| format!("{section}.{path}")).collect();
        return Wrong::new(format!("{path:?} belongs into a section")).help(format!("write {}", right.join(" or ")));
    }
    let first = path.split('.').next().unwrap_or(path);
    Wrong::new(format!("there is no section or key {first:?}")).among(first, valid.iter().copied())
}

/// The error of a key that is not among the valid ones.
pub(super) fn unknown_key(key: &str, valid: &[&str], whose: &str) -> Wrong {
    let last = key.rsplit('.').next().unwrap_or(key);
    let wrong = Wrong::new(format!("unknown key {key:?}{whose}"));
    let given = if nearest(key, valid.iter().copied()).is_some() { key } else { last };
    wrong.among(given, valid.iter().copied())
}
