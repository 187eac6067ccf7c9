//! Works off jobs as they come in: the program behind a service. It waits without using CPU between them.
//!
//! A job is a line on stdin that says how much work it is; the host hands over one line a read. WASI has no signals:
//! the end of stdin is how the host asks the task to stop.
//!
//! Arguments: `worker [ROUNDS]`, the work of a job whose line holds no number, by default 100. One round hashes 16 KiB.
//! Exit: 0 when stdin ends; 1 when it cannot be read; 2 for bad arguments. Fuel: 1.3 M a round.
//! Memory: 1.1 MiB.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use sha2::{Digest, Sha256};

const BUFFER_LEN: usize = 16 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds_default = match arguments.as_slice() {
        [] => Some(100),
        [rounds] => rounds.parse().ok(),
        _ => None,
    };
    let Some(rounds_default) = rounds_default else {
        eprintln!("usage: worker [ROUNDS]");
        return ExitCode::from(2);
    };
    match work(rounds_default) {
        Ok(job_count) => {
            println!("worker: {job_count} jobs");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does the jobs until stdin ends, and returns how many there were.
fn work(rounds_default: u64) -> io::Result<u64> {
    let mut buffer: Vec<u8> = (0..BUFFER_LEN).map(|index| (index % 251) as u8).collect();
    let mut job_count = 0;
    for line in io::stdin().lock().lines() {
        let rounds = line?.trim().parse().unwrap_or(rounds_default);
        job_count += 1;
        let digest = hash(&mut buffer, rounds);
        println!("job {job_count} done: {digest:08x}");
        io::stdout().flush()?;
    }
    Ok(job_count)
}

/// Hashes the buffer over and over, each time with the digest before at its front; returns the digest's first four bytes.
fn hash(buffer: &mut [u8], rounds: u64) -> u32 {
    for _ in 0..rounds {
        let digest = Sha256::digest(&*buffer);
        buffer[..digest.len()].copy_from_slice(&digest);
    }
    u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]])
}
