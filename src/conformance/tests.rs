//! Leaves out one rule at a time; draws the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::left_out::LEFT_OUT;
use super::{Entry, SECTIONS, UNRULED};

/// A test that takes longer without its rule hangs, which nobody should have to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

fn entries() -> impl Iterator<Item = &'static Entry> {
    SECTIONS.iter().flat_map(|section| section.lines).flat_map(|line| line.rules)
}

/// How one test ended in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Passed,
    Failed,
    /// There is no test of that name.
    NotThere,
    Hung,
}

/// Runs one test of this program again, perhaps without a rule.
fn run(test: &str, left_out: Option<&str>) -> Ended {
    let me = std::env::current_exe().expect("a test is a program");
    let mut command = Command::new(me);
    command.args([test, "--exact", "--include-ignored", "--test-threads", "1"]);
    command.env_remove(LEFT_OUT).env("INSTA_UPDATE", "no").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    if let Some(rule) = left_out {
        command.env(LEFT_OUT, rule);
    }
    let mut child = command.spawn().expect("this program starts again");
    let began = Instant::now();
    // What one test prints fits into the pipe or is of no interest: it is read by a thread, so that nobody blocks.
    let mut stdout = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut printed = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut printed).map(|_| printed).unwrap_or_default()
    });
    let status = loop {
        match child.try_wait().expect("it can be waited for") {
            Some(status) => break status,
            None if began.elapsed() > PATIENCE => {
                child.kill().expect("it can be stopped");
                child.wait().expect("it ends");
                return Ended::Hung;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let printed = reader.join().expect("reading does not panic");
    match status.success() {
        _ if printed.contains("running 0 tests") => Ended::NotThere,
        true => Ended::Passed,
        false => Ended::Failed,
    }
}

/// Runs each job on a few threads.
fn run_all<'a>(jobs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Vec<(&'a str, Option<&'a str>, Ended)> {
    let jobs = Mutex::new(jobs.into_iter().collect::<Vec<_>>());
    let ended = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((test, rule)) = jobs.lock().expect("nobody panics with it").pop() else { break };
                    let result = run(test, rule);
                    ended.lock().expect("nobody panics with it").push((test, rule, result));
                }
            });
        }
    });
    let mut ended = ended.into_inner().expect("nobody panics with it");
    ended.sort();
    ended
}

/// The heart of it: a rule whose test passes without it is a rule that nobody would miss.
#[test]
fn every_rule_left_out_fails_its_test() {
    let mut tests: Vec<&str> = entries().map(|entry| entry.test).collect();
    tests.sort_unstable();
    tests.dedup();
    let with_all = run_all(tests.iter().map(|test| (*test, None)));
    let without = run_all(entries().map(|entry| (entry.test, Some(entry.name))));
    let survivors: Vec<String> = with_all
        .iter()
        .filter(|(_, _, ended)| *ended != Ended::Passed)
        .map(|(test, _, ended)| format!("{test}: {ended:?} with every rule in force"))
        .chain(
            without
                .iter()
                .filter(|(_, _, ended)| *ended != Ended::Failed)
                .map(|(test, rule, ended)| format!("{}: {test} {ended:?} without it", rule.unwrap_or_default())),
        )
        .collect();
    println!("{} rules left out one by one, {} tests, {} survivors", without.len(), tests.len(), survivors.len());
    assert!(survivors.is_empty(), "survivors:\n{}", survivors.join("\n"));
}

/// Where a rule is asked for, as paths of functions, in order of the files: in this crate, then in the log engine.
fn places() -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (prefix, dir) in [("", "src"), ("storage::", "storage/src")] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let mut files = Vec::new();
        sources(&root, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("a source file is text");
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                for rule in rules_asked_in(line) {
                    let function = format!("{prefix}{}", function_around(&root, &file, &lines[..=at]));
                    let of_rule = places.entry(rule).or_default();
                    if !of_rule.contains(&function) {
                        of_rule.push(function);
                    }
                }
            }
        }
    }
    places
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("a room").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "tests" && name != "conformance" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// `SomeRule::Name` for each `SomeRule::Name.holds()` and each `.hold(SomeRule::Name)` in the line, comments aside.
fn rules_asked_in(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let is_path = |c: char| c.is_alphanumeric() || c == ':' || c == '_';
    let asked = code.match_indices(".holds()").map(|(end, _)| {
        let start = code[..end].rfind(|c| !is_path(c)).map_or(0, |before| before + 1);
        code[start..end].to_string()
    });
    let of_log = code.match_indices(".hold(").map(|(at, call)| {
        let name = &code[at + call.len()..];
        name[..name.find(|c| !is_path(c)).unwrap_or(name.len())].to_string()
    });
    asked.chain(of_log).filter(|rule| rule.contains("Rule::")).collect()
}

