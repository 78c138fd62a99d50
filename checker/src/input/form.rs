//! One value of EDN or JSON, as far as histories need to tell values apart.

use std::borrow::Cow;
use std::fmt::Write;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Form<'a> {
    /// The byte of the piece it begins at.
    pub(super) at: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// A number that is no 64-bit integer, as it is written.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// Without its colon.
    Keyword(&'a str),
    Symbol(&'a str),
    Char(char),
    List(Vec<Form<'a>>),
    Vector(Vec<Form<'a>>),
    Set(Vec<Form<'a>>),
    Map(Vec<(Form<'a>, Form<'a>)>),
}

impl Form<'_> {
    /// The items of a list, a vector or a set.
    pub(super) fn items(&self) -> Option<&[Form<'_>]> {
        match &self.kind {
            Kind::List(items) | Kind::Vector(items) | Kind::Set(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self.kind, Kind::Nil)
    }

    /// What it is, for errors.
    pub(super) fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Nil => "nil",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::Keyword(_) => "a keyword",
            Kind::Symbol(_) => "a symbol",
            Kind::Char(_) => "a character",
            Kind::List(_) => "a list",
            Kind::Vector(_) => "a vector",
            Kind::Set(_) => "a set",
            Kind::Map(_) => "a map",
        }
    }

    /// As errors name it.
    pub(super) fn shown(&self) -> String {
        Form::text_of(self).chars().take(40).collect()
    }

    /// The one text of all forms that are equal: a list is equal to a vector, sets and maps have no order.
    pub(super) fn canonical(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match &self.kind {
            Kind::Nil => write!(out, "nil"),
            Kind::Bool(b) => write!(out, "{b}"),
            Kind::Int(n) => write!(out, "{n}"),
            Kind::Number(text) => write!(out, "{}", text.strip_prefix('+').unwrap_or(text)),
            Kind::Text(text) => write_text(text, out),
            Kind::Keyword(name) => write!(out, ":{name}"),
            Kind::Symbol(name) => write!(out, "{name}"),
            Kind::Char(c) => write_char(*c, out),
            Kind::List(items) | Kind::Vector(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(' ');
                    }
                    item.canonical(out);
                }
                write!(out, "]")
            }
            Kind::Set(items) => {
                let items = items.iter().map(|item| [item].map(Form::text_of).concat());
                write_sorted("#{", items.collect(), out)
            }
            Kind::Map(entries) => {
                let entries = entries.iter().map(|(k, v)| [k, v].map(Form::text_of).join(" "));
                write_sorted("{", entries.collect(), out)
            }
        };
    }

    fn is_same(&self, other: &Form<'_>) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Keyword(a), Kind::Keyword(b)) => a == b,
            (Kind::Int(a), Kind::Int(b)) => a == b,
            (Kind::Text(a), Kind::Text(b)) => a == b,
            (Kind::Keyword(_) | Kind::Int(_) | Kind::Text(_), _)
            | (_, Kind::Keyword(_) | Kind::Int(_) | Kind::Text(_)) => false,
            _ => Form::text_of(self) == Form::text_of(other),
        }
    }

    fn text_of(form: &Form<'_>) -> String {
        let mut text = String::new();
        form.canonical(&mut text);
        text
    }
}

/// The second entry of a key that a map has twice.
pub(super) fn twice<'m, 'a>(entries: &'m [(Form<'a>, Form<'a>)]) -> Option<&'m (Form<'a>, Form<'a>)> {
    if entries.len() <= 16 {
        let is_known = |n: usize| entries[..n].iter().any(|(key, _)| key.is_same(&entries[n].0));
        return (1..entries.len()).find(|n| is_known(*n)).map(|n| &entries[n]);
    }
    let mut keys: Vec<(String, usize)> = entries.iter().zip(0..).map(|((key, _), n)| (Form::text_of(key), n)).collect();
    keys.sort_unstable();
    let second = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).min();
    second.map(|n| &entries[n])
}

fn write_sorted(open: &str, mut parts: Vec<String>, out: &mut String) -> std::fmt::Result {
    parts.sort_unstable();
    write!(out, "{open}{}}}", parts.join(", "))
}

fn write_text(text: &str, out: &mut String) -> std::fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32)?,
            c => out.push(c),
        }
    }
    write!(out, "\"")
}

fn write_char(c: char, out: &mut String) -> std::fmt::Result {
    match c {
        '\n' => write!(out, "\\newline"),
        '\r' => write!(out, "\\return"),
        ' ' => write!(out, "\\space"),
        '\t' => write!(out, "\\tab"),
        c if c.is_control() || c.is_whitespace() => write!(out, "\\u{:04x}", c as u32),
        c => write!(out, "\\{c}"),
    }
}
