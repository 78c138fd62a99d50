//! Where the replicas of a new topic go. Source of the idea: `StripedReplicaPlacer` (KIP-631).
//!
//! Replicas go round the racks, and round the brokers inside each rack; each further partition starts one rack and one
//! broker later, which spreads leaders and their followers. A partition's first replica, its leader, is on an unfenced
//! broker; fenced brokers come last. Where the stripes start is random.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use crate::ids::BrokerId;
use crate::metadata::MetadataImage;

/// A rack's brokers, each list in rising order.
#[derive(Clone, Debug, Default)]
struct Rack {
    unfenced: Vec<BrokerId>,
    fenced: Vec<BrokerId>,
}

/// The brokers that may be given replicas: all that are registered and not shutting down.
#[derive(Clone, Debug)]
pub struct Placer {
    racks: Vec<Rack>,
    /// Where the first stripe starts: among the racks, and within each.
    start: (usize, usize),
    placed: usize,
}

impl Placer {
    /// `random_below(n)` gives a number below `n`, which is at least 1.
    pub fn new(image: &MetadataImage, mut random_below: impl FnMut(u64) -> u64) -> Self {
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for (id, broker) in image.brokers.iter().filter(|(_, broker)| !broker.in_controlled_shutdown) {
            let rack = racks.entry(broker.rack.as_deref()).or_default();
            if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced }.push(*id);
        }
        let racks: Vec<Rack> = racks.into_values().collect();
        let brokers: usize = racks.iter().map(|r| r.unfenced.len() + r.fenced.len()).sum();
        let first_rack = random_below(racks.len().max(1) as u64) as usize;
        let first_broker = random_below(brokers.max(1) as u64) as usize;
        Placer { racks, start: (first_rack, first_broker), placed: 0 }
    }

    /// Can partitions of this replication factor be placed at all?
    /// Source: `StripedReplicaPlacer.place`.
    pub fn check(&self, replication_factor: usize) -> Result<(), ResponseError> {
        let brokers: usize = self.racks.iter().map(|r| r.unfenced.len() + r.fenced.len()).sum();
        let nobody_can_lead = self.racks.iter().all(|rack| rack.unfenced.is_empty());
        if replication_factor == 0 || replication_factor > brokers || nobody_can_lead {
            return Err(ResponseError::InvalidReplicationFactor);
        }
        Ok(())
    }

    /// The replicas of the next partition, its leader first. [`Self::check`] must have passed.
    pub fn place(&mut self, replication_factor: usize) -> Vec<BrokerId> {
        let racks = self.racks.len().max(1);
        // One broker later each time, and one more after each round of the racks, or a rack whose size divides the
        // number of racks would always lead with the same broker.
        let first_broker = self.start.1 + self.placed % racks + self.placed / racks;
        let first_rack = (self.start.0 + self.placed) % racks;
        self.placed += 1;
        let mut orders: Vec<Vec<BrokerId>> = self.racks.iter().map(|rack| rack.order(first_broker)).collect();
        let mut replicas = Vec::with_capacity(replication_factor);
        // The leader: the first rack in turn that has an unfenced broker. Each order starts with the unfenced ones.
        let can_lead = |rack: &usize| self.racks.get(*rack).is_some_and(|rack| !rack.unfenced.is_empty());
        if let Some(rack) = (0..racks).map(|i| (first_rack + i) % racks).find(can_lead) {
            replicas.push(orders[rack].remove(0));
            let mut rack = rack;
            while replicas.len() < replication_factor && orders.iter().any(|order| !order.is_empty()) {
                rack = (rack + 1) % racks;
                if !orders[rack].is_empty() {
                    replicas.push(orders[rack].remove(0));
                }
            }
        }
        replicas
    }
}

impl Rack {
    /// Unfenced brokers from `start` on, then fenced ones likewise.
    fn order(&self, start: usize) -> Vec<BrokerId> {
        let rotated = |brokers: &[BrokerId]| {
            let mut brokers = brokers.to_vec();
            if !brokers.is_empty() {
                let by = start % brokers.len();
                brokers.rotate_left(by);
            }
            brokers
        };
        [rotated(&self.unfenced), rotated(&self.fenced)].concat()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::metadata::BrokerRegistration;
    use crate::node::Endpoint;

    fn image(brokers: &[(BrokerId, Option<&str>, bool)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (id, rack, fenced) in brokers {
            let registration = BrokerRegistration {
                broker_epoch: 0,
                incarnation: Uuid::nil(),
                endpoint: Endpoint { host: String::new(), port: 0 },
                rack: rack.map(str::to_string),
                fenced: *fenced,
                in_controlled_shutdown: false,
            };
            image.brokers.insert(*id, registration);
        }
        image
    }

    #[test]
    fn leaders_and_followers_go_round_the_brokers() {
        let mut placer = Placer::new(&image(&[(1, None, false), (2, None, false), (3, None, false)]), |_| 0);
        let placed: Vec<_> = (0..4).map(|_| placer.place(3)).collect();
        assert_eq!(placed, [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
    }

    #[test]
    fn racks_come_first() {
        let brokers = [(1, Some("a"), false), (2, Some("a"), false), (3, Some("b"), false), (4, Some("c"), false)];
        let mut placer = Placer::new(&image(&brokers), |_| 0);
        for _ in 0..12 {
            let replicas = placer.place(3);
            let in_rack_a = replicas.iter().filter(|b| **b <= 2).count();
            assert_eq!(in_rack_a, 1, "{replicas:?}");
        }
    }

    #[test]
    fn every_broker_leads_when_racks_and_brokers_have_the_same_number() {
        let brokers = [(1, Some("a"), false), (2, Some("a"), false), (3, Some("b"), false), (4, Some("b"), false)];
        let mut placer = Placer::new(&image(&brokers), |_| 0);
        let mut leaders: Vec<_> = (0..4).map(|_| placer.place(2)[0]).collect();
        leaders.sort();
        assert_eq!(leaders, [1, 2, 3, 4]);
    }

    #[test]
    fn a_fenced_broker_follows_but_never_leads() {
        let mut placer = Placer::new(&image(&[(1, None, true), (2, None, false), (3, None, false)]), |_| 0);
        for _ in 0..6 {
            let replicas = placer.place(3);
            assert_eq!(replicas.last(), Some(&1), "{replicas:?}");
        }
        assert!(Placer::new(&image(&[(1, None, true)]), |_| 0).check(1).is_err());
        assert!(Placer::new(&image(&[(1, None, false)]), |_| 0).check(2).is_err());
    }
}
