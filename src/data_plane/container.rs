//! A container: what its guest, its pool and its task share, in one piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};

use super::executed::guest_time::GuestTime;
use super::memory::ContainerMemory;
use super::meter::Meter;
use super::stdio::{ContainerOutput, Input};

/// One container of a task.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) meter: Meter,
    pub(super) memory: ContainerMemory,
    pub(super) input: Input,
    pub(super) output: ContainerOutput,
    /// Where it stands with the workers, see [`turn`].
    pub(super) turn: AtomicU8,
    /// Its key in the schedule of its pool; `usize::MAX` while it is not there.
    pub(super) key: AtomicUsize,
    /// Whether it is to be ended as soon as it does not run.
    pub(super) is_killed: AtomicBool,
    /// Its time, where that is not the operating system's.
    pub(super) time: Option<Box<GuestTime>>,
}

impl Container {
    /// A container in real time.
    pub(super) fn new(memory: ContainerMemory, input: Input, output: ContainerOutput) -> Arc<Container> {
        Arc::new(Container::with_time(memory, input, output, None))
    }

    /// A container in simulated time.
    pub(super) fn simulated(
        memory: ContainerMemory,
        input: Input,
        output: ContainerOutput,
        time: GuestTime,
    ) -> Arc<Container> {
        Arc::new(Container::with_time(memory, input, output, Some(Box::new(time))))
    }

    fn with_time(
        memory: ContainerMemory,
        input: Input,
        output: ContainerOutput,
        time: Option<Box<GuestTime>>,
    ) -> Container {
        Container {
            meter: Meter::default(),
            memory,
            input,
            output,
            turn: AtomicU8::new(turn::QUEUED),
            key: AtomicUsize::new(usize::MAX),
            is_killed: AtomicBool::new(false),
            time,
        }
    }
}

/// Where a container stands with the workers. Kept in [`Container::turn`].
pub(super) mod turn {
    /// Waits for something; the next wake-up puts it in the inbox.
    pub(in super::super) const WAITING: u8 = 0;
    /// Is in the inbox or the schedule.
    pub(in super::super) const QUEUED: u8 = 1;
    /// Has a turn.
    pub(in super::super) const RUNNING: u8 = 2;
    /// Has a turn and was woken in it.
    pub(in super::super) const RUNNING_WOKEN: u8 = 3;
    /// Is over.
    pub(in super::super) const ENDED: u8 = 4;
}
