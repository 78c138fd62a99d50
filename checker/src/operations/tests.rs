//! The table of findings in the docs is the one the code has.

use super::DEFINITIONS;

#[test]
fn the_table_of_findings_is_made_from_the_code() {
    let rows = DEFINITIONS.iter().map(|d| format!("| `{}` | {} | {} |\n", d.code, d.what, d.class));
    let table = format!("| finding | definition | class |\n|---|---|---|\n{}", rows.collect::<String>());
    let written = include_str!("findings.md");
    assert_eq!(written, table, "write this to checker/src/operations/findings.md:\n{table}");
    let mut codes: Vec<&str> = DEFINITIONS.iter().map(|d| d.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), DEFINITIONS.len(), "each code is defined once");
}
