//! Guests in their sandboxes, from outside through the data plane: what they get, what holds them, and how they end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use longshore::control_plane::action::TaskHost;
use longshore::control_plane::event::{Event, TaskStep};
use longshore::data_plane::clock::Clock;
use longshore::data_plane::jobs::JobPush;
use longshore::data_plane::{DataPlane, DataPlaneOptions};
use longshore::model::ids::ContainerInstanceId;
use longshore::model::settings::FuelRate;
use longshore::model::task::TaskOverrides;
use longshore::model::task_definition::{ContainerDefinition, MountPoint, TaskDefinition, Volume, VolumeAccess};
use longshore::model::traffic::TrafficKind;
use longshore::model::units::{Fuel, MemoryMib, VcpuNanos};

use crate::plane::{PATIENCE, Plane, assert_near, container, definition, limits, only};

const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// Reads standard input until its end, echoing it, and ends with 7.
pub(crate) const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\20\00\00\00\00\10\00\00")
    (func (export "_start")
        (loop $again
            (i32.store (i32.const 4) (i32.const 4096))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 9))))
            (if (i32.eqz (i32.load (i32.const 8))) (then (call $exit (i32.const 7))))
            (i32.store (i32.const 4) (i32.load (i32.const 8)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
            (br $again))))"#;

/// Says hello.
const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00")
    (data (i32.const 16) "hello\n")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Prints its arguments and variables as they lie in its memory, and ends with the number of its first folder's error.
const ASK: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $print (param $at i32) (param $len i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $len))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start")
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 1024) (i32.const 4096)))
        (call $print (i32.const 4096) (i32.load (i32.const 20)))
        (drop (call $env_sizes (i32.const 16) (i32.const 20)))
        (drop (call $env (i32.const 1024) (i32.const 16384)))
        (call $print (i32.const 16384) (i32.load (i32.const 20)))
        (call $exit (call $prestat (i32.const 3) (i32.const 64)))))"#;

/// A cached image means two reports, a first use one more; arguments, output, fuel and time are what they should be.
#[test]
fn a_task_runs_and_reports_twice() {
    let plane = Plane::new();
    let image = plane.module("hello", HELLO);
    let first = plane.run(definition(vec![container(&image)]));
    assert_eq!(first.steps, ["pulling", "running", "stopped"]);
    let task = plane.start(definition(vec![container(&image)]));
    let second = plane.wait_stopped(task);
    assert_eq!(second.steps, ["running", "stopped"]);
    assert_eq!(only(&second), (Some(0), None));
    assert_eq!(plane.stdout(task, 0), "hello\n");
    assert_eq!(second.usage.fuel, first.usage.fuel, "the same work burns the same fuel");
    assert!(second.usage.fuel > Fuel(0) && second.usage.fuel < Fuel(100));
    assert!(second.usage.host_call_time > Duration::ZERO);
    assert!(second.usage.cpu_time >= second.usage.host_call_time);
    assert!(second.usage.memory_bytes_peak >= 64 << 10);
    assert_eq!(second.usage.memory_bytes, 0);
    assert!(plane.plane.usage().is_empty());
}

/// The ends of guests: by code, by trap, by overflow of the stack, and by a host that has nothing for them.
#[test]
fn ends_have_their_codes() {
    let plane = Plane::new();
    for (module, code, reason) in [
        ("exit_3.wat", Some(3), None),
        ("trap.wat", Some(134), Some("unreachable")),
        ("recurse.wat", Some(134), Some("call stack exhausted")),
        ("grow_quiet.wat", Some(0), None),
    ] {
        let ended = plane.run(definition(vec![container(&limits(module))]));
        let (exit_code, why) = only(&ended);
        assert_eq!(exit_code, code, "{module}: {ended:?}");
        assert!(why.unwrap_or("").contains(reason.unwrap_or("")) && why.is_some() == reason.is_some(), "{ended:?}");
    }
}

