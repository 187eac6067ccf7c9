//! What a data plane is started with, and what it can fail to start with.

use std::path::PathBuf;

use crossbeam_channel::Sender;

use super::image::ImageProgress;
use super::stdio::LogLine;
use crate::control_plane::action::TaskStart;
use crate::model::ids::IdForm;
use crate::model::image_map::ImageMap;
use crate::model::settings::{CpuBasis, DEFAULT_FUEL_PER_VCPU_SECOND, FuelRate};
use crate::model::task_definition::ContainerDefinition;
use crate::model::units::Duration;

/// What a data plane is started with.
#[derive(Clone, Debug)]
pub struct DataPlaneOptions {
    /// What a vCPU-second is counted in.
    pub cpu_basis: CpuBasis,
    /// Fuel of a vCPU-second.
    pub fuel_rate: FuelRate,
    /// The period in which CPU quotas are refilled.
    pub cpu_period: Duration,
    /// The most worker threads of one pool; `None` is the number of cores that this process may use. More than cores add nothing.
    pub worker_threads: Option<usize>,
    /// Which modules stand for images; without any, an image is the path of its module.
    pub images: ImageMap,
    /// Where compiled images are kept between runs; `None` keeps them in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Where the output of containers is written, one file a container; `None` writes none.
    pub log_dir: Option<PathBuf>,
    /// Where volumes without a host folder live; `None` is a fresh folder under the system's temporary one. Removed at the end.
    pub scratch_dir: Option<PathBuf>,
    /// The most that the volumes of one task hold that have no host folder, in bytes, where that is less than the task's ephemeral storage
    /// (20 to 200 GiB on Fargate, 30 GiB on an instance): for a host whose disk is small.
    pub volume_bytes_max: Option<u64>,
    /// How many images are compiled at once, never more than there are cores. Compilation runs at a lower priority than guests.
    pub compile_parallelism: usize,
    /// Live core instances that have a slot made in advance; more of them are allocated on demand.
    ///
    /// Each slot reserves 4 GiB of addresses, of which a process has 128 TiB, and two mappings for its stack, of which the
    /// kernel allows 65,530: the default leaves room for several data planes in one process. Making a thousand takes about
    /// three milliseconds.
    pub pooled_instances: u32,
    /// The most output kept of one stream of a container, in bytes. The oldest goes first.
    pub log_buffer_bytes: usize,
    /// Where the guests' standard streams lead.
    pub stdio: Stdio,
    /// How task ids are shown in names of log files.
    pub id_form: IdForm,
    /// Takes every line that a container writes. A full channel loses lines rather than delay a guest.
    pub log_observer: Option<Sender<LogLine>>,
    /// Takes news of images being built and compiled. A full channel loses them.
    pub image_observer: Option<Sender<ImageProgress>>,
}

impl DataPlaneOptions {
    /// The file that takes the output of a task's container, when there is one.
    pub(super) fn log_path(&self, start: &TaskStart, container: &ContainerDefinition) -> Option<PathBuf> {
        let folder = self.log_dir.as_deref()?;
        let owner = start.service.as_deref().unwrap_or(&start.task_definition.family);
        let task = self.id_form.task(start.task);
        Some(folder.join(file_name(owner)).join(file_name(&container.name)).join(format!("{task}.log")))
    }
}

/// A name as one component of a path.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

impl Default for DataPlaneOptions {
    fn default() -> DataPlaneOptions {
        DataPlaneOptions {
            cpu_basis: CpuBasis::default(),
            fuel_rate: FuelRate::PerVcpuSecond(DEFAULT_FUEL_PER_VCPU_SECOND),
            cpu_period: Duration::from_millis(100),
            worker_threads: None,
            images: ImageMap::default(),
            cache_dir: None,
            log_dir: None,
            scratch_dir: None,
            volume_bytes_max: None,
            compile_parallelism: 1,
            pooled_instances: 1024,
            log_buffer_bytes: 64 << 10,
            stdio: Stdio::Captured,
            id_form: IdForm { seed: 0 },
            log_observer: None,
            image_observer: None,
        }
    }
}

/// Where the guests' standard streams lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// Output is kept and can be read back; input is empty until the task is stopped, or a service's jobs.
    #[default]
    Captured,
    /// This process' own three streams: for a single task run in the foreground.
    Inherited,
}

/// Why a data plane could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DataPlaneError {
    /// The WebAssembly engine refused its configuration.
    #[error("cannot start the webassembly engine: {0}")]
    Engine(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// A folder could not be made or is not private.
    #[error("cannot use folder {path}: {reason}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
