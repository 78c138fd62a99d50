//! The metadata observer: fetches the committed metadata log from the active controller and replays it in order.
//!
//! A broker is an observer of the quorum (KIP-595): it fetches `__cluster_metadata` with no voter's rights, keeps the
//! records it got, and applies them to its image, in its own lane and time. Source: `KafkaRaftClient`
//! (`pollUnattachedAsObserver`, `pollFollowerAsObserver`), `BrokerMetadataPublisher`.
//!
//! ```text
//!   no leader known ─▶ a bootstrap controller ─ not the leader: who is? ─▶ next one, or the leader it names
//!   leader known ────▶ the leader ─ silent, gone, not the leader ─▶ a bootstrap controller, and so on
//! ```
//!
//! This model keeps no copy of the metadata log on the broker's disk: a restarted broker fetches it from the start, or
//! takes the leader's snapshot first.

mod snapshot;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestKind, ResponseKind};
use trial_storage::{Batches, Disk, records};
use uuid::Uuid;

use super::leader_view::LeaderView;
use super::{Broker, BrokerSetup};
use crate::client::{Channel, ChannelEvent, ChannelTimeouts};
use crate::conformance::QuorumRule;
use crate::metadata::snapshot::SnapshotFetch;
use crate::metadata::{METADATA_TOPIC_ID, MetadataImage, MetadataRecord};
use crate::node::{ConnId, Effects, Endpoint, Input, Nanos, Now, Purpose, RandomFor, ms};
use crate::protocol::versions;

/// The replica id of a client that is no replica.
const ONLY_LOOKS: i32 = -1;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    pub(super) view: LeaderView,
    /// To whom it fetches, or last did.
    channel: Option<Channel<()>>,
    timeouts: ChannelTimeouts,
    fetch_timeout: Nanos,
    retry_backoff: Nanos,
    /// The known leader is trusted until then: so long after it was learnt, or last served.
    trusts_leader_until: Nanos,
    /// Which bootstrap controller to ask next; random at first.
    next_bootstrap: Option<usize>,
    /// Next offset to fetch.
    fetch_offset: i64,
    /// Leader epoch of the last record fetched, 0 before the first.
    last_fetched_epoch: i32,
    /// The snapshot it fetches in place of the log.
    snapshot: Option<SnapshotFetch>,
    started: bool,
    not_before: Nanos,
}

impl Observer {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        let timeout = setup.config.controller_quorum_fetch_timeout_ms.max(1);
        let timeouts = ChannelTimeouts {
            request_timeout_ms: timeout,
            connection_setup_timeout_ms: timeout,
            ..ChannelTimeouts::default()
        };
        Observer {
            view: LeaderView::new(&setup.controllers),
            channel: None,
            timeouts,
            fetch_timeout: ms(timeout),
            retry_backoff: ms(setup.config.controller_quorum_retry_backoff_ms.max(1)),
            trusts_leader_until: 0,
            next_bootstrap: None,
            fetch_offset: 0,
            last_fetched_epoch: 0,
            snapshot: None,
            started: false,
            not_before: 0,
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.channel.as_ref().is_some_and(|channel| channel.owns(conn))
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
        let Some(channel) = &self.channel else { return Some(self.not_before) };
        channel.next_deadline().or_else(|| (channel.calls_in_flight() == 0).then_some(self.not_before))
    }

    /// Whom to fetch from after one did not serve: the leader, unless it is that one or has been silent for too long;
    /// else the bootstrap controllers in turn. Source: `KafkaRaftClient.maybeSendFetchToBestNode`,
    /// `RequestManager.findReadyBootstrapServer`.
    fn best_node(&mut self, now: Nanos, not_leader: bool, fx: &mut Effects<'_>) -> Option<Endpoint> {
        let trusted = self.view.leader().filter(|_| !not_leader && now < self.trusts_leader_until);
        if let Some(leader) = trusted {
            return Some(leader.endpoint.clone());
        }
        let bootstrap = self.view.bootstrap();
        if bootstrap.is_empty() {
            return None;
        }
        let turn = match self.next_bootstrap {
            Some(turn) => turn,
            None => fx.random_below(RandomFor::Backoff, bootstrap.len() as u64) as usize,
        };
        self.next_bootstrap = Some((turn + 1) % bootstrap.len());
        Some(bootstrap[turn].endpoint.clone())
    }

    /// Fetches from that one from now on. A connection to another is given up.
    fn turn_to(&mut self, endpoint: Option<Endpoint>, fx: &mut Effects<'_>) {
        let Some(endpoint) = endpoint else { return };
        if let Some(channel) = &mut self.channel {
            if *channel.endpoint() == endpoint {
                return;
            }
            channel.close(fx);
        }
        self.channel = Some(Channel::new(endpoint, Purpose::Raft, self.timeouts));
    }

    /// The one it fetched from did not serve: another, after a short pause.
    fn turn_away(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        self.not_before = now + self.retry_backoff;
        let asked = self.channel.as_ref().map(Channel::endpoint);
        let not_leader = self.view.leader().is_some_and(|leader| Some(&leader.endpoint) == asked);
        let next = self.best_node(now, not_leader, fx);
        self.turn_to(next, fx);
    }

    /// Takes leader and epoch from an answer, and turns to a leader it did not know.
    fn learn_leader(
        &mut self,
        now: Nanos,
        response: &FetchResponse,
        data: &PartitionData,
        fx: &mut Effects<'_>,
    ) -> bool {
        if !self.view.learn(response, data) {
            return false;
        }
        self.turn_to_leader(now, fx);
        self.view.leader().is_some()
    }

