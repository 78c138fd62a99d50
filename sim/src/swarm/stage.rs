//! What a combo is written with: who plays, when it begins, and the sections of a scenario file in short words.

use super::sheet::{Millis, Sheet, shown};

/// The warm-up of a trial is over, and clients have been at work for a moment.
const EARLIEST: Millis = 5_000;
/// In so many of a hundred seeds nothing else goes wrong: a story of five steps is rarely told to its end between other faults.
const ALONE: u64 = 50;
/// In so many of a hundred of the others a combo has the setting that it does best with.
const WANTED: u64 = 80;

/// See the module documentation. Times count from the beginning of the combo.
pub(super) struct Stage<'a> {
    sheet: &'a mut Sheet,
    begins: Millis,
    ends: Millis,
    /// No other fault disturbs it, and it has all that it does best with.
    is_alone: bool,
    replicas: Vec<u64>,
    /// The brokers of orders-0, the preferred leader first; what is not there is a random broker.
    pub(super) a: String,
    pub(super) b: String,
    pub(super) c: String,
}

impl<'a> Stage<'a> {
    pub(super) fn new(sheet: &'a mut Sheet, replicas: &[u64]) -> Self {
        let broker = |nth: usize| replicas.get(nth).map_or("random broker".to_owned(), |id| format!("b{id}"));
        let (a, b, c) = (broker(0), broker(1), broker(2));
        let begins = EARLIEST + sheet.below("combo begins", 3_000);
        let is_alone = sheet.chance(ALONE, "alone");
        if is_alone {
            sheet.put_into("[chaos]", "faults", "0");
        }
        Stage { sheet, begins, ends: begins, is_alone, replicas: replicas.to_vec(), a, b, c }
    }

    /// When the last thing that stands at an instant has begun.
    pub(super) fn ends(&self) -> Millis {
        self.ends
    }

    /// What the combo does best with; not always, for it may do well otherwise too.
    pub(super) fn want(&mut self, section: &str, key: &str, value: &str) {
        if self.is_alone || self.sheet.chance(WANTED, &format!("want {key}")) {
            self.sheet.put_into(section, key, value);
        }
    }
    /// The same in the section of brokers.
    pub(super) fn cluster(&mut self, key: &str, value: &str) {
        self.want("[cluster]", key, value);
    }
    /// The same of the first producer.
    pub(super) fn producer(&mut self, key: &str, value: &str) {
        self.want("[[producer]]", key, value);
    }

    /// Where the combo is none without it.
    pub(super) fn always(&mut self, section: &str, key: &str, value: &str) {
        self.sheet.put_into(section, key, value);
    }
    /// The same of those who are members of a group from the beginning.
    pub(super) fn members(&mut self, group: &str, key: &str, value: &str) {
        self.sheet.put_beside("[[consumer]]", ("group.id", &format!("{group:?}")), key, value);
    }
    /// The same of all consumers.
    pub(super) fn consumers(&mut self, key: &str, value: &str) {
        self.sheet.put_into_each("[[consumer]]", key, value);
    }
    /// Everybody has written all of it when the combo begins.
    pub(super) fn all_is_written(&mut self) {
        for (key, value) in [("records", "50"), ("rate", "100")] {
            self.sheet.put_into_each("[[producer]]", key, value);
        }
    }
    /// The combo is long, and any other fault ruins it: in most seeds there is none.
    pub(super) fn mostly_undisturbed(&mut self) {
        self.want("[chaos]", "faults", "0");
    }
    /// In so many of a hundred seeds.
    pub(super) fn chance(&self, per_hundred: u64, purpose: &str) -> bool {
        self.sheet.chance(per_hundred, purpose)
    }

    /// Begins a fault.
    pub(super) fn fault(&mut self, kind: &str, target: &str) -> &mut Self {
        self.sheet.section("[[fault]]");
        self.text("kind", kind).text("target", target)
    }
    /// Begins what an administrator does.
    pub(super) fn admin(&mut self, what: &str) -> &mut Self {
        self.sheet.section("[[admin]]");
        self.text("do", what)
    }
    /// An administrator gives the partition to this replica.
    pub(super) fn lead(&mut self, leader: &str, at: Millis) {
        let mut replicas = self.replicas.clone();
        replicas.sort_by_key(|id| format!("b{id}") != leader);
        self.admin("reassign").text("topic", "orders").put("replicas", &format!("{replicas:?}")).at(at, at);
        self.admin("elect-leaders").text("topic", "orders").at(at + 300, at + 300);
    }

    /// It happens then.
    pub(super) fn at(&mut self, from: Millis, to: Millis) -> &mut Self {
        self.ends = self.ends.max(self.begins + to);
        let (from, to) = (self.begins + from, self.begins + to);
        self.range("at", from, to)
    }
    /// It happens so long after the first such event from then on.
    pub(super) fn after(&mut self, event: &str, since: Millis, from: Millis, to: Millis) -> &mut Self {
        self.ends = self.ends.max(self.begins + since);
        let since = self.begins + since;
        self.text("after", event).range("not-before", since, since).range("delay", from, to)
    }
    /// A key with a range of durations.
    pub(super) fn range(&mut self, key: &str, from: Millis, to: Millis) -> &mut Self {
        let value = if from == to { shown(from) } else { format!("{}..{}", shown(from), shown(to)) };
        self.text(key, &value)
    }
    /// How long it lasts.
    pub(super) fn lasts(&mut self, from: Millis, to: Millis) -> &mut Self {
        self.range("lasts", from, to)
    }
    /// By how much.
    pub(super) fn by(&mut self, from: Millis, to: Millis) -> &mut Self {
        self.range("by", from, to)
    }
    /// When the process is started again.
    pub(super) fn restart(&mut self, from: Millis, to: Millis) -> &mut Self {
        self.range("restart-after", from, to)
    }
    /// The other ends of the links.
    pub(super) fn peers(&mut self, peers: &[&str]) -> &mut Self {
        self.put("peers", &format!("{peers:?}"))
    }
    /// A key with a word.
    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.sheet.put_text(key, value);
        self
    }
    /// Any other key.
    pub(super) fn put(&mut self, key: &str, value: &str) -> &mut Self {
        self.sheet.put(key, value);
        self
    }
}
