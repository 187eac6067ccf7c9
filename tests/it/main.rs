//! Every integration test, in one binary: linking the engine once is what keeps `cargo test` short.

mod cluster_file;
mod command_line;
mod guests;
mod metering;
mod plane;
mod sandbox;
mod workloads;
