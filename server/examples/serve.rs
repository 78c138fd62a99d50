//! Three brokers and a controller on this machine, until a signal ends the process:
//!
//! ```text
//! cargo run -p trial-server --example serve -- <directory> [first port] [error|warn|info|debug]
//! ```
//!
//! Prints `ready <bootstrap servers>` once every broker serves. Topics that clients name are created with three replicas.

use std::process::ExitCode;
use std::time::Duration;

use tracing::Level;
use trial_server::{Cluster, ClusterError, ClusterSetup};

const USAGE: &str = "serve <directory> [first port, default 9092] [error|warn|info|debug, default warn]";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let parsed = (|| {
        let directory = arguments.next()?;
        let port = arguments.next().map_or(Ok(9_092), |port| port.parse::<u16>()).ok()?;
        let level = arguments.next().map_or(Ok(Level::WARN), |level| level.parse::<Level>()).ok()?;
        Some((directory, port, level))
    })();
    let Some((directory, first_port, level)) = parsed else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
    let mut setup = ClusterSetup { first_port, ..ClusterSetup::new(3, directory) };
    setup.config.default_replication_factor = 3;
    let why = serve(setup).await.unwrap_or_else(|error| error.to_string());
    eprintln!("{why}");
    ExitCode::FAILURE
}

/// Serves until one of the processes ends, which none should.
async fn serve(setup: ClusterSetup) -> Result<String, ClusterError> {
    let mut cluster = Cluster::start(setup).await?;
    cluster.ready(Duration::from_secs(30)).await?;
    let servers: Vec<String> = cluster.bootstrap().iter().map(|e| format!("{}:{}", e.host, e.port)).collect();
    println!("ready {}", servers.join(","));
    let (node, exit) = cluster.any_end().await;
    Ok(format!("node {node} has ended: {exit:?}"))
}
