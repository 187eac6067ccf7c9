//! Builds the guests under `workloads/` once per test process, and tells where they are.
//!
//! A nested `cargo build` with its own target folder: cargo's own lock and fingerprints make it cheap when nothing
//! changed, and right when something did. The limits are WebAssembly text, which needs no toolchain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Returns the module of a workload, a command of WASI preview 1.
///
/// # Panics
///
/// When the workloads do not build, or none has that name.
pub fn wasip1(name: &str) -> PathBuf {
    static BUILT: LazyLock<Result<(), String>> = LazyLock::new(|| build("wasm32-wasip1", &["--workspace"]));
    if let Err(message) = &*BUILT {
        panic!("{message}");
    }
    built_file("wasm32-wasip1", name)
}

/// Returns the component of a workload, a command of WASI preview 2. Only those asked for are built.
///
/// # Panics
///
/// When the workload does not build, or none has that name.
pub fn wasip2(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        if let Err(message) = build("wasm32-wasip2", &["--package", name]) {
            panic!("{message}");
        }
        built.insert(name.to_owned());
    }
    built_file("wasm32-wasip2", name)
}

/// Returns a hostile module by its file name, like `spin.wat`.
///
/// # Panics
///
/// When there is none of that name.
pub fn limits(file_name: &str) -> PathBuf {
    let path = folder().join("limits").join(file_name);
    assert!(path.is_file(), "no such module: {}", path.display());
    path
}

/// Returns the folder that holds the workloads.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

fn target_folder() -> PathBuf {
    folder().join("target")
}

fn built_file(target: &str, name: &str) -> PathBuf {
    let path = target_folder().join(target).join("release").join(name).with_extension("wasm");
    assert!(path.is_file(), "no such workload: {name} (looked for {})", path.display());
    path
}

/// A cargo for another package or workspace than ours.
pub fn nested_cargo(folder: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The working folder decides which package it is, and which configuration files cargo reads.
    command.current_dir(folder);
    // Settings of the outer build are for the host: flags, wrappers and folders that others must not inherit.
    for name in [
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

fn build(target: &str, packages: &[&str]) -> Result<(), String> {
    let mut command = nested_cargo(&folder());
    command
        .args(["build", "--release", "--locked", "--target", target])
        .args(packages)
        .arg("--target-dir")
        .arg(target_folder());
    let output = command.output().map_err(|error| format!("cannot run cargo for the workloads: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    // Error E0463 is the compiler's "can't find crate for `std`".
    if errors.contains("E0463") || errors.contains("may not be installed") {
        return Err(format!("the workloads need a target that is missing: `rustup target add {target}`\n{errors}"));
    }
    Err(format!("the workloads do not build for {target}:\n{errors}"))
}
