//! The core hash: one number over the sources that decide what a run does, so that a seed or a recording of another
//! build can be told apart. Neither the place of the checkout nor its line ends go into it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The rooms that decide what a run does, seen from the workspace.
const ROOMS: [&str; 4] = ["src", "storage/src", "sim/src", "checker/src"];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts"));
    let workspace = here.parent().expect("sim/ stands in the workspace");
    let mut files = Vec::new();
    for room in ROOMS {
        println!("cargo:rerun-if-changed={}", workspace.join(room).display());
        collect(&workspace.join(room), room, &mut files)?;
    }
    files.sort();
    let mut hasher = crc32fast::Hasher::new();
    for (name, path) in files {
        let text = fs::read(path)?;
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        text.iter().filter(|byte| **byte != b'\r').for_each(|byte| hasher.update(&[*byte]));
        hasher.update(&[0]);
    }
    println!("cargo:rustc-env=TRIAL_CORE_HASH={:08x}", hasher.finalize());
    Ok(())
}

/// All Rust files below a directory, with their names as the hash sees them.
fn collect(directory: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(last) = path.file_name().and_then(|last| last.to_str()) else { continue };
        let name = format!("{name}/{last}");
        if path.is_dir() {
            collect(&path, &name, files)?;
        } else if last.ends_with(".rs") {
            files.push((name, path));
        }
    }
    Ok(())
}
