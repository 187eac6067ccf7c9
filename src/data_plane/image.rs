//! Images: from a name in a task definition to linked machine code, once for all tasks that want it.
//!
//! An image is a `.wasm` or `.wat` file or the folder of a Cargo package. The first task that names one sends it to a
//! thread of low priority; the others wait for the same result, and later ones find it at once. The same bytes under two
//! names are compiled once. An image that failed is tried anew by the next task that wants it. Which module stands for a name is for
//! [`ImageMap`] to say.
//!
//! A module that has changed is another image of the same name, as a tag that was moved: who has it, [`pinned`] decides.

mod cache;
mod cargo_package;
mod pinned;
mod stamp;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{InstancePre, Module, ModuleExport};
use wasmtime_wasi::p2::bindings::CommandPre;

use self::cache::{CodeCache, MachineCode};
pub(super) use self::pinned::PinnedBy;
use self::pinned::{Named, Waiter};
use self::stamp::Stamp;
use super::clock::Clock;
use super::engine::{ComponentGuest, Engines, Host, ModuleGuest};
use super::options::{DataPlaneError, DataPlaneOptions};
use super::pool::lower_priority;
use crate::model::image_map::{AtPath, ImageMap};
use crate::model::image_reference::ImageDigest;
use crate::model::units::{Duration, Timestamp};

/// Compilation gives way to guests, as those do to the control loop.
const COMPILE_NICENESS: i32 = 15;

/// News of an image on its way to being runnable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageProgress {
    /// A Cargo package is being built.
    Building {
        /// The image, as the task definition names it.
        image: Arc<str>,
    },
    /// A module is being compiled to machine code.
    Compiling {
        /// The image, as the task definition names it.
        image: Arc<str>,
    },
    /// The image can run.
    Ready {
        /// The image, as the task definition names it.
        image: Arc<str>,
        /// From the first news to this.
        took: Duration,
    },
    /// The image cannot run.
    Failed {
        /// The image, as the task definition names it.
        image: Arc<str>,
        /// Why.
        error: ImageError,
    },
}

/// Why an image cannot run: ECS' class and the detail. **Source:** ecs-semantics §2.4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is not there, cannot be built, or is no WebAssembly.
    #[error("CannotPullContainerError: {0}")]
    CannotPull(String),
    /// It is WebAssembly, but no command that this host can run.
    #[error("CannotCreateContainerError: {0}")]
    CannotCreate(String),
}

/// An image that can run.
pub(super) struct Image {
    /// The first arguments of containers that name none: the image's own, or the module's file name without its extension.
    pub(super) entry_point: Vec<String>,
    /// The arguments of containers that name neither entry point nor command.
    pub(super) command: Vec<String>,
    /// The SHA-256 of the module. **Source:** ecs-semantics §5.9, §12.3.
    pub(super) digest: ImageDigest,
    pub(super) code: Arc<Code>,
    /// What it was made of, as it was then.
    stamp: Stamp,
}

/// The machine code of a module or component, linked to the host.
pub(super) struct Code {
    primary: Option<Linked>,
    /// The same for the engine that allocates on demand, made when it is needed first.
    overflow: OnceLock<Result<Linked, String>>,
}

/// Code with all its imports resolved.
pub(super) enum Linked {
    /// A module with its `_start`.
    Module {
        pre: InstancePre<ModuleGuest>,
        start: ModuleExport,
    },
    Component {
        pre: CommandPre<ComponentGuest>,
        component: Component,
    },
}

impl Linked {
    fn new(host: &Host, code: MachineCode) -> Result<Linked, ImageError> {
        match code {
            MachineCode::Module(module) => {
                let exported = module.get_export("_start");
                let is_command = exported
                    .as_ref()
                    .and_then(|export| export.func())
                    .is_some_and(|start| start.params().len() == 0 && start.results().len() == 0);
                let Some(start) = module.get_export_index("_start").filter(|_| is_command) else {
                    return Err(ImageError::CannotCreate(
                        "it is no wasi command: a core module exports a function `_start` without parameters"
                            .to_owned(),
                    ));
                };
                let pre = host.modules.instantiate_pre(&module).map_err(|error| cannot_link(&error))?;
                Ok(Linked::Module { pre, start })
            }
            MachineCode::Component(component) => {
                let pre = host.components.instantiate_pre(&component).map_err(|error| cannot_link(&error))?;
                let pre = CommandPre::new(pre)
                    .map_err(|error| ImageError::CannotCreate(format!("it is no wasi command: {error:#}")))?;
                Ok(Linked::Component { pre, component })
            }
        }
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Linked::Module { pre, .. } => pre.module().serialize(),
            Linked::Component { component, .. } => component.serialize(),
        }
    }
}

