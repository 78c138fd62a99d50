//! What a verdict says of time.

mod play;

use play::three_brokers;
use trial_checker::metrics::{Quantiles, Service, Unavailability};
use trial_checker::{Belief, Observation};

const MS: u64 = 1_000_000;

#[test]
fn latencies_and_outages_of_a_trial() {
    let mut play = three_brokers(-1);
    // Acknowledged after 5 ms, read 95 ms later; then 1 s without an acknowledgement, in which the faults end.
    play.at(1_000).given(0).append(0).fetch(2).fetch(3).commit().at(1_005).told(
        0,
        Belief::Acked { offset: Some(0) },
        1,
    );
    play.at(1_100).read(0, 0);
    play.at(2_000).given(1).at(2_400).told(1, Belief::Unknown, 3);
    play.at(2_500).see(Observation::Phase { name: "heal".into() });
    play.at(2_600).given(2).append(2).fetch(2).fetch(3).commit();
    play.at(3_000).told(2, Belief::Acked { offset: Some(1) }, 1);
    play.at(9_000).see(Observation::Phase { name: "read".into() });
    play.final_read();
    let metrics = play.verdict().metrics;
    assert_eq!(metrics.produce_latency, Some(Quantiles { p50: 5 * MS, p99: 400 * MS, max: 400 * MS }));
    assert_eq!(metrics.delivery_latency, Some(Quantiles { p50: 95 * MS, p99: 95 * MS, max: 95 * MS }));
    let without = |service, since, lasted| Unavailability {
        partition: "orders-0".to_owned(),
        service,
        since: since * MS,
        lasted: lasted * MS,
    };
    // Record 2 waits for its first reader until the consumers end.
    let expected = [without(Service::Send, 2_000, 1_000), without(Service::Read, 3_000, 6_000)];
    assert_eq!(metrics.unavailability, expected);
    assert_eq!(metrics.recovery, Some(400 * MS), "from the first send after the faults, to its acknowledgement");
    assert_eq!(metrics.named()["longest_without_ack_ns"], 1_000 * MS);
}

#[test]
fn nothing_happened_and_nothing_is_measured() {
    let verdict = three_brokers(-1).verdict();
    assert_eq!((verdict.metrics.to_string(), verdict.metrics.named().len()), (String::new(), 0));
}

#[test]
fn who_waited_when_the_faults_ended_waits_from_there() {
    let mut play = three_brokers(-1);
    play.at(1_000).given(0).at(2_000).see(Observation::Phase { name: "heal".into() });
    play.append(0).fetch(2).fetch(3).commit().at(2_750).ack(0);
    assert_eq!(play.verdict().metrics.recovery, Some(751 * MS), "it hears of it 1 ms after the answer");
}
