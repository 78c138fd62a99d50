//! Fetch sessions: what a broker remembers of a fetch, so that the next one need tell only what has changed.
//!
//! ```text
//!   full fetch (epoch 0)  ──▶ a session, if there is room ──▶ answer with its id
//!   fetch 1, 2, 3 … of id ──▶ session's partitions, as changed by the request ──▶ answer with what is news
//!   full fetch (epoch -1) ──▶ no session, and an end to the one it names
//! ```
//!
//! Source: KIP-227, `FetchManager`, `FetchSessionCacheShard`, `FetchSession`, `CachedPartition`. Kafka divides its cache
//! into eight shards, each with an eighth of the slots; here it is one.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use uuid::Uuid;

use super::fetch::AskedPartition;
use crate::conformance::ConsumerRule;
use crate::node::{Effects, Nanos, RandomFor, ms};

/// `FetchMetadata.INVALID_SESSION_ID`: no session.
const NO_SESSION: i32 = 0;
/// `FetchMetadata.INITIAL_EPOCH`: a full fetch that would like to have a session.
const INITIAL_EPOCH: i32 = 0;
/// `FetchMetadata.FINAL_EPOCH`: a full fetch that would not.
const FINAL_EPOCH: i32 = -1;
/// A session in use for so long, or unused for so long, may give way to another (`MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTION_MS: i64 = 120_000;

/// What a request says about its session.
#[derive(Clone, Debug)]
pub(super) struct SessionRequest {
    pub(super) id: i32,
    pub(super) epoch: i32,
    /// A follower's.
    pub(super) privileged: bool,
    /// Since version 13 topics are named by their ids.
    pub(super) uses_topic_ids: bool,
    /// Partitions that the session is to hold no longer.
    pub(super) forgotten: Vec<PartitionKey>,
}

/// How an answer is to be made (`FetchContext`).
#[derive(Clone, Debug)]
pub(super) enum FetchContext {
    /// Everything.
    Sessionless,
    /// Everything, and a session for what comes.
    Full { privileged: bool, uses_topic_ids: bool },
    /// What is news; `epoch` is the one that the next request will have.
    Incremental { id: i32, epoch: i32 },
}

/// A partition as requests name it: by topic id, or by name where that is nil. The index comes first, as it tells most
/// partitions of a session apart, and a map of keys is searched several times a fetch.
pub(super) type PartitionKey = (i32, Uuid, String);

#[derive(Clone, Debug)]
struct CachedPartition {
    asked: AskedPartition,
    /// As last told; -1: to be told again.
    high_watermark: i64,
    log_start_offset: i64,
}

#[derive(Clone, Debug)]
struct FetchSession {
    privileged: bool,
    uses_topic_ids: bool,
    created: Nanos,
    last_used: Nanos,
    /// Of the request that is expected next.
    epoch: i32,
    /// In the order in which they are read: who was just served comes last.
    partitions: BTreeMap<u64, CachedPartition>,
    places: BTreeMap<PartitionKey, u64>,
    next_place: u64,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct FetchSessions {
    /// `max.incremental.fetch.session.cache.slots`.
    slots: usize,
    sessions: BTreeMap<i32, FetchSession>,
}

impl FetchSessions {
    pub(super) fn new(slots: i64) -> Self {
        FetchSessions { slots: usize::try_from(slots).unwrap_or(0), sessions: BTreeMap::new() }
    }
    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<i32> {
        self.sessions.keys().copied().collect()
    }

