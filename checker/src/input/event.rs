//! One form, one line of a history.

use super::Fault;
use super::form::{Form, Kind as FormKind};
use crate::operations::{Atom, Atoms, Event, Function, History, Kind, Rebalance, Value};

/// How words are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// As keywords.
    Edn,
    /// As strings; a key of an object that is an integer means one.
    Json,
}

const TYPES: &str = ":invoke, :ok, :fail or :info";
const FUNCTIONS: &str = ":send, :poll, :txn, :assign, :subscribe, :crash or :debug-topic-partitions";

/// Takes one line into the history.
pub(super) fn take(form: &Form<'_>, words: Words, history: &mut History) -> Result<(), Fault> {
    let FormKind::Map(entries) = &form.kind else {
        let what =
            format!("{} is no operation: each is a map such as {{:process 0, :type :ok, :f :poll, …}}", form.what());
        return Err(Fault::new(form.at, what));
    };
    let line = Line { form, entries, words };
    let Some(process) = line.process()? else {
        history.skip();
        return Ok(());
    };
    let kind = line.kind()?;
    let function = line.function()?;
    let event = Event {
        process,
        producer: line.producer()?,
        kind,
        function,
        time: line.time()?,
        index: line.index()?,
        value: line.value(function, &mut history.atoms)?,
        rebalances: line.rebalances(&mut history.atoms)?,
        seek_to_beginning: line.get("seek-to-beginning?").is_some_and(|f| matches!(f.kind, FormKind::Bool(true))),
    };
    history.push(event).map_err(|misfit| Fault::new(form.at, misfit.to_string()))
}

struct Line<'a> {
    form: &'a Form<'a>,
    entries: &'a [(Form<'a>, Form<'a>)],
    words: Words,
}

impl<'a> Line<'a> {
    fn get(&self, name: &str) -> Option<&'a Form<'a>> {
        self.entries.iter().find(|(key, _)| is_word(key, self.words, name)).map(|(_, value)| value)
    }

    fn need(&self, name: &str, right: &str) -> Result<&'a Form<'a>, Fault> {
        self.get(name).ok_or_else(|| Fault::new(self.form.at, format!("an operation has a :{name}: {right}")))
    }