    /// Fetches from a leader it has just heard of.
    fn turn_to_leader(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        if let Some(leader) = self.view.leader() {
            self.trusts_leader_until = now + self.fetch_timeout;
            let endpoint = leader.endpoint.clone();
            self.turn_to(Some(endpoint), fx);
        }
    }

    /// As whom it fetches. In a process that is a voter too, the replica by this node id is the controller's log: what the
    /// broker has fetched says nothing of that log, and must not count for it. So it fetches as one that only looks. In
    /// Kafka the two have one raft client between them, and the broker fetches nothing. Source: `SharedServer.raftManager`.
    fn replica_id(&self, broker: i32) -> i32 {
        let is_voter_too = self.view.bootstrap().iter().any(|controller| controller.id == broker);
        if is_voter_too { ONLY_LOOKS } else { broker }
    }

    fn request(&self, broker: i32) -> (i16, RequestKind) {
        if let Some(snapshot) = &self.snapshot {
            let request = snapshot.request(None, self.replica_id(broker), Uuid::nil(), self.view.epoch());
            return (versions::FETCH_SNAPSHOT, RequestKind::FetchSnapshot(request));
        }
        let partition = FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(self.view.epoch())
            .with_fetch_offset(self.fetch_offset)
            .with_last_fetched_epoch(self.last_fetched_epoch)
            .with_log_start_offset(0)
            .with_partition_max_bytes(8 << 20);
        let topic = FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_state(
                ReplicaState::default().with_replica_id(self.replica_id(broker).into()).with_replica_epoch(-1),
            )
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(8 << 20)
            .with_topics(vec![topic]);
        (versions::FETCH, RequestKind::Fetch(request))
    }
}

impl Broker {
    pub(super) fn on_observer_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        let channel = self.observer.channel.as_mut();
        if let Some(ChannelEvent::Ended(..)) = channel.and_then(|channel| channel.on_deadline(now.mono, fx)) {
            self.observer.turn_away(now.mono, fx);
        }
        self.run_observer(now, fx);
    }

    pub(super) fn on_observer_input(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let Some(channel) = &mut self.observer.channel else { return };
        match channel.on_input(now.mono, input, fx) {
            ChannelEvent::Response(response, ()) => match *response {
                ResponseKind::Fetch(response) => self.on_metadata_fetched(now, response, disk, fx),
                ResponseKind::FetchSnapshot(response) => self.on_snapshot_fetched(now, &response, disk, fx),
                _ => {}
            },
            ChannelEvent::Ended(..) => self.observer.turn_away(now.mono, fx),
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
        self.run_observer(now, fx);
    }

    /// Source: `KafkaRaftClient.handleFetchResponse`.
    fn on_metadata_fetched(
        &mut self,
        now: Now,
        mut response: FetchResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let data = response.responses.iter_mut().flat_map(|topic| std::mem::take(&mut topic.partitions)).next();
        let Some(data) = data.filter(|_| response.error_code == 0) else {
            return self.observer.turn_away(now.mono, fx);
        };
        // What a leader of an older epoch sends may never have been committed.
        let is_fenced = data.current_leader.leader_epoch < self.observer.view.epoch();
        let has_learnt = self.observer.learn_leader(now.mono, &response, &data, fx);
        if !is_fenced && self.on_metadata(now, &data, disk, fx) {
            self.observer.trusts_leader_until = now.mono + self.observer.fetch_timeout;
        } else if !has_learnt {
            self.observer.turn_away(now.mono, fx);
        }
    }

    /// Fetches on, if nothing is in flight.
    pub(super) fn run_observer(&mut self, now: Now, fx: &mut Effects<'_>) {
        let observer = &mut self.observer;
        if !observer.started || observer.not_before > now.mono {
            return;
        }
        if observer.channel.is_none() {
            let first = observer.best_node(now.mono, false, fx);
            observer.turn_to(first, fx);
        }
        let (version, request) = observer.request(self.setup.node_id);
        let Some(channel) = &mut observer.channel else { return };
        if channel.calls_in_flight() == 0 && channel.connect(now.mono, fx) {
            channel.call(now.mono, fx, version, request, ());
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
        if let Some(snapshot) = SnapshotFetch::told_by(data) {
            self.begin_snapshot(snapshot, fx);
            return true;
        }
        let before = if self.published { self.image.clone() } else { MetadataImage::default() };
        let Some(bytes) = data.records.clone().filter(|b| !b.is_empty()) else { return true };
        fx.charge(2_000 + bytes.len() as u64);
        if let Err(why) = self.replay(bytes) {
            fx.halt(format!("metadata cannot be replayed: {why}"));
            return true;
        }
        self.publish(now, &before, disk, fx);
        true
    }

    /// A broker acts on metadata only once it is registered and has replayed up to its own registration
    /// (`BrokerServer.startup`, `initialCatchUpFuture`): what the log says before that was meant for its predecessor,
    /// which may have led in an epoch that this incarnation, with less in its log, must not lead in.
    pub(super) fn publish_first(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let caught_up = self.broker_epoch().is_some_and(|epoch| self.image.next_offset > epoch);
        if !self.published && (caught_up || !QuorumRule::BrokerActsFromItsRegistrationOn.holds()) {
            self.published = true;
            self.count_group_partitions();
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
