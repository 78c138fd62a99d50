//! Whom a client dials that may ask anybody.

use std::collections::BTreeMap;

use super::fixture::TestHost;
use crate::client::ChannelTimeouts;
use crate::client::backoff::Backoff;
use crate::client::cluster::{Cluster, ClusterConfig};
use crate::node::{Effect, Effects, Endpoint, Input, Nanos, ms};

/// Three brokers are known. Each time that the client may dial, long after its last pause is over, it dials one; those that are
/// not silent open the connection and close it soon. The brokers that it dialed, in order.
fn dialed(silent: &[u16]) -> Vec<u16> {
    let config = ClusterConfig {
        timeouts: ChannelTimeouts::default(),
        retry_backoff: Backoff { first_ms: 100, longest_ms: 1_000 },
        metadata_max_age_ms: 300_000,
        allow_auto_topic_creation: false,
        max_in_flight: 5,
    };
    let mut cluster: Cluster<()> = Cluster::new(Vec::new(), config);
    for broker in 1..=3 {
        cluster.learn_broker(broker, Endpoint { host: format!("b{broker}"), port: broker as u16 });
    }
    let (mut host, mut now, mut dialed): (TestHost, Nanos, Vec<u16>) = (TestHost::default(), 0, Vec::new());
    while dialed.len() < 12 {
        now += ms(30_000);
        cluster.give_up_late(now, &mut Effects::new(&mut host));
        now += ms(30_000);
        cluster.connect_any(now, &mut Effects::new(&mut host));
        while let Some(effect) = host.effects.pop_front() {
            let Effect::Dial { conn, endpoint, .. } = effect else { continue };
            dialed.push(endpoint.port);
            if !silent.contains(&endpoint.port) {
                for input in [Input::Opened { conn }, Input::Closed { conn }] {
                    now += ms(10);
                    cluster.on_input(now, input, &mut Effects::new(&mut host));
                }
            }
        }
    }
    dialed
}

#[test]
fn who_was_not_tried_for_the_longest_time_is_dialed_next() {
    for silent in [&[][..], &[2], &[1, 3], &[1, 2, 3]] {
        let dialed = dialed(silent);
        let mut times: BTreeMap<u16, usize> = BTreeMap::new();
        dialed.iter().for_each(|broker| *times.entry(*broker).or_default() += 1);
        assert!(times.len() == 3 && times.values().all(|times| *times == 4), "{silent:?} are silent: {dialed:?}");
        let round = dialed[..3].to_vec();
        assert!(dialed.chunks(3).all(|next| next == round), "{silent:?} are silent: {dialed:?}");
    }
}
