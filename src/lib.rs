//! Amazon ECS in one process.

pub mod catalog;
pub mod config;
pub mod control_plane;
pub mod data_plane;
pub mod metering;
pub mod model;
