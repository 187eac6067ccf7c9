//! Files in simulated time: what moves much is much work, and no file is older or younger than the simulation.
//!
//! *Ours:* every file is as old as the simulation itself, for whoever asks. Those that guests write would have times of the host
//! otherwise, which are others in each run.

use wasmtime::component::Resource;
use wasmtime::{AsContextMut, Caller, Extern, Linker, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{
    WasiSnapshotPreview1, fd_filestat_get, fd_pread, fd_pwrite, fd_read, fd_write, path_filestat_get,
};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{self, DescriptorStat, HostDescriptor, PathFlags};

use super::imports::{NO_TIME, SUCCESS, address, read, write};
use crate::data_plane::engine::{ComponentGuest, ModuleGuest};
use crate::model::units::Duration;

/// The interface in the version that wasmtime has.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
/// Where the three times of a `filestat` are. **Source:** WASI preview 1, `filestat`.
const FILESTAT_TIMES: usize = 40;

/// Replaces the functions that move bytes by ones that charge for it, and those that tell times.
pub(super) fn replace_in_modules(modules: &mut Linker<ModuleGuest>) -> wasmtime::Result<()> {
    // The last argument of each is where in its memory the guest wants the answer.
    macro_rules! replaced {
        ($function:ident($($argument:ident: $kind:ty),*), $then:expr) => {
            modules.func_wrap_async(
                "wasi_snapshot_preview1",
                stringify!($function),
                |mut caller: Caller<'_, ModuleGuest>, ($($argument,)* answer): ($($kind,)* i32)| {
                    Box::new(async move {
                        let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                            wasmtime::bail!("missing required memory export");
                        };
                        let fuel = caller.as_context_mut().hostcall_fuel();
                        let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                        guest.wasi.set_hostcall_fuel(fuel);
                        let mut shown = wiggle::GuestMemory::Unshared(&mut *bytes);
                        let error = $function(&mut guest.wasi, &mut shown, $($argument,)* answer).await?;
                        if error == SUCCESS {
                            $then(bytes, guest, address(answer.cast_unsigned()));
                        }
                        Ok(error)
                    })
                },
            )?;
        };
    }
    replaced!(fd_read(file: i32, vectors: i32, count: i32), charge);
    replaced!(fd_pread(file: i32, vectors: i32, count: i32, offset: i64), charge);
    replaced!(fd_write(file: i32, vectors: i32, count: i32), charge);
    replaced!(fd_pwrite(file: i32, vectors: i32, count: i32, offset: i64), charge);
    replaced!(fd_filestat_get(file: i32), hide_times);
    replaced!(path_filestat_get(folder: i32, flags: i32, path: i32, length: i32), hide_times);
    Ok(())
}

/// The answer is how many bytes were moved.
fn charge(memory: &mut [u8], guest: &mut ModuleGuest, answer: usize) {
    let moved = read(memory, answer).map_or(0, u32::from_le_bytes);
    guest.limiter.container().time.as_ref().expect(NO_TIME).bytes_moved(address(moved));
}

/// The answer is a `filestat`.
fn hide_times(memory: &mut [u8], guest: &mut ModuleGuest, answer: usize) {
    let time = calendar_start(guest.limiter.container()).as_nanos();
    let time = u64::try_from(time).unwrap_or(u64::MAX).to_le_bytes();
    // It was there when the answer was written.
    let _ = write(memory, answer.saturating_add(FILESTAT_TIMES), [time; 3].as_flattened());
}

fn calendar_start(container: &crate::data_plane::container::Container) -> Duration {
    container.time.as_ref().expect(NO_TIME).calendar_start()
}

/// Replaces the functions that tell times.
pub(super) fn replace_in_components(
    components: &mut wasmtime::component::Linker<ComponentGuest>,
) -> wasmtime::Result<()> {
    let mut types = components.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.stat",
        |mut store: StoreContextMut<'_, ComponentGuest>, (file,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let found = HostDescriptor::stat(&mut store.data_mut().filesystem(), file).await;
                without_times(store.data_mut(), found)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.stat-at",
        |mut store: StoreContextMut<'_, ComponentGuest>,
         (folder, flags, path): (Resource<Descriptor>, PathFlags, String)| {
            Box::new(async move {
                let found = HostDescriptor::stat_at(&mut store.data_mut().filesystem(), folder, flags, path).await;
                without_times(store.data_mut(), found)
            })
        },
    )
}

type StatAnswer = (Result<DescriptorStat, types::ErrorCode>,);

fn without_times(guest: &mut ComponentGuest, found: FsResult<DescriptorStat>) -> wasmtime::Result<StatAnswer> {
    let start = calendar_start(guest.limiter.container());
    let time = Some(Datetime { seconds: start.as_secs(), nanoseconds: start.subsec_nanos() });
    Ok((match found {
        Ok(stat) => Ok(DescriptorStat {
            data_access_timestamp: time,
            data_modification_timestamp: time,
            status_change_timestamp: time,
            ..stat
        }),
        Err(error) => Err(types::Host::convert_error_code(&mut guest.filesystem(), error)?),
    },))
}
