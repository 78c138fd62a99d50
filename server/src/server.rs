//! What a process of a cluster is, by its `process.roles`.

use trial_kafka::broker::Broker;
use trial_kafka::combined::Combined;
use trial_kafka::controller::Controller;
use trial_kafka::node::{Effects, Input, Lane, Nanos, Node, Now};
use trial_storage::Disk;

/// A node of a cluster.
#[derive(Clone, Debug)]
pub enum Server {
    /// `process.roles=broker`.
    Broker(Box<Broker>),
    /// `process.roles=controller`.
    Controller(Box<Controller>),
    /// `process.roles=broker,controller`.
    Combined(Box<Combined>),
}

impl Server {
    /// Its broker, if it has that role.
    pub fn broker(&self) -> Option<&Broker> {
        match self {
            Server::Broker(broker) => Some(broker),
            Server::Combined(process) => Some(process.broker()),
            Server::Controller(_) => None,
        }
    }
    /// Its controller, if it has that role.
    pub fn controller(&self) -> Option<&Controller> {
        match self {
            Server::Controller(controller) => Some(controller),
            Server::Combined(process) => Some(process.controller()),
            Server::Broker(_) => None,
        }
    }
}

impl Node for Server {
    fn lane(&self, input: &Input) -> Lane {
        match self {
            Server::Broker(node) => node.lane(input),
            Server::Controller(node) => node.lane(input),
            Server::Combined(node) => node.lane(input),
        }
    }
    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match self {
            Server::Broker(node) => node.handle(now, input, disk, fx),
            Server::Controller(node) => node.handle(now, input, disk, fx),
            Server::Combined(node) => node.handle(now, input, disk, fx),
        }
    }
    fn next_deadline(&self) -> Option<Nanos> {
        match self {
            Server::Broker(node) => node.next_deadline(),
            Server::Controller(node) => node.next_deadline(),
            Server::Combined(node) => node.next_deadline(),
        }
    }
}
