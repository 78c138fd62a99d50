//! `trial export`: what clients saw in a recording, for other people's checkers and for ours.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::args::{ExportArgs, ExportFormat};
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::{check, explain, interrupt};

/// Exports.
pub fn export(args: &ExportArgs, out: &mut Out) -> Result<Ending, Failure> {
    let path = Path::new(&args.trace);
    if !explain::begins_as_a_recording(path) {
        let what = format!("{} is no recording", args.trace);
        return Err(Failure::usage(what, ["a recording is written by `trial run SCENARIO --trace FILE`".to_string()]));
    }
    let (history, options) = check::of_recording(path)?;
    let mut text = Vec::new();
    let written = match args.to {
        ExportFormat::Edn => {
            let acks = if options.acks < 0 { "all".to_string() } else { options.acks.to_string() };
            let mut head = format!(
                "; trial check --acks {acks} --idempotence {} --max-in-flight {}",
                options.idempotence, options.max_in_flight
            );
            options.unclean_election.iter().for_each(|on| head.push_str(&format!(" --unclean-election {on}")));
            options.min_insync_replicas.iter().for_each(|n| head.push_str(&format!(" --min-insync-replicas {n}")));
            if options.power_loss {
                head.push_str(" --power-loss true");
            }
            writeln!(text, "{head}").and_then(|()| history.write_edn(&mut text))
        }
        ExportFormat::Jsonl => history.write_json_lines(&mut text),
    };
    written.map_err(Failure::Output)?;
    match &args.out {
        Some(path) => {
            let file = File::create(path).map(BufWriter::new);
            let written = file.and_then(|mut file| file.write_all(&text).and_then(|()| file.flush()));
            written.map_err(|error| Failure::File { path: path.clone(), error })?;
        }
        None => out.line(String::from_utf8_lossy(&text).trim_end())?,
    }
    Ok(Ending { interrupted: interrupt::happened(), ..Ending::GOOD })
}
