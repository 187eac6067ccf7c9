//! Every integration test, in one binary: linking the engine once is what keeps `cargo test` short.

mod apply;
mod chaos;
mod cluster_file;
mod command_line;
mod containers;
mod control_plane_properties;
mod deploy_command;
mod determinism;
mod executed;
mod executed_cluster;
mod guests;
mod harness;
mod journal;
mod metering;
mod plane;
mod replay_command;
mod run_task;
mod sandbox;
mod scenarios;
mod simulation;
mod simulation_of_guests;
mod tidy;
mod workloads;
