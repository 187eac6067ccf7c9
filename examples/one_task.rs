//! One limited, metered task: a quarter of a vCPU, 512 MiB, nothing else of this machine.
//!
//! `cargo run --release --example one_task`

fn main() -> Result<(), longshore::RunError> {
    let arguments = vec!["200000".to_string()];
    let task = longshore::Task { cpu: 256, memory_mib: 512, arguments, ..longshore::Task::of("workloads/sieve") };
    let outcome = longshore::run(&task)?;
    print!("{}", outcome.stdout);
    println!("exit code {}: {:.6} vCPU-s, {} USD", outcome.exit_code, outcome.vcpu_seconds(), outcome.cost);
    Ok(())
}