/// The path of the innermost function whose head stands above, to the left of the last line.
fn function_around(root: &Path, file: &Path, lines: &[&str]) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let inside = indent(lines.last().unwrap_or(&""));
    let head = |line: &&&str| !line.trim().is_empty() && indent(line) < inside && line.contains("fn ") && is_head(line);
    let function =
        lines.iter().rev().find(head).map(|line| name_after(line, "fn ")).expect("a rule is asked in a function");
    let owner =
        lines.iter().rev().find(|line| line.starts_with("impl")).filter(|_| inside > 4).map(|line| type_of(line));
    let module = file.strip_prefix(root).expect("a file of the room").with_extension("");
    let mut path: Vec<String> = module.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    path.retain(|part| part != "mod");
    // A free function after an `impl` is not of it: its head is not indented.
    let is_free = lines.iter().rev().find(head).is_some_and(|line| indent(line) == 0);
    path.extend(owner.filter(|_| !is_free));
    path.push(function);
    path.join("::")
}

fn is_head(line: &str) -> bool {
    let words = line.trim_start().trim_start_matches("pub").trim_start();
    let words =
        if words.starts_with('(') { words.split_once(')').map_or("", |(_, rest)| rest).trim_start() } else { words };
    words.strip_prefix("const ").unwrap_or(words).starts_with("fn ")
}

fn name_after(line: &str, keyword: &str) -> String {
    let rest = line.split_once(keyword).map_or("", |(_, rest)| rest);
    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `Cluster` of `impl<'a> Cluster<'_> {` and of `impl Trait for Cluster {`.
fn type_of(line: &str) -> String {
    let rest = line.trim_start_matches("impl");
    let rest = if rest.starts_with('<') { rest.split_once('>').map_or("", |(_, rest)| rest) } else { rest };
    let rest = rest.split_once(" for ").map_or(rest, |(_, name)| name);
    name_after(&format!("fn {}", rest.trim_start()), "fn ")
}

fn table() -> String {
    let places = places();
    let mut table = String::new();
    for section in SECTIONS {
        let _ = write!(table, "\n# {} {}\n", section.number, section.title);
        for line in section.lines {
            let _ = write!(
                table,
                "\n## {}\n\n| Rule | In Kafka | Where | Fails without it |\n|---|---|---|---|\n",
                line.about
            );
            for rule in line.rules {
                let of_rule = places.get(rule.name).unwrap_or_else(|| panic!("{} is asked for nowhere", rule.name));
                let place = of_rule.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
                let _ = writeln!(table, "| {} | {} | {place} | `{}` |", rule.sentence, rule.kafka, rule.test);
            }
        }
        let without_rule: Vec<_> = UNRULED.iter().filter(|line| line.section == section.number).collect();
        if !without_rule.is_empty() {
            table.push_str("\n## Without a rule\n\n| In Kafka | Here |\n|---|---|\n");
        }
        for line in without_rule {
            let _ = writeln!(table, "| {} | {} |", line.line, line.instead);
        }
    }
    let count = entries().count();
    format!("{count} rules.\n{table}")
}

#[test]
fn the_table_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/table.md");
    let drawn = table();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&path, &drawn).expect("the table can be written");
    }
    let written = fs::read_to_string(&path).expect("the table is there");
    assert!(written == drawn, "the table is not that of the code: INSTA_UPDATE=always draws it anew\n{drawn}");
}

/// Whoever serves one of these has lines to take out of [`UNRULED`] and rules to name.
#[test]
fn what_is_not_modelled_is_not_served() {
    use kafka_protocol::messages::ApiKey;
    let absent = [ApiKey::UnregisterBroker, ApiKey::AssignReplicasToDirs];
    for key in absent {
        assert!(crate::controller::SERVED.iter().all(|(served, ..)| *served != key), "{key:?} is served");
        let name = format!("{key:?}");
        assert!(UNRULED.iter().any(|line| line.instead.contains(&name)), "no line says that {name} is not served");
    }
    for line in UNRULED {
        assert!(SECTIONS.iter().any(|section| section.number == line.section), "{line:?}");
    }
}

#[test]
fn every_rule_that_is_asked_for_stands_in_the_table_once() {
    let mut names: Vec<&str> = entries().map(|entry| entry.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a rule stands there twice");
    for (rule, at) in places() {
        assert!(names.contains(&rule.as_str()), "{at:?} asks for {rule}, which no table has");
    }
}

#[test]
fn the_place_of_a_rule_is_found() {
    let text = "impl Node for Other {\n    fn first(&self) {\n    }\n}\nimpl<'a> Room<'a> {\n    pub(super) fn second(\n        \
                &self,\n    ) {\n        let fn_like = |x| {\n            SomeRule::Name.holds() && x\n        };\n    }\n}\n\
                const fn third() {\n    if OtherRule::Name.holds() {}\n}\n";
    let lines: Vec<&str> = text.lines().collect();
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).expect("it is there");
    let place = |what| function_around(Path::new("src"), Path::new("src/a/mod.rs"), &lines[..=at(what)]);
    assert_eq!(place("SomeRule"), "a::Room::second");
    assert_eq!(place("OtherRule"), "a::third");
    assert_eq!(rules_asked_in(lines[at("SomeRule")]), ["SomeRule::Name"]);
    assert_eq!(rules_asked_in("if self.rules.hold(SomeRule::Name) || rules().hold(rule) {"), ["SomeRule::Name"]);
    assert!(rules_asked_in("x.holds() // SomeRule::Name.holds()").is_empty());
}