    /// What is to be read, and how to answer (`FetchManager.newContext`).
    pub(super) fn context(
        &mut self,
        now: Nanos,
        request: SessionRequest,
        asked: Vec<AskedPartition>,
    ) -> Result<(FetchContext, Vec<AskedPartition>), ResponseError> {
        let SessionRequest { id, epoch, privileged, uses_topic_ids, forgotten } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            // A full fetch ends the session that it names.
            if ConsumerRule::FullFetchEndsTheSession.holds() {
                self.sessions.remove(&id);
            }
            let context = match epoch {
                FINAL_EPOCH => FetchContext::Sessionless,
                _ => FetchContext::Full { privileged, uses_topic_ids },
            };
            return Ok((context, asked));
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Err(ResponseError::FetchSessionIdNotFound) };
        if session.epoch != epoch && ConsumerRule::SessionEpochMustFit.holds() {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids && ConsumerRule::SessionKeepsToTopicIds.holds() {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        asked.into_iter().for_each(|asked| session.take(asked));
        forgotten.iter().for_each(|key| session.forget(key));
        if session.partitions.is_empty() {
            self.sessions.remove(&id);
            return Ok((FetchContext::Sessionless, Vec::new()));
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        let parts = session.partitions.values().map(|cached| cached.asked.clone()).collect();
        Ok((FetchContext::Incremental { id, epoch: session.epoch }, parts))
    }

    /// Makes the answer: the session it belongs to, and which of the partitions are told.
    pub(super) fn respond(
        &mut self,
        now: Nanos,
        context: &FetchContext,
        parts: &[AskedPartition],
        answers: &[PartitionData],
        fx: &mut Effects<'_>,
    ) -> Result<(i32, Vec<bool>), ResponseError> {
        let all = vec![true; answers.len()];
        match *context {
            FetchContext::Sessionless => Ok((NO_SESSION, all)),
            FetchContext::Full { privileged, uses_topic_ids } => {
                let session = FetchSession::new(now, privileged, uses_topic_ids, parts, answers);
                Ok((self.create(now, session, fx).unwrap_or(NO_SESSION), all))
            }
            FetchContext::Incremental { id, epoch } => match self.sessions.get_mut(&id) {
                // Another request of this session came meanwhile.
                Some(session) if session.epoch != epoch => Err(ResponseError::InvalidFetchSessionEpoch),
                Some(session) => {
                    Ok((id, parts.iter().zip(answers).map(|(part, data)| session.is_news(part, data)).collect()))
                }
                // It was evicted while the fetch waited: the next request will hear of it.
                None => Ok((id, all)),
            },
        }
    }

    /// `FetchSessionCacheShard.maybeCreateSession`. `None` if there is no room.
    fn create(&mut self, now: Nanos, session: FetchSession, fx: &mut Effects<'_>) -> Option<i32> {
        if self.sessions.len() >= self.slots && !self.try_evict(now, &session) {
            return None;
        }
        let mut id = 1 + fx.random_below(RandomFor::FetchSession, i32::MAX as u64) as i32;
        // Kafka draws again; this ends whatever is drawn.
        while self.sessions.contains_key(&id) {
            id = id.checked_add(1).unwrap_or(1);
        }
        self.sessions.insert(id, session);
        Some(id)
    }

    /// Makes room for a session: the one that was not used for longest gives way if it is stale; else the least valuable
    /// of those that may give way to this one (`FetchSessionCacheShard.tryEvict`). A follower's is worth more than a
    /// consumer's, a large one more than a small one. A consumer's session takes only the place of one that was there
    /// for a while; a follower's takes that of any consumer.
    fn try_evict(&mut self, now: Nanos, newcomer: &FetchSession) -> bool {
        let is_old = |since: Nanos| now.saturating_sub(since) > ms(EVICTION_MS);
        let longest_unused = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id));
        let Some((id, session)) = longest_unused else { return false };
        let evicted = if is_old(session.last_used) {
            Some(*id)
        } else {
            let may_go = |session: &FetchSession| {
                is_old(session.created)
                    || (newcomer.privileged && !session.privileged)
                    || !ConsumerRule::YoungSessionStays.holds()
            };
            let candidates = self.sessions.iter().filter(|(_, session)| may_go(session));
            let least = candidates.min_by_key(|(id, session)| (session.worth(), **id));
            least.filter(|(id, session)| (newcomer.worth(), 0) >= (session.worth(), **id)).map(|(id, _)| *id)
        };
        evicted.and_then(|id| self.sessions.remove(&id)).is_some()
    }
}

impl FetchSession {
    fn new(
        now: Nanos,
        privileged: bool,
        uses_topic_ids: bool,
        parts: &[AskedPartition],
        answers: &[PartitionData],
    ) -> Self {
        let mut session = FetchSession {
            privileged,
            uses_topic_ids,
            created: now,
            last_used: now,
            epoch: next_epoch(INITIAL_EPOCH),
            partitions: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for (part, answer) in parts.iter().zip(answers) {
            session.take(part.clone());
            session.is_news(part, answer);
        }
        session
    }

    /// What it counts when there is no room (`EvictableKey`).
    fn worth(&self) -> (bool, usize) {
        (self.privileged, self.partitions.len())
    }

    /// A partition that is new, or is asked for otherwise than before.
    fn take(&mut self, asked: AskedPartition) {
        let key = asked.key();
        if let Some(cached) = self.places.get(&key).and_then(|place| self.partitions.get_mut(place)) {
            cached.asked = asked;
            return;
        }
        self.places.insert(key, self.next_place);
        self.partitions.insert(self.next_place, CachedPartition { asked, high_watermark: -1, log_start_offset: -1 });
        self.next_place += 1;
    }
    fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.places.remove(key) {
            self.partitions.remove(&place);
        }
    }

    /// Is there anything to tell of the partition (`CachedPartition.maybeUpdateResponseData`)? Records, another high
    /// watermark or log start than told last, a replica to read from, a divergence, an error: after an error everything
    /// is told again. A partition with records goes to the end of the order, so that none starves for another.
    fn is_news(&mut self, part: &AskedPartition, data: &PartitionData) -> bool {
        let Some(place) = self.places.get_mut(&part.key()) else { return true };
        let Some(cached) = self.partitions.get_mut(place) else { return true };
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let moved = cached.high_watermark != data.high_watermark || cached.log_start_offset != data.log_start_offset;
        let failed = data.error_code != 0;
        let told_apart = data.preferred_read_replica.0 >= 0 || data.diverging_epoch.end_offset >= 0;
        // An error tells neither, and so makes the next answer news.
        if !failed || ConsumerRule::RecoveredPartitionIsTold.holds() {
            (cached.high_watermark, cached.log_start_offset) = (data.high_watermark, data.log_start_offset);
        }
        if has_records && ConsumerRule::ServedPartitionGoesLast.holds() {
            let cached = self.partitions.remove(place).expect("just seen");
            self.partitions.insert(self.next_place, cached);
            *place = self.next_place;
            self.next_place += 1;
        }
        has_records || moved || failed || told_apart || !ConsumerRule::UnchangedPartitionIsNotTold.holds()
    }
}

/// `FetchMetadata.nextEpoch`: 0 is left to full fetches.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}
