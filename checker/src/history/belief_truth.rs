//! Belief × truth: what producers were told against what is in the final log, as one small table of counts.

use std::fmt;

use serde::Serialize;

use super::History;
use super::records::Told;

/// One row: so many records were found once, more than once, not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Once in the final log.
    pub once: u64,
    /// Twice or more.
    pub twice_or_more: u64,
    /// Not there.
    pub absent: u64,
    /// Their partition's final read did not reach its end, or there was none.
    pub unjudged: u64,
}

/// The table. Rows are what the producer was told, in Jepsen's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BeliefTruth {
    /// Acknowledged. Absent means lost.
    pub ok: Row,
    /// Unknown, or never settled. Anything may be true.
    pub info: Row,
    /// Definitely failed. Present means a phantom.
    pub fail: Row,
    /// Sent with acks=0. Nothing was promised: absent means dropped, not lost.
    pub unpromised: Row,
}

impl BeliefTruth {
    /// The table of a history.
    pub(crate) fn of(history: &History) -> Self {
        let mut table = BeliefTruth::default();
        for (_, record) in history.records.iter() {
            let row = match record.told {
                Told::Acked => &mut table.ok,
                Told::Failed => &mut table.fail,
                Told::Unpromised => &mut table.unpromised,
                Told::Unknown | Told::Pending | Told::NeverSent => &mut table.info,
            };
            let complete = history.logs[record.partition as usize].complete();
            *match record.copies {
                0 if !complete => &mut row.unjudged,
                0 => &mut row.absent,
                1 => &mut row.once,
                _ => &mut row.twice_or_more,
            } += 1;
        }
        table
    }
}

impl fmt::Display for BeliefTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [("ok", self.ok), ("info", self.info), ("fail", self.fail), ("acks=0", self.unpromised)];
        let unjudged = rows.iter().any(|(_, row)| row.unjudged > 0);
        write!(f, "{:<14}{:>10}{:>10}{:>10}", "producer told", "once", "twice+", "absent")?;
        if unjudged {
            write!(f, "{:>10}", "unjudged")?;
        }
        for (name, row) in rows {
            write!(f, "\n{name:<14}{:>10}{:>10}{:>10}", row.once, row.twice_or_more, row.absent)?;
            if unjudged {
                write!(f, "{:>10}", row.unjudged)?;
            }
        }
        Ok(())
    }
}
