//! Amazon ECS in one process.

pub mod catalog;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod control_plane;
pub mod metering;
pub mod model;
