//! Every workload, driven from outside through `longshore run-task`: what it prints, what it leaves in its folders, and
//! how it ends. What the limits cost and how exactly they hold is measured elsewhere; here they have to hold at all.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::guests;
use crate::run_task::terminate;

/// Longer than a stop timeout of 30 s on a busy host; whoever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

const TRAPPED: i32 = 134;
/// Stopped by force, or out of memory.
const KILLED: i32 = 137;
/// The program's own failure: the time of the task was over before it had started, say.
const NOT_STARTED: i32 = 1;

/// Prepares `longshore run-task` with its options and the guest's arguments, without input, and with output captured.
fn run_task(module: &Path, options: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.arg("run-task").arg(module).args(options).arg("--").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end, with stdin closed unless the caller has taken it.
#[track_caller]
fn finish(child: Child) -> Output {
    let id = rustix::process::Pid::from_child(&child);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(PATIENCE) else {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        panic!("did not end within {PATIENCE:?}");
    };
    output.unwrap()
}

/// Runs a task to its end, and returns its stdout.
#[track_caller]
fn check(mut command: Command, exit_code: i32) -> String {
    let output = finish(command.spawn().unwrap());
    check_exit(&output, exit_code)
}

#[track_caller]
fn check_exit(output: &Output, exit_code: i32) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "stdout:\n{stdout}\nstderr:\n{stderr}");
    stdout
}

/// Names a folder of the host as a folder of the guest.
fn dir(host: &Path, guest: &str) -> String {
    format!("{}::{guest}", host.display())
}

/// Reads width and height from the header of a PNG file.
/// Source: PNG specification, "IHDR Image header": the first chunk, whose data begins at byte 16.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{} is no PNG", path.display());
    let number_at = |index: usize| u32::from_be_bytes(bytes[index..index + 4].try_into().unwrap());
    (number_at(16), number_at(20))
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// The least program runs on both launch types.
#[test]
fn hello_prints_one_line() {
    let module = guests::wasip1("hello");
    for launch_type in ["FARGATE", "EC2"] {
        assert_eq!(check(run_task(&module, &["--launch-type", launch_type], &[]), 0), "hello\n");
    }
}

#[test]
fn hello_is_a_component_too() {
    assert_eq!(check(run_task(&guests::wasip2("hello"), &[], &[]), 0), "hello\n");
}

// The count is right on both sides of the borders of segments, and for the least bounds. The expected counts are those of
// the prime-counting function, pi(10^n) from OEIS A006880.
#[test]
fn sieve_counts_primes() {
    let module = guests::wasip1("sieve");
    for (bound, count) in [(0, 0), (1, 0), (2, 1), (3, 2), (10, 4), (100, 25), (100_000, 9_592), (1_000_000, 78_498)] {
        let stdout = check(run_task(&module, &[], &[&bound.to_string()]), 0);
        assert_eq!(stdout, format!("{count} primes up to {bound}\n"));
    }
    assert_eq!(check(run_task(&module, &[], &["10", "2"]), 0), "4 primes up to 10\n4 primes up to 10\n");
    check(run_task(&module, &[], &["many"]), 2);
}

// The pictures are complete, of the right size, and the same in every run.
#[test]
fn render_draws_the_same_pictures_in_every_run() {
    let module = guests::wasip1("render");
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    for folder in &folders {
        let volume = dir(folder.path(), "/data");
        let stdout = check(run_task(&module, &["--dir", &volume], &["/data/made", "2", "60", "40"]), 0);
        assert!(stdout.ends_with("render: 2 pictures\n"), "{stdout}");
        assert_eq!(names_in(&folder.path().join("made")), ["picture-0001.png", "picture-0002.png"]);
    }
    let [first, second] = folders.map(|folder| {
        let pictures = ["picture-0001.png", "picture-0002.png"].map(|name| folder.path().join("made").join(name));
        assert_eq!(pictures.each_ref().map(|path| png_size(path)), [(60, 40); 2]);
        pictures.map(|path| fs::read(path).unwrap())
    });
    assert_eq!(first, second);
    assert_ne!(first[0], first[1], "each picture is another");
}

// A folder that is named read-only can be read and not written.
#[test]
fn render_cannot_write_to_a_read_only_folder() {
    let folder = TempDir::new().unwrap();
    let volume = dir(folder.path(), "/data") + ":ro";
    check(run_task(&guests::wasip1("render"), &["--dir", &volume], &["/data", "1", "8", "8"]), 1);
    assert!(names_in(folder.path()).is_empty());
}

