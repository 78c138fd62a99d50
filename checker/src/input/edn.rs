//! EDN, the notation of Clojure's data, as histories of Jepsen are written in it.
//!
//! clojure-reader 0.7, the liveliest of the crates that read EDN, was tried and does not hold up for a foreign file: it refuses integers of
//! more than 64 bits, `##NaN`, `\u0041` and `\u` inside strings, and takes what it does not know, such as `^meta`, for a symbol. This
//! reader takes one form at a time, borrows what it can, says of every form where it begins, and refuses nesting beyond
//! [`DEEPEST`], so that no input can exhaust the stack.

use std::borrow::Cow;
use std::io::BufRead;

use super::event::Words;
use super::form::{Form, Kind, twice};
use super::{Fault, InputError, event, next_line};
use crate::operations::History;

/// Forms may be nested so deep.
const DEEPEST: usize = 100;
/// A form that is not complete after so many bytes will not be.
const LONGEST_FORM: usize = 1 << 26;

/// Reads all forms of a file; returns the number of its last line.
pub(super) fn read(input: &mut impl BufRead, history: &mut History) -> Result<u64, InputError> {
    let (mut piece, mut from, mut lines) = (String::new(), 1, 0);
    let mut balance = Balance::default();
    loop {
        let begin = piece.len();
        let more = next_line(input, lines + 1, &mut piece)?;
        if more {
            lines += 1;
            // A form goes on behind its line while something is open. What only looks complete, such as a tag whose value
            // follows, is tried again with each line, so that few lines may be empty of anything else.
            if balance.open_after(&piece[begin..]) && piece.len() < LONGEST_FORM {
                continue;
            }
        }
        match take_all(&piece, history) {
            Ok(()) => {}
            Err(Stop::Incomplete(_)) if more && lines - from < 16 => continue,
            Err(Stop::Incomplete(fault) | Stop::Wrong(fault)) => return Err(fault.of(&piece, from)),
        }
        if !more {
            return Ok(lines.max(1));
        }
        (piece, from, balance) = (cleared(piece), lines + 1, Balance::default());
    }
}

fn cleared(mut text: String) -> String {
    text.clear();
    text
}

/// By byte: a word ends before it.
const ENDS_A_WORD: [bool; 256] = of_bytes(b" \t\n\r\x0b\x0c,;()[]{}\"\\");
/// By byte: it may change what is open.
const MATTERS: [bool; 256] = of_bytes(b"\\\";()[]{}");

const fn of_bytes(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut n = 0;
    while n < bytes.len() {
        table[bytes[n] as usize] = true;
        n += 1;
    }
    table
}

/// Why a piece is not read to its end.
enum Stop {
    /// It ends in the middle of a form.
    Incomplete(Fault),
    Wrong(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Wrong(fault)
    }
}

fn take_all(piece: &str, history: &mut History) -> Result<(), Stop> {
    let mut reader = Reader { text: piece, at: 0, depth: 0 };
    // All or nothing: a piece that turns out incomplete is read again.
    let mut forms = Vec::new();
    while let Some(form) = reader.next_form()? {
        forms.push(form);
    }
    for form in forms {
        match form.kind {
            // A file may be one vector of all operations.
            Kind::Vector(items) | Kind::List(items) => {
                items.iter().try_for_each(|item| event::take(item, Words::Edn, history))?;
            }
            _ => event::take(&form, Words::Edn, history)?,
        }
    }
    Ok(())
}

/// Follows what is open over the lines of a form: each byte is looked at once.
#[derive(Default)]
struct Balance {
    depth: u64,
    in_string: bool,
}

