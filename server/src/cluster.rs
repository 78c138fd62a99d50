//! A cluster in one operating-system process: controllers and brokers that reach each other through TCP only.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use trial_kafka::broker::{Broker, BrokerSetup, LifecycleState};
use trial_kafka::combined::Combined;
use trial_kafka::config::BrokerConfig;
use trial_kafka::controller::{Controller, ControllerSetup, SERVED, Voter};
use trial_kafka::ids::{BrokerId, ControllerNode};
use trial_kafka::node::{Command, Endpoint, Listener};
use trial_kafka::protocol::{BROKER_APIS, OfferedApi};
use trial_kafka::zoo::Zoo;
use uuid::Uuid;

use crate::process::{Exit, Listening, Process, ProcessSetup};
use crate::server::Server;

/// `node.id` of the first controller that stands alone, out of the way of the brokers'.
const FIRST_CONTROLLER_ID: i32 = 3_001;

/// What a cluster is made from.
#[derive(Clone, Debug)]
pub struct ClusterSetup {
    /// Number of brokers; their ids begin with 1.
    pub brokers: u16,
    /// Number of controllers, at least one: the voters of the metadata quorum. Their ids begin with 3001.
    pub controllers: u16,
    /// `process.roles=broker,controller`: the first brokers' processes are the controllers too. Then there are at most as
    /// many controllers as brokers, and their ids are the brokers'.
    pub combined: bool,
    /// The directory of all logs. A cluster started again on it finds what it had.
    pub directory: PathBuf,
    /// The address everybody listens on and is advertised by.
    pub host: String,
    /// Port of broker 1; the others follow. 0: any free ports. Controllers always listen on free ones.
    pub first_port: u16,
    /// Configuration of brokers and controllers.
    pub config: BrokerConfig,
    /// `cluster.id`; the same directory must be given the same one again.
    pub cluster_id: String,
}

impl ClusterSetup {
    /// Brokers and one controller on free ports of this machine, with Kafka's defaults.
    pub fn new(brokers: u16, directory: impl Into<PathBuf>) -> Self {
        ClusterSetup {
            brokers,
            controllers: 1,
            combined: false,
            directory: directory.into(),
            host: "127.0.0.1".to_string(),
            first_port: 0,
            config: BrokerConfig::default(),
            cluster_id: "trial-cluster".to_string(),
        }
    }
    /// `node.id`s of the controllers.
    fn controller_ids(&self) -> impl Iterator<Item = i32> + use<> {
        let first = if self.combined { 1 } else { FIRST_CONTROLLER_ID };
        first..first + i32::from(self.controllers)
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
    /// No cluster has so many controllers.
    #[error(
        "{controllers} controllers on {brokers} brokers: there must be one at least, and with combined roles no more than brokers"
    )]
    Controllers {
        /// As many were asked for.
        controllers: u16,
        /// On so many.
        brokers: u16,
    },
    /// A process ended before the cluster was ready.
    #[error("broker {0} has ended")]
    Ended(BrokerId),
    /// Not every broker was unfenced in time.
    #[error("broker {0} is not serving yet")]
    NotReady(BrokerId),
}

/// A process of the cluster.
#[derive(Debug)]
struct Member {
    process: Process<Server>,
    /// Where clients reach it; `None` for a controller that stands alone.
    endpoint: Option<Endpoint>,
    is_controller: bool,
}

/// A running cluster. Dropping it kills all its processes.
#[derive(Debug)]
pub struct Cluster {
    /// By `node.id`: brokers first.
    members: BTreeMap<i32, Member>,
}

impl Cluster {
    /// Starts all processes. They find each other by themselves: see [`Cluster::ready`].
    pub async fn start(setup: ClusterSetup) -> Result<Cluster, ClusterError> {
        let ClusterSetup { brokers, controllers, combined, .. } = setup;
        if controllers == 0 || combined && controllers > brokers {
            return Err(ClusterError::Controllers { controllers, brokers });
        }
        let (mut voters, mut controller_listeners) = (Vec::new(), BTreeMap::new());
        for id in setup.controller_ids() {
            let (listener, endpoint) = bind(&setup.host, 0).await?;
            voters.push(Voter { id, directory_id: Uuid::from_u128(id as u128), endpoint });
            controller_listeners.insert(id, listener);
        }
        let mut members = BTreeMap::new();
        for number in 0..brokers {
            let port = if setup.first_port == 0 { 0 } else { setup.first_port.saturating_add(number) };
            let (listener, endpoint) = bind(&setup.host, port).await?;
            let id = BrokerId::from(number) + 1;
            let broker = broker_setup(&setup, id, endpoint.clone(), &voters);
            let mut listening = vec![Listening { listener, role: Listener::Broker, offered: BROKER_APIS.to_vec() }];
            let voter = voters.iter().find(|voter| voter.id == id);
            let server = match voter.zip(controller_listeners.remove(&id)) {
                Some((voter, listener)) => {
                    listening.push(controller_listening(listener));
                    let controller = controller_setup(&setup, voter, &voters);
                    Server::Combined(Box::new(Combined::new(broker, controller)))
                }
                None => Server::Broker(Box::new(Broker::new(broker))),
            };
            let process = start(&setup, format!("broker-{id}"), server, listening)?;
            members.insert(id, Member { process, endpoint: Some(endpoint), is_controller: voter.is_some() });
        }
        for (voter, listener) in voters.iter().filter_map(|v| Some((v, controller_listeners.remove(&v.id)?))) {
            let node = Controller::new(controller_setup(&setup, voter, &voters));
            let name = format!("controller-{}", voter.id);
            let server = Server::Controller(Box::new(node));
            let process = start(&setup, name, server, vec![controller_listening(listener)])?;
            members.insert(voter.id, Member { process, endpoint: None, is_controller: true });
        }
        Ok(Cluster { members })
    }