// Wide and high pictures fit into the square with their aspect kept, small ones stay as they are, and the source folder
// is only read.
#[test]
fn thumbnail_keeps_the_aspect() {
    let folder = TempDir::new().unwrap();
    let volume = dir(folder.path(), "/data");
    for (name, width, height) in [("wide", "64", "32"), ("high", "30", "90"), ("small", "7", "5")] {
        let made = format!("/data/{name}");
        check(run_task(&guests::wasip1("render"), &["--dir", &volume], &[&made, "1", width, height]), 0);
        let source = dir(&folder.path().join(name), "/in") + ":ro";
        let target = dir(folder.path(), "/data");
        let thumbnails = format!("/data/{name}-thumbnails");
        let options = ["--dir", &source, "--dir", &target];
        let stdout = check(run_task(&guests::wasip1("thumbnail"), &options, &["/in", &thumbnails, "16"]), 0);
        assert!(stdout.ends_with("thumbnail: 1 pictures\n"), "{stdout}");
    }
    let sizes = ["wide", "high", "small"]
        .map(|name| png_size(&folder.path().join(format!("{name}-thumbnails")).join("picture-0001.png")));
    assert_eq!(sizes, [(16, 8), (5, 16), (7, 5)]);
}

// Started before the pictures exist, it takes each as it appears, and nothing that is still being written.
#[test]
fn thumbnail_waits_for_pictures_of_another_task() {
    let folder = TempDir::new().unwrap();
    let volume = dir(folder.path(), "/data");
    let made = folder.path().join("made");
    fs::create_dir(&made).unwrap();
    fs::write(made.join(".picture-0009.png.part"), "half a picture").unwrap();
    fs::write(made.join(".picture-0010.png"), "half a picture").unwrap();
    let arguments = ["/data/made", "/data/thumbnails", "16", "--wait-for", "3"];
    let waiting = run_task(&guests::wasip1("thumbnail"), &["--dir", &volume], &arguments).spawn().unwrap();
    check(run_task(&guests::wasip1("render"), &["--dir", &volume], &["/data/made", "3", "48", "48"]), 0);
    check_exit(&finish(waiting), 0);
    let thumbnails = folder.path().join("thumbnails");
    assert_eq!(names_in(&thumbnails), ["picture-0001.png", "picture-0002.png", "picture-0003.png"]);
    for name in names_in(&thumbnails) {
        assert_eq!(png_size(&thumbnails.join(name)), (16, 16));
    }
}

#[test]
fn thumbnail_fails_on_a_broken_picture() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("broken.png"), "no picture").unwrap();
    let volume = dir(folder.path(), "/data");
    check(run_task(&guests::wasip1("thumbnail"), &["--dir", &volume], &["/data", "/data/out", "16"]), 1);
}

