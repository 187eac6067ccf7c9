//! Real guests in simulated time: each says step by step what it does next, and whoever drives the simulation says when.
//!
//! Nothing here waits, sleeps or has a thread of its own (but for those that compile images): a guest runs on the thread that asks
//! for its next step, for a bounded piece of work, while the simulation stands still. What comes out of it depends on the image, what
//! the task definition says, the seed, the moments at which steps are asked for, and on nothing of the host: work is fuel and a
//! constant for each host call, clocks are the simulation's, random numbers are drawn from the seed. What files it finds in its
//! volumes, in which order and under which numbers, is up to whoever provides them.
//!
//! It is the same sandbox as in real time, with the same limits. It knows nothing of shares, quotas, order of containers or
//! restarts: those are the driver's and the agent's.

mod chance;
mod container;
mod files;
pub(super) mod guest_time;
pub(super) mod imports;

use std::sync::{Arc, Weak};

use crossbeam_channel::Receiver;

pub(super) use chance::GuestSeed;
pub use container::{ExecutedContainer, ExecutedTask};
pub(super) use guest_time::GuestClock;
use guest_time::SLICE_WORK;

use super::clock::{Clock, ClockHand};
use super::engine::{Engines, Time};
use super::image::{Image, ImageError, Images, PinnedBy};
use super::kit::Kit;
use super::meter::CpuMeasure;
use super::options::{DataPlaneError, DataPlaneOptions, Stdio};
use super::prepare;
use super::scratch::Scratch;
use super::stdio::OutputSettings;
use crate::control_plane::event::EmittedMetric;
use crate::model::settings::{CpuBasis, DEFAULT_FUEL_PER_VCPU_SECOND, FuelRate};
use crate::model::units::Timestamp;

/// What all guests of a simulation share. Everything that it made on disk is removed when it is dropped.
pub struct ExecutedWork {
    seed: u64,
    options: DataPlaneOptions,
    clock: Clock,
    hand: ClockHand,
    measure: CpuMeasure,
    images: Images,
    kit: Arc<Kit>,
    scratch: Scratch,
}

impl std::fmt::Debug for ExecutedWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutedWork").field("seed", &self.seed).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl ExecutedWork {
    /// Starts an engine for a simulation that begins at `calendar_start`.
    ///
    /// Of the options those about images, output, scratch folders and fuel count. *Ours:* a fuel rate that is to be measured on the
    /// host would make each simulation another one; it is the default one then.
    ///
    /// # Errors
    /// When a thread cannot be started, the cache not be used, or the engine refuses its settings.
    pub fn start(
        options: &DataPlaneOptions,
        seed: u64,
        calendar_start: jiff::Timestamp,
    ) -> Result<ExecutedWork, DataPlaneError> {
        let fuel = match options.fuel_rate {
            FuelRate::PerVcpuSecond(fuel) => fuel,
            FuelRate::Native => DEFAULT_FUEL_PER_VCPU_SECOND,
        };
        let engines = Arc::new(Engines::new(options.pooled_instances, Time::Simulated)?);
        // How long a compilation takes is told in real time.
        let images = Images::start(options, engines.clone(), Clock::start_now())?;
        let (clock, hand) = Clock::simulated(calendar_start);
        let measure = CpuMeasure { basis: CpuBasis::Fuel, fuel_per_vcpu_second: fuel.0.max(1) };
        let slice = u128::from(measure.fuel_per_vcpu_second) * u128::from(SLICE_WORK.0) / 1_000_000_000;
        let kit = Kit {
            shared: Weak::new(),
            engines,
            output: Arc::new(OutputSettings::of(options, clock.clone())),
            clock: clock.clone(),
            stdio: Stdio::Captured,
            quantum: u64::try_from(slice).unwrap_or(u64::MAX).max(1),
        };
        Ok(ExecutedWork {
            seed,
            options: options.clone(),
            clock,
            hand,
            measure,
            images,
            kit: Arc::new(kit),
            scratch: Scratch::new(options.scratch_dir.clone()),
        })
    }

    /// Builds and compiles an image ahead of its first task. The answer comes on the channel returned.
    pub fn prepare(&self, image: &str) -> Receiver<Result<(), ImageError>> {
        prepare(&self.images, image)
    }

    /// Fuel of one vCPU-second.
    pub fn fuel_per_vcpu_second(&self) -> u64 {
        self.measure.fuel_per_vcpu_second
    }

    /// The metrics that guests have written to their output since the last call, a metric once.
    pub fn take_metrics(&self) -> Vec<EmittedMetric> {
        self.kit.output.take_metrics()
    }

    /// The image, once it has been built and compiled.
    fn image(&self, name: &str) -> Result<Arc<Image>, ImageError> {
        let (answer, receiver) = crossbeam_channel::bounded(1);
        let waiter = move |image| {
            // The receiver is below, waiting.
            let _ = answer.send(image);
        };
        self.images.request(name, PinnedBy::Simulation, Box::new(waiter));
        receiver.recv().unwrap_or_else(|_| Err(ImageError::CannotPull("the compiler has ended".to_owned())))
    }

    fn set_now(&self, now: Timestamp) {
        self.hand.set(now);
    }
}

impl Drop for ExecutedWork {
    fn drop(&mut self) {
        self.images.shutdown();
        self.scratch.remove();
    }
}
