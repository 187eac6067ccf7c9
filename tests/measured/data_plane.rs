//! What guests get of the host, measured at the data plane itself: quotas, shares, host calls, memory, and what can be delivered.

use std::time::Duration;

use longshore::control_plane::action::TaskHost;
use longshore::data_plane::DataPlaneOptions;
use longshore::model::settings::CpuBasis;
use longshore::model::task::TaskOverrides;
use longshore::model::task_definition::{ContainerDefinition, TaskDefinition};
use longshore::model::units::CpuUnits;

use crate::plane::{Plane, container, definition, limits, only};
use crate::{alone, measure, near};

/// A guest that only calls the host burns next to no fuel and is held to its quota all the same.
#[test]
fn host_calls_are_charged() {
    let _alone = alone();
    let plane = Plane::new();
    // A MiB of random bytes is one call that nothing cuts short, a tenth of a second where nothing is optimised: over a
    // short window such a call more or less is no small part.
    for (module, seconds) in [("host_calls.wat", 2), ("random_flood.wat", 8), ("flood_stdout.wat", 2)] {
        let task = plane.start(definition(vec![container(&limits(module))]));
        plane.wait_running(task);
        std::thread::sleep(Duration::from_millis(250));
        let before = plane.plane.usage_of(task).expect("it is live");
        // Time between host calls is no fuel and no host call, so that a little is missing; a call that began in the
        // window may end after it.
        measure(|| near(plane.rates(&[task], Duration::from_secs(seconds))[0], 0.24, 0.16, module));
        let after = plane.plane.usage_of(task).expect("it is live");
        assert!(after.host_call_time > before.host_call_time);
        plane.plane.stop_task(task);
        assert_eq!(only(&plane.wait_stopped(task)).0, Some(137));
    }
}

/// Weights of 1:3 on one full vCPU give 1:3 within 3 %; alone, each has all of it. By both bases.
#[test]
fn shares_follow_weights() {
    let _alone = alone();
    for cpu_basis in [CpuBasis::Fuel, CpuBasis::Time] {
        let plane = Plane::with(DataPlaneOptions { cpu_basis, ..DataPlaneOptions::default() });
        let instance = plane.launch(1);
        let start = |cpu: u32| {
            let mut spin =
                definition(vec![ContainerDefinition { cpu: CpuUnits(cpu), ..container(&limits("spin_memory.wat")) }]);
            spin.cpu = None;
            let task = plane.start_on(spin, TaskHost::Ec2(instance), TaskOverrides::default(), None);
            plane.wait_running(task);
            task
        };
        let light = start(256);
        std::thread::sleep(Duration::from_millis(200));
        if cpu_basis == CpuBasis::Fuel {
            measure(|| near(plane.rates(&[light], Duration::from_secs(2))[0], 1.0, 0.03, "alone"));
        }
        let heavy = start(768);
        std::thread::sleep(Duration::from_millis(200));
        measure(|| {
            let rates = plane.rates(&[light, heavy], Duration::from_secs(4));
            near(rates[1] / rates[0], 3.0, 0.03, &format!("heavy to light by {cpu_basis:?}"))
        });
    }
}

/// A host that cannot deliver says so; one that can, and quotas that hold back, are no shortfall.
#[test]
fn delivery_tells_what_the_host_can_not_do() {
    let _alone = alone();
    let options = DataPlaneOptions { worker_threads: Some(1), ..DataPlaneOptions::default() };
    let plane = Plane::with(DataPlaneOptions { cpu_basis: CpuBasis::Time, ..options.clone() });
    let full = || TaskDefinition { cpu: Some(CpuUnits(1024)), ..definition(vec![container(&limits("spin.wat"))]) };
    for _ in 0..4 {
        let task = plane.start(full());
        plane.wait_running(task);
    }
    std::thread::sleep(Duration::from_secs(2));
    let delivery = plane.plane.delivery();
    let part = delivery.delivered.0 as f64 / delivery.wanted.0 as f64;
    assert!(part < 0.4, "one core cannot deliver four: {part}");
    drop(plane);
    measure(|| {
        let plane = Plane::with(options.clone());
        let task = plane.start(definition(vec![container(&limits("spin_memory.wat"))]));
        plane.wait_running(task);
        std::thread::sleep(Duration::from_secs(2));
        let delivery = plane.plane.delivery();
        near(delivery.delivered.0 as f64 / delivery.wanted.0 as f64, 1.0, 0.1, "a quarter by fuel is little")
    });
}

/// Sixteen guests that take all they can get leave the host below the sum of their limits and what each costs.
#[test]
fn host_memory_stays_within_the_limits() {
    /// What a live container costs the host beyond what its task is charged for: stack, tables of the engine and of WASI.
    const OVERHEAD_BYTES: u64 = 1 << 20;
    let _alone = alone();
    let plane = Plane::new();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").expect("this is linux");
        let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("it is a number");
        pages * 4096
    };
    let warm = plane.run(definition(vec![container(&limits("grow.wat"))]));
    assert_eq!(only(&warm).0, Some(137));
    let before = resident();
    let tasks: Vec<_> = (0..16)
        .map(|index| {
            let module = ["hold_40mib.wat", "flood_stdout.wat"][index % 2];
            let task = plane.start(definition(vec![container(&limits(module))]));
            plane.wait_running(task);
            task
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let held: u64 = plane.plane.usage().iter().map(|sample| sample.usage.memory_bytes).sum();
    assert!(held > 8 * (40 << 20) && held < 16 * (64 << 20));
    let grown = resident().saturating_sub(before);
    println!("{} tasks hold {} MiB, the host {} MiB", tasks.len(), held >> 20, grown >> 20);
    assert!(grown < held + tasks.len() as u64 * OVERHEAD_BYTES, "{grown} bytes for {held}");
    for task in &tasks {
        assert!(plane.plane.logs(*task, 0).expect("it is live").stdout.len() <= 64 << 10);
    }
}
