//! The cluster as a test of an application sees it: clients for the application, faults for the test.

use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::Handle;
use trial_kafka::client::Role;
use trial_kafka::config::{ConsumerConfig, ProducerConfig};
use trial_kafka::ids::{NO_BROKER, Topic, TopicPartition};
use trial_kafka::node::Nanos;
use trial_sim::fault::FaultKind;
use trial_sim::scenario::{self, Scenario};
use trial_sim::trace::NodeIx;
use trial_sim::world::{ExternalInput, Sink, World};

use crate::admin::AdminClient;
use crate::client::Client;
use crate::consumer::Consumer;
use crate::error::TrialError;
use crate::producer::Producer;
use crate::recording::{Diverged, Recording};
use crate::shared::Shared;

/// A simulated cluster that runs on madsim's clock. Clones are handles to the same cluster; it stops with the last of them
/// and of its clients.
#[derive(Clone)]
pub struct TrialCluster {
    shared: Arc<Shared>,
}

impl TrialCluster {
    /// A built-in scenario with the application in the place of its producers and consumers: its cluster, topics, network,
    /// disks and faults. Ready when its warm-up is over: every broker has registered, the topics exist.
    pub async fn from_scenario(name: &str) -> Result<Self, TrialError> {
        let known = scenario::builtin();
        let Some((name, text)) = known.iter().find(|(known, _)| *known == name) else {
            let known = known.iter().map(|(name, _)| (*name).to_string()).collect();
            return Err(TrialError::NoSuchScenario { name: name.to_string(), known });
        };
        Self::from_toml(name, text).await
    }

    /// As [`Self::from_scenario`], from the text of a scenario file.
    pub async fn from_toml(name: &str, text: &str) -> Result<Self, TrialError> {
        let mut scenario = scenario::parse(&format!("{name}.toml"), text, &[]).map_err(TrialError::Scenario)?;
        scenario.producers.clear();
        scenario.consumers.clear();
        let cluster = Self::new(Arc::new(scenario));
        cluster.warmed_up().await;
        Ok(cluster)
    }

    /// Starts a scenario just as it says, its own producers and consumers included, with the seed of madsim's runtime. Its
    /// run does not end.
    ///
    /// # Panics
    ///
    /// Outside madsim, as all of madsim does.
    pub fn new(scenario: Arc<Scenario>) -> Self {
        Self::with_seed(scenario, Handle::current().seed())
    }

    /// As [`Self::new`], with a seed of its own for the cluster.
    pub fn with_seed(scenario: Arc<Scenario>, seed: u64) -> Self {
        TrialCluster { shared: Shared::start(scenario, seed) }
    }

    /// Waits until the scenario's warm-up is over.
    pub async fn warmed_up(&self) {
        let left = self.shared.scenario.phases.warm_up.saturating_sub(self.now());
        if left > 0 {
            madsim::time::sleep(Duration::from_nanos(left)).await;
        }
    }

    /// A producer of its own, as from a process of its own.
    pub fn producer(&self, config: ProducerConfig) -> Producer {
        Producer::new(Client::new(&self.shared, Role::Producer(config)))
    }
    /// A consumer of its own, as from a process of its own.
    pub fn consumer(&self, config: ConsumerConfig) -> Consumer {
        Consumer::new(Client::new(&self.shared, Role::Consumer(config)))
    }
    /// An admin client of its own.
    pub fn admin(&self) -> AdminClient {
        AdminClient::new(Client::new(&self.shared, Role::Admin { request_timeout_ms: 5_000 }))
    }

    /// The partitions of a topic by the controller's log; none if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Vec<TopicPartition> {
        let name = Topic::new(topic);
        self.look(|world| {
            let count = world.controller_image().and_then(|image| image.topic(topic)).map_or(0, |t| t.partitions.len());
            (0..count as i32).map(|index| TopicPartition::new(&name, index)).collect()
        })
    }
    /// The node that leads a partition by the controller's log: `b1`.
    pub fn leader(&self, partition: &TopicPartition) -> Option<String> {
        self.look(|world| {
            let topic = world.controller_image()?.topic(partition.topic.as_str())?;
            let leader = topic.partitions.get(usize::try_from(partition.partition).ok()?)?.leader;
            (leader != NO_BROKER).then(|| format!("b{leader}"))
        })
    }

    /// The node whose controller is active: `c1`, or with combined roles `b1`.
    pub fn active_controller(&self) -> Option<String> {
        self.look(|world| world.active_controller().map(|(node, _)| world.node_name(node).to_string()))
    }

    /// The process of this node dies; its page cache stays. `b1` is a broker, `c1` a controller, `a1` the application's
    /// first client. One that is dead stays so.
    pub fn crash(&self, node: &str) -> Result<(), TrialError> {
        self.fault(node, FaultKind::Crash { restart_after: None })
    }
    /// Starts a dead node again, on the disk it left.
    pub fn restart(&self, node: &str) -> Result<(), TrialError> {
        let node = self.node(node)?;
        self.shared.external(ExternalInput::Restart { node });
        Ok(())
    }
    /// Anything else that may go wrong, as in scenario files.
    pub fn fault(&self, node: &str, kind: FaultKind) -> Result<(), TrialError> {
        let node = self.node(node)?;
        self.shared.external(ExternalInput::Fault { node, kind });
        Ok(())
    }
    /// Ends what lasts, starts what is dead, sets clocks right. Faults of the scenario that are still to come do not.
    pub fn heal(&self) {
        self.shared.external(ExternalInput::Heal);
    }

    /// The cluster's virtual time.
    pub fn now(&self) -> Nanos {
        self.look(World::now)
    }
    /// The digest of all events so far: equal for equal runs.
    pub fn digest(&self) -> String {
        self.look(World::digest)
    }
    /// Looks into the World as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.look(look)
    }
    /// Shows every step from now on to a sink, instead of to the one before it.
    pub fn watch(&self, sink: impl Sink + Send + 'static) {
        self.shared.watch(Box::new(sink));
    }
    /// The run so far as a plain value that replays without application and madsim.
    pub fn recording(&self) -> Recording {
        self.shared.recording()
    }
    /// Replays the run so far in a fresh World, which must come to the same digest, and gives that World.
    pub fn replay(&self) -> Result<World, Diverged> {
        self.recording().replay()
    }

    fn node(&self, name: &str) -> Result<NodeIx, TrialError> {
        self.look(|world| {
            world.node_named(name).ok_or_else(|| TrialError::NoSuchNode {
                name: name.to_string(),
                known: (0..world.node_count()).map(|n| world.node_name(NodeIx(n as u32)).to_string()).collect(),
            })
        })
    }
}

impl std::fmt::Debug for TrialCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrialCluster")
            .field("scenario", &self.shared.scenario.name)
            .field("seed", &self.shared.seed)
            .finish_non_exhaustive()
    }
}
