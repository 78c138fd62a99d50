//! The table of all step invariants (G), made from the code: each stands in the file that checks it.
//!
#![doc = include_str!("invariants.md")]

use crate::{cluster, cross_check, groups, quorum, still_waiting};

/// Something that must hold at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// The code of the finding when it is broken.
    pub code: &'static str,
    /// The finding's rule, where its code has several.
    pub rule: Option<&'static str>,
    /// What must hold.
    pub what: &'static str,
    /// Where Kafka says so.
    pub source: &'static str,
}

impl Invariant {
    /// Its code and its rule.
    pub(crate) fn named(&self) -> (&'static str, Option<&'static str>) {
        (self.code, self.rule)
    }
}

/// All of them: of partitions, of the metadata quorum, of groups, of what must happen in time, and of the checker itself.
pub fn all() -> Vec<Invariant> {
    let tables: [&[Invariant]; 6] = [
        &cluster::INVARIANTS,
        &cluster::CHANGES,
        &quorum::INVARIANTS,
        &groups::INVARIANTS,
        &still_waiting::INVARIANTS,
        &cross_check::INVARIANTS,
    ];
    tables.concat()
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn the_table_of_invariants_is_made_from_the_code() {
        let row = |i: &super::Invariant| {
            let rule = i.rule.map_or(String::new(), |rule| format!(" ({rule})"));
            format!("| `{}`{rule} | {} | {} |\n", i.code, i.what, i.source)
        };
        let rows = all().iter().map(row).collect::<String>();
        let table = format!("| code (rule) | what must hold | source |\n|---|---|---|\n{rows}");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/invariants.md");
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(&path, &table).expect("the table can be written");
        }
        let written = std::fs::read_to_string(&path).expect("the table is there");
        assert!(written == table, "the table is not that of the code: INSTA_UPDATE=always draws it anew\n{table}");
    }
}
