//! Counts the primes up to a bound with a segmented sieve of Eratosthenes: CPU bound, almost no memory, no input.
//!
//! Arguments: `sieve [N [ROUNDS]]`, by default the primes up to 1,000,000, once.
//! Exit: 0; 2 for arguments that are not numbers. Fuel: 27 M for N = 1,000,000, 3 G for 100,000,000. Memory: 1.1 MiB.

use std::process::ExitCode;

/// Odd numbers in one segment: a segment stays in the first-level cache of any host.
const SEGMENT_LEN: usize = 32 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(numbers) = arguments.iter().map(|argument| argument.parse().ok()).collect::<Option<Vec<u64>>>() else {
        eprintln!("usage: sieve [N [ROUNDS]]");
        return ExitCode::from(2);
    };
    let bound = numbers.first().copied().unwrap_or(1_000_000);
    let rounds = numbers.get(1).copied().unwrap_or(1);
    for _ in 0..rounds {
        println!("{} primes up to {bound}", count_primes(bound));
    }
    ExitCode::SUCCESS
}

/// Counts the primes not greater than `bound`.
fn count_primes(bound: u64) -> u64 {
    if bound < 2 {
        return 0;
    }
    let mut wheels = odd_primes_up_to(bound.isqrt()).into_iter().map(Wheel::new).collect::<Vec<_>>();
    let mut is_composite = vec![false; SEGMENT_LEN];
    // Index i stands for the odd number 2i + 1. Index 0 is 1, which is no prime, and stands in for 2, which is one.
    let end_index = bound.div_ceil(2);
    let mut prime_count = 0;
    let mut start_index = 0;
    while start_index < end_index {
        let len = (end_index - start_index).min(SEGMENT_LEN as u64) as usize;
        let segment = &mut is_composite[..len];
        segment.fill(false);
        for wheel in &mut wheels {
            wheel.strike(segment, start_index);
        }
        prime_count += segment.iter().filter(|&&composite| !composite).count() as u64;
        start_index += len as u64;
    }
    prime_count
}

/// One sieving prime, and the index of its next multiple to strike out.
struct Wheel {
    prime: u64,
    next_index: u64,
}

impl Wheel {
    fn new(prime: u64) -> Self {
        Self { prime, next_index: prime * prime / 2 }
    }

    /// Strikes out the multiples that fall into the segment, which begins at `start_index`.
    fn strike(&mut self, segment: &mut [bool], start_index: u64) {
        let end_index = start_index + segment.len() as u64;
        while self.next_index < end_index {
            segment[(self.next_index - start_index) as usize] = true;
            self.next_index += self.prime;
        }
    }
}

/// Lists the odd primes not greater than `bound`, by trial division: only square roots of bounds are asked for.
fn odd_primes_up_to(bound: u64) -> Vec<u64> {
    let mut primes: Vec<u64> = Vec::new();
    for candidate in (3..=bound).step_by(2) {
        if primes.iter().take_while(|&&prime| prime * prime <= candidate).all(|prime| candidate % prime != 0) {
            primes.push(candidate);
        }
    }
    primes
}
