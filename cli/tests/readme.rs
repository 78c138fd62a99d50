//! Everything the README shows is true: its commands run, and what it prints of them comes out, in that order.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_string()).collect()
}

/// The arguments of a shown command that is `trial` itself.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ ")?;
    let rest = line.strip_prefix("trial ").or_else(|| line.strip_prefix("cargo run --release -- "))?;
    Some(rest.split_whitespace().map(str::to_string).collect())
}

#[test]
fn commands_run_and_print_what_is_shown() {
    let mut ran = 0;
    for block in blocks("console") {
        let mut lines = block.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(arguments) = arguments(line) else {
                assert_eq!(line, "$ cargo test", "the README shows a command that no test runs");
                continue;
            };
            let output = Command::new(env!("CARGO_BIN_EXE_trial")).args(&arguments).output().expect("trial starts");
            let printed = String::from_utf8(output.stdout).expect("trial prints text");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            let mut rest = printed.as_str();
            while let Some(shown) = lines.next_if(|l| !l.starts_with("$ ")) {
                if shown == "…" {
                    continue;
                }
                let at = rest.find(shown).unwrap_or_else(|| panic!("{line}\ndoes not print\n{shown}\nbut\n{rest}"));
                rest = &rest[at + shown.len()..];
            }
            ran += 1;
        }
    }
    assert!(ran >= 4, "the README shows {ran} commands of trial");
}

#[test]
fn commands_in_the_table_exist() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `trial "));
    let mut seen = 0;
    for row in rows {
        let command = row.split([' ', '`']).next().expect("a row names a command");
        let output =
            Command::new(env!("CARGO_BIN_EXE_trial")).args([command, "--help"]).output().expect("trial starts");
        assert!(output.status.success(), "trial {command} --help");
        seen += 1;
    }
    assert!(seen >= 7, "the README's table has {seen} commands");
}

#[test]
fn code_is_part_of_the_test_it_names() {
    let test = fs::read_to_string(root().join("sim/madsim/tests/orders.rs")).expect("the example is a test");
    for block in blocks("rust") {
        assert!(test.contains(block.trim_end()), "the README's example is not in the test:\n{block}");
    }
}

#[test]
fn files_it_links_to_exist() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|l| !l.starts_with("http"))
    {
        assert!(root().join(link).exists(), "README links to {link}");
    }
    assert!(root().join("tests/clients/kcat.sh").exists());
}