    /// `None` for the nemesis and its kind, which are no clients.
    fn process(&self) -> Result<Option<i64>, Fault> {
        let process = self.need("process", "an integer for a client, anything else for who is none")?;
        match &process.kind {
            FormKind::Int(process) => Ok(Some(*process)),
            FormKind::Number(digits) if digits.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit()) => {
                Err(Fault::new(process.at, "the :process of a client is an integer of 64 bits"))
            }
            _ => Ok(None),
        }
    }

    /// Not in Jepsen's histories: `trial export` writes it, because producers of Trial have several sends under way.
    fn producer(&self) -> Result<Option<i64>, Fault> {
        match self.get("producer").map(|form| (form.at, &form.kind)) {
            None | Some((_, FormKind::Nil)) => Ok(None),
            Some((_, FormKind::Int(producer))) => Ok(Some(*producer)),
            Some((at, _)) => Err(Fault::new(at, "a :producer is an integer")),
        }
    }

    fn kind(&self) -> Result<Kind, Fault> {
        let form = self.need("type", TYPES)?;
        Ok(match word(form, self.words) {
            Some("invoke") => Kind::Invoke,
            Some("ok") => Kind::Ok,
            Some("fail") => Kind::Fail,
            Some("info") => Kind::Info,
            _ => return Err(Fault::new(form.at, format!("a :type is {TYPES}"))),
        })
    }

    fn function(&self) -> Result<Function, Fault> {
        let form = self.need("f", FUNCTIONS)?;
        Ok(match word(form, self.words) {
            Some("send") => Function::Send,
            Some("poll") => Function::Poll,
            Some("txn") => Function::Txn,
            Some("assign") => Function::Assign,
            Some("subscribe") => Function::Subscribe,
            Some("crash") => Function::Crash,
            Some("debug-topic-partitions") => Function::Debug,
            _ => return Err(Fault::new(form.at, format!("a client's :f is {FUNCTIONS}"))),
        })
    }

    fn time(&self) -> Result<Option<i64>, Fault> {
        match self.get("time") {
            None => Ok(None),
            Some(form) => match form.kind {
                FormKind::Int(time) => Ok(Some(time)),
                FormKind::Nil => Ok(None),
                _ => Err(Fault::new(form.at, format!("a :time is a number of nanoseconds, not {}", form.what()))),
            },
        }
    }

    fn index(&self) -> Result<Option<u32>, Fault> {
        match self.get("index") {
            None => Ok(None),
            Some(form) => match form.kind {
                FormKind::Int(index) if (0..i64::from(u32::MAX)).contains(&index) => Ok(Some(index as u32)),
                FormKind::Nil => Ok(None),
                _ => Err(Fault::new(form.at, format!("an :index is a number from 0 to {}", u32::MAX - 1))),
            },
        }
    }

    fn value(&self, function: Function, atoms: &mut Atoms) -> Result<Option<Value>, Fault> {
        let Some(form) = self.get("value").filter(|form| !form.is_nil()) else { return Ok(None) };
        let mut value = Value::default();
        match function {
            Function::Send | Function::Poll | Function::Txn => {
                let right = "a vector of micro-operations such as [[:send 1 2] [:poll]]";
                let ops = items(form, &format!("the :value of a :{} is {right}", function.name()))?;
                for op in ops {
                    self.micro_operation(op, function, atoms, &mut value)?;
                }
            }
            Function::Assign | Function::Subscribe => {
                let what = format!("the :value of :{} is a vector of partitions", function.name());
                value.keys = items(form, &what)?.iter().map(|key| self.key(key, atoms)).collect();
            }
            Function::Crash | Function::Debug => {}
        }
        Ok(Some(value))
    }

    fn micro_operation(
        &self,
        op: &Form<'_>,
        function: Function,
        atoms: &mut Atoms,
        value: &mut Value,
    ) -> Result<(), Fault> {
        let right = "a micro-operation is [:send partition value], [:send partition [offset value]], [:poll] or \
                     [:poll {partition [[offset value] …]}]";
        let parts = items(op, right)?;
        let name = parts.first().and_then(|name| word(name, self.words));
        let allowed = match name {
            Some("send") => function != Function::Poll,
            Some("poll") => function != Function::Send,
            _ => true,
        };
        if !allowed {
            let (name, function) = (name.unwrap_or_default(), function.name());
            return Err(Fault::new(op.at, format!("a :{name} stands in a :{function}: where both are, :f is :txn")));
        }
        match (name, &parts[parts.len().min(1)..]) {
            (Some("send"), [key, sent]) => {
                // A pair if and only if it is a vector.
                let (offset, sent) = match &sent.kind {
                    FormKind::Vector(_) => self.pair(sent)?,
                    _ => (None, sent),
                };
                value.sends.push((self.key(key, atoms), self.atom(sent, atoms), offset));
            }
            (Some("poll"), []) => {}
            (Some("poll"), [polled]) if polled.is_nil() => {}
            (Some("poll"), [polled]) => {
                let FormKind::Map(partitions) = &polled.kind else { return Err(Fault::new(polled.at, right)) };
                for (key, records) in partitions {
                    let key = self.key(key, atoms);
                    if records.is_nil() {
                        continue;
                    }
                    for record in items(records, "of each partition a poll has a vector of [offset value] pairs")? {
                        let (offset, polled) = self.pair(record)?;
                        value.polls.push((key, self.atom(polled, atoms), offset));
                    }
                }
            }
            _ => return Err(Fault::new(op.at, right)),
        }
        Ok(())
    }

    fn pair<'f>(&self, form: &'f Form<'f>) -> Result<(Option<i64>, &'f Form<'f>), Fault> {
        let right = "a record is a pair [offset value], whose offset is a number from 0, or nil if nobody knows it";
        let offset = |form: &Form<'_>| match form.kind {
            // Kafka's own word for an offset that was not told.
            FormKind::Nil | FormKind::Int(-1) => Some(None),
            FormKind::Int(offset) if offset >= 0 => Some(Some(offset)),
            _ => None,
        };
        match form.items() {
            Some([first, value]) => offset(first).map(|offset| (offset, value)),
            _ => None,
        }
        .ok_or_else(|| Fault::new(form.at, right))
    }

    fn rebalances(&self, atoms: &mut Atoms) -> Result<Vec<(Rebalance, Vec<Atom>)>, Fault> {
        let Some(log) = self.get("rebalance-log").filter(|form| !form.is_nil()) else { return Ok(Vec::new()) };
        let right = "a :rebalance-log is a vector of maps such as {:type :assigned, :keys [1 2]}";
        let mut rebalances = Vec::new();
        for entry in items(log, right)? {
            let FormKind::Map(entries) = &entry.kind else { return Err(Fault::new(entry.at, right)) };
            let line = Line { form: entry, entries, words: self.words };
            let what = match line.get("type").and_then(|form| word(form, self.words)) {
                Some("assigned" | "assign") => Rebalance::Assigned,
                Some("revoked" | "revoke") => Rebalance::Revoked,
                Some("lost") => Rebalance::Lost,
                _ => Rebalance::Unsaid,
            };
            let keys = match line.get("keys").filter(|form| !form.is_nil()) {
                Some(keys) => items(keys, right)?.iter().map(|key| self.key(key, atoms)).collect(),
                None => Vec::new(),
            };
            rebalances.push((what, keys));
        }
        Ok(rebalances)
    }

    fn key(&self, form: &Form<'_>, atoms: &mut Atoms) -> Atom {
        if let (FormKind::Text(text), Words::Json) = (&form.kind, self.words) {
            return match text.parse::<i64>() {
                Ok(n) if n.to_string() == **text => atoms.integer(n),
                _ => self.atom(form, atoms),
            };
        }
        self.atom(form, atoms)
    }

    fn atom(&self, form: &Form<'_>, atoms: &mut Atoms) -> Atom {
        if let FormKind::Int(n) = form.kind {
            return atoms.integer(n);
        }
        let mut text = String::new();
        form.canonical(&mut text);
        atoms.text(&text)
    }
}

/// A word: a keyword's name without its namespace, or a string.
fn word<'f>(form: &'f Form<'_>, words: Words) -> Option<&'f str> {
    match (&form.kind, words) {
        (FormKind::Keyword(name), _) => Some(name.rsplit('/').next().unwrap_or(name)),
        (FormKind::Text(text), Words::Json) => Some(text.strip_prefix(':').unwrap_or(text)),
        _ => None,
    }
}

/// Is it that word? As [`word`] would say, without looking for the end of a namespace in every other one.
fn is_word(form: &Form<'_>, words: Words, wanted: &str) -> bool {
    match (&form.kind, words) {
        (FormKind::Keyword(name), _) if name.len() == wanted.len() => *name == wanted,
        (FormKind::Keyword(name), _) => name.strip_suffix(wanted).is_some_and(|namespace| namespace.ends_with('/')),
        (FormKind::Text(_), Words::Json) => word(form, words) == Some(wanted),
        _ => false,
    }
}

fn items<'f>(form: &'f Form<'f>, right: &str) -> Result<&'f [Form<'f>], Fault> {
    form.items().ok_or_else(|| Fault::new(form.at, format!("{right}, not {}", form.what())))
}
