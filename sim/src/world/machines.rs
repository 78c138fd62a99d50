//! The machines of a scenario before any of them is started.

use trial_kafka::broker::{Broker, BrokerSetup};
use trial_kafka::client::{Client, ClientSetup, Role};
use trial_kafka::combined::Combined;
use trial_kafka::controller::{Controller, ControllerSetup, Voter};
use trial_kafka::ids::ControllerNode;
use trial_kafka::node::{Endpoint, Listener};
use uuid::Uuid;

use super::final_read::reader_config;
use super::slot::{SimNode, Slot};
use crate::disk::VirtualDisk;
use crate::scenario::{Cluster, DiskModel, Scenario};

/// Where brokers listen.
const BROKER_PORT: u16 = 9092;
/// Where controllers listen.
const CONTROLLER_PORT: u16 = 9093;

/// `bootstrap.servers` of every client, and where brokers listen.
pub(super) fn bootstrap_of(scenario: &Scenario) -> Vec<Endpoint> {
    scenario.cluster.broker_ids().map(|n| Endpoint { host: format!("b{n}"), port: BROKER_PORT }).collect()
}

/// Which listener of a machine is dialed there.
pub(super) fn listener_of(endpoint: &Endpoint) -> Listener {
    if endpoint.port == CONTROLLER_PORT { Listener::Controller } else { Listener::Broker }
}

/// `node.id` and name of the n-th controller, counted from 1.
pub(crate) fn controller_of(cluster: &Cluster, n: u32) -> (i32, String) {
    if cluster.combined { (n as i32, format!("b{n}")) } else { (3_000 + n as i32, format!("c{n}")) }
}

/// The n-th controller, counted from 1, as a voter of the quorum: a machine of its own, or the n-th broker's process.
fn voter(cluster: &Cluster, n: u32) -> Voter {
    let (id, host) = controller_of(cluster, n);
    Voter { id, directory_id: directory_id(id, 0), endpoint: Endpoint { host, port: CONTROLLER_PORT } }
}

/// The directory id of a controller's disk: another one each time an operator formats it.
pub(super) fn directory_id(controller: i32, formatted: u32) -> Uuid {
    Uuid::from_u128(u128::from(formatted) << 64 | controller as u128)
}

/// A new disk.
pub(super) fn disk_of(model: &DiskModel) -> VirtualDisk {
    let mut disk = VirtualDisk::new(None);
    disk.set_sync_latency((model.sync.min + model.sync.max) / 2);
    disk.set_write_back_age(model.writeback);
    disk
}

/// The cluster's machines, none started: controllers, brokers, producers, consumers, the admin, the final reader. With
/// combined roles there are no controllers of their own: the first brokers' processes are controllers too.
pub(super) fn slots_of(scenario: &Scenario) -> Vec<Slot> {
    let cluster = &scenario.cluster;
    let cluster_id = "trial".to_string();
    let voters: Vec<Voter> = (1..=cluster.controllers).map(|n| voter(cluster, n)).collect();
    let controllers: Vec<ControllerNode> =
        voters.iter().map(|voter| ControllerNode { id: voter.id, endpoint: voter.endpoint.clone() }).collect();
    let bootstrap = bootstrap_of(scenario);
    let controller = |voter: &Voter| ControllerSetup {
        node_id: voter.id,
        directory_id: voter.directory_id,
        voters: voters.clone(),
        endpoint: voter.endpoint.clone(),
        config: cluster.server_config(),
        zoo: scenario.zoo,
        cluster_id: cluster_id.clone(),
    };
    let mut slots = Vec::new();
    for (n, voter) in (1..).zip(&voters).filter(|_| !cluster.combined) {
        slots.push(Slot::new(format!("c{n}"), SimNode::Controller(Box::new(Controller::new(controller(voter))))));
    }
    for (id, endpoint) in cluster.broker_ids().zip(&bootstrap) {
        let setup = BrokerSetup {
            node_id: id,
            cluster_id: cluster_id.clone(),
            endpoint: endpoint.clone(),
            rack: cluster.rack_of(id).map(str::to_string),
            controllers: controllers.clone(),
            config: cluster.server_config(),
            zoo: scenario.zoo,
        };
        let node = match voters.iter().find(|voter| voter.id == id) {
            Some(voter) => SimNode::Combined(Box::new(Combined::new(setup, controller(voter)))),
            None => SimNode::Broker(Box::new(Broker::new(setup))),
        };
        slots.push(Slot::new(format!("b{id}"), node));
    }
    let mut client = |name: String, role: Role| {
        let setup = ClientSetup { client_id: name.clone(), bootstrap: bootstrap.clone(), role, zoo: scenario.zoo };
        slots.push(Slot::new(name, SimNode::Client(Box::new(Client::new(setup)))));
    };
    let mut number = 0;
    for spec in &scenario.producers {
        for _ in 0..spec.count {
            number += 1;
            client(format!("p{number}"), Role::Producer(spec.config.clone()));
        }
    }
    number = 0;
    for spec in &scenario.consumers {
        for nth in 0..spec.count {
            number += 1;
            client(format!("k{number}"), Role::Consumer(spec.config_of(nth)));
        }
    }
    client("admin".to_string(), Role::Admin { request_timeout_ms: 5_000 });
    client("reader".to_string(), Role::Consumer(reader_config()));
    slots.iter_mut().for_each(|slot| slot.disk = disk_of(&scenario.disk));
    slots
}
