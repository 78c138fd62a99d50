//! A client's connections, and how it keeps its view of the cluster fresh.
//!
//! ```text
//!   want(topic), request_refresh() ──▶ Metadata request to the least loaded node ──▶ View
//!   connect(broker), call(broker)  ──▶ one Channel per broker                    ──▶ Happening
//! ```
//!
//! In every handler the owner hands the input to [`Cluster::on_input`], calls [`Cluster::give_up_late`], does what it has
//! to do, and calls [`Cluster::ask_for_metadata`] last, since only then it is known what is wanted.
//! Source: `NetworkClient`, `DefaultMetadataUpdater`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, RequestKind, ResponseKind};
use uuid::Uuid;

use super::backoff::{Backoff, WakeUp};
use super::view::View;
use super::{Channel, ChannelEvent, ChannelTimeouts, FailedCall};
use crate::ids::{BrokerId, Topic};
use crate::node::{ConnId, Effects, Endpoint, Input, Nanos, Purpose, RandomFor, ms};
use crate::protocol::{topic_name, versions};

/// What a client's configuration says about its connections and its metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClusterConfig {
    /// Of every connection.
    pub(crate) timeouts: ChannelTimeouts,
    /// Pause between metadata requests.
    pub(crate) retry_backoff: Backoff,
    /// `metadata.max.age.ms`.
    pub(crate) metadata_max_age_ms: i64,
    /// May a Metadata request create the topics it names?
    pub(crate) allow_auto_topic_creation: bool,
    /// Most calls without an answer on one connection.
    pub(crate) max_in_flight: usize,
}

/// Someone to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// An endpoint of `bootstrap.servers`, by its place in the list: which broker it is nobody knows yet.
    Bootstrap(u32),
    /// A broker of the cluster.
    Broker(BrokerId),
    /// The same broker as the coordinator of a group: by a connection of its own, so that heartbeats do not wait behind
    /// fetches (Kafka gives it the id `Integer.MAX_VALUE - id`).
    Coordinator(BrokerId),
}

/// What a call was about: ours or the owner's.
#[derive(Clone, Debug)]
enum About<T> {
    Metadata,
    Owner(T),
}

/// What an input meant to the owner.
#[derive(Clone, Debug)]
pub(crate) enum Happening<T> {
    /// Nothing that concerns it, or only that it may try again what it could not do before.
    Nothing,
    /// The view has changed.
    MetadataChanged,
    /// An answer to a call of the owner.
    Response(Box<ResponseKind>, T),
    /// These calls of the owner have no answer; a request on a connection that opened may have been carried out.
    Failed(Vec<FailedCall<T>>),
}

#[derive(Clone, Debug, Default)]
struct Refresh {
    requested: bool,
    in_flight: bool,
    /// What was asked last was every topic.
    asked_all: bool,
    /// All topics were told of.
    has_all: bool,
    /// Answers in a row that failed or left something open.
    unfinished: u32,
    not_before: Nanos,
    fresh_until: Option<Nanos>,
}

/// See the module documentation. `T` is what the owner wants to remember of a call.
#[derive(Clone, Debug)]
pub(crate) struct Cluster<T> {
    config: ClusterConfig,
    bootstrap: Vec<Endpoint>,
    view: View,
    wanted: BTreeSet<Topic>,
    /// Topics of which only the id is known, until their names are.
    wanted_ids: BTreeSet<Uuid>,
    /// Every topic is asked for.
    wants_all: bool,
    /// Where the coordinator of the owner's group is.
    coordinator: Option<(BrokerId, Endpoint)>,
    channels: BTreeMap<Peer, Channel<About<T>>>,
    refresh: Refresh,
}