/// What cannot run says so, with ECS' classes, and never was running.
#[test]
fn what_cannot_run_says_why() {
    let plane = Plane::new();
    let library = plane.module("library", "(module (func (export \"add\")))");
    let strange = plane.module("strange", r#"(module (import "env" "x" (func)) (func (export "_start")))"#);
    let broken = plane.module("broken", "(module (func (export \"_start\") i32.add))");
    let nothing = plane.folder.path().join("nothing.wasm").display().to_string();
    for (image, class, detail) in [
        (nothing.as_str(), "CannotPullContainerError", "No such file"),
        (broken.as_str(), "CannotPullContainerError", "broken.wat"),
        (library.as_str(), "CannotCreateContainerError", "_start"),
        (strange.as_str(), "CannotCreateContainerError", "env::x"),
    ] {
        let ended = plane.run(definition(vec![container(image)]));
        assert_eq!(ended.steps, ["pulling", "stopped"]);
        let reason = ended.failed_to_start.clone().expect("it did not start");
        assert!(reason.starts_with(class) && reason.contains(detail), "{reason}");
        assert_eq!(only(&ended), (None, None));
    }
    let hello = plane.module("hello", HELLO);
    let mut missing_folder = definition(vec![container(&hello)]);
    missing_folder.volumes = vec![Volume { name: "data".into(), host_source_path: Some("/does/not/exist".into()) }];
    let ended = plane.run(missing_folder);
    assert_eq!(ended.steps, ["pulling", "stopped"]);
    assert!(ended.failed_to_start.expect("it did not start").starts_with("CannotCreateVolumeError"));
    let ended = plane.wait_stopped(plane.start_on(
        definition(vec![container(&hello)]),
        TaskHost::Ec2(ContainerInstanceId(99)),
        TaskOverrides::default(),
        None,
    ));
    assert_eq!(ended.steps, ["stopped"]);
    assert!(ended.failed_to_start.is_some());
}

/// A task that asks for more memory than it has ends with 137 and ECS' reason: in pieces, in a table, or over two memories.
#[test]
fn the_memory_limit_holds() {
    let plane = Plane::new();
    for module in ["grow.wat", "table_grow.wat", "two_memories.wat"] {
        let ended = plane.run(definition(vec![container(&limits(module))]));
        assert_eq!(only(&ended), (Some(137), Some(OUT_OF_MEMORY)), "{module}");
        assert!(ended.usage.memory_bytes_peak <= 64 << 20, "{module}: {}", ended.usage.memory_bytes_peak);
        assert!(ended.usage.memory_bytes_peak > 60 << 20, "{module}: {}", ended.usage.memory_bytes_peak);
    }
    let too_large = plane.module("too_large", r#"(module (memory (export "memory") 1025) (func (export "_start")))"#);
    let ended = plane.run(definition(vec![container(&too_large)]));
    assert_eq!(only(&ended), (Some(137), Some(OUT_OF_MEMORY)));
    let own_limit = ContainerDefinition { memory: Some(MemoryMib(8)), ..container(&limits("grow.wat")) };
    let ended = plane.run(definition(vec![own_limit]));
    assert_eq!(only(&ended), (Some(137), Some(OUT_OF_MEMORY)));
    assert!(ended.usage.memory_bytes_peak <= 8 << 20);
}

/// Two containers of 40 MiB do not fit a task of 64 MiB: the second is killed for it, and the first goes with it.
#[test]
fn containers_share_their_tasks_memory() {
    let plane = Plane::new();
    let hold = || container(&limits("hold_40mib.wat"));
    let ended = plane.run(definition(vec![hold(), hold()]));
    let (mut killed, mut stopped): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for exit in ended.exits.values() {
        assert_eq!(exit.exit_code, Some(137));
        if exit.reason.as_deref() == Some(OUT_OF_MEMORY) { killed.push(exit) } else { stopped.push(exit) }
    }
    assert_eq!((killed.len(), stopped.len()), (1, 1), "{ended:?}");
    assert_eq!(ended.steps, ["pulling", "running", "changed", "stopped"]);
    assert!(ended.usage.memory_bytes_peak <= 64 << 20);
}

/// A guest inside a host call, one that spins and one in its start function end within their stop timeout.
#[test]
fn stopping_works_anywhere() {
    let plane = Plane::new();
    for module in ["sleep.wat", "spin.wat", "start_spin.wat", "host_calls.wat", "fill.wat"] {
        let task = plane.start(definition(vec![container(&limits(module))]));
        plane.wait_running(task);
        let asked = plane.clock.now();
        plane.plane.stop_task(task);
        plane.plane.stop_task(task);
        let ended = plane.wait_stopped(task);
        let took = plane.clock.now().since(asked);
        assert_eq!(only(&ended), (Some(137), None), "{module}");
        assert!(took >= Duration::from_millis(299) && took < Duration::from_secs(2), "{module} took {took:?}");
    }
}

/// Standard input is open without data until the task is asked to stop; the guest ends in its own way.
#[test]
fn input_ends_at_the_stop() {
    let plane = Plane::new();
    let echo = plane.module("echo", ECHO);
    let task = plane.start(definition(vec![container(&echo)]));
    plane.wait_running(task);
    assert!(plane.events.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
    plane.plane.stop_task(task);
    assert_eq!(only(&plane.wait_stopped(task)), (Some(7), None));
    plane.plane.stop_task(task);
    assert!(plane.events.recv_timeout(Duration::from_millis(50)).is_err(), "a stopped task is left alone");
}

/// Jobs go to the service's tasks line by line, are done when the next is asked for, and go back when their task dies.
#[test]
fn jobs_are_handed_out() {
    let plane = Plane::new();
    plane.plane.attach_load("web", None);
    let queue = plane.plane.job_queue("web");
    let echo = plane.module("echo", ECHO);
    let start = || {
        let task = definition(vec![container(&echo)]);
        plane.start_on(task, TaskHost::Fargate, TaskOverrides::default(), Some("web"))
    };
    let task = start();
    plane.wait_running(task);
    for job in ["one", "two", "three"] {
        assert_eq!(queue.push(job.into(), TrafficKind::Production), JobPush::Queued);
    }
    while queue.stats().completed < 3 {
        std::thread::yield_now();
    }
    assert_eq!(plane.stdout(task, 0), "one\ntwo\nthree\n");
    plane.plane.stop_task(task);
    assert_eq!(only(&plane.wait_stopped(task)), (Some(7), None));
    let stats = queue.stats();
    assert_eq!((stats.pushed, stats.completed, stats.outstanding, stats.queued), (3, 3, 0, 0));
    assert!(stats.latency_p50 > Duration::ZERO && stats.latency_p99 >= stats.latency_p50);
    // One that dies with a job in its hands gives it back.
    let trap = plane.module("trap_on_job", &ECHO.replace("(drop (call $write", "(unreachable) (drop (call $write"));
    plane.start_on(definition(vec![container(&trap)]), TaskHost::Fargate, TaskOverrides::default(), Some("web"));
    queue.push("four".into(), TrafficKind::Production);
    while queue.stats().requeued < 1 {
        std::thread::yield_now();
    }
    let task = start();
    while queue.stats().completed < 4 {
        std::thread::yield_now();
    }
    assert_eq!(plane.stdout(task, 0), "four\n");
}

/// A hundred tasks of one image compile it once; the same bytes under another name, and another run, not at all.
#[test]
fn an_image_is_compiled_once() {
    let cache = tempfile::tempdir().expect("there is a temporary folder");
    let options = || DataPlaneOptions {
        cache_dir: Some(cache.path().join("code")),
        compile_parallelism: 2,
        ..DataPlaneOptions::default()
    };
    let plane = Plane::with(options());
    let image = plane.module("hello", HELLO);
    let mut tasks: BTreeSet<_> = (0..100).map(|_| plane.start(definition(vec![container(&image)]))).collect();
    while !tasks.is_empty() {
        let change = plane.change();
        if let TaskStep::Stopped { failed_to_start, .. } = change.step {
            assert_eq!((failed_to_start, change.containers[0].exit.exit_code), (None, Some(0)));
            tasks.remove(&change.task);
        }
    }
    assert_eq!(plane.plane.compiled_count(), 1);
    let same = plane.module("same", HELLO);
    assert_eq!(only(&plane.run(definition(vec![container(&same)]))), (Some(0), None));
    assert_eq!(plane.plane.compiled_count(), 1);
    let again = Plane::with(options());
    again.plane.prepare(&image).recv_timeout(PATIENCE).expect("it answers").expect("it compiles");
    let ended = again.run(definition(vec![container(&image)]));
    assert_eq!((only(&ended), &ended.steps[..]), ((Some(0), None), &["running", "stopped"][..]));
    assert_eq!(again.plane.compiled_count(), 0, "it was found on disk");
    // A damaged file is made anew, and nobody else may write to the folder.
    for entry in std::fs::read_dir(cache.path().join("code")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let mut bytes = std::fs::read(&path).expect("it can be read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("it can be written");
    }
    let third = Plane::with(options());
    assert_eq!(only(&third.run(definition(vec![container(&image)]))), (Some(0), None));
    assert_eq!(third.plane.compiled_count(), 1);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(cache.path().join("code"), open).expect("it is ours");
    let (sender, _events) = crossbeam_channel::unbounded::<Event>();
    assert!(DataPlane::start(options(), Clock::start_now(), sender).is_err());
}

/// A guest sees the arguments, variables and folders that it was given, and nothing of the host.
#[test]
fn nothing_leaks_into_a_guest() {
    let plane = Plane::new();
    let ask = plane.module("ask", ASK);
    const BAD_DESCRIPTOR: i32 = 8;
    let task = plane.start(definition(vec![container(&ask)]));
    assert_eq!(only(&plane.wait_stopped(task)), (Some(BAD_DESCRIPTOR), None));
    assert_eq!(plane.stdout(task, 0), "ask\0");
    let mut named = container(&ask);
    named.entry_point = Some(vec!["program".into(), "-x".into()]);
    named.command = vec!["a b".into()];
    named.environment = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "2".into())]);
    named.mount_points =
        vec![MountPoint { source_volume: "v".into(), container_path: "/v".into(), access: VolumeAccess::ReadOnly }];
    let mut with_all = definition(vec![named]);
    with_all.volumes = vec![Volume { name: "v".into(), host_source_path: None }];
    let mut overrides = TaskOverrides::default();
    overrides.containers.entry(with_all.containers[0].name.clone()).or_default().environment =
        BTreeMap::from([("B".into(), "3".into())]);
    let task = plane.start_on(with_all, TaskHost::Fargate, overrides, None);
    assert_eq!(only(&plane.wait_stopped(task)), (Some(0), None));
    assert_eq!(plane.stdout(task, 0), "program\0-x\0a b\0A=1\0B=3\0");
}

/// Opens a file in its first folder with the flags given in its module, writes to it or not, and ends with the error.
fn open_file(create: bool) -> String {
    // Creating wants the right to write, and the flag to create.
    let (flags, rights) = if create { (1, 0x40) } else { (0, 0x2) };
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\04\00\00\00")
        (data (i32.const 16) "data")
        (data (i32.const 32) "file")
        (func (export "_start") (local i32)
            (local.set 0 (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4)
                (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 64)))
            (if (i32.and (i32.eqz (local.get 0)) (i32.const {flags}))
                (then (drop (call $write (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i32.const 8)))))
            (call $exit (local.get 0))))"#
    )
}

