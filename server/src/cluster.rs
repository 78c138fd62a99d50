//! A cluster in one operating-system process: a controller and brokers that reach each other through TCP only.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use trial_kafka::broker::{Broker, BrokerSetup, LifecycleState};
use trial_kafka::config::BrokerConfig;
use trial_kafka::controller::{Controller, ControllerSetup, SERVED, Voter};
use trial_kafka::ids::{BrokerId, ControllerNode};
use trial_kafka::node::{Command, Endpoint};
use trial_kafka::protocol::{BROKER_APIS, OfferedApi};
use trial_kafka::zoo::Zoo;
use uuid::Uuid;

use crate::process::{Exit, Listening, Process, ProcessSetup};

/// `node.id` of the controller, out of the way of the brokers'.
const CONTROLLER_ID: i32 = 3_001;

/// What a cluster is made from.
#[derive(Clone, Debug)]
pub struct ClusterSetup {
    /// Number of brokers; their ids begin with 1.
    pub brokers: u16,
    /// The directory of all logs. A cluster started again on it finds what it had.
    pub directory: PathBuf,
    /// The address everybody listens on and is advertised by.
    pub host: String,
    /// Port of broker 1; the others follow. 0: any free ports.
    pub first_port: u16,
    /// Configuration of brokers and controller.
    pub config: BrokerConfig,
    /// `cluster.id`; the same directory must be given the same one again.
    pub cluster_id: String,
}

impl ClusterSetup {
    /// Brokers on free ports of this machine, with Kafka's defaults.
    pub fn new(brokers: u16, directory: impl Into<PathBuf>) -> Self {
        ClusterSetup {
            brokers,
            directory: directory.into(),
            host: "127.0.0.1".to_string(),
            first_port: 0,
            config: BrokerConfig::default(),
            cluster_id: "trial-cluster".to_string(),
        }
    }
}

/// Why a cluster is not there.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A port or a directory could not be had.
    #[error("{what}: {error}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// A process ended before the cluster was ready.
    #[error("broker {0} has ended")]
    Ended(BrokerId),
    /// Not every broker was unfenced in time.
    #[error("broker {0} is not serving yet")]
    NotReady(BrokerId),
}

/// A running cluster. Dropping it kills all its processes.
#[derive(Debug)]
pub struct Cluster {
    controller: Process<Controller>,
    brokers: BTreeMap<BrokerId, (Endpoint, Process<Broker>)>,
}

impl Cluster {
    /// Starts all processes. They find each other by themselves: see [`Cluster::ready`].
    pub async fn start(setup: ClusterSetup) -> Result<Cluster, ClusterError> {
        let (listener, controller_endpoint) = bind(&setup.host, 0).await?;
        let controller = start_controller(&setup, listener, controller_endpoint.clone())?;
        let mut brokers = BTreeMap::new();
        for number in 0..setup.brokers {
            let port = if setup.first_port == 0 { 0 } else { setup.first_port.saturating_add(number) };
            let (listener, endpoint) = bind(&setup.host, port).await?;
            let id = BrokerId::from(number) + 1;
            let process = start_broker(&setup, id, listener, endpoint.clone(), controller_endpoint.clone())?;
            brokers.insert(id, (endpoint, process));
        }
        Ok(Cluster { controller, brokers })
    }

    /// Where the brokers listen: `bootstrap.servers`.
    pub fn bootstrap(&self) -> Vec<Endpoint> {
        self.brokers.values().map(|(endpoint, _)| endpoint.clone()).collect()
    }
    /// A broker that was not killed yet.
    pub fn broker(&self, id: BrokerId) -> Option<&Process<Broker>> {
        self.brokers.get(&id).map(|(_, process)| process)
    }
    /// The controller.
    pub fn controller(&self) -> &Process<Controller> {
        &self.controller
    }

