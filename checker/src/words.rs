//! Small phrases that several sentences share.

use crate::observation::{EventRef, Time};
use crate::settings::Settings;
use crate::verdict::Step;

/// `5.180 s`
pub(crate) fn seconds(time: Time) -> String {
    format!("{}.{:03} s", time / 1_000_000_000, time / 1_000_000 % 1_000)
}

/// `offset 42`, `offsets 40 to 42`; the last is inclusive.
pub(crate) fn offsets(first: i64, last: i64) -> String {
    if first == last { format!("offset {first}") } else { format!("offsets {first} to {last}") }
}

/// `b1, b2 and b3`
pub(crate) fn brokers(settings: &Settings, ids: &[i32]) -> String {
    let names: Vec<String> = ids.iter().map(|id| settings.broker_name(*id)).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `all`, `1`, `0`
pub(crate) fn acks(acks: i16) -> String {
    if acks < 0 { "all".to_owned() } else { acks.to_string() }
}

/// A link of a chain.
pub(crate) fn step(at: EventRef, node: impl Into<String>, sentence: String) -> Step {
    Step { event: at.id, virtual_ns: at.time, node: node.into(), sentence }
}
