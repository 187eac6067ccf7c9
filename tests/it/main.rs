//! Every integration test, in one binary: linking the engine once is what keeps `cargo test` short.

mod guests;
mod workloads;