impl<T> Cluster<T> {
    /// A cluster of which only some endpoints are known.
    pub(crate) fn new(bootstrap: Vec<Endpoint>, config: ClusterConfig) -> Self {
        Cluster {
            config,
            bootstrap,
            view: View::default(),
            wanted: BTreeSet::new(),
            wanted_ids: BTreeSet::new(),
            wants_all: false,
            coordinator: None,
            channels: BTreeMap::new(),
            refresh: Refresh::default(),
        }
    }
    /// What is known.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }
    /// What is known, for [`View::learn_leader`].
    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }
    /// Asks for this topic from now on, and at once if that is new (`ProducerMetadata.add`).
    pub(crate) fn want(&mut self, topic: &Topic) {
        if !self.wanted.contains(topic) {
            self.wanted.insert(topic.clone());
            self.refresh.requested = true;
            self.refresh.not_before = 0;
        }
    }
    /// Asks only for topics that this holds for, from now on.
    pub(crate) fn want_only(&mut self, still: impl Fn(&Topic) -> bool) {
        self.wanted.retain(|topic| still(topic));
    }
    /// Asks for topics by their ids, and for no others, until their names are known.
    pub(crate) fn want_ids(&mut self, ids: BTreeSet<Uuid>) {
        if !ids.is_subset(&self.wanted_ids) {
            self.refresh.requested = true;
            self.refresh.not_before = 0;
        }
        self.wanted_ids = ids;
    }
    /// Asks for all topics from now on, or no more.
    pub(crate) fn want_all(&mut self, all: bool) {
        if all && !self.wants_all {
            self.refresh.requested = true;
            self.refresh.not_before = 0;
        }
        self.wants_all = all;
        self.refresh.has_all &= all;
    }
    /// Has an answer told of all topics since that is wanted?
    pub(crate) fn has_all(&self) -> bool {
        self.wants_all && self.refresh.has_all
    }
    /// Is an answer asked for, or to be asked for?
    pub(crate) fn is_refreshing(&self) -> bool {
        self.refresh.requested || self.refresh.in_flight
    }
    /// Something went wrong that newer metadata may mend; asks as soon as the pause since the last answer allows.
    pub(crate) fn request_refresh(&mut self) {
        self.refresh.requested = true;
    }

    /// Opens a connection to that broker unless there is one. True if it is open and takes another call.
    pub(crate) fn connect(&mut self, broker: BrokerId, now: Nanos, fx: &mut Effects<'_>) -> bool {
        self.connect_peer(Peer::Broker(broker), now, fx)
    }
    /// The least loaded node, if its connection is open and takes another call; else opens one.
    pub(crate) fn connect_any(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Option<Peer> {
        let peer = self.least_loaded(now, fx)?;
        self.connect_peer(peer, now, fx).then_some(peer)
    }
    /// Tells where a broker is, if metadata has not told yet.
    pub(crate) fn learn_broker(&mut self, broker: BrokerId, endpoint: Endpoint) {
        self.view.learn_broker(broker, endpoint);
    }
    /// Tells where the coordinator of the owner's group is.
    pub(crate) fn learn_coordinator(&mut self, broker: BrokerId, endpoint: Endpoint) {
        self.coordinator = Some((broker, endpoint));
    }
    /// The coordinator's connection, if it is open and takes another call; else opens it.
    pub(crate) fn connect_coordinator(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Option<Peer> {
        let peer = Peer::Coordinator(self.coordinator.as_ref()?.0);
        self.connect_peer(peer, now, fx).then_some(peer)
    }
    /// Has the coordinator's connection ended, or could it not be opened (`ConsumerNetworkClient.isUnavailable`)?
    pub(crate) fn is_coordinator_gone(&self, now: Nanos) -> bool {
        let channel = self.coordinator.as_ref().and_then(|(id, _)| self.channels.get(&Peer::Coordinator(*id)));
        channel.is_some_and(|channel| channel.is_backing_off(now))
    }
    /// Nobody is the coordinator any more. Its connection is ended; the calls of the owner that have no answer by this.
    pub(crate) fn forget_coordinator(&mut self, fx: &mut Effects<'_>) -> Vec<T> {
        let Some((broker, _)) = self.coordinator.take() else { return Vec::new() };
        let Some(channel) = self.channels.get_mut(&Peer::Coordinator(broker)) else { return Vec::new() };
        let calls = match channel.conn() {
            Some(_) => channel.close(fx),
            None => Vec::new(),
        };
        let owners = calls.into_iter().filter_map(|about| match about {
            About::Owner(about) => Some(about),
            About::Metadata => None,
        });
        owners.collect()
    }
    /// How many calls the coordinator has not answered.
    pub(crate) fn calls_of_coordinator(&self) -> usize {
        let channel = self.coordinator.as_ref().and_then(|(id, _)| self.channels.get(&Peer::Coordinator(*id)));
        channel.map_or(0, Channel::calls_in_flight)
    }
    /// Makes a call on a connection for which `connect` or `connect_any` just said that it is open.
    pub(crate) fn call(
        &mut self,
        peer: Peer,
        now: Nanos,
        fx: &mut Effects<'_>,
        (version, request): Versioned,
        about: T,
    ) {
        if let Some(channel) = self.channels.get_mut(&peer).filter(|c| c.is_open()) {
            channel.call(now, fx, version, request, About::Owner(about));
        }
    }
    /// As [`Self::call`], for a call that may take longer than `request.timeout.ms`.
    pub(crate) fn call_within(
        &mut self,
        peer: Peer,
        now: Nanos,
        fx: &mut Effects<'_>,
        timeout_ms: i64,
        request: Versioned,
        about: T,
    ) {
        if let Some(channel) = self.channels.get_mut(&peer).filter(|c| c.is_open()) {
            channel.call_within(now, fx, timeout_ms, request, About::Owner(about));
        }
    }
    /// Sends a request that gets no answer, on a connection that is open.
    pub(crate) fn call_without_response(&mut self, peer: Peer, fx: &mut Effects<'_>, (version, request): Versioned) {
        if let Some(channel) = self.channels.get_mut(&peer).filter(|c| c.is_open()) {
            channel.call_without_response(fx, version, request);
        }
    }

    fn connect_peer(&mut self, peer: Peer, now: Nanos, fx: &mut Effects<'_>) -> bool {
        let endpoint = match peer {
            Peer::Bootstrap(at) => self.bootstrap.get(at as usize),
            Peer::Broker(id) => self.view.endpoint(id),
            Peer::Coordinator(id) => {
                self.coordinator.as_ref().filter(|(of, _)| *of == id).map(|(_, endpoint)| endpoint)
            }
        };
        let Some(endpoint) = endpoint else { return false };
        let timeouts = self.config.timeouts;
        let fresh = || Channel::new(endpoint.clone(), Purpose::Client, timeouts);
        let channel = self.channels.entry(peer).or_insert_with(fresh);
        if channel.endpoint() != endpoint && channel.calls_in_flight() == 0 {
            channel.close(fx);
            *channel = fresh();
        }
        channel.connect(now, fx) && channel.calls_in_flight() < self.config.max_in_flight
    }

    /// The node to ask what any node can answer: an open connection without calls, else the one with the fewest, else
    /// one that is being opened, else of those that are not pausing the one whose last attempt is the longest ago, so that a
    /// silent broker is not waited for again before all others were asked; ties by chance. Brokers are preferred to bootstrap
    /// endpoints, which are fallen back on when no broker can be reached (KIP-899, KIP-1102).
    /// Source: `NetworkClient.leastLoadedNode`.
    fn least_loaded(&self, now: Nanos, fx: &mut Effects<'_>) -> Option<Peer> {
        let brokers: Vec<Peer> = self.view.brokers().map(|(id, _)| Peer::Broker(id)).collect();
        let bootstrap: Vec<Peer> = (0..self.bootstrap.len() as u32).map(Peer::Bootstrap).collect();
        let load = |peer: &Peer| match self.channels.get(peer) {
            None => Some((2, 0)),
            Some(c) if c.is_open() => {
                (c.calls_in_flight() < self.config.max_in_flight).then(|| (0, c.calls_in_flight() as Nanos))
            }
            Some(c) if c.is_dialing() => Some((1, 0)),
            Some(c) => (!c.is_backing_off(now)).then(|| (2, c.dialed_at().unwrap_or(0))),
        };
        let mut pick = |peers: Vec<Peer>| {
            let usable: Vec<_> = peers.into_iter().filter_map(|p| load(&p).map(|l| (l, p))).collect();
            let least = usable.iter().map(|(load, _)| *load).min()?;
            let best: Vec<Peer> = usable.into_iter().filter(|(load, _)| *load == least).map(|(_, p)| p).collect();
            let at = if best.len() > 1 { fx.random_below(RandomFor::LeastLoadedBroker, best.len() as u64) } else { 0 };
            Some(best[at as usize])
        };
        let some_broker_is_busy = brokers.iter().any(|p| self.channels.get(p).is_some_and(Channel::is_open));
        match pick(brokers) {
            None if !some_broker_is_busy => pick(bootstrap),
            found => found,
        }
    }

    /// Takes an input that may concern a connection.
    pub(crate) fn on_input(&mut self, now: Nanos, input: Input, fx: &mut Effects<'_>) -> Happening<T> {
        let conn = match &input {
            Input::Opened { conn } | Input::DialFailed { conn } | Input::Closed { conn } => *conn,
            Input::Response { conn, .. } => *conn,
            _ => return Happening::Nothing,
        };
        let Some(channel) = self.channel_of(conn) else { return Happening::Nothing };
        match channel.on_input(now, input, fx) {
            ChannelEvent::Response(response, About::Owner(about)) => Happening::Response(response, about),
            ChannelEvent::Response(response, About::Metadata) => self.on_metadata(now, *response, fx),
            ChannelEvent::Ended(_, calls) => match self.on_ended(now, calls, fx) {
                calls if calls.is_empty() => Happening::Nothing,
                calls => Happening::Failed(calls),
            },
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => Happening::Nothing,
        }
    }
    fn channel_of(&mut self, conn: ConnId) -> Option<&mut Channel<About<T>>> {
        self.channels.values_mut().find(|c| c.conn() == Some(conn))
    }

    /// Gives up connections that are late. Calls of the owner that failed by this.
    pub(crate) fn give_up_late(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Vec<FailedCall<T>> {
        let mut ended = Vec::new();
        for channel in self.channels.values_mut() {
            if let Some(ChannelEvent::Ended(_, calls)) = channel.on_deadline(now, fx) {
                ended.push(calls);
            }
        }
        ended.into_iter().flat_map(|calls| self.on_ended(now, calls, fx)).collect()
    }
    /// Tells when [`Self::give_up_late`] or [`Self::ask_for_metadata`] has something to do.
    pub(crate) fn wake_up(&self, wake_up: &mut WakeUp) {
        self.channels.values().filter_map(Channel::next_deadline).for_each(|at| wake_up.also_at(at));
        if let Some(at) = self.refresh_due_at() {
            wake_up.also_at(at);
        }
    }
    /// Ends all connections and forgets all calls.
    pub(crate) fn close(&mut self, fx: &mut Effects<'_>) {
        self.channels.values_mut().for_each(|channel| drop(channel.close(fx)));
        self.channels.clear();
        self.wanted.clear();
        self.wanted_ids.clear();
        self.wants_all = false;
        self.coordinator = None;
    }

    /// Every end of a connection is a reason to ask who leads now (`NetworkClient.processDisconnection`).
    fn on_ended(&mut self, now: Nanos, calls: Vec<FailedCall<About<T>>>, fx: &mut Effects<'_>) -> Vec<FailedCall<T>> {
        self.refresh.requested = true;
        let mut owners = Vec::new();
        for FailedCall { about, timed_out } in calls {
            match about {
                About::Metadata => self.metadata_failed(now, fx),
                About::Owner(about) => owners.push(FailedCall { about, timed_out }),
            }
        }
        owners
    }

    // ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn refresh_due_at(&self) -> Option<Nanos> {
        let Refresh { requested, in_flight, not_before, fresh_until, .. } = self.refresh;
        if in_flight || (self.wanted.is_empty() && self.wanted_ids.is_empty() && !self.wants_all) {
            return None;
        }
        if requested { Some(not_before) } else { fresh_until }
    }

    /// Asks for metadata, if that is due and somebody can be asked.
    pub(crate) fn ask_for_metadata(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        if self.refresh_due_at().is_none_or(|at| at > now) {
            return;
        }
        let Some(peer) = self.connect_any(now, fx) else { return };
        let by_name = self.wanted.iter().map(|t| MetadataRequestTopic::default().with_name(Some(topic_name(t))));
        let by_id = self.wanted_ids.iter().map(|id| MetadataRequestTopic::default().with_name(None).with_topic_id(*id));
        let request = MetadataRequest::default()
            .with_topics((!self.wants_all).then(|| by_name.chain(by_id).collect()))
            .with_allow_auto_topic_creation(self.config.allow_auto_topic_creation);
        let channel = self.channels.get_mut(&peer).expect("just connected");
        channel.call(now, fx, versions::METADATA, RequestKind::Metadata(request), About::Metadata);
        self.refresh.in_flight = true;
        self.refresh.asked_all = self.wants_all;
    }

    fn on_metadata(&mut self, now: Nanos, response: ResponseKind, fx: &mut Effects<'_>) -> Happening<T> {
        let ResponseKind::Metadata(answer) = response else {
            self.metadata_failed(now, fx);
            return Happening::Nothing;
        };
        // A broker that knows no broker knows nothing (`DefaultMetadataUpdater.handleSuccessfulResponse`).
        if ResponseError::try_from_code(answer.error_code).is_some() || answer.brokers.is_empty() {
            self.metadata_failed(now, fx);
            return Happening::Nothing;
        }
        let mut left_open = self.view.update(&answer);
        if self.refresh.asked_all {
            self.view.forget_all_but(&answer);
            self.refresh.has_all = true;
        }
        self.wanted_ids.retain(|id| self.view.topic_of(*id).is_none());
        left_open |= !self.wanted_ids.is_empty();
        self.refresh.in_flight = false;
        self.refresh.fresh_until = Some(now.saturating_add(ms(self.config.metadata_max_age_ms)));
        self.refresh.unfinished = if left_open { self.refresh.unfinished.saturating_add(1) } else { 0 };
        self.pause_refreshing(now, fx);
        let all_at_last = self.wants_all && !self.refresh.asked_all;
        let not_named = || !self.wanted.iter().all(|topic| names(&answer, topic));
        let not_asked_yet = all_at_last || (!self.refresh.asked_all && not_named());
        self.refresh.requested = left_open || not_asked_yet;
        if not_asked_yet {
            self.refresh.not_before = 0;
        }
        self.leave_bootstrap(fx);
        Happening::MetadataChanged
    }

    fn metadata_failed(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        self.refresh.in_flight = false;
        self.refresh.requested = true;
        self.refresh.unfinished = self.refresh.unfinished.saturating_add(1);
        self.pause_refreshing(now, fx);
    }
    fn pause_refreshing(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let pause = self.config.retry_backoff.pause(self.refresh.unfinished.saturating_sub(1), fx);
        self.refresh.not_before = now.saturating_add(pause);
    }

    /// Once brokers are known by their ids, connections to bootstrap endpoints have done their duty.
    fn leave_bootstrap(&mut self, fx: &mut Effects<'_>) {
        self.channels.retain(|peer, channel| {
            let keep = !matches!(peer, Peer::Bootstrap(_)) || channel.calls_in_flight() > 0;
            if !keep {
                channel.close(fx);
            }
            keep
        });
    }
}

/// A request and the version at which it is sent.
pub(crate) type Versioned = (i16, RequestKind);

fn names(answer: &MetadataResponse, topic: &Topic) -> bool {
    answer.topics.iter().any(|t| t.name.as_ref().is_some_and(|name| name.0.as_str() == topic.as_str()))
}
