//! What guests and tasks need of their data plane, as each worker holds it.
//!
//! Whoever starts a guest counts himself among the holders of all this and takes himself out at its end. Were the count one for all workers, each
//! start and each end would take a line of memory from another core, which costs more than the rest of a short task's bookkeeping. So each worker
//! has a copy, and tasks hold the one of the worker that made them.

use std::sync::{Arc, Weak};

use super::Shared;
use super::clock::Clock;
use super::engine::Engines;
use super::options::Stdio;
use super::stdio::OutputSettings;

/// One holder's copy.
#[derive(Clone)]
pub(super) struct Kit {
    /// The data plane, if these are not guests of a simulation.
    pub(super) shared: Weak<Shared>,
    pub(super) engines: Arc<Engines>,
    pub(super) output: Arc<OutputSettings>,
    pub(super) clock: Clock,
    pub(super) stdio: Stdio,
    /// Fuel between two yields of a guest.
    pub(super) quantum: u64,
}

impl Kit {
    /// A copy for another holder, whose counts are its own.
    pub(super) fn copy(&self) -> Arc<Kit> {
        Arc::new(Kit { output: Arc::new(OutputSettings::clone(&self.output)), ..self.clone() })
    }
}
