//! The life of a group of the consumer protocol, from nothing, at the copy of a coordinator: what is its member told when topics
//! come, grow and go?
//!
//! ```text
//!   the copy hears of a topic ─▶ the member's next heartbeat ─▶ which epoch, which partitions?
//! ```
//!
//! Sources: KIP-848, KIP-1101, KAFKA-17593, `GroupMetadataManager.consumerGroupHeartbeat`, `handleRegularExpressionsResult`,
//! `CurrentAssignmentBuilder.computeNextAssignment`.

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_checker::Word;
use trial_kafka::group::api::{Request, Response};
use trial_kafka::group::config::GroupConfig;
use trial_kafka::metadata::MetadataRecord;
use trial_kafka::protocol::errors::{NONE, code_name};
use uuid::Uuid;

use super::Speaker;
use super::classic_questions::text;
use super::consumer_questions::{HEARTBEAT, joins, ordinary};
use super::group_rehearsal::{Copy, Stage, name_what_was_asked};
use super::made_topics::{self, id_of};

/// Topics that there are only in these plays, and what describes the first two.
const ONE: &str = "of-the-play-1";
const TWO: &str = "of-the-play-2";
const OTHER: &str = "of-another-play";
const EXPRESSION: &str = "of-the-play-.*";
/// The member.
const MEMBER: &str = "of the play";
/// Expressions are looked up again after this time at the earliest (`REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const LOOK_UP_MS: i64 = 10_000;
const LONG_MS: i32 = 600_000;

/// The member's heartbeats time nobody out, and what is looked up is good until a topic changes.
fn configured(config: &mut GroupConfig) {
    (config.consumer_session_timeout_ms, config.consumer_max_size) = (LONG_MS, i32::MAX);
    config.consumer_metadata_refresh_interval_ms = i64::from(LONG_MS);
    config.consumer_regex_refresh_interval_ms = i64::from(LONG_MS);
}

/// A group that nobody has heard of.
pub(super) fn of_nobody(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    of_topics_by_name(stage, speaker);
    of_an_expression(stage, speaker);
}

/// Partitions by topic.
type Parts<'a> = &'a [(&'a str, &'a [i32])];

/// What a member is told: its epoch, and what it has if that is said at all.
#[derive(PartialEq, Eq)]
enum Told {
    Nothing,
    Error(i16),
    Epoch(i32, Option<BTreeMap<Uuid, Vec<i32>>>),
}

impl Told {
    fn epoch(epoch: i32, assigned: Option<Parts<'_>>) -> Told {
        let parts = |parts: Parts<'_>| parts.iter().map(|(topic, parts)| (id_of(topic), parts.to_vec())).collect();
        Told::Epoch(epoch, assigned.map(parts))
    }
    fn by(answer: &ConsumerGroupHeartbeatResponse) -> Told {
        if answer.error_code != NONE {
            return Told::Error(answer.error_code);
        }
        let assigned = answer.assignment.as_ref().map(|assigned| {
            let topics = assigned.topic_partitions.iter();
            topics.map(|topic| (topic.topic_id, topic.partitions.clone())).collect()
        });
        Told::Epoch(answer.member_epoch, assigned)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |id: &Uuid| [ONE, TWO, OTHER].into_iter().find(|topic| id_of(topic) == *id).unwrap_or("another topic");
        match self {
            Told::Nothing => f.write_str("nothing"),
            Told::Error(code) => f.write_str(&code_name(*code)),
            Told::Epoch(epoch, None) => write!(f, "epoch {epoch}"),
            Told::Epoch(epoch, Some(assigned)) => {
                let parts: Vec<String> =
                    assigned.iter().map(|(topic, parts)| format!("{} {parts:?}", name(topic))).collect();
                write!(f, "epoch {epoch} and [{}]", parts.join(", "))
            }
        }
    }
}

struct Play<'b> {
    copy: Copy<'b>,
    group: &'b str,
}

