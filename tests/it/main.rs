//! Every integration test, in one binary: linking the engine once is what keeps `cargo test` short.

mod apply;
mod cluster_file;
mod command_line;
mod compare;
mod containers;
mod control_plane_properties;
mod deploy_command;
mod executed;
mod executed_cluster;
mod explain_command;
mod guests;
mod harness;
mod journal;
mod metering;
mod plane;
mod replay_command;
mod report;
mod run_task;
mod sandbox;
mod scenarios;
mod simulation;
mod simulation_of_guests;
mod simulation_of_traffic;
mod tidy;
mod traffic;
mod workloads;
