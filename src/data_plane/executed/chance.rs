//! Random numbers of guests in simulated time: streams that depend on the simulation's seed and on which guest it is, on nothing else.

use std::convert::Infallible;
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng, TryRng};
use wasmtime_wasi::WasiCtxBuilder;

use crate::data_plane::container::Container;
use crate::model::ids::TaskId;

/// Which guest of a simulation draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data_plane) struct GuestSeed {
    pub(super) simulation: u64,
    pub(super) task: TaskId,
    /// Its place among what runs in the task.
    pub(super) place: u32,
    /// How many have run at that place before.
    pub(super) run: u64,
}

/// What the numbers are for.
enum Use {
    Secure,
    Insecure,
    Seed,
}

impl GuestSeed {
    fn stream(self, use_: Use) -> ChaCha12Rng {
        let mut seed = [0; 32];
        let parts = [self.simulation, self.task.0, u64::from(self.place), self.run];
        for (bytes, part) in seed.chunks_exact_mut(8).zip(parts) {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        let mut generator = ChaCha12Rng::from_seed(seed);
        generator.set_stream(use_ as u64);
        generator
    }

    /// Gives a guest its streams.
    pub(in crate::data_plane) fn apply(self, container: &Arc<Container>, builder: &mut WasiCtxBuilder) {
        let mut seeds = self.stream(Use::Seed);
        let seed = u128::from(seeds.next_u64()) << 64 | u128::from(seeds.next_u64());
        let charged = |use_| Charged { generator: self.stream(use_), container: container.clone() };
        builder.secure_random(charged(Use::Secure)).insecure_random(charged(Use::Insecure)).insecure_random_seed(seed);
    }
}

/// A stream whose numbers are work.
struct Charged {
    generator: ChaCha12Rng,
    container: Arc<Container>,
}

impl Charged {
    fn charge(&self) {
        if let Some(time) = &self.container.time {
            time.random_drawn();
        }
    }
}

impl TryRng for Charged {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.charge();
        self.generator.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.charge();
        self.generator.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for _ in &*bytes {
            self.charge();
        }
        self.generator.try_fill_bytes(bytes)
    }
}
