//! Where the controller soon gives leadership back to preferred replicas, a trial waits for it.

use std::sync::Arc;

use trial_sim::scenario;
use trial_sim::trace::TraceEvent;
use trial_sim::trial;
use trial_sim::world::{Note, Sink, World};

/// b1 comes back just before the faults are over, when b2 leads.
const SCENARIO: &str = r#"
format = 1
run = "12s"
[cluster]
brokers = 3
broker.session.timeout.ms = "2s"
broker.heartbeat.interval.ms = "300ms"
leader.imbalance.check.interval.seconds = 10
[[topic]]
name = "orders"
replication.factor = 3
assignments = [[1, 2, 3]]
[[producer]]
rate = 50
[[consumer]]
auto.offset.reset = "earliest"
[[fault]]
kind = "crash"
target = "b1"
at = "10s"
restart-after = "3s"
"#;

/// Who has led, by the controller's log.
#[derive(Default)]
struct Leaders(Vec<i32>);

impl Sink for Leaders {
    fn after_step(&mut self, world: &World, _events: &[TraceEvent], _notes: &[Note]) {
        let leader = world
            .controller_image()
            .and_then(|image| image.topic("orders")?.partitions.first().map(|partition| partition.leader));
        self.0.extend(leader.filter(|leader| self.0.last() != Some(leader)));
    }
}

#[test]
fn the_preferred_replica_leads_again_before_the_trial_ends() {
    let led = |changes: &[&str]| {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_string()).collect();
        let scenario = scenario::parse("balanced.toml", SCENARIO, &changes).unwrap_or_else(|error| panic!("{error}"));
        let mut leaders = Leaders::default();
        let report = trial::run(&Arc::new(scenario), 1, &mut leaders);
        assert!(!report.failed(), "{:?}", report.verdict.groups);
        leaders.0
    };
    assert_eq!(led(&[]), [1, 2, 1]);
    assert_eq!(led(&["cluster.auto.leader.rebalance.enable=false"]), [1, 2], "nobody gives it back");
    assert_eq!(led(&["cluster.leader.imbalance.check.interval.seconds=300"]), [1, 2], "no trial is that long");
}