    fn brokers(&self) -> impl Iterator<Item = (BrokerId, &Member)> {
        self.members.iter().filter(|(_, member)| member.endpoint.is_some()).map(|(id, member)| (*id, member))
    }
    /// Where the brokers listen: `bootstrap.servers`.
    pub fn bootstrap(&self) -> Vec<Endpoint> {
        self.members.values().filter_map(|member| member.endpoint.clone()).collect()
    }
    /// A process that was not killed yet, by its `node.id`.
    pub fn process(&self, id: i32) -> Option<&Process<Server>> {
        self.members.get(&id).map(|member| &member.process)
    }
    /// `node.id` of the active controller: of those that were not killed and believe so, the one of the highest epoch.
    pub async fn active_controller(&self) -> Option<i32> {
        let mut active = None;
        for (id, member) in self.members.iter().filter(|(_, member)| member.is_controller) {
            let epoch = |server: &Server| server.controller().filter(|c| c.is_active()).map(Controller::epoch);
            if let Ok(Some(epoch)) = member.process.look(epoch).await {
                active = active.max(Some((epoch, *id)));
            }
        }
        active.map(|(_, id)| id)
    }

    /// Waits until every broker is unfenced and knows that all the others are.
    pub async fn ready(&self, patience: Duration) -> Result<(), ClusterError> {
        let until = Instant::now() + patience;
        let all = self.brokers().count();
        for (id, member) in self.brokers() {
            loop {
                let knows_all = move |server: &Server| {
                    server.broker().is_some_and(|broker| {
                        let unfenced = broker.image().brokers.values().filter(|b| !b.fenced).count();
                        broker.lifecycle_state() == LifecycleState::Running && unfenced == all
                    })
                };
                if member.process.look(knows_all).await.map_err(|_| ClusterError::Ended(id))? {
                    break;
                }
                if Instant::now() >= until {
                    return Err(ClusterError::NotReady(id));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Waits until a process ends by itself, and tells its `node.id` and how.
    pub async fn any_end(&mut self) -> (i32, Exit) {
        std::future::poll_fn(|context| {
            for (id, member) in &mut self.members {
                if let Poll::Ready(exit) = member.process.poll_exit(context) {
                    return Poll::Ready((*id, exit));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Kills one process, by its `node.id`. `None` if there is none of that id.
    pub async fn kill_one(&mut self, id: i32) -> Option<Exit> {
        match self.members.remove(&id) {
            Some(member) => Some(member.process.kill().await),
            None => None,
        }
    }

    /// Kills everything. Returns when all ports are free again.
    pub async fn kill(self) {
        for member in self.members.into_values() {
            member.process.kill().await;
        }
    }

    /// Stops the brokers in an orderly way, one after the other, then the controllers that stand alone. A process that
    /// has not stopped within `patience` is killed.
    pub async fn shut_down(self, patience: Duration) -> BTreeMap<i32, Exit> {
        let mut exits = BTreeMap::new();
        for (id, Member { mut process, .. }) in self.members {
            // Its end is the answer.
            drop(process.command(Command::ShutDown));
            let exit = match tokio::time::timeout(patience, process.wait()).await {
                Ok(exit) => exit,
                Err(_) => process.kill().await,
            };
            exits.insert(id, exit);
        }
        exits
    }
}

async fn bind(host: &str, port: u16) -> Result<(TcpListener, Endpoint), ClusterError> {
    let failed = |error| ClusterError::Io { what: format!("listening on {host}:{port}"), error };
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, Endpoint { host: host.to_string(), port }))
}

fn controller_setup(setup: &ClusterSetup, voter: &Voter, voters: &[Voter]) -> ControllerSetup {
    ControllerSetup {
        node_id: voter.id,
        directory_id: voter.directory_id,
        voters: voters.to_vec(),
        endpoint: voter.endpoint.clone(),
        config: setup.config.clone(),
        zoo: Zoo::default(),
        cluster_id: setup.cluster_id.clone(),
    }
}

fn controller_listening(listener: TcpListener) -> Listening {
    let offered = SERVED.into_iter().map(|(key, min, max)| OfferedApi { key, min, max }).collect();
    Listening { listener, role: Listener::Controller, offered }
}

fn broker_setup(setup: &ClusterSetup, id: BrokerId, endpoint: Endpoint, voters: &[Voter]) -> BrokerSetup {
    let controllers = voters.iter().map(|v| ControllerNode { id: v.id, endpoint: v.endpoint.clone() }).collect();
    BrokerSetup {
        node_id: id,
        cluster_id: setup.cluster_id.clone(),
        endpoint,
        rack: None,
        controllers,
        config: setup.config.clone(),
        zoo: Zoo::default(),
    }
}

fn start(
    setup: &ClusterSetup,
    name: String,
    server: Server,
    listening: Vec<Listening>,
) -> Result<Process<Server>, ClusterError> {
    let directory = setup.directory.join(&name);
    let what = directory.display().to_string();
    let process = ProcessSetup { client_id: name.clone(), name, directory: Some(directory), listening };
    Process::start(server, process).map_err(|error| ClusterError::Io { what, error })
}
