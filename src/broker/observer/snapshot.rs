//! The observer fell behind the metadata log's start: it takes the leader's snapshot in place of what it has missed.
//!
//! Chunk by chunk from the leader, at whatever position it left off; a newer epoch starts over. When all of it is here the
//! image is replaced at once, and what the broker does is what it does after any change of its image: it publishes the
//! difference, however many records lie between. Source: `KafkaRaftClient.handleFetchSnapshotResponse`,
//! `MetadataLoader.handleLoadSnapshot`.

use bytes::Bytes;
use kafka_protocol::messages::FetchSnapshotResponse;
use trial_storage::Disk;

use crate::broker::Broker;
use crate::event::Event;
use crate::metadata::MetadataImage;
use crate::metadata::snapshot::{FetchProgress, SnapshotFetch, SnapshotId, decode};
use crate::node::{Effects, Now};

impl Broker {
    /// The leader told of its snapshot.
    pub(super) fn begin_snapshot(&mut self, fetch: SnapshotFetch, fx: &mut Effects<'_>) {
        if fetch.id().end_offset <= self.observer.fetch_offset {
            // What it has replayed is committed, so a leader whose history is shorter or another is not of its cluster.
            fx.halt("the controller's snapshot lacks metadata that this broker has replayed".to_string());
            return;
        }
        self.observer.snapshot = Some(fetch);
    }

    /// Takes a chunk, or hears that there is none.
    pub(super) fn on_snapshot_fetched(
        &mut self,
        now: Now,
        response: &FetchSnapshotResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let observer = &mut self.observer;
        let (Some(data), 0) = (SnapshotFetch::partition(response), response.error_code) else {
            return observer.turn_away(now.mono, fx);
        };
        let epoch = observer.view.epoch();
        let has_learnt = observer.view.learn_from_snapshot(response, data);
        if has_learnt {
            observer.turn_to_leader(now.mono, fx);
        }
        if observer.view.epoch() != epoch || data.current_leader.leader_epoch < epoch {
            // A newer leader may have another snapshot. What one of an older epoch sends does not count.
            observer.snapshot = None;
        }
        let Some(fetch) = &mut observer.snapshot else { return };
        let is_served = data.error_code == 0 || SnapshotFetch::is_gone(data.error_code);
        if !is_served {
            observer.snapshot = None;
            if !has_learnt {
                observer.turn_away(now.mono, fx);
            }
            return;
        }
        observer.trusts_leader_until = now.mono + observer.fetch_timeout;
        let id = fetch.id();
        match fetch.on_chunk(data) {
            FetchProgress::More => {}
            FetchProgress::StartOver => observer.snapshot = None,
            FetchProgress::Complete(bytes) => {
                observer.snapshot = None;
                self.load_snapshot(now, id, &bytes, disk, fx);
            }
        }
    }

    fn load_snapshot(&mut self, now: Now, id: SnapshotId, bytes: &Bytes, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        fx.charge(2_000 + bytes.len() as u64);
        let snapshot = match decode(id, bytes) {
            Ok(snapshot) => snapshot,
            Err(error) => return fx.halt(format!("metadata cannot be loaded: {error}")),
        };
        let before = std::mem::replace(&mut self.image, snapshot.image);
        self.observer.fetch_offset = id.end_offset;
        self.observer.last_fetched_epoch = id.epoch;
        fx.record(Event::SnapshotLoaded { end_offset: id.end_offset, epoch: id.epoch });
        self.publish(now, &before, disk, fx);
    }

    /// Acts on a changed image, or begins to act at all.
    pub(super) fn publish(&mut self, now: Now, before: &MetadataImage, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if self.published {
            self.publish_metadata(now, before, disk, fx);
        } else {
            self.publish_first(now, disk, fx);
        }
    }
}
