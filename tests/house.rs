//! The house keeps its rules: which room may know which, and what may not be named in the pure rooms.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a room of the workspace").to_path_buf()
}

/// The rooms of the workspace that a manifest names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap_or_else(|e| panic!("{manifest}: {e}"));
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_else(|| panic!("{manifest} has no [dependencies]"));
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_string)
        .filter(|name| !name.is_empty())
        .collect()
}

fn rooms_of(manifest: &str) -> Vec<String> {
    dependencies(manifest).into_iter().filter(|name| name.starts_with("trial-")).collect()
}

#[test]
fn dependencies_run_one_way() {
    let allowed: [(&str, &[&str]); 8] = [
        ("storage/Cargo.toml", &[]),
        ("checker/Cargo.toml", &[]),
        ("Cargo.toml", &["trial-storage"]),
        ("sim/Cargo.toml", &["trial-kafka", "trial-storage", "trial-checker"]),
        ("sim/madsim/Cargo.toml", &["trial-kafka", "trial-sim", "trial-checker"]),
        ("server/Cargo.toml", &["trial-kafka", "trial-storage"]),
        ("cli/Cargo.toml", &["trial-kafka", "trial-storage", "trial-sim", "trial-checker", "trial-server"]),
        ("tests/Cargo.toml", &["trial-kafka", "trial-sim", "trial-checker"]),
    ];
    for (manifest, may) in allowed {
        for room in rooms_of(manifest) {
            assert!(may.contains(&room.as_str()), "{manifest} depends on {room}; it may depend only on {may:?}");
        }
    }
}

#[test]
fn pure_rooms_depend_on_no_host() {
    for manifest in ["Cargo.toml", "storage/Cargo.toml", "checker/Cargo.toml"] {
        for name in dependencies(manifest) {
            let host = ["tokio", "madsim", "rand", "async", "futures", "rayon", "crossbeam"];
            assert!(!host.iter().any(|h| name.starts_with(h)), "{manifest} depends on {name}");
        }
    }
}

/// What a pure room may not name, and why.
const BANS: &[(&str, &str)] = &[
    ("std::time", "time is an argument"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("std::thread", "a node is one value on one thread"),
    ("std::fs", "files are the Disk's"),
    ("std::net", "connections are the host's"),
    ("std::env", "the environment is no input"),
    ("std::process", "a node never ends the process"),
    ("async fn", "deferred work is a plain enum"),
    (".await", "deferred work is a plain enum"),
    ("thread_local!", "no global state"),
    ("static mut", "no global state"),
    ("OnceLock", "no global state"),
    ("LazyLock", "no global state"),
    ("Box<dyn", "the World must clone"),
    ("Rc<", "the World must clone, and be Send"),
    ("RefCell", "the World must clone, and be Send"),
    ("f64", "no float decides anything"),
    ("f32", "no float decides anything"),
    ("println!", "a node speaks through events"),
];

/// The same for the World, which is a value too; threads and panics' boxes are the exception it declares itself.
const WORLD_BANS: &[&str] = &[
    "std::time",
    "HashMap",
    "HashSet",
    "std::thread",
    "std::fs",
    "std::net",
    "std::env",
    "async fn",
    "f64",
    "f32",
    "RefCell",
    "Rc<",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("a room is a directory").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            // Tests may do what they like.
            if path.file_name().is_none_or(|n| n != "tests") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !is_of_tests(&path) {
            found.push(path);
        }
    }
}

fn is_of_tests(path: &Path) -> bool {
    path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name == "tests" || name.ends_with("_tests"))
}

/// The code of a file without comments and without its test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is text");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn find_banned(dir: &str, bans: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    sources(&root().join(dir), &mut files);
    assert!(!files.is_empty(), "{dir} has sources");
    let mut found = Vec::new();
    for file in files {
        let code = code(&file);
        for ban in bans {
            // `Arc<` contains `Rc<` only in lower case; a plain substring search is enough.
            if code.contains(ban) {
                found.push(format!("{} names {ban}", file.strip_prefix(root()).unwrap_or(&file).display()));
            }
        }
    }
    found
}

#[test]
fn pure_rooms_name_nothing_that_is_not_a_function_of_their_input() {
    let bans: Vec<&str> = BANS.iter().map(|(name, _)| *name).collect();
    for dir in ["src", "storage/src"] {
        let mut found = find_banned(dir, &bans);
        // What is in no build but those that look whether a rule is missed.
        found.retain(|place| !place.starts_with("src/conformance/left_out.rs "));
        assert!(found.is_empty(), "{found:#?}; why: {BANS:#?}");
    }
}

#[test]
fn the_world_names_nothing_that_is_not_a_function_of_its_input() {
    for dir in ["sim/src/world", "sim/src/disk", "sim/src/fault", "checker/src"] {
        let mut found = find_banned(dir, WORLD_BANS);
        // The one place that is not a value: a panic hook has to leave its message with the thread that panics.
        found.retain(|place| place != "sim/src/world/assertion.rs names RefCell");
        // A number with a point is a float by the time it is seen, and is kept as a text.
        found.retain(|place| place != "checker/src/input/jsonl.rs names f64");
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn no_source_names_a_path_of_one_machine() {
    let mut files = Vec::new();
    for dir in ["src", "storage/src", "sim", "checker/src", "cli", "server", "tests"] {
        sources(&root().join(dir), &mut files);
    }
    let here = root().display().to_string();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file is text");
        assert!(!text.contains(&here), "{} names the directory it is built in", file.display());
    }
}
