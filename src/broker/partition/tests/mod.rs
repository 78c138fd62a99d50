//! Tables: one partition on one broker, rule by rule. Broker 1 is "me"; 2 and 3 follow.

mod high_watermark;
mod in_sync;
mod registration;

use trial_storage::{BuildOptions, Log, LogConfig, NewRecord, Opening, build_batch};
use uuid::Uuid;

use super::Partition;
use super::isr::{IsrMember, IsrState};
use super::leader::{LeaderState, RemoteReplica};
use crate::broker::partition::Role;
use crate::ids::{BrokerId, TopicPartition};
use crate::metadata::{BrokerRegistration, MetadataImage, PartitionRegistration};
use crate::node::{Endpoint, Millis};
use crate::testing::memory_disk::MemoryDisk;
use crate::zoo::Zoo;

const ME: BrokerId = 1;
const MY_EPOCH: i64 = 11;
const LAG_MS: i64 = 30_000;
/// The present, in wall time.
const NOW: Millis = 1_000_000;

fn me() -> IsrMember {
    IsrMember { broker: ME, broker_epoch: MY_EPOCH }
}

/// Brokers 1 to 3, alive, with broker epochs 11 to 13.
fn image() -> MetadataImage {
    let mut image = MetadataImage::default();
    for broker in 1..=3 {
        let registration = BrokerRegistration {
            broker_epoch: 10 + i64::from(broker),
            incarnation: Uuid::from_u128(broker as u128),
            endpoint: Endpoint { host: format!("b{broker}"), port: 9092 },
            rack: None,
            fenced: false,
            in_controlled_shutdown: false,
        };
        image.brokers.insert(broker, registration);
    }
    image
}

fn registration(leader: BrokerId, leader_epoch: i32, partition_epoch: i32, isr: &[BrokerId]) -> PartitionRegistration {
    PartitionRegistration {
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader,
        leader_epoch,
        partition_epoch,
        recovering: false,
        removing_replicas: vec![],
        adding_replicas: vec![],
    }
}

/// A follower that fetched at `log_end_offset` just now, as its present incarnation.
fn remote(broker: BrokerId, log_end_offset: i64) -> RemoteReplica {
    RemoteReplica {
        broker,
        log_end_offset,
        log_start_offset: 0,
        last_fetch_leader_log_end_offset: log_end_offset,
        last_fetch_time: NOW,
        last_caught_up_time: NOW,
        broker_epoch: Some(10 + i64::from(broker)),
    }
}

/// The same, not caught up for longer than the lag.
fn late(broker: BrokerId, log_end_offset: i64) -> RemoteReplica {
    RemoteReplica { last_caught_up_time: NOW - LAG_MS - 1, ..remote(broker, log_end_offset) }
}

struct Room {
    partition: Partition,
    disk: MemoryDisk,
}

impl Room {
    /// A replica whose log holds one-record batches, one per given leader epoch.
    fn with_log(epochs: &[i32], high_watermark: i64) -> Room {
        let mut disk = MemoryDisk::default();
        let (log, _) = Log::open(&mut disk, "orders-0", LogConfig::default(), Opening::Clean).expect("a log");
        let partition = Partition::new(TopicPartition::new(&"orders".into(), 0), Uuid::from_u128(7), log, 0);
        let mut room = Room { partition, disk };
        epochs.iter().for_each(|epoch| room.append(*epoch));
        room.partition.high_watermark = high_watermark;
        room
    }
    fn append(&mut self, leader_epoch: i32) {
        let record = NewRecord { timestamp: NOW, value: Some("v".into()), ..NewRecord::default() };
        let batch = build_batch(&[record], BuildOptions::default());
        self.partition.log.append_as_leader(&mut self.disk, batch, leader_epoch, 0).expect("appended");
    }
    /// A leader in epoch 1 whose log has `log_end_offset` records, all of this reign, with these followers.
    fn leader(log_end_offset: usize, high_watermark: i64, isr: &[BrokerId], remotes: &[RemoteReplica]) -> Room {
        let mut room = Room::with_log(&vec![1; log_end_offset], high_watermark);
        room.partition.leader = ME;
        room.partition.leader_epoch = 1;
        room.partition.partition_epoch = 5;
        room.partition.replicas = vec![1, 2, 3];
        room.partition.role = Role::Leader(LeaderState {
            epoch_start_offset: 0,
            isr: IsrState::Committed { isr: isr.to_vec() },
            remotes: remotes.to_vec(),
        });
        room
    }
    fn state(&mut self) -> &mut LeaderState {
        match &mut self.partition.role {
            Role::Leader(state) => state,
            Role::Follower => panic!("it follows"),
        }
    }
    fn apply(&mut self, registration: &PartitionRegistration) -> super::RoleChange {
        self.partition
            .apply_registration(ME, registration, NOW, Zoo::default(), &mut self.disk)
            .expect("the disk works")
    }
}
