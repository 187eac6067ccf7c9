//! The `longshore` program: parses arguments, calls a subcommand, maps its outcome to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore::cli::main()
}
