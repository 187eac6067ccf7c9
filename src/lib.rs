//! Amazon ECS in one process.
//!
//! Longshore schedules WASI modules as containers onto worker-thread pools that act as EC2 instances, or into sandboxes limited in CPU
//! and memory that act as Fargate; it keeps services at their desired count, deploys, scales tasks and the capacity under them,
//! meters what they use, and prices it in AWS' terms.
//!
//! # One limited, metered task
//! ```no_run
//! let task = longshore::Task { cpu: 256, memory_mib: 512, ..longshore::Task::of("plugin.wasm") };
//! let outcome = longshore::run(&task)?;
//! println!("exit {:?}: {} vCPU-seconds, {} USD", outcome.exit_code, outcome.vcpu_seconds(), outcome.cost);
//! # Ok::<(), longshore::RunError>(())
//! ```
//!
//! # The one idea: a pure control plane with drivers
//! [`control_plane::ControlPlane::apply`] takes `(now, event)` and returns actions: no clock, no threads, no I/O, no chance of the
//! operating system's. A driver carries the actions out and reports what came of them as further events. The same sequence of
//! events always yields the same actions.
//!
//! # Layers, each naming only those below it
//! | module | what it is | what it knows nothing of |
//! |---|---|---|
//! | `cli` (feature `cli`) | the `longshore` program | |
//! | `report` (feature `cli`) | a run as a page, charts and tables | how it came about |
//! | `api` (feature `server`) | the ECS API: regions, their registries, the protocols, an HTTP server | how anything is decided |
//! | [`driver`] | a running cluster in real time, the same in simulated time, comparisons of simulations, journals, snapshots | how anything is decided |
//! | [`store`] | a data directory: a log of records that many share, on a disk that may fail | what a record says |
//! | [`data_plane`] | engine, sandboxes, worker pools, images | why a task is started or stopped |
//! | [`agent`] | the containers of one task: order, health checks, restarts, the health of its targets | the same, and what a container is made of |
//! | [`control_plane`] | events in, actions out | clocks, threads, files, wasm |
//! | [`metering`] | facts to usage to a bill in integers | the same |
//! | [`config`] | TOML to a [`model::cluster::ClusterSpec`], or every mistake at once | how it is run |
//! | [`catalog`] | instance types, Fargate sizes, prices | |
//! | [`model`] | the vocabulary | everything else |
//!
//! # Glossary
//! - **Container instance**: what ECS places tasks on; here a pool of worker threads. A *wasm instance* is an instantiated module.
//! - **vCPU-second**: [`model::settings::Settings::fuel_rate`] units of fuel plus the CPU time of host calls, or the CPU time of
//!   threads, as the cluster's [`model::settings::CpuBasis`] says. 1024 CPU units are one vCPU.
//! - **Reservation**, **limit**, **usage**: promised, enforced, measured.
//! - **Event**, **action**, **service event**: core input, core output, a line that DescribeServices shows.

pub mod agent;
#[cfg(feature = "server")]
pub mod api;
pub mod catalog;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod control_plane;
pub mod data_plane;
pub mod driver;
pub mod metering;
pub mod model;
#[cfg(feature = "cli")]
pub mod report;
mod single_task;
pub mod store;

pub use driver::running_cluster::{HostOptions, RunningCluster};
pub use single_task::{Outcome, RunError, Task, run};
