//! Machine code on disk, between runs.
//!
//! A file is named by the digest of the image and by everything of the engine that machine code depends on. It begins
//! with a digest of the code, so that a file that was cut short or damaged is made anew. That does not protect against
//! somebody who writes there on purpose, which is why only this user may: the folder and the file must belong to the
//! user that this process runs as and be writable by nobody else, and no task may mount the folder for writing.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::data_plane::engine::Engines;
use crate::data_plane::options::DataPlaneError;

/// The most that the cache keeps; the files made longest ago go first. *Ours.*
const CACHE_BYTES_MAX: u64 = 1 << 30;

/// Code that is ready to be linked.
pub(super) enum MachineCode {
    Module(Module),
    Component(Component),
}

impl MachineCode {
    /// Loads what an engine of this process has serialized, of which nobody else could change a byte.
    #[expect(unsafe_code, reason = "machine code cannot be checked, only where it comes from")]
    pub(super) fn of_own_bytes(engine: &Engine, bytes: &[u8], is_module: bool) -> Result<MachineCode, String> {
        // SAFETY: `deserialize` asks for bytes that `serialize` made. Those given here come from `serialize` in this
        // process, or from a file that `CodeCache::load` has found to be written by this user alone, in a folder that
        // no guest can write to, under the digest that it was stored with. Code of another version or with other
        // settings is refused by wasmtime itself.
        let code = unsafe {
            if is_module {
                Module::deserialize(engine, bytes).map(MachineCode::Module)
            } else {
                Component::deserialize(engine, bytes).map(MachineCode::Component)
            }
        };
        code.map_err(|error| format!("{error:#}"))
    }
}

/// The cache in one folder.
#[derive(Debug)]
pub(super) struct CodeCache {
    folder: PathBuf,
    compatibility: u64,
    next_temporary: AtomicU64,
}

impl CodeCache {
    /// Opens the cache, making its folder if need be.
    pub(super) fn open(folder: &Path, engines: &Engines) -> Result<CodeCache, DataPlaneError> {
        let refuse = |reason: String| DataPlaneError::Folder { path: folder.to_path_buf(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| refuse(error.to_string()))?;
        let folder = folder.canonicalize().map_err(|error| refuse(error.to_string()))?;
        let metadata = folder.metadata().map_err(|error| refuse(error.to_string()))?;
        if !is_private(&metadata) {
            return Err(refuse(
                "compiled images are machine code: the folder must belong to this user and be writable by nobody else"
                    .to_owned(),
            ));
        }
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        engines.primary().engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(CodeCache { folder, compatibility: hasher.finish(), next_temporary: AtomicU64::new(0) })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, digest: [u8; 32]) -> PathBuf {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{digest}-{:016x}.cwasm", self.compatibility))
    }

    /// The code of an image, if it is there and can be trusted.
    pub(super) fn load(&self, engine: &Engine, digest: [u8; 32], is_module: bool) -> Option<MachineCode> {
        let mut file = File::open(self.path(digest)).ok()?;
        // Of the opened file, not of the name: it cannot be exchanged in between.
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || !is_private(&metadata) || !is_private(&self.folder.metadata().ok()?) {
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (sum, code) = bytes.split_at_checked(32)?;
        if sum != &Sha256::digest(code)[..] {
            return None;
        }
        MachineCode::of_own_bytes(engine, code, is_module).ok()
    }

    /// Keeps the code of an image. A failure costs a compilation later, and nothing now.
    pub(super) fn store(&self, digest: [u8; 32], code: &[u8]) {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{number}.tmp", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            std::fs::rename(&temporary, self.path(digest))
        };
        if write().is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        self.make_room();
    }

    fn make_room(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut files: Vec<_> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let is_ours = entry.path().extension().is_some_and(|extension| extension == "cwasm");
                let metadata = entry.metadata().ok().filter(|_| is_ours)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, bytes, path) in files {
            if total <= CACHE_BYTES_MAX {
                return;
            }
            if std::fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// Whether only this user may write.
fn is_private(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}