// The results are gzip files of these very bytes: the trailer holds the checksum and the length of the original.
// Source: RFC 1952, section 2.2 (members) and 2.3.1 (CRC32, ISIZE).
#[test]
fn compress_makes_gzip_files() {
    let folder = TempDir::new().unwrap();
    let files = [("empty", Vec::new()), ("text", "all work and no play ".repeat(20_000).into_bytes())];
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let volume = dir(folder.path(), "/data");
    let stdout = check(run_task(&guests::wasip1("compress"), &["--dir", &volume], &["/data"]), 0);
    assert!(stdout.contains("compress: 2 files, 420000 -> "), "{stdout}");
    for (name, bytes) in &files {
        let compressed = fs::read(folder.path().join(format!("{name}.gz"))).unwrap();
        assert_eq!(&compressed[..3], b"\x1f\x8b\x08", "{name}");
        let (_, trailer) = compressed.split_at(compressed.len() - 8);
        let expected = [crc32(bytes), u32::try_from(bytes.len()).unwrap()].map(u32::to_le_bytes).concat();
        assert_eq!(trailer, expected, "{name}");
        assert_eq!(&fs::read(folder.path().join(name)).unwrap(), bytes, "the original is left alone");
    }
    assert!(fs::metadata(folder.path().join("text.gz")).unwrap().len() < 4_200);
    check(run_task(&guests::wasip1("compress"), &["--dir", &volume], &["/data/missing"]), 1);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |remainder, &byte| {
        (0..8).fold(remainder ^ u32::from(byte), |remainder, _| {
            (remainder >> 1) ^ if remainder & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// Starts a task that reads its input from us, and returns its input and output.
fn start_with_input(mut command: Command) -> (Child, std::process::ChildStdin, impl BufRead) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdin, stdout)
}

fn next_line(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line
}

fn rest(stdout: &mut impl BufRead) -> String {
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    text
}

// A job is answered while stdin stays open, with the digest that the same hashing gives on the host; the end of stdin ends
// the worker in order.
#[test]
fn worker_answers_each_job_as_it_comes() {
    let (child, mut stdin, mut stdout) = start_with_input(run_task(&guests::wasip1("worker"), &[], &["3"]));
    let mut buffer: Vec<u8> = (0..16 * 1024).map(|index: u32| u8::try_from(index % 251).unwrap()).collect();
    // A line without a number stands for the three rounds of the argument.
    for (job, (line, rounds)) in [("1\n", 1), ("\n", 3), ("soon\n", 3), ("20\n", 20)].into_iter().enumerate() {
        stdin.write_all(line.as_bytes()).unwrap();
        for _ in 0..rounds {
            let digest = Sha256::digest(&buffer);
            buffer[..32].copy_from_slice(&digest);
        }
        let digest = u32::from_be_bytes(buffer[..4].try_into().unwrap());
        assert_eq!(next_line(&mut stdout), format!("job {} done: {digest:08x}\n", job + 1));
    }
    drop(stdin);
    assert_eq!(rest(&mut stdout), "worker: 4 jobs\n");
    check_exit(&finish(child), 0);
}

// When the task is stopped its stdin ends, though ours stays open.
#[test]
fn worker_ends_in_order_when_its_task_is_stopped() {
    let (child, mut stdin, mut stdout) = start_with_input(run_task(&guests::wasip1("worker"), &[], &[]));
    stdin.write_all(b"1\n").unwrap();
    assert!(next_line(&mut stdout).starts_with("job 1 done: "));
    terminate(&child);
    assert_eq!(rest(&mut stdout), "worker: 1 jobs\n");
    check_exit(&finish(child), 0);
    drop(stdin);
}

#[test]
fn pulse_works_in_bursts() {
    let (child, stdin, mut stdout) = start_with_input(run_task(&guests::wasip1("pulse"), &[], &["1", "5", "3"]));
    let text = rest(&mut stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert!(matches!(lines.as_slice(), [_, _, third, "pulse: 3 bursts"] if third.starts_with("burst 3: ")), "{text}");
    check_exit(&finish(child), 0);
    drop(stdin);
}

// It sleeps for ten minutes after its first burst, and yet ends at once, as a module and as a component: at the end of its
// input, and when its task is stopped.
#[test]
fn pulse_ends_at_once_when_stdin_ends() {
    for module in [guests::wasip1("pulse"), guests::wasip2("pulse")] {
        let (child, stdin, mut stdout) = start_with_input(run_task(&module, &[], &["1", "600000"]));
        assert!(next_line(&mut stdout).starts_with("burst 1: "));
        drop(stdin);
        assert_eq!(rest(&mut stdout), "pulse: 1 bursts\n");
        check_exit(&finish(child), 0);

        let (child, stdin, mut stdout) = start_with_input(run_task(&module, &[], &["1", "600000"]));
        assert!(next_line(&mut stdout).starts_with("burst 1: "));
        terminate(&child);
        assert_eq!(rest(&mut stdout), "pulse: 1 bursts\n");
        check_exit(&finish(child), 0);
        drop(stdin);
    }
}

#[test]
fn fail_fails_as_asked() {
    let module = guests::wasip1("fail");
    let cases: [(&[&str], i32); 8] = [
        (&["exit", "0"], 0),
        (&["exit", "7"], 7),
        (&["sleep-then", "0", "exit", "9"], 9),
        (&["panic"], TRAPPED),
        (&["trap"], TRAPPED),
        (&["abort"], TRAPPED),
        (&["memory", "64"], 0),
        (&["hope"], 2),
    ];
    for (arguments, exit_code) in cases {
        let mut command = run_task(&module, &[], arguments);
        let output = finish(command.spawn().unwrap());
        assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {output:?}");
    }
}

#[test]
fn fail_tells_its_panic_on_stderr() {
    let mut command = run_task(&guests::wasip1("fail"), &[], &["panic"]);
    let output = finish(command.spawn().unwrap());
    assert!(String::from_utf8_lossy(&output.stderr).contains("asked to panic"), "{output:?}");
}

// Within the limit it holds what it asked for; beyond it, it is killed, on either launch type.
#[test]
fn fail_is_killed_beyond_its_memory() {
    let module = guests::wasip1("fail");
    let fargate = ["--launch-type", "FARGATE", "--cpu", "1024", "--memory", "2048"];
    assert_eq!(check(run_task(&module, &fargate, &["memory", "600"]), 0), "holding 600 MiB\n");
    assert_eq!(
        check(run_task(&module, &["--launch-type", "FARGATE", "--memory", "512"], &["memory", "600"]), KILLED),
        ""
    );
    assert_eq!(check(run_task(&module, &["--launch-type", "EC2", "--memory", "64"], &["memory", "100"]), KILLED), "");
}

/// Runs the probe and returns what it told.
#[track_caller]
fn probe(module: &Path, options: &[&str], arguments: &[&str]) -> Value {
    let mut command = run_task(module, options, arguments);
    // A variable of the host that no task may see.
    command.env("LONGSHORE_TEST_SECRET", "of the host");
    serde_json::from_str(&check(command, 0)).unwrap()
}

fn probes() -> [PathBuf; 2] {
    [guests::wasip1("probe"), guests::wasip2("probe")]
}

// Without options a task has its arguments, no variable, no folder and no network. The address is one that listens, so
// that it is the sandbox that refuses.
#[test]
fn probe_has_nothing_that_was_not_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let host_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for module in probes() {
        let written = TempDir::new().unwrap().path().with_extension("probe");
        let arguments =
            ["--open", host_file, "--write", written.to_str().unwrap(), "--connect", &address, "two words", ""];
        let told = probe(&module, &[], &arguments);
        assert_eq!(told["args"].as_array().unwrap()[1..], arguments.map(|argument| json!(argument)));
        assert_eq!(told["env"], json!({}));
        let attempts = told["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 5);
        for attempt in attempts {
            assert!(attempt["error"].is_string(), "{}: {attempt}", module.display());
        }
        assert!(!written.exists());
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

// It has the variables and folders that were named, under the names that were given, in the mode that was given; and no
// way out of them, neither by `..` nor by a symbolic link.
#[test]
fn probe_has_what_was_named() {
    let shared = TempDir::new().unwrap();
    let read_only = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "of the host").unwrap();
    fs::write(read_only.path().join("note"), "read me").unwrap();
    std::os::unix::fs::symlink(outside.path(), shared.path().join("way-out")).unwrap();
    let (shared_dir, read_only_dir) = (dir(shared.path(), "/shared"), dir(read_only.path(), "/notes") + ":ro");
    let options =
        ["--dir", &shared_dir, "--dir", &read_only_dir, "--env", "GREETING=hello there", "--env", "PAIR=key=value"];
    let escape = format!("/shared/../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
    for module in probes() {
        let _ = fs::remove_file(shared.path().join("line"));
        let arguments = [
            ["--open", "/notes/note"],
            ["--write", "/notes/line"],
            ["--write", "/shared/line"],
            ["--open", "/shared"],
            ["--open", "/shared/way-out/secret"],
            ["--open", &escape],
        ]
        .concat();
        let told = probe(&module, &options, &arguments);
        assert_eq!(told["env"], json!({"GREETING": "hello there", "PAIR": "key=value"}));
        let [_, _, note, refused, written, listed, by_link, by_parent] =
            told["attempts"].as_array().unwrap().as_slice()
        else {
            panic!("{told}");
        };
        assert_eq!(note["text"], "read me", "{told}");
        assert!(refused["error"].is_string(), "{told}");
        assert_eq!(written["written"], 17, "{told}");
        assert_eq!(listed["entries"], json!(["line", "way-out"]), "{told}");
        assert!(by_link["error"].is_string(), "{told}");
        assert!(by_parent["error"].is_string(), "{told}");
        assert_eq!(fs::read_to_string(shared.path().join("line")).unwrap(), "written by probe\n");
        assert_eq!(names_in(read_only.path()), ["note"]);
    }
}

// Those that end by themselves end as their headers say.
#[test]
fn limits_end_as_they_say() {
    let small = ["--launch-type", "EC2", "--memory", "64"];
    let cases: [(&str, &[&str], i32); 9] = [
        ("exit_3.wat", &[], 3),
        ("trap.wat", &[], TRAPPED),
        ("recurse.wat", &[], TRAPPED),
        ("grow.wat", &small, KILLED),
        ("grow.wat", &["--launch-type", "FARGATE", "--memory", "512"], KILLED),
        ("grow_quiet.wat", &small, 0),
        ("two_memories.wat", &small, KILLED),
        ("table_grow.wat", &small, KILLED),
        ("hold_40mib.wat", &["--launch-type", "EC2", "--memory", "32"], KILLED),
    ];
    for (file_name, options, exit_code) in cases {
        let mut command = run_task(&guests::limits(file_name), options, &[]);
        let output = finish(command.spawn().unwrap());
        assert_eq!(output.status.code(), Some(exit_code), "{file_name}: {output:?}");
    }
}

// Those that never end are stopped by force, wherever they are: in a loop, in the start function, in one long
// instruction, in a host call, or asleep in one. All run at once, since each waits for its stop timeout. A busy host may not
// have compiled one when its time is over, which is another end: that one gets more time.
#[test]
fn limits_without_an_end_are_stopped() {
    let folder = TempDir::new().unwrap();
    let volume = dir(folder.path(), "/data");
    let start = |file_name: &str, time: &str| {
        let mut command = run_task(&guests::limits(file_name), &["--for", time, "--dir", &volume], &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let started: Vec<(&str, Child)> = [
        "spin.wat",
        "spin_memory.wat",
        "start_spin.wat",
        "fill.wat",
        "host_calls.wat",
        "random_flood.wat",
        "open_flood.wat",
        "flood_stdout.wat",
        "flood_stderr.wat",
        "hold_40mib.wat",
        "sleep.wat",
    ]
    .map(|file_name| (file_name, start(file_name, "1s")))
    .into();
    for (file_name, child) in started {
        let mut exit_code = finish(child).status.code();
        for time in ["4s", "16s"] {
            if exit_code == Some(NOT_STARTED) {
                exit_code = finish(start(file_name, time)).status.code();
            }
        }
        assert_eq!(exit_code, Some(KILLED), "{file_name}");
    }
}

/// Returns the text of every test; `guests.rs` builds them all, and tests none.
fn text_of_tests(folder: &Path) -> String {
    let mut text = String::new();
    for name in names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            text += &text_of_tests(&path);
        } else if name.ends_with(".rs") && name != "guests.rs" {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

// No workload without a test, a line in the table, and a header that says how it ends: found by their files.
#[test]
fn every_workload_is_tested_and_described() {
    let tests = text_of_tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let table = fs::read_to_string(guests::folder().join("README.md")).unwrap();
    let mut faults = Vec::new();
    let mut demand = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let mut workload_count = 0;
    for name in names_in(&guests::folder()) {
        let Ok(source) = fs::read_to_string(guests::folder().join(&name).join("src/main.rs")) else {
            continue;
        };
        workload_count += 1;
        demand(tests.contains(&format!("(\"{name}\")")), format!("no test names workloads/{name}"));
        demand(table.contains(&format!("| `{name}` |")), format!("workloads/README.md lacks {name}"));
        for word in ["//! ", "Arguments", "Exit", "Fuel: ", "Memory: "] {
            demand(source.contains(word), format!("the header of workloads/{name} lacks {word:?}"));
        }
    }
    for name in names_in(&guests::folder().join("limits")) {
        workload_count += 1;
        let source = fs::read_to_string(guests::limits(&name)).unwrap();
        demand(tests.contains(&format!("\"{name}\"")), format!("no test names workloads/limits/{name}"));
        demand(table.contains(&format!("| `{name}` |")), format!("workloads/README.md lacks {name}"));
        demand(source.starts_with(";; "), format!("workloads/limits/{name} has no header"));
        demand(source.contains(";; Expected end: "), format!("workloads/limits/{name} does not say how it ends"));
    }
    assert!(workload_count > 20, "found only {workload_count} workloads");
    assert!(faults.is_empty(), "{faults:#?}");
}
