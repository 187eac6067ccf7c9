//! Chance: named streams over a generator whose values never change between versions.
//!
//! Each use draws from a stream of its own, so that one more draw in one of them does not shift another.

use serde::{Deserialize, Serialize};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// The `random` placement strategy and the choice of victims.
    Placement,
    /// Arrivals of jobs.
    Arrivals,
    /// Spot interruptions and other faults.
    Faults,
    /// What modelled tasks and jobs take.
    Work,
    /// Messages from data plane to control plane that are lost, late or repeated.
    Messages,
    /// The same the other way round.
    Actions,
}

/// A reproducible stream of random numbers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "StreamPlace", into = "StreamPlace")]
pub struct RandomStream(ChaCha12Rng);

/// Where a stream is, as it is written down.
#[derive(Deserialize, Serialize)]
struct StreamPlace {
    seed: [u8; 32],
    stream: u64,
    words_drawn: u128,
}

impl From<RandomStream> for StreamPlace {
    fn from(RandomStream(generator): RandomStream) -> StreamPlace {
        let (seed, stream) = (generator.get_seed(), generator.get_stream());
        StreamPlace { seed, stream, words_drawn: generator.get_word_pos() }
    }
}

impl From<StreamPlace> for RandomStream {
    fn from(place: StreamPlace) -> RandomStream {
        let mut generator = ChaCha12Rng::from_seed(place.seed);
        generator.set_stream(place.stream);
        generator.set_word_pos(place.words_drawn);
        RandomStream(generator)
    }
}

impl RandomStream {
    /// Opens the stream of `seed` for one use.
    pub fn new(seed: u64, stream: Stream) -> RandomStream {
        let mut generator = ChaCha12Rng::seed_from_u64(seed);
        generator.set_stream(stream as u64);
        RandomStream(generator)
    }

    /// A number below `bound`, each equally likely.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below zero");
        // Rejection over the largest multiple of the bound keeps the choice unbiased.
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < zone {
                return draw % bound;
            }
        }
    }

    /// Any number of 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in [0, 1) with 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in a double")]
    pub fn unit_interval(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The few draws of one thing among many: the n-th task's are the same whatever any other draws.
///
/// **Source:** SplitMix64 (Steele, Lea, Flood, 2014): eight bytes where a [`RandomStream`] has hundreds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Draws(u64);

impl Draws {
    /// The draws of the thing numbered `index` of a use.
    pub fn of(seed: u64, stream: Stream, index: u64) -> Draws {
        let mut draws = Draws(seed ^ (stream as u64).rotate_left(56));
        let offset = draws.draw();
        Draws(offset ^ index.wrapping_mul(0xd605_bbb5_8c8a_bbfd))
    }

    /// Any number of 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