impl<'b> Play<'b> {
    fn new(stage: &Stage<'b>) -> Self {
        Play { copy: stage.copy_with(configured), group: stage.group }
    }
    /// A topic comes, with so many partitions.
    fn comes(&mut self, topic: &str, partitions: i32) {
        self.copy.hears(topic, &made_topics::topic(topic, partitions));
    }
    /// What is its member told?
    fn must(
        &mut self,
        what: &str,
        asks: ConsumerGroupHeartbeatRequest,
        (epoch, assigned): (i32, Option<Parts<'_>>),
        speaker: &mut Speaker<'_>,
    ) {
        let heard = speaker.notes.len();
        let (ask, answers) = self.copy.ask_and_hear(HEARTBEAT, Request::ConsumerGroupHeartbeat(asks));
        let told = answers.iter().find_map(|(of, answer)| match answer {
            Response::ConsumerGroupHeartbeat(answer) if *of == ask => Some(Told::by(answer)),
            _ => None,
        });
        speaker.says(Word::GroupAnswer, None, told.unwrap_or(Told::Nothing), Told::epoch(epoch, assigned));
        name_what_was_asked(what, heard, speaker);
    }
    fn lives(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ordinary(self.group, MEMBER, epoch)
    }
}

/// A member names its topics: each change of one of them makes a new epoch, and no other does.
fn of_topics_by_name(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut play = Play::new(stage);
    play.comes(ONE, 1);
    let join = joins(play.group, MEMBER, &[ONE.to_string(), TWO.to_string()]);
    play.must("to join for two topics of which there is one", join, (1, Some(&[(ONE, &[0])])), speaker);
    play.must("by its only member", play.lives(1), (1, None), speaker);
    play.copy.hears(ONE, &[made_topics::partition(id_of(ONE), 1)]);
    play.must("by a member whose topic has grown", play.lives(1), (2, Some(&[(ONE, &[0, 1])])), speaker);
    play.comes(TWO, 1);
    let both: Parts<'_> = &[(ONE, &[0, 1]), (TWO, &[0])];
    play.must("by a member whose topic has come", play.lives(2), (3, Some(both)), speaker);
    play.comes(OTHER, 1);
    play.must("by a member when a topic of others has come", play.lives(3), (3, None), speaker);

    play.copy.hears(ONE, &[MetadataRecord::RemoveTopic { topic_id: id_of(ONE) }]);
    play.must("by a member whose topic has gone", play.lives(3), (3, Some(&[(TWO, &[0])])), speaker);
    let left = TopicPartitions::default().with_topic_id(id_of(TWO)).with_partitions(vec![0]);
    let gives_back = play.lives(3).with_topic_partitions(Some(vec![left]));
    play.must("by a member that has given its topic back", gives_back, (4, None), speaker);
}

/// A member describes its topics: they are looked up behind its heartbeat, and again some time after others have come.
fn of_an_expression(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut play = Play::new(stage);
    play.comes(ONE, 1);
    let join = joins(play.group, MEMBER, &[]).with_subscribed_topic_names(None);
    let join = join.with_subscribed_topic_regex(Some(text(EXPRESSION)));
    play.must("to join for topics that are looked up later", join, (1, Some(&[])), speaker);
    play.copy.pass_and_hear(0);
    play.must("by a member whose topics are looked up", play.lives(1), (2, Some(&[(ONE, &[0])])), speaker);
    play.comes(TWO, 1);
    play.must("by a member before its topics are looked up again", play.lives(2), (2, None), speaker);
    play.copy.pass_and_hear(LOOK_UP_MS);
    let both: Parts<'_> = &[(ONE, &[0]), (TWO, &[0])];
    play.must("by a member when one more of its topics is found", play.lives(2), (3, Some(both)), speaker);
    play.comes(OTHER, 1);
    play.must("by a member when a topic that it does not mean has come", play.lives(3), (3, None), speaker);
    play.copy.pass_and_hear(LOOK_UP_MS);
    play.must("by a member when no more of its topics are found", play.lives(3), (3, None), speaker);
}
