//! Builds an image that is a Cargo package, as `docker compose` builds a `build:`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that packages are built for.
const TARGET: &str = "wasm32-wasip1";
/// Lines of the compiler's complaint that are passed on.
const COMPLAINT_LINES: usize = 12;

/// Builds the package in `folder` and returns the module: that of its only binary, or of the one named like the package.
pub(super) fn build(folder: &Path) -> Result<PathBuf, String> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(format!("{} is a folder without a Cargo.toml", folder.display()));
    }
    let manifest = manifest.canonicalize().map_err(|error| format!("{}: {error}", manifest.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--message-format=json-render-diagnostics", "--target", TARGET, "--manifest-path"])
        .arg(&manifest)
        // Flags meant for this host's machine code do not fit the guest's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(folder)
        .output()
        .map_err(|error| format!("cannot run cargo to build {}: {error}", folder.display()))?;
    if !output.status.success() {
        return Err(complaint(folder, &String::from_utf8_lossy(&output.stderr)));
    }
    let binaries = binaries(&String::from_utf8_lossy(&output.stdout), &manifest);
    match &binaries[..] {
        [] => Err(format!("package {} has no binary", folder.display())),
        [only] => Ok(only.module.clone()),
        several => several
            .iter()
            .find(|binary| binary.is_package_name)
            .map(|binary| binary.module.clone())
            .ok_or_else(|| format!("package {} has several binaries and none of its own name", folder.display())),
    }
}

struct Binary {
    module: PathBuf,
    is_package_name: bool,
}

/// The binaries that cargo says it has built of one manifest.
fn binaries(messages: &str, manifest: &Path) -> Vec<Binary> {
    messages
        .lines()
        .filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let of_manifest = Path::new(message["manifest_path"].as_str()?) == manifest;
            let module = PathBuf::from(message["executable"].as_str()?);
            let target = message["target"]["name"].as_str()?;
            // `path+file:///folder/name#version` or `...#name@version`.
            let id = message["package_id"].as_str()?;
            let is_package_name = match id.rsplit_once('#') {
                Some((path, version)) => match version.split_once('@') {
                    Some((name, _)) => name == target,
                    None => path.ends_with(&format!("/{target}")),
                },
                None => false,
            };
            of_manifest.then_some(Binary { module, is_package_name })
        })
        .collect()
}

fn complaint(folder: &Path, stderr: &str) -> String {
    let missing_target = stderr.contains("target may not be installed")
        || (stderr.contains("can't find crate for `core`") || stderr.contains("can't find crate for `std`"));
    if missing_target {
        return format!(
            "cannot build {}: the target {TARGET} is not installed; run `rustup target add {TARGET}`",
            folder.display()
        );
    }
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    // The first error says what is wrong; what cargo prints before it is progress.
    let first = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let text = lines[first..].iter().take(COMPLAINT_LINES).copied().collect::<Vec<_>>().join("\n");
    format!("cannot build {}: {text}", folder.display())
}