fn cannot_link(error: &wasmtime::Error) -> ImageError {
    ImageError::CannotCreate(format!("{error:#}"))
}

impl Code {
    /// For the pool's engine; `None` when the module does not fit its slots.
    pub(super) fn primary(&self) -> Option<&Linked> {
        self.primary.as_ref()
    }

    /// For the engine that allocates on demand.
    pub(super) fn overflow(&self, engines: &Engines) -> Result<&Linked, String> {
        let made = self.overflow.get_or_init(|| {
            let primary = self.primary.as_ref().ok_or_else(|| "there is no machine code".to_owned())?;
            let bytes = primary.serialize().map_err(|error| format!("{error:#}"))?;
            let host = engines.overflow();
            let is_module = matches!(primary, Linked::Module { .. });
            let code = MachineCode::of_own_bytes(&host.engine, &bytes, is_module)?;
            Linked::new(host, code).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// The code of some bytes, once somebody has made it.
type CodeSlot = OnceLock<Result<Arc<Code>, ImageError>>;

/// All images of a data plane.
pub(super) struct Images {
    shared: Arc<Shared>,
    work: Mutex<Option<Sender<Arc<str>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    map: ImageMap,
    engines: Arc<Engines>,
    cache: Option<CodeCache>,
    clock: Clock,
    observer: Option<Sender<ImageProgress>>,
    entries: Mutex<BTreeMap<Arc<str>, Named>>,
    by_digest: Mutex<BTreeMap<[u8; 32], Arc<CodeSlot>>>,
    compiled: AtomicU64,
}

impl Images {
    pub(super) fn start(
        options: &DataPlaneOptions,
        engines: Arc<Engines>,
        clock: Clock,
    ) -> Result<Images, DataPlaneError> {
        let cache = options.cache_dir.as_deref().map(|folder| CodeCache::open(folder, &engines)).transpose()?;
        let shared = Arc::new(Shared {
            map: options.images.clone(),
            engines,
            cache,
            clock,
            observer: options.image_observer.clone(),
            entries: Mutex::default(),
            by_digest: Mutex::default(),
            compiled: AtomicU64::new(0),
        });
        let (work, images) = crossbeam_channel::unbounded();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        for index in 0..options.compile_parallelism.clamp(1, cores) {
            let (shared, images) = (shared.clone(), images.clone());
            let thread = std::thread::Builder::new()
                .name(format!("longshore-compile-{index}"))
                .spawn(move || shared.work(&images))
                .map_err(DataPlaneError::Thread)?;
            threads.push(thread);
        }
        Ok(Images { shared, work: Mutex::new(Some(work)), threads: Mutex::new(threads) })
    }

    /// The image, if it is there already.
    pub(super) fn ready(&self, name: &str, by: PinnedBy, now: Timestamp) -> Option<Arc<Image>> {
        self.shared.entries.lock().get_mut(name)?.ready(by, now)
    }

    /// Has `waiter` told of the image: at once, from here, when it is there already.
    pub(super) fn request(&self, name: &str, by: PinnedBy, waiter: Waiter) {
        let mut entries = self.shared.entries.lock();
        if !entries.contains_key(name) {
            entries.insert(name.into(), Named::default());
        }
        let named = entries.get_mut(name).expect("it is there by now");
        if let Some(image) = named.ready(by, self.shared.clock.now()) {
            drop(entries);
            waiter(Ok(image));
        } else if named.wait(by, waiter) {
            drop(entries);
            if let Some(work) = &*self.work.lock() {
                // The threads end only when this sender is gone.
                let _ = work.send(name.into());
            }
        }
    }

    /// The folder of the cache, that no guest may write to.
    pub(super) fn cache_folder(&self) -> Option<&Path> {
        self.shared.cache.as_ref().map(CodeCache::folder)
    }

    /// How many times a module was compiled.
    pub(super) fn compiled_count(&self) -> u64 {
        self.shared.compiled.load(Ordering::Relaxed)
    }

    /// Ends the threads once they have finished what they do at the moment; nobody who waits is told any more.
    pub(super) fn shutdown(&self) {
        *self.work.lock() = None;
        self.shared.entries.lock().values_mut().for_each(Named::give_up);
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self, images: &Receiver<Arc<str>>) {
        lower_priority(COMPILE_NICENESS);
        for name in images {
            if !self.entries.lock().get(&name).is_some_and(Named::is_wanted) {
                continue;
            }
            let began = self.clock.now();
            // A panic of the compiler is an image that cannot run; whoever waits for it must hear of it.
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.make(&name)));
            let made = made.unwrap_or_else(|_| Err(ImageError::CannotPull("the compiler failed".to_owned())));
            self.tell(match &made {
                Ok(_) => ImageProgress::Ready { image: name.clone(), took: self.clock.now().since(began) },
                Err(error) => ImageProgress::Failed { image: name.clone(), error: error.clone() },
            });
            let now = self.clock.now();
            let waiting = self.entries.lock().entry(name).or_default().made(&made, now);
            self.forget_unused_code();
            for waiter in waiting {
                waiter(made.clone());
            }
        }
    }

    fn tell(&self, progress: ImageProgress) {
        if let Some(observer) = &self.observer {
            // A full channel loses the news.
            let _ = observer.try_send(progress);
        }
    }

    fn make(&self, name: &Arc<str>) -> Result<Arc<Image>, ImageError> {
        let mapped = self.map.resolve(name, &at_path).map_err(ImageError::CannotPull)?;
        let path = mapped.module;
        // As it is before it is read: a change while it is read is seen as one.
        let stamp = Stamp::of(&path);
        let file = if path.is_dir() {
            self.tell(ImageProgress::Building { image: name.clone() });
            cargo_package::build(&path).map_err(ImageError::CannotPull)?
        } else {
            path
        };
        let bytes =
            std::fs::read(&file).map_err(|error| ImageError::CannotPull(format!("{}: {error}", file.display())))?;
        let stem = || file.file_stem().map_or_else(|| "command".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let entry_point = mapped.entry_point.unwrap_or_else(|| vec![stem()]);
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let slot = self.by_digest.lock().entry(digest).or_default().clone();
        let code = slot.get_or_init(|| self.code(name, &bytes, digest)).clone();
        if code.is_err() {
            self.by_digest.lock().remove(&digest);
        }
        let in_file = |error| match error {
            ImageError::CannotPull(detail) => ImageError::CannotPull(format!("{name}: {detail}")),
            ImageError::CannotCreate(detail) => ImageError::CannotCreate(format!("{name}: {detail}")),
        };
        Ok(Arc::new(Image {
            entry_point,
            command: mapped.command,
            digest: ImageDigest::of(digest),
            code: code.map_err(in_file)?,
            stamp,
        }))
    }

    /// Of modules that have changed, nobody may have the old code any more.
    fn forget_unused_code(&self) {
        self.by_digest.lock().retain(|_, slot| match slot.get() {
            Some(Ok(code)) => Arc::strong_count(code) > 1,
            // It is being made.
            None => true,
            Some(Err(_)) => false,
        });
    }

    fn code(&self, name: &Arc<str>, bytes: &[u8], digest: [u8; 32]) -> Result<Arc<Code>, ImageError> {
        let is_module = match kind_of(bytes) {
            Some(Kind::Module) => true,
            Some(Kind::Component) => false,
            None => {
                return Err(ImageError::CannotPull("it is neither a webassembly module nor a component".to_owned()));
            }
        };
        let primary = self.engines.primary();
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&primary.engine, digest, is_module));
        let fresh = cached.is_none();
        let first = match cached {
            Some(code) => Ok(code),
            None => {
                self.tell(ImageProgress::Compiling { image: name.clone() });
                self.compiled.fetch_add(1, Ordering::Relaxed);
                compile(primary, bytes, is_module)
            }
        };
        match first.and_then(|code| Linked::new(primary, code)) {
            Ok(linked) => {
                if let Some(cache) = self.cache.as_ref().filter(|_| fresh)
                    && let Ok(bytes) = linked.serialize()
                {
                    cache.store(digest, &bytes);
                }
                Ok(Arc::new(Code { primary: Some(linked), overflow: OnceLock::new() }))
            }
            Err(ImageError::CannotCreate(detail)) => Err(ImageError::CannotCreate(detail)),
            Err(ImageError::CannotPull(detail)) => {
                // A module may be valid and yet too large for the slots of the pool.
                let host = self.engines.overflow();
                let linked = compile(host, bytes, is_module).and_then(|code| Linked::new(host, code));
                match linked {
                    Ok(linked) => Ok(Arc::new(Code { primary: None, overflow: OnceLock::from(Ok(linked)) })),
                    Err(ImageError::CannotCreate(detail)) => Err(ImageError::CannotCreate(detail)),
                    Err(ImageError::CannotPull(_)) => Err(ImageError::CannotPull(detail)),
                }
            }
        }
    }
}

/// What is at a path, as far as images go.
fn at_path(path: &Path) -> AtPath {
    let is_module = if path.is_dir() {
        path.join("Cargo.toml").is_file()
    } else {
        path.is_file() && path.extension().is_some_and(|ending| ending == "wasm" || ending == "wat")
    };
    match (is_module, path.exists()) {
        (true, _) => AtPath::Module,
        (false, true) => AtPath::Other,
        (false, false) => AtPath::Nothing,
    }
}

fn compile(host: &Host, bytes: &[u8], is_module: bool) -> Result<MachineCode, ImageError> {
    let cannot_compile = |error: wasmtime::Error| ImageError::CannotPull(format!("{error:#}"));
    if is_module {
        Module::new(&host.engine, bytes).map(MachineCode::Module).map_err(cannot_compile)
    } else {
        Component::new(&host.engine, bytes).map(MachineCode::Component).map_err(cannot_compile)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Module,
    Component,
}

/// What some bytes are, binary or text. **Source:** WebAssembly core specification §5.5.16 and the component model's
/// binary format (the layer field).
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    if let Some(rest) = bytes.strip_prefix(b"\0asm") {
        return match rest.get(..4)? {
            [1, 0, 0, 0] => Some(Kind::Module),
            [_, _, 1, 0] => Some(Kind::Component),
            _ => None,
        };
    }
    let mut text = std::str::from_utf8(bytes).ok()?;
    let mut opened = false;
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix(";;") {
            text = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if text.starts_with("(;") {
            text = after_block_comment(text)?;
        } else if let (false, Some(rest)) = (opened, text.strip_prefix('(')) {
            opened = true;
            text = rest;
        } else {
            let word: &str = text.split(|c: char| !c.is_ascii_alphabetic()).next()?;
            return match (opened, word) {
                (true, "component") => Some(Kind::Component),
                (true, _) => Some(Kind::Module),
                (false, _) => None,
            };
        }
    }
}

/// What follows a block comment, which may hold others.
fn after_block_comment(text: &str) -> Option<&str> {
    let mut depth = 0usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"(;" => {
                depth += 1;
                at += 2;
            }
            b";)" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return text.get(at..);
                }
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content decides what an image is, not its name.
    #[test]
    fn kinds_are_told_by_content() {
        for (bytes, kind) in [
            (&b"\0asm\x01\0\0\0"[..], Some(Kind::Module)),
            (b"\0asm\x0d\0\x01\0", Some(Kind::Component)),
            (b"\0asm", None),
            (b"(module)", Some(Kind::Module)),
            (b" ;; (component\n (; (component (; nested ;) ;) ( module $a)", Some(Kind::Module)),
            (b"(component (core module))", Some(Kind::Component)),
            (b"(func)", Some(Kind::Module)),
            (b"hello", None),
            (b"(; never closed", None),
            (b"\xff\xfe", None),
        ] {
            assert_eq!(kind_of(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
