//! A history as text: EDN as Jepsen writes it, or JSON lines. What is read back from it is judged the same.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

use super::history::{Function, History, NO_OFFSET, NONE, Outcome, Rebalance};
use super::{Atom, Mention};

/// The notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    Edn,
    Json,
}

impl History {
    /// Writes it as EDN, one map a line.
    pub fn write_edn(&self, out: &mut impl Write) -> io::Result<()> {
        self.write(Notation::Edn, out)
    }

    /// Writes it as JSON lines. What is no integer stands there as the text of its EDN.
    pub fn write_json_lines(&self, out: &mut impl Write) -> io::Result<()> {
        self.write(Notation::Json, out)
    }

    fn write(&self, notation: Notation, out: &mut impl Write) -> io::Result<()> {
        let mut lines: Vec<(u32, u32, bool)> = Vec::with_capacity(2 * self.ops.len());
        for (number, op) in (0..).zip(&self.ops) {
            lines.push((op.invoked, number, false));
            if op.completed != NONE {
                lines.push((op.completed, number, true));
            }
        }
        lines.sort_unstable();
        for (index, op, completed) in lines {
            writeln!(out, "{}", Line { history: self, notation, index, op, completed })?;
        }
        Ok(())
    }
}

struct Line<'a> {
    history: &'a History,
    notation: Notation,
    index: u32,
    op: u32,
    completed: bool,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = &self.history.ops[self.op as usize];
        let kind = match op.outcome {
            _ if !self.completed => "invoke",
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        let time = if self.completed { op.completed_ns } else { op.invoked_ns };
        f.write_str("{")?;
        self.entry(f, "index", self.index)?;
        if self.history.has_times() {
            self.entry(f, ", time", time)?;
        }
        self.entry(f, ", process", self.history.processes[op.process as usize])?;
        if let Some(producer) = self.history.producer(op.sender) {
            self.entry(f, ", producer", producer)?;
        }
        self.entry(f, ", type", self.word(kind))?;
        self.entry(f, ", f", self.word(op.function.name()))?;
        if op.seek {
            self.entry(f, ", seek-to-beginning?", true)?;
        }
        self.entry(f, ", value", self.value())?;
        let (_, rebalances) = self.named();
        if self.completed && !rebalances.is_empty() {
            self.entry(f, ", rebalance-log", self.rebalances(rebalances))?;
        }
        f.write_str("}")
    }
}

/// A key by its number, and what a rebalance did with it.
type Named = (u32, Rebalance);

impl Line<'_> {
    /// A key and its value; what stands before the key separates it from the last.
    fn entry(&self, f: &mut fmt::Formatter<'_>, key: &str, value: impl Display) -> fmt::Result {
        let (before, key) = key.split_at(key.len() - key.trim_start_matches(", ").len());
        match self.notation {
            Notation::Edn => write!(f, "{before}:{key} {value}"),
            Notation::Json => write!(f, "{before}\"{key}\": {value}"),
        }
    }

    fn word(&self, word: &str) -> String {
        match self.notation {
            Notation::Edn => format!(":{word}"),
            Notation::Json => format!("\"{word}\""),
        }
    }

    fn atom(&self, atom: Atom) -> String {
        let text = self.history.atoms.show(atom);
        match self.notation {
            Notation::Json if text == "nil" => "null".to_owned(),
            Notation::Json if text.parse::<i64>().is_err() => serde_json::Value::from(text).to_string(),
            _ => text,
        }
    }

    fn pair(&self, mention: &Mention) -> String {
        let between = if self.notation == Notation::Edn { " " } else { ", " };
        let nobody_knows = if self.notation == Notation::Edn { "nil" } else { "null" };
        let value = self.atom(mention.value);
        match mention.offset {
            NO_OFFSET => format!("[{nobody_knows}{between}{value}]"),
            offset => format!("[{offset}{between}{value}]"),
        }
    }

    fn items(&self, items: impl IntoIterator<Item = String>) -> String {
        let between = if self.notation == Notation::Edn { " " } else { ", " };
        format!("[{}]", items.into_iter().collect::<Vec<_>>().join(between))
    }

    fn value(&self) -> String {
        let history = self.history;
        let op = &history.ops[self.op as usize];
        match op.function {
            Function::Assign | Function::Subscribe => {
                let (asked, _) = self.named();
                self.items(asked.iter().map(|(key, _)| self.atom(history.keys[*key as usize])))
            }
            Function::Crash | Function::Debug => {
                if self.notation == Notation::Edn {
                    "nil".to_owned()
                } else {
                    "null".to_owned()
                }
            }
            Function::Send | Function::Poll | Function::Txn => {
                let sends = history.sends[op.sends.0 as usize..op.sends.1 as usize].iter();
                let mut parts: Vec<String> = sends.map(|send| self.send(send)).collect();
                let polls = &history.polls[op.polls.0 as usize..op.polls.1 as usize];
                if op.function != Function::Send && (polls.is_empty() || !self.completed) {
                    parts.push(self.items([self.word("poll")]));
                } else {
                    parts.extend(polls.chunk_by(|a, b| a.key == b.key).map(|records| self.poll(records)));
                }
                self.items(parts)
            }
        }
    }

    fn send(&self, send: &Mention) -> String {
        let key = self.atom(self.history.keys[send.key as usize]);
        let plain = self.atom(send.value);
        // A vector would be taken for a pair.
        let as_pair = self.completed && send.offset != NO_OFFSET || plain.starts_with('[');
        let value = match as_pair {
            true if self.completed => self.pair(send),
            true => self.pair(&Mention { offset: NO_OFFSET, ..*send }),
            false => plain,
        };
        self.items([self.word("send"), key, value])
    }

    fn poll(&self, records: &[Mention]) -> String {
        let key = self.atom(self.history.keys[records[0].key as usize]);
        let pairs = self.items(records.iter().map(|record| self.pair(record)));
        let mut map = String::new();
        // Writing to a String cannot fail. A key of a JSON object is a string.
        let _ = match self.notation {
            Notation::Edn => write!(map, "{{{key} {pairs}}}"),
            Notation::Json if key.starts_with('"') => write!(map, "{{{key}: {pairs}}}"),
            Notation::Json => write!(map, "{{\"{key}\": {pairs}}}"),
        };
        self.items([self.word("poll"), map])
    }

    /// The keys that an assignment or a subscription asks for, and those that a rebalance before it ended was about.
    fn named(&self) -> (&[Named], &[Named]) {
        let named = self.history.named_by(self.op);
        let is_assignment =
            matches!(self.history.ops[self.op as usize].function, Function::Assign | Function::Subscribe);
        let asked = named.iter().take_while(|(_, what)| is_assignment && *what == Rebalance::Unsaid).count();
        named.split_at(asked)
    }

    fn rebalances(&self, named: &[Named]) -> String {
        let entries = named.chunk_by(|a, b| a.1 == b.1).map(|entry| {
            let keys = self.items(entry.iter().map(|(key, _)| self.atom(self.history.keys[*key as usize])));
            let what = match entry[0].1 {
                Rebalance::Assigned => "assigned",
                Rebalance::Revoked => "revoked",
                Rebalance::Lost => "lost",
                Rebalance::Unsaid => "unsaid",
            };
            let what = self.word(what);
            match self.notation {
                Notation::Edn => format!("{{:type {what}, :keys {keys}}}"),
                Notation::Json => format!("{{\"type\": {what}, \"keys\": {keys}}}"),
            }
        });
        self.items(entries.collect::<Vec<_>>())
    }
}
