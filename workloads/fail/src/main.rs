//! Fails on demand, in each way in which a container can.
//!
//! | Arguments | what happens | Exit |
//! |---|---|---|
//! | `exit N` | ends with the code | N |
//! | `sleep-then SECONDS exit N` | sleeps first | N |
//! | `panic` | Rust panic: a message on stderr, then a trap | 134 |
//! | `trap` | executes `unreachable` | 134 |
//! | `abort` | `abort()`, as a C program would | 134 |
//! | `memory MIB` | fills so many MiB with ones and keeps them | 0; 137 beyond the task's memory limit |
//!
//! Bad arguments: 2. A component of WASI preview 2 cannot tell its codes: every one but 0 arrives as 1.
//! Fuel: a few thousand; 1 M a MiB for `memory`. Memory: 1.1 MiB and what `memory` asks for.

use std::hint::black_box;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if fail(&arguments).is_none() {
        eprintln!("usage: fail exit N | sleep-then SECONDS exit N | panic | trap | abort | memory MIB");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}

/// Does what the arguments say; nothing when they say nothing sensible.
fn fail(arguments: &[&str]) -> Option<()> {
    match arguments {
        ["exit", code] => process::exit(code.parse().ok()?),
        ["sleep-then", seconds, "exit", code] => {
            let code = code.parse().ok()?;
            thread::sleep(Duration::from_secs(seconds.parse().ok()?));
            process::exit(code)
        }
        ["panic"] => panic!("asked to panic"),
        ["trap"] => trap(),
        ["abort"] => process::abort(),
        ["memory", mib] => {
            fill_memory(mib.parse().ok()?);
            Some(())
        }
        _ => None,
    }
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    process::abort()
}

fn fill_memory(mib: usize) {
    // One allocation a MiB, so that the memory grows up to its limit instead of jumping over it.
    let kept: Vec<Vec<u8>> = (0..mib).map(|_| black_box(vec![1; MIB])).collect();
    println!("holding {} MiB", kept.len());
}
