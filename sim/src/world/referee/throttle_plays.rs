//! What does a replica send and ask for that is throttled? Copies of leaders are fetched from, copies of followers answered.
//!
//! Sources: KIP-73, `ReplicaManager.shouldLeaderThrottle`, `RemoteLeaderEndPoint.shouldFollowerThrottle`,
//! `TopicConfigHandler.parseThrottledPartitions`, `ReplicationQuotaManager`.

use trial_checker::Word;

use super::Speaker;
use super::leader_rehearsal::{Scene, Stage};
use super::offset_questions::{Asked, fetched};

/// All that is replicated at once is more than that (bytes per second).
const RATE: &str = "1";
/// The rate is that of so many windows of a second, and of a bit more.
pub(super) const WINDOWS_MS: i64 = 12_000;

/// Which side of a replica is throttled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Leader,
    Follower,
}

impl Scene {
    /// It hears that of the partition this broker's replica, or that of the next one, may replicate next to nothing on this
    /// side.
    pub(super) fn is_throttled(&mut self, side: Side, broker: i32) {
        let name = match side {
            Side::Leader => "leader",
            Side::Follower => "follower",
        };
        let replica = format!("{}:{broker}", self.id.partition);
        let me = self.copy.broker().node_id().to_string();
        self.hears_of_topic(|topic| {
            topic.configs.insert(format!("{name}.replication.throttled.replicas"), replica);
        });
        self.copy.hears(|image| {
            let configs = image.broker_configs.entry(me).or_default();
            configs.insert(format!("{name}.replication.throttled.rate"), RATE.to_string());
        });
    }
}

/// A leader with records, and this follower, which is not in sync.
pub(super) fn of_leader(stage: &Stage<'_>, (follower, broker_epoch): (i32, i64), speaker: &mut Speaker<'_>) {
    let replica = stage.replica;
    let me = stage.broker.node_id();
    let last_epoch = replica.log.epochs().last().map_or(-1, |entry| entry.epoch);
    let mut judge = |scene: &mut Scene, what: &'static str, truth: bool| {
        let (leader_epoch, offset) = (replica.leader_epoch, replica.log.log_start_offset());
        let asked = Asked { what, replica: follower, broker_epoch, leader_epoch, offset, last_epoch };
        let answer = fetched(scene, &asked);
        let has_records = answer.and_then(|answer| answer.records).is_some_and(|records| !records.is_empty());
        let words = |has_records: bool| if has_records { "records" } else { "no records" };
        scene.says(Word::FetchAnswer, words(has_records), words(truth), what, speaker);
    };
    let mut scene = stage.scene();
    scene.hears_of_isr(&[me]);
    // What this broker has replicated in the run counts no more.
    scene.copy.wait(WINDOWS_MS);
    scene.is_throttled(Side::Leader, me + 1);
    judge(&mut scene, "by a follower, of whom another leader is throttled", true);
    judge(&mut scene, "by that follower once more", true);
    scene.is_throttled(Side::Leader, me);
    judge(&mut scene, "by a throttled follower that has had nothing", true);
    judge(&mut scene, "by a throttled follower that has had too much", false);
    scene.hears_of_isr(&[me, follower]);
    judge(&mut scene, "by a throttled follower that is in sync", true);
    scene.hears_of_isr(&[me]);
    scene.copy.wait(WINDOWS_MS);
    judge(&mut scene, "by a throttled follower that had too much long ago", true);
}
