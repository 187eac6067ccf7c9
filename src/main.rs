//! The `longshore` program: parses arguments, calls a subcommand, maps its outcome to an exit code.

use std::process::ExitCode;

/// Tasks are made by the control loop's thread and dropped by a worker's: with the system's allocator the two contend for
/// every one. `benches/instantiation.rs` shows the difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    longshore::cli::main()
}
