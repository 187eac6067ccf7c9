//! Every integration test, in one binary: linking the engine once is what keeps `cargo test` short.

mod cluster_file;
mod guests;
mod metering;
mod workloads;
