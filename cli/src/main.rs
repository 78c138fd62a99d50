//! The `trial` command: one seeded run of Kafka after the other, and the word of the checker on each.
//!
//! ```text
//!   arguments ─▶ args ─▶ scenario file or built-in ─▶ sim, checker ─▶ text or JSON on stdout ─▶ exit code
//!                                                                   └▶ errors, progress on stderr
//! ```

mod args;
mod check;
mod client_history;
mod describe;
mod explain;
mod explore;
mod export;
mod failure;
mod guided;
mod interrupt;
mod json;
mod junit;
mod keep;
mod ledger;
mod list;
mod merge;
mod mermaid;
mod only;
mod output;
mod progress;
mod report;
mod rewind;
mod run;
mod scenario;
mod search;
mod shard;
mod shrink;
mod source;
mod subject;
mod verdict;
mod workers;
mod zoo;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, ExploreCommand};
use failure::Failure;
use output::{Ending, Out};

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::listen();
    let mut out = Out::stdout();
    let ended = dispatch(&cli, &mut out).and_then(|ending| out.flush().map(|()| ending));
    match ended {
        Ok(ending) => ending.code(),
        Err(failure) => {
            // What is known so far comes before what went wrong; a second failure to write it adds nothing.
            let _ = out.flush();
            failure.report();
            if interrupt::happened() { Ending::INTERRUPTED.code() } else { ExitCode::from(2) }
        }
    }
}

fn dispatch(cli: &Cli, out: &mut Out) -> Result<Ending, Failure> {
    match &cli.command {
        Command::Run(args) => run::run(args, cli.json, out),
        Command::Describe(args) => describe::describe(args, cli.json, out),
        Command::Explain(args) => explain::explain(args, cli.json, out),
        Command::Check(args) => check::check(args, cli.json, out),
        Command::Export(args) => export::export(args, out),
        Command::Search(args) => search::search(args, cli.json, out),
        Command::Shrink(args) => shrink::shrink(args, cli.json, out),
        Command::Merge(args) => merge::merge(args, cli.json, out),
        Command::Explore(ExploreCommand::Acks(args)) => explore::acks(args, cli.json, out),
        Command::Zoo(args) => zoo::zoo(args, cli.json, out),
        Command::Scenario(command) => scenario::scenario(command, cli.json, out),
        Command::List => list::list(cli.json, out),
    }
}