/// Containers of a task share its volumes, a task's own folder ends with it, and read-only is read-only.
#[test]
fn volumes_are_shared_and_guarded() {
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    let options = DataPlaneOptions { scratch_dir: Some(scratch.path().into()), ..DataPlaneOptions::default() };
    let plane = Plane::with(options);
    let (create, open) = (plane.module("create", &open_file(true)), plane.module("open", &open_file(false)));
    let mounted = |image: &str, access: VolumeAccess| ContainerDefinition {
        mount_points: vec![MountPoint { source_volume: "v".into(), container_path: "/v".into(), access }],
        ..container(image)
    };
    let task = |containers: Vec<ContainerDefinition>, host: Option<&Path>| {
        let mut task = definition(containers);
        task.volumes = vec![Volume { name: "v".into(), host_source_path: host.map(|path| path.display().to_string()) }];
        task
    };
    const NO_ENTRY: i32 = 44;
    const NOT_PERMITTED: i32 = 63;
    let host = plane.folder.path().join("host");
    std::fs::create_dir(&host).expect("it is made");
    for (image, access, host, code) in [
        (&open, VolumeAccess::ReadOnly, None, NO_ENTRY),
        (&create, VolumeAccess::ReadOnly, Some(host.as_path()), NOT_PERMITTED),
        (&create, VolumeAccess::ReadWrite, Some(host.as_path()), 0),
        (&open, VolumeAccess::ReadOnly, Some(host.as_path()), 0),
        (&create, VolumeAccess::ReadWrite, None, 0),
        (&open, VolumeAccess::ReadWrite, None, NO_ENTRY),
    ] {
        let ended = plane.run(task(vec![mounted(image, access)], host));
        assert_eq!(only(&ended), (Some(code), None), "{image} {access:?} {host:?}");
    }
    assert_eq!(std::fs::read(host.join("file")).expect("the guest wrote it"), b"data");
    // The reader waits for its turn behind the writer: it ends after the writer's end was reported.
    let reader = plane.module(
        "reader",
        &open_file(false).replace(
            "(local.set 0 (call $open",
            "(loop $again (local.set 0 (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4)
                (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))
                (br_if $again (local.get 0)))
            (local.set 0 (call $open",
        ),
    );
    let writer = ContainerDefinition { essential: false, ..mounted(&create, VolumeAccess::ReadWrite) };
    let ended = plane.run(task(vec![writer, mounted(&reader, VolumeAccess::ReadOnly)], None));
    assert!(ended.exits.values().all(|exit| exit.exit_code == Some(0)), "{ended:?}");
    drop(plane);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A task whose own volumes hold more than its storage is ended, also when what it writes to has no name any more; the disk has its room back.
#[test]
fn a_tasks_storage_is_bounded() {
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    let plane = Plane::with(DataPlaneOptions {
        scratch_dir: Some(scratch.path().into()),
        volume_bytes_max: Some(32 << 20),
        ..DataPlaneOptions::default()
    });
    let mount = MountPoint { source_volume: "v".into(), container_path: "/v".into(), access: VolumeAccess::ReadWrite };
    let image = limits("disk_flood.wat");
    let mut task = definition(vec![ContainerDefinition { mount_points: vec![mount], ..container(&image) }]);
    task.volumes = vec![Volume { name: "v".into(), host_source_path: None }];
    let ended = plane.run(task);
    assert_eq!(
        only(&ended),
        (Some(137), Some("StorageExceeded: the task's volumes hold more than its 32 MiB of storage"))
    );
}

/// A flood of output is charged and bounded, and another task has its quota all the same.
#[test]
fn a_flood_stalls_nobody() {
    let logs = tempfile::tempdir().expect("there is a temporary folder");
    let (sender, lines) = crossbeam_channel::bounded(10);
    let plane = Plane::with(DataPlaneOptions { log_observer: Some(sender), ..DataPlaneOptions::default() });
    let flood = plane.start(definition(vec![container(&limits("flood_stdout.wat"))]));
    plane.wait_running(flood);
    let spin = plane.start(definition(vec![container(&limits("spin_memory.wat"))]));
    plane.wait_running(spin);
    std::thread::sleep(Duration::from_millis(200));
    // What is near is measured elsewhere, where no other test wants the cores.
    assert_near(plane.rates(&[spin], Duration::from_secs(2))[0], 0.25, 0.2);
    let kept = plane.plane.logs(flood, 0).expect("it is live");
    assert!(kept.stdout.len() <= 64 << 10 && kept.stdout_dropped > 0);
    assert!(plane.plane.usage_of(flood).expect("it is live").memory_bytes_peak < 1 << 20);
    assert_eq!(lines.len(), 10, "the observer's channel is full and nobody waits for it");
    drop(plane);
    let options = DataPlaneOptions { log_dir: Some(logs.path().into()), ..DataPlaneOptions::default() };
    let id_form = options.id_form;
    let plane = Plane::with(options);
    let hello = plane.module("hello", HELLO);
    let task = definition(vec![ContainerDefinition { name: "greeter".into(), ..container(&hello) }]);
    let task = plane.start_on(task, TaskHost::Fargate, TaskOverrides::default(), Some("web"));
    plane.wait_stopped(task);
    let path = logs.path().join("web/greeter").join(format!("{}.log", id_form.task(task)));
    assert_eq!(std::fs::read_to_string(path).expect("it was written"), "hello\n");
    assert_eq!(plane.plane.log_errors(), 0);
}

/// A terminated instance takes its tasks with it at once: their usage comes first, then its own end.
#[test]
fn an_instance_takes_its_tasks_with_it() {
    let plane = Plane::new();
    let instance = plane.launch(2);
    let mut tasks = BTreeSet::new();
    for module in ["spin_memory.wat", "sleep.wat", "spin.wat"] {
        let mut task = definition(vec![container(&limits(module))]);
        task.cpu = None;
        let task = plane.start_on(task, TaskHost::Ec2(instance), TaskOverrides::default(), None);
        plane.wait_running(task);
        tasks.insert(task);
    }
    while plane.vcpu(*tasks.first().expect("there are three")) == 0 {
        std::thread::yield_now();
    }
    let asked = plane.clock.now();
    plane.plane.terminate_instance(instance);
    plane.plane.terminate_instance(instance);
    let mut used = VcpuNanos(0);
    for _ in 0..3 {
        let change = plane.change();
        assert!(tasks.remove(&change.task));
        let TaskStep::Stopped { usage, failed_to_start: None } = change.step else { panic!("{change:?}") };
        assert_eq!(change.containers[0].exit.exit_code, Some(137));
        used += usage.vcpu;
    }
    assert!(used > VcpuNanos(0));
    assert_eq!(plane.next(), Event::InstanceTerminated { instance, reason: None });
    assert!(plane.clock.now().since(asked) < Duration::from_secs(2));
    let late = plane.start_on(
        definition(vec![container(&limits("spin.wat"))]),
        TaskHost::Ec2(instance),
        TaskOverrides::default(),
        None,
    );
    assert!(plane.wait_stopped(late).failed_to_start.is_some());
}

/// A task with a budget ends when it has used it, and says so.
#[test]
fn a_budget_is_held() {
    let plane = Plane::new();
    let budget = VcpuNanos(100_000_000);
    let overrides = TaskOverrides { vcpu_budget: Some(budget), ..TaskOverrides::default() };
    let task = definition(vec![container(&limits("spin_memory.wat"))]);
    let task = plane.start_on(task, TaskHost::Fargate, overrides, None);
    let ended = plane.wait_stopped(task);
    let (code, reason) = only(&ended);
    assert_eq!(code, Some(137));
    assert!(reason.expect("it has one").starts_with("BudgetExceeded: "), "{reason:?}");
    assert!(ended.usage.vcpu > budget && ended.usage.vcpu.0 < budget.0 * 11 / 10, "{:?}", ended.usage.vcpu);
}

/// An essential container's end stops the others in good order; another's does not.
#[test]
fn the_end_of_an_essential_container_stops_the_rest() {
    let plane = Plane::new();
    let (echo, hello) = (plane.module("echo", ECHO), plane.module("hello", HELLO));
    let task = |essential: bool| {
        let hello = ContainerDefinition { essential, ..container(&hello) };
        definition(vec![hello, container(&echo)])
    };
    let ended = plane.run(task(true));
    assert_eq!(ended.steps, ["pulling", "running", "changed", "stopped"]);
    assert_eq!((ended.exits[&0].exit_code, ended.exits[&1].exit_code), (Some(0), Some(7)));
    let started = plane.start(task(false));
    plane.wait_running(started);
    let change = plane.change();
    assert_eq!((change.step, change.containers[0].container_index), (TaskStep::ContainersChanged, 0));
    assert!(plane.events.recv_timeout(Duration::from_millis(100)).is_err(), "the essential one goes on");
    plane.plane.stop_task(started);
    let ended = plane.wait_stopped(started);
    assert_eq!((ended.exits.get(&0), ended.exits[&1].exit_code), (None, Some(7)));
}

/// A thousand tasks that sleep take no thread, hardly any CPU, and end together.
#[test]
fn sleepers_cost_no_thread() {
    let plane = Plane::new();
    let threads = || std::fs::read_dir("/proc/self/task").expect("this is linux").count();
    plane.plane.prepare(&limits("sleep.wat")).recv_timeout(PATIENCE).expect("it answers").expect("it compiles");
    let before = threads();
    let tasks: Vec<_> = (0..1000).map(|_| plane.start(definition(vec![container(&limits("sleep.wat"))]))).collect();
    let mut running = 0;
    while running < tasks.len() {
        match plane.change().step {
            TaskStep::Running => running += 1,
            other => panic!("{other:?}"),
        }
    }
    // Other tests of this process start threads of their own.
    assert!(threads() < before + 200, "{} threads before, {} with the sleepers", before, threads());
    let rates = plane.rates(&tasks, Duration::from_millis(300));
    assert!(rates.iter().sum::<f64>() < 0.01);
    plane.plane.kill_all();
    for _ in &tasks {
        assert!(matches!(plane.change().step, TaskStep::Stopped { .. }));
    }
    assert!(plane.plane.usage().is_empty());
}

/// More tasks than the engine's pool has slots for run all the same.
#[test]
fn a_full_pool_is_no_limit() {
    let plane = Plane::new();
    let tasks: Vec<_> = (0..1200).map(|_| plane.start(definition(vec![container(&limits("sleep.wat"))]))).collect();
    let mut running = 0;
    while running < tasks.len() {
        match plane.change().step {
            TaskStep::Running => running += 1,
            TaskStep::Pulling => {}
            other => panic!("{other:?}"),
        }
    }
    // The last of them got their instances while all slots were taken.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(plane.plane.usage().len(), tasks.len());
    assert!(plane.events.is_empty(), "{:?}", plane.events.recv());
}

/// The native rate is what a core does: a tight loop with one vCPU of quota then has about a core.
#[test]
fn the_native_rate_is_a_core() {
    let plane = Plane::with(DataPlaneOptions { fuel_rate: FuelRate::Native, ..DataPlaneOptions::default() });
    let rate = plane.plane.fuel_per_vcpu_second();
    assert!((10_000_000..200_000_000_000).contains(&rate), "{rate}");
}

/// Components run as modules do, and their end is told by their result.
#[test]
fn components_are_commands_too() {
    let plane = Plane::new();
    for (name, answer, code) in [("good", 0, 0), ("bad", 1, 1)] {
        let component = plane.module(
            name,
            &format!(
                r#"(component
                (core module $m (func (export "run") (result i32) (i32.const {answer})))
                (core instance $i (instantiate $m))
                (func $run (result (result)) (canon lift (core func $i "run")))
                (instance $command (export "run" (func $run)))
                (export "wasi:cli/run@0.2.0" (instance $command)))"#
            ),
        );
        let ended = plane.run(definition(vec![container(&component)]));
        assert_eq!(only(&ended), (Some(code), None), "{ended:?}");
    }
}

