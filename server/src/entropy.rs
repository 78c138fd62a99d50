//! Randomness of a real process: a generator seeded by the operating system.

use rand::rngs::SysRng;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// See the module documentation.
pub(crate) struct Entropy(ChaCha8Rng);

impl Entropy {
    /// Seeded by the operating system, or why it gave nothing.
    pub(crate) fn from_system() -> std::io::Result<Entropy> {
        ChaCha8Rng::try_from_rng(&mut SysRng).map(Entropy).map_err(std::io::Error::other)
    }
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// A random id (version 4).
    pub(crate) fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(Uuid::from_u64_pair(self.bits(), self.bits()).into_bytes()).into_uuid()
    }
}
