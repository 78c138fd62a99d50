//! The World in the hands of async tasks: one lock around it, moved along by whoever looks and by a task that sleeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use madsim::runtime::Handle;
use madsim::time::TimeHandle;
use tokio::sync::{Notify, oneshot};
use trial_kafka::client::Role;
use trial_kafka::event::Event;
use trial_kafka::node::{Command, Nanos, OpId, Outcome};
use trial_sim::scenario::Scenario;
use trial_sim::trace::{NodeIx, TraceEvent};
use trial_sim::world::{ExternalInput, Note, Sink, World};

use crate::recording::Recording;

/// The World, which knows nothing of tasks, and what belongs to the tasks, outside of it.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// The scenario and the seed the World was made from.
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) seed: u64,
    time: TimeHandle,
    /// madsim's time at the World's time 0.
    started: Duration,
    /// The World's next event may have moved to an earlier time.
    changed: Arc<Notify>,
}

struct Inner {
    world: World,
    waiting: Waiting,
    last_client: u32,
    last_op: u64,
}

/// Operations of applications that have no outcome yet, and whoever watches.
#[derive(Default)]
struct Waiting {
    operations: BTreeMap<OpId, (NodeIx, oneshot::Sender<Outcome>)>,
    watcher: Option<Box<dyn Sink + Send>>,
}

impl Sink for Waiting {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        for note in notes {
            if let Note::External { op, outcome, .. } = note
                && let Some((_, waiter)) = self.operations.remove(op)
            {
                // Nobody may be waiting any more: a future that was dropped.
                let _ = waiter.send(outcome.clone());
            }
        }
        // What a process took with it into death is never answered: its futures learn so by their channel's end.
        if events.iter().any(|e| matches!(e.event, Event::Fault(_) | Event::AssertionFailed { .. })) {
            self.operations.retain(|_, (node, _)| {
                matches!(world.power(*node), trial_sim::world::Power::Running | trial_sim::world::Power::Paused)
            });
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.after_step(world, events, notes);
        }
    }
}

impl Inner {
    fn catch_up(&mut self, now: Nanos) {
        self.world.run_until(now, &mut self.waiting);
    }
}

impl Shared {
    /// Starts the World at the present time of madsim, and the task that moves it along.
    pub(crate) fn start(scenario: Arc<Scenario>, seed: u64) -> Arc<Self> {
        let time = TimeHandle::current();
        let world = World::without_end(&scenario, seed);
        let inner = Inner { world, waiting: Waiting::default(), last_client: 0, last_op: World::EXTERNAL_OPS };
        let started = time.elapsed();
        let changed = Arc::new(Notify::new());
        let shared = Arc::new(Shared { inner: Mutex::new(inner), scenario, seed, time, started, changed });
        // On a node of its own: killing an application's node does not stop the cluster.
        let node = Handle::current().create_node().name("trial-cluster").build();
        node.spawn(drive(Arc::downgrade(&shared)));
        shared
    }

    fn now(&self) -> Nanos {
        // 584 years fit; madsim's clock starts at 0.
        u64::try_from((self.time.elapsed().saturating_sub(self.started)).as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// The World as it is at madsim's present time. No lock is held across an await, and all is one thread: a poisoned lock
    /// means that a test is already failing.
    fn caught_up(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.catch_up(self.now());
        inner
    }

    /// Looks at the World as it is at madsim's present time.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.caught_up().world)
    }

    /// Hands an input in at madsim's present time.
    pub(crate) fn external(&self, input: ExternalInput) {
        self.caught_up().world.external(input);
        self.changed.notify_one();
    }

    /// A new client of an application: `a1`, `a2` ….
    pub(crate) fn add_client(&self, role: Role) -> (NodeIx, String) {
        let mut inner = self.caught_up();
        inner.last_client += 1;
        let name = format!("a{}", inner.last_client);
        let node = inner.world.add_client(&name, role);
        self.changed.notify_one();
        (node, name)
    }

    /// Asks something of a client. The channel ends without an outcome if the client dies.
    pub(crate) fn command(&self, node: NodeIx, command: Command) -> oneshot::Receiver<Outcome> {
        let (waiter, outcome) = oneshot::channel();
        let mut inner = self.caught_up();
        let op = OpId(inner.last_op);
        inner.last_op += 1;
        inner.waiting.operations.insert(op, (node, waiter));
        inner.world.external(ExternalInput::Command { node, op, command });
        self.changed.notify_one();
        outcome
    }

    /// Sets the sink that sees every step from now on.
    pub(crate) fn watch(&self, watcher: Box<dyn Sink + Send>) {
        self.caught_up().waiting.watcher = Some(watcher);
    }

    /// The run so far, as a plain value.
    pub(crate) fn recording(&self) -> Recording {
        let inner = self.caught_up();
        Recording {
            scenario: Arc::clone(&self.scenario),
            seed: self.seed,
            externals: inner.world.externals().to_vec(),
            until: inner.world.now(),
            digest: inner.world.digest(),
        }
    }

    /// Moves the World to the present and says how long nothing will happen in it.
    fn quiet_for(&self) -> Duration {
        let inner = self.caught_up();
        let next = inner.world.next_at().unwrap_or(Nanos::MAX);
        // A sleep that would end beyond the clock's range is as good as an hour: the task looks again.
        Duration::from_nanos(next.saturating_sub(inner.world.now())).min(Duration::from_secs(3_600))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Lets the task see that it is over.
        self.changed.notify_one();
    }
}

/// Moves the World along with madsim's clock: sleeps until its next event, or for madsim's least sleep of 1 ms if that is
/// nearer; the World is then behind by up to 1 ms. Ends with the last handle to the cluster.
async fn drive(cluster: Weak<Shared>) {
    loop {
        let Some(shared) = cluster.upgrade() else { return };
        let quiet_for = shared.quiet_for();
        let (time, changed) = (shared.time.clone(), Arc::clone(&shared.changed));
        drop(shared);
        // Whichever comes first: the World's next event, or an input that may bring an earlier one.
        let _ = time.timeout(quiet_for, changed.notified()).await;
    }
}
