//! The brokers: what the controller holds of each, and how far each has come itself.

use serde::Serialize;

use super::{lifecycle_name, power_name};
use crate::trace::NodeIx;
use crate::world::World;

/// One broker. What the controller holds of it is `None` as long as it is not registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokerDescription {
    /// Its node id.
    pub id: i32,
    /// The controller: the epoch of its registration.
    pub broker_epoch: Option<i64>,
    /// The controller: is it fenced?
    pub fenced: Option<bool>,
    /// The controller: is it in controlled shutdown?
    pub in_controlled_shutdown: Option<bool>,
    /// The controller: its rack.
    pub rack: Option<String>,
    /// The controller: where it is reached.
    pub endpoint: Option<String>,
    /// `running`, `paused`, `dead` (the process) or `off` (the machine).
    pub state: &'static str,
    /// Where it takes itself to stand.
    pub lifecycle: &'static str,
    /// The last metadata offset it has replayed, -1 for none. Of a broker that is down: when it went down.
    pub metadata_offset: i64,
}

/// All brokers of the scenario, registered or not, in order of their ids.
pub fn brokers(world: &World) -> Vec<BrokerDescription> {
    let image = world.controller_image();
    let nodes = (0..world.node_count()).map(|ix| NodeIx(ix as u32));
    let brokers = nodes.filter_map(|ix| Some((ix, world.broker_at(ix)?)));
    let mut described: Vec<BrokerDescription> = brokers
        .map(|(ix, broker)| {
            let registered = image.and_then(|image| image.brokers.get(&broker.node_id()));
            BrokerDescription {
                id: broker.node_id(),
                broker_epoch: registered.map(|r| r.broker_epoch),
                fenced: registered.map(|r| r.fenced),
                in_controlled_shutdown: registered.map(|r| r.in_controlled_shutdown),
                rack: registered.and_then(|r| r.rack.clone()),
                endpoint: registered.map(|r| format!("{}:{}", r.endpoint.host, r.endpoint.port)),
                state: power_name(world.power(ix)),
                lifecycle: lifecycle_name(broker.lifecycle_state()),
                metadata_offset: broker.image().next_offset - 1,
            }
        })
        .collect();
    described.sort_by_key(|broker| broker.id);
    described
}
