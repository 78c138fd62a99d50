//! How long a message takes on a link: a pure function of the seed, the link and the instant of sending.
//!
//! # Model
//!
//! A latency is a floor, plus a body around the typical value, plus now and then a tail:
//!
//! ```text
//!   min ────▁▂▅█▅▂▁──────────────▁▁▁▁▁▁────▶ max
//!            typical (median)     tail: `tail_per_mille` of the messages
//! ```
//!
//! Nothing is remembered between messages, so that taking one message or one fault out of a run leaves the weather of
//! every other message as it was. Order on a connection is the network's business (a stream never overtakes itself).
//! A fork of a run that is reseeded passes another seed from then on; what is under way is not touched.
//!
//! Not modelled: bandwidth, queues in switches, weather that lasts. Slow and cut links are faults.

use trial_kafka::node::Nanos;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::scenario::Network;

/// How long a message takes that `from` sends to `to` at `at`, on the connection for this purpose.
pub fn latency(network: &Network, seed: u64, from: u32, to: u32, purpose: u8, at: Nanos) -> Nanos {
    let mut key = [0; 17];
    key[..4].copy_from_slice(&from.to_le_bytes());
    key[4..8].copy_from_slice(&to.to_le_bytes());
    key[8] = purpose;
    key[9..].copy_from_slice(&at.to_le_bytes());
    shape(network, xxh3_64_with_seed(&key, seed))
}

/// Turns 64 uniform bits into a latency: 18 bits for each half of the body, 10 for "tail or not", 18 for how far.
fn shape(network: &Network, bits: u64) -> Nanos {
    const BITS: u32 = 18;
    const MASK: u64 = (1 << BITS) - 1;
    let latency = &network.latency;
    // Two uniform draws make a triangle around the typical value.
    let body = u128::from((bits & MASK) + (bits >> BITS & MASK));
    let typical = latency.min + ((u128::from(latency.typical.saturating_sub(latency.min)) * body) >> BITS) as Nanos;
    let chance = (bits >> (2 * BITS) & 1023) * 1000 / 1024;
    if chance >= u64::from(latency.tail_per_mille) {
        return typical.min(latency.max);
    }
    // Squared: most tails are short, few reach the maximum.
    let far = u128::from(bits >> (2 * BITS + 10) & MASK);
    let tail = (u128::from(latency.max.saturating_sub(latency.typical)) * far * far) >> (2 * BITS);
    (latency.typical + tail as Nanos).min(latency.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Latency;

    fn network() -> Network {
        let latency = Latency { min: 200_000, typical: 500_000, max: 20_000_000, tail_per_mille: 10 };
        Network { latency }
    }

    #[test]
    fn latencies_lie_between_floor_and_maximum_around_the_typical_value() {
        let network = network();
        let mut all: Vec<Nanos> = (0..20_000).map(|i| latency(&network, 7, 1, 2, 0, i * 1_000_003)).collect();
        all.sort_unstable();
        assert!(all[0] >= network.latency.min && all[0] < 250_000, "lowest {}", all[0]);
        assert!((480_000..=520_000).contains(&all[10_000]), "median {}", all[10_000]);
        assert!(*all.last().expect("20 000 latencies") <= network.latency.max);
        let tails = all.iter().filter(|&&l| l > 800_000).count();
        assert!((100..=300).contains(&tails), "{tails} of 20 000 beyond the body, 1 % wanted");
    }

    #[test]
    fn each_link_purpose_direction_and_seed_has_its_own_weather() {
        let network = network();
        let of = |seed, from, to, purpose| -> Vec<Nanos> {
            (0..50).map(|i| latency(&network, seed, from, to, purpose, i * 1_000_000)).collect()
        };
        let here = of(1, 1, 2, 0);
        assert_eq!(here, of(1, 1, 2, 0));
        for other in [of(2, 1, 2, 0), of(1, 2, 1, 0), of(1, 1, 3, 0), of(1, 1, 2, 1)] {
            assert_ne!(here, other);
        }
    }

    #[test]
    fn the_weather_of_a_build_is_the_weather_of_every_build() {
        let network = network();
        let some: Vec<Nanos> = (0..4).map(|i| latency(&network, 1, 1, 2, 0, i * 1_000_000)).collect();
        insta::assert_debug_snapshot!(some);
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let day = 86_400_000_000_000;
        let latency_range = Latency { min: 0, typical: day, max: day, tail_per_mille: 1000 };
        let network = Network { latency: latency_range };
        for at in [0, 1, u64::MAX] {
            assert!(latency(&network, u64::MAX, u32::MAX, 0, u8::MAX, at) <= day);
        }
    }
}
