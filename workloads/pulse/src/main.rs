//! Works in bursts and sleeps between them: a load that comes and goes without anybody sending jobs.
//!
//! Between bursts it waits for the time or the end of stdin, whichever comes first, so it stops at once when the host
//! asks. Lines on stdin are dropped. The work of a burst is counted, not timed: the same on every host.
//!
//! Arguments: `pulse UNITS IDLE_MS [BURSTS]`: units of work a burst (checksum of 1 MiB each), milliseconds of sleep
//! between two bursts, and after how many bursts to end (by default never).
//! Exit: 0 after the last burst or when stdin ends; 2 for bad arguments.
//! Fuel: 9 M a unit. Memory: 2.1 MiB.

use std::io::{self, BufRead};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const UNIT_LEN: usize = 1024 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = arguments.iter().map(|argument| argument.parse().ok()).collect::<Option<Vec<u64>>>();
    let (units, idle_ms, bursts) = match numbers.as_deref() {
        Some(&[units, idle_ms]) => (units, idle_ms, u64::MAX),
        Some(&[units, idle_ms, bursts]) => (units, idle_ms, bursts),
        _ => {
            eprintln!("usage: pulse UNITS IDLE_MS [BURSTS]");
            return ExitCode::from(2);
        }
    };
    let data: Vec<u8> = (0..UNIT_LEN).map(|index| (index % 241) as u8).collect();
    let mut checksum = 0;
    let mut done = 0;
    while done < bursts {
        for _ in 0..units {
            checksum = checksum_of(checksum, &data);
        }
        done += 1;
        println!("burst {done}: {checksum:08x}");
        if done < bursts && stdin_ends_within(Duration::from_millis(idle_ms)) {
            break;
        }
    }
    println!("pulse: {done} bursts");
    ExitCode::SUCCESS
}

/// Continues a CRC-32 over the data.
fn checksum_of(checksum: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(checksum);
    hasher.update(data);
    hasher.finalize()
}

/// Waits for the end of stdin, but no longer than the time given; says whether it has come.
fn stdin_ends_within(time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, lest the last fraction of a millisecond be spent polling.
        let left_ms = left.as_nanos().div_ceil(1_000_000);
        let mut stdin = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
        // SAFETY: `stdin` is one valid entry, and lives until the call returns.
        let ready_count = unsafe { libc::poll(&mut stdin, 1, left_ms.try_into().unwrap_or(i32::MAX)) };
        if ready_count <= 0 {
            // A wait that failed does not mean that the time is over: the clock decides.
            if Instant::now() >= deadline {
                return false;
            }
            continue;
        }
        let mut input = io::stdin().lock();
        match input.fill_buf() {
            Ok([]) | Err(_) => return true,
            Ok(line) => {
                let len = line.len();
                input.consume(len);
            }
        }
    }
}
