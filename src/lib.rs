//! Amazon ECS in one process.

pub mod control_plane;
pub mod data_plane;
pub mod model;
