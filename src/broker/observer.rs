//! The metadata observer: fetches the committed metadata log from the active controller and replays it in order.
//!
//! A broker is an observer of the quorum (KIP-595): it fetches `__cluster_metadata` with no voter's rights, keeps the
//! records it got, and applies them to its image, in its own lane and time. Source: `KafkaRaftClient`,
//! `BrokerMetadataPublisher`. This model keeps no copy of the metadata log on the broker's disk: a restarted broker
//! fetches it from the start.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, RequestKind, ResponseKind};
use trial_storage::{Batches, Disk, records};

use super::controller_link::ControllerLink;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::metadata::{METADATA_TOPIC_ID, MetadataImage, MetadataRecord};
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ms};
use crate::protocol::versions;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    link: ControllerLink<()>,
    /// Next offset to fetch.
    fetch_offset: i64,
    /// Leader epoch of the last record fetched, 0 before the first.
    last_fetched_epoch: i32,
    /// Epoch of the quorum as far as known; a controller that refuses tells the right one.
    quorum_epoch: i32,
    started: bool,
    not_before: Nanos,
}

impl Observer {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        let timeout = setup.config.controller_quorum_fetch_timeout_ms.max(1);
        Observer {
            link: ControllerLink::new(&setup.controllers, Purpose::Raft, timeout),
            fetch_offset: 0,
            last_fetched_epoch: 0,
            quorum_epoch: 0,
            started: false,
            not_before: 0,
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }
    pub(super) fn start(&mut self) {
        self.started = true;
    }
    pub(super) fn stop(&mut self) {
        self.started = false;
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        if !self.started {
            return None;
        }
        self.link.next_deadline().or_else(|| (self.link.calls_in_flight() == 0).then_some(self.not_before))
    }

    /// Takes the quorum's epoch from an answer. True if it was news.
    fn learn_epoch(&mut self, data: &PartitionData) -> bool {
        let told = data.current_leader.leader_epoch;
        let is_news = told > self.quorum_epoch;
        self.quorum_epoch = self.quorum_epoch.max(told);
        is_news
    }

    fn request(&self, broker: i32) -> RequestKind {
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(self.quorum_epoch)
            .with_fetch_offset(self.fetch_offset)
            .with_last_fetched_epoch(self.last_fetched_epoch)
            .with_log_start_offset(0)
            .with_partition_max_bytes(8 << 20);
        let topic = FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition]);
        RequestKind::Fetch(
            FetchRequest::default()
                .with_replica_state(ReplicaState::default().with_replica_id(broker.into()).with_replica_epoch(-1))
                .with_max_wait_ms(500)
                .with_min_bytes(1)
                .with_max_bytes(8 << 20)
                .with_topics(vec![topic]),
        )
    }
}

impl Broker {
    pub(super) fn on_observer_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(ChannelEvent::Ended(..)) = self.observer.link.on_deadline(now.mono, fx) {
            self.observer.not_before = now.mono;
        }
        self.run_observer(now, fx);
    }

    pub(super) fn on_observer_input(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if let ChannelEvent::Response(response, ()) = self.observer.link.on_input(now.mono, input, fx)
            && let ResponseKind::Fetch(response) = *response
        {
            let data = response.responses.into_iter().flat_map(|t| t.partitions).next();
            let learnt = data.as_ref().is_some_and(|data| self.observer.learn_epoch(data));
            let served = response.error_code == 0 && data.is_some_and(|data| self.on_metadata(now, &data, disk, fx));
            if !served && !learnt {
                self.observer.not_before = now.mono + ms(self.setup.config.replica_fetch_backoff_ms / 10);
                self.observer.link.turn(fx);
            }
        }
        self.run_observer(now, fx);
    }

    /// Fetches on, if nothing is in flight.
    pub(super) fn run_observer(&mut self, now: Now, fx: &mut Effects<'_>) {
        let observer = &mut self.observer;
        if !observer.started || observer.link.calls_in_flight() > 0 || observer.not_before > now.mono {
            return;
        }
        if observer.link.connect(now.mono, fx) {
            let request = observer.request(self.setup.node_id);
            observer.link.call(now.mono, fx, versions::FETCH, request, ());
        }
    }

    /// Replays what came. False if the controller could not serve.
    fn on_metadata(&mut self, now: Now, data: &PartitionData, disk: &mut dyn Disk, fx: &mut Effects<'_>) -> bool {
        if data.error_code == ResponseError::OffsetOutOfRange.code() || data.diverging_epoch.end_offset >= 0 {
            // Observers only get committed records, so a log that lacks them is another cluster's.
            fx.halt("the metadata log of the controller does not contain what this broker has replayed".to_string());
            return true;
        }
        if data.error_code != 0 {
            return false;
        }
        let before = if self.published { self.image.clone() } else { MetadataImage::default() };
        let Some(bytes) = data.records.clone().filter(|b| !b.is_empty()) else { return true };
        fx.charge(2_000 + bytes.len() as u64);
        if let Err(why) = self.replay(bytes) {
            fx.halt(format!("metadata cannot be replayed: {why}"));
            return true;
        }
        if self.published {
            self.publish_metadata(now, &before, disk, fx);
        } else {
            self.publish_first(now, disk, fx);
        }
        true
    }

    /// A broker acts on metadata only once it is registered and has replayed up to its own registration
    /// (`BrokerServer.startup`, `initialCatchUpFuture`): what the log says before that was meant for its predecessor,
    /// which may have led in an epoch that this incarnation, with less in its log, must not lead in.
    pub(super) fn publish_first(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let caught_up = self.broker_epoch().is_some_and(|epoch| self.image.next_offset > epoch);
        if !self.published && caught_up {
            self.published = true;
            self.publish_metadata(now, &MetadataImage::default(), disk, fx);
            // `BrokerLifecycleManager.setReadyToUnfence`.
            self.lifecycle.hurry(now.mono);
            self.run_lifecycle(now, fx);
        }
    }

    fn replay(&mut self, bytes: Bytes) -> Result<(), String> {
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|e| e.to_string())?;
            if batch.header.last_offset() < self.observer.fetch_offset {
                continue;
            }
            if !batch.header.is_control() {
                for record in records(&batch.bytes).map_err(|e| e.to_string())? {
                    apply_if_new(&mut self.image, record.offset, record.value.as_deref().unwrap_or_default())?;
                }
            }
            self.observer.fetch_offset = batch.header.last_offset() + 1;
            self.observer.last_fetched_epoch = batch.header.partition_leader_epoch;
            // Control batches carry no metadata, but the image has seen their offsets.
            self.image.next_offset = self.observer.fetch_offset;
        }
        Ok(())
    }
}

fn apply_if_new(image: &mut MetadataImage, offset: i64, value: &[u8]) -> Result<(), String> {
    if offset < image.next_offset {
        return Ok(());
    }
    let record = MetadataRecord::decode(value).map_err(|e| e.to_string())?;
    image.apply(offset, &record);
    Ok(())
}
