//! The settings that decide what an acknowledgement is worth.

use std::fmt;

/// `acks`, in the order of how much is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcksSetting {
    /// Nobody answers.
    Zero,
    /// The leader answers for itself.
    One,
    /// The leader answers for all in-sync replicas.
    All,
}

impl fmt::Display for AcksSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AcksSetting::Zero => "0",
            AcksSetting::One => "1",
            AcksSetting::All => "all",
        })
    }
}

/// One row of the table. The default is what the others differ from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Configuration {
    /// `acks`
    pub acks: AcksSetting,
    /// `min.insync.replicas`, of three replicas.
    pub min_insync_replicas: u8,
    /// `unclean.leader.election.enable`
    pub unclean: bool,
    /// `eligible.leader.replicas.version` is 1 (KIP-966).
    pub elr: bool,
    /// `flush.messages=1`: synced before it is acknowledged.
    pub flush: bool,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration { acks: AcksSetting::All, min_insync_replicas: 2, unclean: false, elr: true, flush: false }
    }
}

impl Configuration {
    /// Those that everybody asks about.
    pub fn named() -> Vec<Configuration> {
        let base = Configuration::default();
        vec![
            Configuration { acks: AcksSetting::Zero, ..base },
            Configuration { acks: AcksSetting::One, ..base },
            Configuration { min_insync_replicas: 1, ..base },
            base,
            Configuration { min_insync_replicas: 3, ..base },
            Configuration { unclean: true, ..base },
            Configuration { elr: false, ..base },
            Configuration { flush: true, ..base },
        ]
    }

    /// All there are.
    pub fn grid() -> Vec<Configuration> {
        let mut all = Vec::new();
        for acks in [AcksSetting::Zero, AcksSetting::One, AcksSetting::All] {
            for min_insync_replicas in 1..=3 {
                for (unclean, elr, flush) in SWITCHES {
                    all.push(Configuration { acks, min_insync_replicas, unclean, elr, flush });
                }
            }
        }
        all
    }

    /// As `--set` takes it: what is not as in the scenario files.
    pub fn overrides(&self) -> Vec<String> {
        let Configuration { acks, min_insync_replicas, unclean, elr, flush } = *self;
        let base = Configuration::default();
        [
            (acks != base.acks, format!("producer.acks={acks}")),
            (
                min_insync_replicas != base.min_insync_replicas,
                format!("cluster.min.insync.replicas={min_insync_replicas}"),
            ),
            (unclean, "cluster.unclean.leader.election.enable=true".to_owned()),
            (!elr, "cluster.eligible.leader.replicas.version=0".to_owned()),
            (flush, "topic.flush.messages=1".to_owned()),
        ]
        .into_iter()
        .filter_map(|(differs, set)| differs.then_some(set))
        .collect()
    }
}

/// Unclean elections, ELR, flush: each on and off.
const SWITCHES: [(bool, bool, bool); 8] = [
    (false, true, false),
    (false, true, true),
    (false, false, false),
    (false, false, true),
    (true, true, false),
    (true, true, true),
    (true, false, false),
    (true, false, true),
];

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acks={} min {}", self.acks, self.min_insync_replicas)?;
        for (is, word) in [(self.unclean, " unclean"), (!self.elr, " no ELR"), (self.flush, " flush=1")] {
            f.write_str(if is { word } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_grid_has_each_once_and_those_that_have_a_name_too() {
        let grid: BTreeSet<Configuration> = Configuration::grid().into_iter().collect();
        assert_eq!((grid.len(), Configuration::grid().len()), (72, 72));
        assert!(Configuration::named().iter().all(|named| grid.contains(named)));
        let names: BTreeSet<String> = grid.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 72);
    }
}