    /// Waits until every broker is unfenced and knows that all the others are.
    pub async fn ready(&self, patience: Duration) -> Result<(), ClusterError> {
        let until = Instant::now() + patience;
        let all = self.brokers.len();
        for (id, (_, process)) in &self.brokers {
            loop {
                let knows_all = move |broker: &Broker| {
                    let unfenced = broker.image().brokers.values().filter(|b| !b.fenced).count();
                    broker.lifecycle_state() == LifecycleState::Running && unfenced == all
                };
                if process.look(knows_all).await.map_err(|_| ClusterError::Ended(*id))? {
                    break;
                }
                if Instant::now() >= until {
                    return Err(ClusterError::NotReady(*id));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Waits until a process ends by itself, and tells which and how: `None` for the controller.
    pub async fn any_end(&mut self) -> (Option<BrokerId>, Exit) {
        std::future::poll_fn(|context| {
            if let Poll::Ready(exit) = self.controller.poll_exit(context) {
                return Poll::Ready((None, exit));
            }
            for (id, (_, process)) in &mut self.brokers {
                if let Poll::Ready(exit) = process.poll_exit(context) {
                    return Poll::Ready((Some(*id), exit));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Kills one broker. `None` if there is none of that id.
    pub async fn kill_broker(&mut self, id: BrokerId) -> Option<Exit> {
        match self.brokers.remove(&id) {
            Some((_, process)) => Some(process.kill().await),
            None => None,
        }
    }

    /// Kills everything. Returns when all ports are free again.
    pub async fn kill(self) {
        for (_, process) in self.brokers.into_values() {
            process.kill().await;
        }
        self.controller.kill().await;
    }

    /// Stops the brokers in an orderly way, one after the other, then the controller. A broker that has not stopped
    /// within `patience` is killed.
    pub async fn shut_down(self, patience: Duration) -> BTreeMap<BrokerId, Exit> {
        let mut exits = BTreeMap::new();
        for (id, (_, mut process)) in self.brokers {
            // Its end is the answer.
            drop(process.command(Command::ShutDown));
            let exit = match tokio::time::timeout(patience, process.wait()).await {
                Ok(exit) => exit,
                Err(_) => process.kill().await,
            };
            exits.insert(id, exit);
        }
        self.controller.kill().await;
        exits
    }
}

async fn bind(host: &str, port: u16) -> Result<(TcpListener, Endpoint), ClusterError> {
    let failed = |error| ClusterError::Io { what: format!("listening on {host}:{port}"), error };
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, Endpoint { host: host.to_string(), port }))
}

fn start_controller(
    setup: &ClusterSetup,
    listener: TcpListener,
    endpoint: Endpoint,
) -> Result<Process<Controller>, ClusterError> {
    let directory = setup.directory.join("controller");
    let offered = SERVED.into_iter().map(|(key, min, max)| OfferedApi { key, min, max }).collect();
    let directory_id = Uuid::from_u128(CONTROLLER_ID as u128);
    let node = Controller::new(ControllerSetup {
        node_id: CONTROLLER_ID,
        directory_id,
        voters: vec![Voter { id: CONTROLLER_ID, directory_id, endpoint: endpoint.clone() }],
        endpoint,
        config: setup.config.clone(),
        zoo: Zoo::default(),
        cluster_id: setup.cluster_id.clone(),
    });
    let process = ProcessSetup {
        name: "controller".to_string(),
        client_id: "controller".to_string(),
        directory: Some(directory.clone()),
        listening: Some(Listening { listener, offered }),
    };
    Process::start(node, process).map_err(|error| ClusterError::Io { what: directory.display().to_string(), error })
}

fn start_broker(
    setup: &ClusterSetup,
    id: BrokerId,
    listener: TcpListener,
    endpoint: Endpoint,
    controller: Endpoint,
) -> Result<Process<Broker>, ClusterError> {
    let directory = setup.directory.join(format!("broker-{id}"));
    let node = Broker::new(BrokerSetup {
        node_id: id,
        cluster_id: setup.cluster_id.clone(),
        endpoint,
        rack: None,
        controllers: vec![ControllerNode { id: CONTROLLER_ID, endpoint: controller }],
        config: setup.config.clone(),
        zoo: Zoo::default(),
    });
    let process = ProcessSetup {
        name: format!("broker-{id}"),
        client_id: format!("broker-{id}"),
        directory: Some(directory.clone()),
        listening: Some(Listening { listener, offered: BROKER_APIS.to_vec() }),
    };
    Process::start(node, process).map_err(|error| ClusterError::Io { what: directory.display().to_string(), error })
}
