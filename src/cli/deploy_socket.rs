//! How `longshore deploy FILE` and `longshore explain FILE` reach the `longshore run FILE` that is up: a Unix socket for each cluster
//! file.
//!
//! One line of JSON goes each way: what is wanted, then what was done; with `wait`, one more line for each deployment as it ends. The
//! socket lies in a folder of the user's alone, under a name made from the file's path, and goes with the run. What a run that was
//! killed has left behind is replaced.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What somebody asks of a run.
#[derive(Debug)]
pub(super) enum Asked {
    /// That the file be applied.
    Deploy(DeployRequest),
    /// That something be explained.
    Explain(ExplainRequest),
}

/// Somebody asks that something be explained.
#[derive(Debug)]
pub(super) struct ExplainRequest {
    /// Takes the answer.
    pub(super) answer: Sender<Value>,
    /// What it is about, as `explain` wrote it.
    pub(super) subject: Value,
}

/// Somebody asks that the file be applied.
#[derive(Debug)]
pub(super) struct DeployRequest {
    /// Takes what was done, then the end of each deployment that was started if somebody waits for them.
    pub(super) answer: Sender<Value>,
    /// Whether somebody waits for the deployments.
    pub(super) wait: Wait,
}

/// Whether the ends of deployments are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// They are.
    ForDeployments,
    /// They are not.
    No,
}

/// The socket of a run. Goes with it.
#[derive(Debug)]
pub(super) struct DeploySocket {
    path: PathBuf,
    requests: Receiver<Asked>,
}

impl DeploySocket {
    /// Listens for what is asked of the run of `file`.
    ///
    /// # Errors
    /// When another run of the file is up, or there is no place for a socket.
    pub(super) fn listen(file: &Path) -> Result<DeploySocket, String> {
        let path = socket_path(file)?;
        if UnixStream::connect(&path).is_ok() {
            return Err("another run of this file is up: `longshore deploy` reaches that one".into());
        }
        // Nobody answers there: it is what a run that was killed has left.
        let _ = std::fs::remove_file(&path);
        let cannot =
            |error: std::io::Error| format!("`longshore deploy` cannot reach this run: {}: {error}", path.display());
        let listener = UnixListener::bind(&path).map_err(cannot)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        let (sender, requests) = unbounded();
        std::thread::Builder::new()
            .name("longshore-deploy".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let sender = sender.clone();
                    let serve = move || {
                        // A client that has gone needs no answer.
                        let _ = serve(stream, &sender);
                    };
                    // Without a thread the client sees the end of the connection.
                    let _ = std::thread::Builder::new().name("longshore-deploy".into()).spawn(serve);
                }
            })
            .map_err(cannot)?;
        Ok(DeploySocket { path, requests })
    }

    /// What has been asked for.
    pub(super) fn requests(&self) -> impl Iterator<Item = Asked> {
        self.requests.try_iter()
    }
}

impl Drop for DeploySocket {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(stream: UnixStream, requests: &Sender<Asked>) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let wanted: Value = serde_json::from_str(&line)?;
    let (answer, answers) = bounded(64);
    let asked = match wanted.get("explain") {
        Some(subject) => Asked::Explain(ExplainRequest { answer, subject: subject.clone() }),
        None => {
            let wait = if wanted["wait"] == true { Wait::ForDeployments } else { Wait::No };
            Asked::Deploy(DeployRequest { answer, wait })
        }
    };
    if requests.send(asked).is_err() {
        return Ok(());
    }
    let mut stream = stream;
    for answer in answers {
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}

/// Asks the run of `file` to apply it; returns its answers as they come.
///
/// # Errors
/// When no run of the file is up.
pub(super) fn ask_to_deploy(file: &Path, wait: Wait) -> Result<impl Iterator<Item = Value>, String> {
    ask(file, &json!({ "wait": wait == Wait::ForDeployments }), "to deploy to")
}

/// Asks the run of `file` to explain something.
///
/// # Errors
/// When no run of the file is up.
pub(super) fn ask_to_explain(file: &Path, subject: &Value) -> Result<impl Iterator<Item = Value>, String> {
    ask(file, &json!({ "explain": subject }), "to ask; with `--at DURATION` a simulation of it is explained")
}

fn ask(file: &Path, wanted: &Value, purpose: &str) -> Result<impl Iterator<Item = Value> + use<>, String> {
    let path = socket_path(file)?;
    let none = |_| format!("no `longshore run {}` is up {purpose}", file.display());
    let mut stream = UnixStream::connect(path).map_err(none)?;
    writeln!(stream, "{wanted}").map_err(none)?;
    Ok(BufReader::new(stream).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()))
}

/// Where the run of a file listens.
fn socket_path(file: &Path) -> Result<PathBuf, String> {
    let file = file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?;
    let digest = Sha256::digest(file.as_os_str().as_encoded_bytes());
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(private_folder()?.join(format!("{name}.sock")))
}

/// A folder that nobody else can enter: below the user's runtime folder, else below the system's temporary one.
fn private_folder() -> Result<PathBuf, String> {
    let user = rustix::process::getuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
    let folder = match runtime {
        Some(runtime) => runtime.join("longshore"),
        None => std::env::temp_dir().join(format!("longshore-run-{user}")),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    }
    // Somebody else may have made it first, where everybody may.
    let found = std::fs::symlink_metadata(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(format!("{} is not a folder of this user's alone", folder.display()));
    }
    Ok(folder)
}
