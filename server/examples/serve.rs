//! Three brokers and a controller on this machine, until a signal ends the process:
//!
//! ```text
//! cargo run -p trial-server --example serve -- <directory> [first port] [error|warn|info|debug] [key=value …]
//! ```
//!
//! Prints `ready <bootstrap servers>` once every broker serves. Topics that clients name are created with three replicas.
//! What is given as `key=value` configures the brokers, by Kafka's names.

use std::process::ExitCode;
use std::time::Duration;

use tracing::Level;
use trial_kafka::config::BrokerConfig;
use trial_kafka::metadata::parse_config;
use trial_server::{Cluster, ClusterError, ClusterSetup};

const USAGE: &str =
    "serve <directory> [first port, default 9092] [error|warn|info|debug, default warn] [broker configs: key=value …]";

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
    for given in arguments {
        if let Err(why) = configure(&mut setup.config, &given) {
            eprintln!("{given}: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    let why = serve(setup).await.unwrap_or_else(|error| error.to_string());
    eprintln!("{why}");
    ExitCode::FAILURE
}

/// Takes one `key=value`.
fn configure(config: &mut BrokerConfig, given: &str) -> Result<(), String> {
    let (name, text) = given.split_once('=').ok_or("expected key=value")?;
    let key = BrokerConfig::KEYS.iter().find(|key| key.name == name).ok_or("unknown key")?;
    let value = parse_config(key.kind, text).ok_or_else(|| format!("expected {}", key.kind.expected()))?;
    config.set(name, &value).map_err(|error| error.to_string())
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
