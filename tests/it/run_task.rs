//! `longshore run-task` as other programs meet it: exit codes, standard streams that are slow, full or closed, and what a
//! guest is told when it asks for too much.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::guests;

/// Longer than anything takes on a busy host; whoever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies stdin to stdout until one of them ends, and exits with the error number.
const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (func (export "_start") (local $error i32)
        (loop $again
            (i32.store (i32.const 0) (i32.const 65536))
            (i32.store (i32.const 4) (i32.const 65536))
            (local.set $error (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
            (if (local.get $error) (then (call $exit (local.get $error))))
            (if (i32.eqz (i32.load (i32.const 4))) (then (call $exit (i32.const 0))))
            (local.set $error (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (local.get $error) (then (call $exit (local.get $error))))
            (br $again))))"#;

/// Writes 1,000 bytes again and again, and exits with the error number.
const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (local $error i32)
        (i32.store (i32.const 0) (i32.const 100))
        (i32.store (i32.const 4) (i32.const 1000))
        (loop $again
            (local.set $error (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (local.get $error) (then (call $exit (local.get $error))))
            (br $again))))"#;

/// Opens its first folder until that is refused, closes one, opens one, and exits with the error number of the refusal.
const OPEN: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) ".")
    (func $folder (result i32)
        (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 2)
            (i64.const 0x4000) (i64.const 0x4000) (i32.const 0) (i32.const 0)))
    (func (export "_start") (local $error i32)
        (loop $again
            (local.set $error (call $folder))
            (br_if $again (i32.eqz (local.get $error))))
        (if (call $close (i32.const 500)) (then (unreachable)))
        (if (call $folder) (then (unreachable)))
        (call $exit (local.get $error))))"#;

fn module(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("module.wat");
    std::fs::write(&path, text).unwrap();
    path
}

fn run_task(module: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.arg("run-task").arg(module).arg("--no-cache").args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Stops the task as Ctrl-C does.
pub fn terminate(child: &Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM).unwrap();
}

/// Waits for the end. The caller may keep the ends of pipes that it has taken.
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

#[track_caller]
fn check(mut command: Command, exit_code: i32) -> Output {
    let output = finish(command.spawn().unwrap());
    assert_eq!(output.status.code(), Some(exit_code), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A guest ends with any code, of which the low eight bits are passed on, as those of a process are.
#[test]
fn exit_codes_are_a_processs() {
    let folder = TempDir::new().unwrap();
    for (code, seen) in [(0, 0), (1, 1), (126, 126), (255, 255), (256, 0), (259, 3), (-1, 255)] {
        let text = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {code}))))"#
        );
        check(run_task(&module(&folder, &text), &[]), seen);
    }
}

/// Every byte that comes in goes out, once and in order.
#[test]
fn streams_carry_any_bytes() {
    let folder = TempDir::new().unwrap();
    let cat = module(&folder, CAT);
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for launch_type in ["FARGATE", "EC2"] {
        let mut child = run_task(&cat, &["--launch-type", launch_type]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = thread::spawn(move || stdin.write_all(&sent).unwrap());
        let output = finish(child);
        writer.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == bytes, "{launch_type}: {} bytes came out", output.stdout.len());
    }
}

/// Output is there before the guest ends, and stopping ends input that its writer keeps open.
#[test]
fn input_ends_when_the_task_is_stopped() {
    let folder = TempDir::new().unwrap();
    let cat = module(&folder, CAT);
    let mut child = run_task(&cat, &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdin.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    stdout.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
    terminate(&child);
    assert_eq!(finish(child).status.code(), Some(0));
    drop(stdin);
}

/// A guest that waits for a reader who never comes can be stopped.
#[test]
fn a_full_pipe_does_not_hold_a_task() {
    let folder = TempDir::new().unwrap();
    let mut child = run_task(&module(&folder, FLOOD), &["--stop-timeout", "200ms"]).spawn().unwrap();
    let mut unread = child.stdout.take().unwrap();
    unread.read_exact(&mut [0; 1]).unwrap();
    terminate(&child);
    assert_eq!(finish(child).status.code(), Some(137));
    drop(unread);
}

/// A guest whose reader has gone is told so by the error of its write.
#[test]
fn a_closed_pipe_is_an_error_of_the_write() {
    const INPUT_OUTPUT_ERROR: i32 = 29;
    let folder = TempDir::new().unwrap();
    let mut child = run_task(&module(&folder, FLOOD), &[]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 5000]).unwrap();
    drop(stdout);
    assert_eq!(finish(child).status.code(), Some(INPUT_OUTPUT_ERROR));
}

/// Too many open files are an error number, and closing one makes room for another.
#[test]
fn too_many_open_files_are_refused() {
    const TOO_MANY_FILES: i32 = 33;
    let folder = TempDir::new().unwrap();
    let volume = format!("{}::/data", folder.path().display());
    check(run_task(&module(&folder, OPEN), &["--dir", &volume]), TOO_MANY_FILES);
}

/// Nobody waits for the compilation of what was stopped before it began.
#[test]
fn a_compilation_is_not_waited_for() {
    // Seconds of compilation.
    const FUNCTIONS: usize = 60_000;
    let folder = TempDir::new().unwrap();
    let body = "(drop (i32.const 1))".repeat(60);
    let functions = format!("(func {body})").repeat(FUNCTIONS);
    let large = module(&folder, &format!(r#"(module {functions} (func (export "_start")))"#));
    let child = run_task(&large, &["--for", "1ms"]).spawn().unwrap();
    let output = finish(child);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("its time is over: the task had not started"), "{stderr}");
}

/// A table that outgrows what the host has for it is out of memory, also with memory left.
#[test]
fn a_table_without_end_is_out_of_memory() {
    let output = check(run_task(&guests::limits("table_grow.wat"), &["--memory", "2048"]), 137);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("OutOfMemoryError"), "{stderr}");
}

/// A table of 64-bit size could burn all fuel there is in one instruction: there is none.
#[test]
fn tables_have_sizes_of_32_bits() {
    let folder = TempDir::new().unwrap();
    let text = r#"(module (table $table i64 1 funcref) (memory (export "memory") 1)
        (func (export "_start") (drop (table.grow $table (ref.null func) (i64.const -1)))))"#;
    let output = check(run_task(&module(&folder, text), &[]), 1);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("CannotPullContainerError"), "{stderr}");
}

/// What can only be a mistake is refused before anything runs.
#[test]
fn mistaken_options_are_bad_input() {
    let folder = TempDir::new().unwrap();
    let module = module(&folder, r#"(module (func (export "_start")))"#);
    let twice = format!("{}::/data", folder.path().display());
    let a_file = format!("{}::/data", module.display());
    for options in [&["--dir", &twice, "--dir", &twice][..], &["--dir", &a_file], &["--env", "=value"], &["--env", "A"]]
    {
        check(run_task(&module, options), 2);
    }
}