/// Several data planes live in one process, and an end that comes early leaves nothing hanging.
#[test]
fn an_end_comes_at_once() {
    for _ in 0..3 {
        let plane = Plane::new();
        let instance = plane.launch(2);
        for host in [TaskHost::Fargate, TaskHost::Ec2(instance)] {
            for module in ["spin.wat", "sleep.wat", "flood_stderr.wat", "hold_40mib.wat"] {
                plane.start_on(definition(vec![container(&limits(module))]), host, TaskOverrides::default(), None);
            }
        }
        let asked = plane.clock.now();
        let clock = plane.clock.clone();
        plane.plane.shutdown();
        assert!(clock.now().since(asked) < Duration::from_secs(10));
    }
}

/// A burstable instance without CPU credits does no more than its baseline, and all it can when it is let go.
#[test]
fn an_instance_is_held_to_its_baseline() {
    let plane = Plane::new();
    let instance = plane.launch(1);
    let spin = definition(vec![container(&limits("spin_memory.wat"))]);
    let spin = TaskDefinition { cpu: None, ..spin };
    let task = plane.start_on(spin, TaskHost::Ec2(instance), TaskOverrides::default(), None);
    plane.wait_running(task);
    plane.plane.set_instance_cpu_rate(instance, VcpuNanos(100_000_000));
    // What it may have done before is owed for a period.
    std::thread::sleep(Duration::from_millis(300));
    assert_near(plane.rates(&[task], Duration::from_secs(2))[0], 0.1, 0.2);
    plane.plane.set_instance_cpu_rate(instance, VcpuNanos(1_000_000_000));
    std::thread::sleep(Duration::from_millis(300));
    assert!(plane.rates(&[task], Duration::from_secs(1))[0] > 0.3);
}