impl Balance {
    fn open_after(&mut self, line: &str) -> bool {
        let mut bytes = line.bytes();
        while let Some(byte) = bytes.find(|byte| MATTERS[usize::from(*byte)]) {
            match (byte, self.in_string) {
                (b'\\', _) => {
                    bytes.next();
                }
                (b'"', _) => self.in_string = !self.in_string,
                (_, true) => {}
                (b';', _) => break,
                (b'(' | b'[' | b'{', _) => self.depth += 1,
                (b')' | b']' | b'}', _) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.depth > 0 || self.in_string
    }
}

/// Reads forms from a piece of text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next form, or `None` at the end.
    fn next_form(&mut self) -> Result<Option<Form<'a>>, Stop> {
        self.skip_blanks()?;
        if self.at >= self.text.len() { Ok(None) } else { self.form().map(Some) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over white space, commas, comments and discarded forms.
    fn skip_blanks(&mut self) -> Result<(), Stop> {
        loop {
            match self.peek() {
                Some(b' ' | b',' | b'\n' | b'\t' | b'\r' | 0x0c | 0x0b) => self.at += 1,
                Some(b';') => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                Some(b'#') if self.text[self.at..].starts_with("#_") => {
                    let at = self.at;
                    self.at += 2;
                    self.deeper(at, Self::form)?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn deeper<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth >= DEEPEST {
            return Err(Fault::new(at, format!("nested deeper than {DEEPEST} forms: no history is")).into());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn form(&mut self) -> Result<Form<'a>, Stop> {
        self.skip_blanks()?;
        let at = self.at;
        let Some(first) = self.peek() else {
            return Err(Stop::Incomplete(Fault::new(at, "the file ends in the middle of a form")));
        };
        let kind = match first {
            b'(' => Kind::List(self.items(at, b')')?),
            b'[' => Kind::Vector(self.items(at, b']')?),
            b'{' => self.map(at, 1)?,
            b'"' => self.string(at)?,
            b'\\' => self.character(at)?,
            b'#' => return self.dispatch(at),
            // Reader macros of Clojure that say nothing of the value.
            b'\'' => {
                self.at += 1;
                return self.deeper(at, Self::form);
            }
            b'^' => {
                self.at += 1;
                self.deeper(at, Self::form)?;
                return self.deeper(at, Self::form);
            }
            b')' | b']' | b'}' => {
                return Err(Fault::new(at, format!("{:?} closes nothing", char::from(first))).into());
            }
            b':' => {
                let token = self.token();
                match token.strip_prefix("::").or(token.strip_prefix(':')) {
                    Some("") | None => return Err(Fault::new(at, "a keyword has a name, for instance :ok").into()),
                    Some(name) => Kind::Keyword(name),
                }
            }
            _ => self.word(at)?,
        };
        Ok(Form { at, kind })
    }

    fn items(&mut self, at: usize, close: u8) -> Result<Vec<Form<'a>>, Stop> {
        let mut items = Vec::new();
        self.each_item(at, close, |item| items.push(item))?;
        Ok(items)
    }

    fn each_item(&mut self, at: usize, close: u8, mut take: impl FnMut(Form<'a>)) -> Result<(), Stop> {
        self.at += 1;
        self.deeper(at, |reader| {
            loop {
                reader.skip_blanks()?;
                match reader.peek() {
                    Some(byte) if byte == close => {
                        reader.at += 1;
                        return Ok(());
                    }
                    None => {
                        let what = format!("this is never closed: {:?} is missing", char::from(close));
                        return Err(Stop::Incomplete(Fault::new(at, what)));
                    }
                    Some(_) => take(reader.form()?),
                }
            }
        })
    }

    /// A map whose brace is the last of so many bytes.
    fn map(&mut self, at: usize, skip: usize) -> Result<Kind<'a>, Stop> {
        self.at += skip - 1;
        let (mut entries, mut key) = (Vec::new(), None);
        self.each_item(at, b'}', |item| match key.take() {
            None => key = Some(item),
            Some(key) => entries.push((key, item)),
        })?;
        if key.is_some() {
            return Err(Fault::new(at, "a map has a value for each key: this one ends with a key").into());
        }
        if let Some((twice, _)) = twice(&entries) {
            let what = format!("a map has each key once: {} stands here a second time", twice.shown());
            return Err(Fault::new(twice.at, what).into());
        }
        Ok(Kind::Map(entries))
    }

    /// What follows a `#`.
    fn dispatch(&mut self, at: usize) -> Result<Form<'a>, Stop> {
        let kind = match self.text.as_bytes().get(at + 1) {
            Some(b'{') => {
                self.at += 1;
                Kind::Set(self.items(at, b'}')?)
            }
            // ##NaN, ##Inf
            Some(b'#') => {
                self.at += 2;
                self.token();
                Kind::Number(Cow::Borrowed(&self.text[at..self.at]))
            }
            // A regular expression: its text.
            Some(b'"') => {
                self.at += 1;
                self.string(at)?
            }
            // A map whose keys have a namespace: the names are what counts.
            Some(b':') => {
                self.at += 1;
                self.token();
                self.skip_blanks()?;
                match self.peek() {
                    Some(b'{') => self.map(at, 1)?,
                    None => return Err(Stop::Incomplete(Fault::new(at, "a namespace stands before a map"))),
                    Some(_) => return Err(Fault::new(at, "a namespace stands before a map: #:jepsen{:f :send}").into()),
                }
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                // A tag says how to read its value; the value is what counts.
                self.at += 1;
                self.token();
                return self.deeper(at, Self::form);
            }
            None => return Err(Stop::Incomplete(Fault::new(at, "a # stands before a tag, a set or a namespaced map"))),
            Some(_) => return Err(Fault::new(at, "a # stands before a tag, a set or a namespaced map").into()),
        };
        Ok(Form { at, kind })
    }

    /// Everything up to what ends a word.
    fn token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|b| ENDS_A_WORD[usize::from(b)]).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn word(&mut self, at: usize) -> Result<Kind<'a>, Stop> {
        let token = self.token();
        Ok(match token {
            "nil" => Kind::Nil,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            _ => {
                let digits = token.strip_prefix(['+', '-']).unwrap_or(token);
                if digits.starts_with(|c: char| c.is_ascii_digit()) {
                    number(token, digits).ok_or_else(|| Fault::new(at, format!("{token:?} is no number")))?
                } else {
                    Kind::Symbol(token)
                }
            }
        })
    }

    fn string(&mut self, at: usize) -> Result<Kind<'a>, Stop> {
        self.at += 1;
        let rest = &self.text[self.at..];
        let plain = rest.bytes().position(|b| b == b'"' || b == b'\\').unwrap_or(rest.len());
        if rest.as_bytes().get(plain) == Some(&b'"') {
            self.at += plain + 1;
            return Ok(Kind::Text(Cow::Borrowed(&rest[..plain])));
        }
        let mut text = String::new();
        let mut chars = rest.char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(Kind::Text(Cow::Owned(text)));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                        let what = "\\u is followed by four hexadecimal digits";
                        let code = code.ok_or_else(|| Fault::new(self.at + offset, what))?;
                        // Half of a surrogate pair is no character of its own.
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(c) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err(Stop::Incomplete(Fault::new(at, "this string is never closed: '\"' is missing")))
    }

    fn character(&mut self, at: usize) -> Result<Kind<'a>, Stop> {
        self.at += 1;
        let Some(first) = self.text[self.at..].chars().next() else {
            return Err(Fault::new(at, "a \\ stands before a character").into());
        };
        self.at += first.len_utf8();
        let begin = self.at - first.len_utf8();
        if first.is_alphanumeric() {
            self.token();
        }
        let word = &self.text[begin..self.at];
        let code =
            word.strip_prefix('u').filter(|hex| hex.len() == 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let octal = word.strip_prefix('o').filter(|o| !o.is_empty()).and_then(|o| u32::from_str_radix(o, 8).ok());
        let c = match word {
            "newline" => Some('\n'),
            "space" => Some(' '),
            "tab" => Some('\t'),
            "return" => Some('\r'),
            "backspace" => Some('\u{8}'),
            "formfeed" => Some('\u{c}'),
            _ if word.chars().count() == 1 => Some(first),
            _ => code.or(octal).map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        };
        c.map(Kind::Char)
            .ok_or_else(|| Fault::new(at, format!("\\{word} is no character: \\a, \\newline, \\u0041")).into())
    }
}

/// An integer of any base Clojure has, a decimal, a ratio. What does not fit 64 bits stays as it is written.
fn number<'a>(token: &'a str, digits: &str) -> Option<Kind<'a>> {
    let whole = token.strip_suffix('N').unwrap_or(token);
    if let Ok(n) = whole.parse::<i64>() {
        // 017 is octal in Clojure, and no EDN.
        let octal = digits.len() > 1 && digits.starts_with('0');
        return (!octal || digits.bytes().all(|b| b == b'0' || b == b'N')).then_some(Kind::Int(n));
    }
    let whole_digits = digits.strip_suffix('N').unwrap_or(digits);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits(whole_digits) {
        return Some(Kind::Number(Cow::Borrowed(whole)));
    }
    if let Some(hex) = whole_digits.strip_prefix("0x").or(whole_digits.strip_prefix("0X")) {
        let n = i64::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with(['+', '-']))?;
        return Some(Kind::Int(if token.starts_with('-') { -n } else { n }));
    }
    if let Some((numerator, denominator)) = digits.split_once('/') {
        return (all_digits(numerator) && all_digits(denominator)).then_some(Kind::Number(Cow::Borrowed(token)));
    }
    let decimal = digits.strip_suffix('M').unwrap_or(digits);
    let (mantissa, exponent) = decimal.split_once(['e', 'E']).unwrap_or((decimal, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let after_is_right = after.is_empty() || all_digits(after);
    (all_digits(before) && after_is_right && all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
        .then_some(Kind::Number(Cow::Borrowed(token)))
}
