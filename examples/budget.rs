//! A customer's module gets a budget of CPU work, and its bill is read afterwards.
//!
//! `cargo run --release --example budget`

use std::time::Duration;

use longshore::{RunError, Task, run};

fn main() -> Result<(), RunError> {
    let budget = Some(Duration::from_millis(200));
    for (customer, rounds) in [("thrifty", "1"), ("greedy", "1000000")] {
        let arguments = vec!["100000".to_string(), rounds.to_string()];
        let task = Task { vcpu_budget: budget, arguments, cpu: 1024, ..Task::of("workloads/sieve") };
        let outcome = run(&task)?;
        println!(
            "{customer}: exit code {}, {:.3} vCPU-s, {} MiB at most, {} s billed, {} USD{}",
            outcome.exit_code,
            outcome.vcpu_seconds(),
            outcome.usage.memory_bytes_peak.div_ceil(1 << 20),
            outcome.billed_seconds,
            outcome.cost,
            outcome.reason.map(|reason| format!(": {reason}")).unwrap_or_default(),
        );
    }
    Ok(())
}
