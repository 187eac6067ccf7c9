//! The WebAssembly engine: its settings, its linkers, and what it costs on this host.
//!
//! Instances come from a pool of slots, which makes starting one a matter of microseconds. When the pool is full, or a
//! module does not fit its slots, an engine that allocates on demand takes over; it runs the same machine code.

use std::sync::{LazyLock, OnceLock};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime::{
    AsContextMut, Caller, Config, Enabled, Engine, Extern, Instance, InstanceAllocationStrategy, Linker, Module,
    PoolingAllocationConfig, Store, WasmBacktraceDetails,
};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::clock::Clock;
use super::executed::imports;
use super::memory::Limiter;
use super::options::DataPlaneError;
use crate::model::units::Duration;

/// Pages of a slot below this size are cleared by writing zeros, which is cheaper than giving them back to the kernel.
/// **Source:** the project's own measurement (1.6 µs against 5 to 15 µs an instance).
const KEEP_RESIDENT_BYTES: usize = 128 << 10;
/// Elements of a table in a slot: addresses only, so that the task's memory is what bounds a table.
pub(super) const TABLE_ELEMENTS_MAX: usize = 10_000_000;
/// The stack of a guest and of the host calls that it makes.
const ASYNC_STACK_BYTES: usize = 1 << 20;

/// How instances are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool of so many slots, made in advance.
    Pooled {
        /// Live core instances at most.
        instances: u32,
    },
    /// One by one.
    OnDemand,
}

/// The settings of an engine. Machine code made with one allocation runs with the other.
///
/// Fuel costs are wasmtime's: one unit an operator and one unit a byte of a bulk memory operation, so that a large copy
/// is charged as much as the loop that it stands for.
pub fn engine_config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_multi_memory(true)
        // WASI has addresses of 32 bits only. Sizes of 64 bits could burn all the fuel there is in one instruction that
        // fails, and overflow before the account of memory is asked.
        .wasm_memory64(false)
        .wasm_component_model(true)
        .concurrency_support(false)
        // Compilation belongs to the threads of the image store, at their low priority and number.
        .parallel_compilation(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .async_stack_size(ASYNC_STACK_BYTES);
    if let Allocation::Pooled { instances } = allocation {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(instances.saturating_mul(4))
            .total_component_instances(instances)
            .total_memories(instances)
            .total_tables(instances.saturating_mul(2))
            .total_stacks(instances)
            .total_gc_heaps(instances.min(32))
            .max_memories_per_module(8)
            .max_tables_per_module(8)
            .table_elements(TABLE_ELEMENTS_MAX)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// What the host keeps for a guest in its store.
pub(super) struct Guest<W> {
    pub(super) wasi: W,
    pub(super) limiter: Limiter,
}

/// The host's side of a component.
pub(super) struct ComponentWasi {
    pub(super) context: WasiCtx,
    pub(super) table: ResourceTable,
}

impl WasiView for Guest<ComponentWasi> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.context, table: &mut self.wasi.table }
    }
}

/// A core module's host side.
pub(super) type ModuleGuest = Guest<WasiP1Ctx>;
/// A component's host side.
pub(super) type ComponentGuest = Guest<ComponentWasi>;

/// An engine with everything that guests may import.
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) modules: Linker<ModuleGuest>,
    pub(super) components: wasmtime::component::Linker<ComponentGuest>,
}

impl Host {
    fn new(allocation: Allocation, time: Time) -> wasmtime::Result<Host> {
        let engine = Engine::new(&engine_config(allocation))?;
        let mut modules = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut modules, |guest: &mut ModuleGuest| &mut guest.wasi)?;
        bound_descriptors(&mut modules)?;
        exit_with_any_code(&mut modules)?;
        let mut components = wasmtime::component::Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut components)?;
        match time {
            Time::Real => sleep_without_a_thread(&mut modules)?,
            Time::Simulated => imports::replace(&mut modules, &mut components)?,
        }
        Ok(Host { engine, modules, components })
    }
}

/// Which time guests live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// The operating system's.
    Real,
    /// That of a simulation, see `executed`.
    Simulated,
}

/// The engines of a data plane.
pub(super) struct Engines {
    time: Time,
    primary: Host,
    overflow: OnceLock<Host>,
    /// A module that takes a slot and no time.
    smallest: OnceLock<Option<Module>>,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").finish_non_exhaustive()
    }
}

impl Engines {
    /// Instances up to `pooled_instances` have a slot; more of them are allocated on demand.
    pub(super) fn new(pooled_instances: u32, time: Time) -> Result<Engines, DataPlaneError> {
        // A process may not have the addresses for a whole pool: it may run several data planes, or be limited.
        let smaller = [pooled_instances, pooled_instances / 8]
            .into_iter()
            .find_map(|instances| Host::new(Allocation::Pooled { instances }, time).ok());
        let primary = match smaller {
            Some(host) => host,
            None => {
                Host::new(Allocation::OnDemand, time).map_err(|error| DataPlaneError::Engine(format!("{error:#}")))?
            }
        };
        Ok(Engines { time, primary, overflow: OnceLock::new(), smallest: OnceLock::new() })
    }

    pub(super) fn primary(&self) -> &Host {
        &self.primary
    }

    /// The engine for what the pool has no room for.
    pub(super) fn overflow(&self) -> &Host {
        self.overflow.get_or_init(|| {
            Host::new(Allocation::OnDemand, self.time).expect("the primary engine was made from the same settings")
        })
    }

    /// Takes a slot and gives it back.
    fn take_slot(&self) {
        let engine = &self.primary.engine;
        let smallest = self.smallest.get_or_init(|| Module::new(engine, "(module (memory 1))").ok());
        // That there is none left is no matter: it was asked for.
        let _ = smallest.as_ref().map(|module| Instance::new(&mut Store::new(engine, ()), module, &[]));
    }

    /// The fuel that one core burns in a second, measured over a short loop of loads, stores and arithmetic.
    pub(super) fn native_fuel_rate(&self) -> Result<u64, DataPlaneError> {
        self.measure_fuel_rate().map_err(|error| DataPlaneError::Engine(format!("{error:#}")))
    }

    fn measure_fuel_rate(&self) -> wasmtime::Result<u64> {
        const LOOP: &str = r#"(module (memory 1) (func (export "run") (param i32) (local i32 i64)
            (loop
                (local.set 1 (i32.and (i32.mul (local.get 0) (i32.const 40503)) (i32.const 65528)))
                (local.set 2 (i64.add (i64.rotl (local.get 2) (i64.const 5)) (i64.load (local.get 1))))
                (i64.store (local.get 1) (local.get 2))
                (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;
        const TURNS: i32 = 200_000;
        const LONG_ENOUGH: Duration = Duration::from_millis(20);
        let engine = &self.primary.engine;
        let module = Module::new(engine, LOOP)?;
        let mut store = Store::new(engine, ());
        store.set_fuel(u64::MAX)?;
        let instance = Linker::new(engine).instantiate(&mut store, &module)?;
        let run = instance.get_typed_func::<i32, ()>(&mut store, "run")?;
        run.call(&mut store, TURNS)?;
        // The best of several: whatever interferes only makes it slower.
        let mut best = 1;
        for _ in 0..5 {
            let (fuel, began) = (store.get_fuel()?, Clock::thread_cpu_time());
            let mut took = Duration::ZERO;
            while took < LONG_ENOUGH / 5 {
                run.call(&mut store, TURNS)?;
                took = Clock::thread_cpu_time().saturating_sub(began);
            }
            let burnt = u128::from(fuel - store.get_fuel()?);
            let rate = burnt * 1_000_000_000 / took.as_nanos().max(1);
            best = best.max(u64::try_from(rate).unwrap_or(u64::MAX));
        }
        Ok(best)
    }
}

/// The arrival of threads that are going to work side by side.
///
/// wasmtime divides a pool's slots into parts, one a core up to 16, and gives each thread of a process the next part in turn when it first asks for
/// a slot. Two that have a part in common take one lock for each slot, and hand each other the slots' memory from core to core. So
/// those of one pool ask as soon as they are there, with none of another pool between them.
#[derive(Default)]
pub(super) struct Arrival(Mutex<Option<ArrivalTurn>>);

impl Arrival {
    /// The calling thread is there. It may wait for those of another pool, who are about to be.
    pub(super) fn arrive(&self, engines: &Engines) {
        let mut turn = self.0.lock();
        turn.get_or_insert_with(ArrivalTurn::take);
        engines.take_slot();
    }
}

/// That it is these threads' turn, until the last one has come or has failed to.
struct ArrivalTurn;

/// Holds one thing while it is nobody's turn. wasmtime counts the threads of the process, and so does this.
static NOBODYS_TURN: LazyLock<(Sender<()>, Receiver<()>)> = LazyLock::new(|| {
    let (sender, receiver) = bounded(1);
    let _ = sender.send(());
    (sender, receiver)
});

impl ArrivalTurn {
    fn take() -> ArrivalTurn {
        let _ = NOBODYS_TURN.1.recv();
        ArrivalTurn
    }
}

impl Drop for ArrivalTurn {
    fn drop(&mut self) {
        let _ = NOBODYS_TURN.0.send(());
    }
}

/// Sizes and positions in the memory of a guest. **Source:** WASI preview 1, `subscription` and `event`.
pub(super) mod poll_layout {
    pub(in super::super) const SUBSCRIPTION_BYTES: usize = 48;
    pub(in super::super) const TAG: usize = 8;
    pub(in super::super) const TAG_CLOCK: u8 = 0;
    pub(in super::super) const CLOCK: usize = 16;
    pub(in super::super) const CLOCK_REALTIME: u32 = 0;
    pub(in super::super) const CLOCK_MONOTONIC: u32 = 1;
    pub(in super::super) const TIMEOUT: usize = 24;
    pub(in super::super) const FLAGS: usize = 40;
    pub(in super::super) const FLAG_ABSTIME: u16 = 1;
    pub(in super::super) const EVENT_BYTES: usize = 32;
}

/// Descriptors that one container may have open. **Source:** the usual soft limit `nofile` of a Linux process.
const DESCRIPTORS_MAX: usize = 1024;
/// What a guest gets for one more. **Source:** WASI preview 1, `errno`.
const ERRNO_TOO_MANY_FILES: i32 = 33;

/// Whether one more descriptor may be open, tried out by taking the room and giving it back.
fn has_room(table: &mut ResourceTable) -> bool {
    let all = table.max_capacity();
    table.set_max_capacity(DESCRIPTORS_MAX);
    let room = table.push(());
    table.set_max_capacity(all);
    room.is_ok_and(|room| table.delete(room).is_ok())
}

/// Replaces `path_open`, which traps when a guest has too many files open, by one that says so.
fn bound_descriptors(linker: &mut Linker<ModuleGuest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "path_open",
        |mut caller: Caller<'_, ModuleGuest>,
         (folder, lookup, path, path_len, flags, base, inheriting, file_flags, opened): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                use wasmtime_wasi::p1::wasi_snapshot_preview1::{WasiSnapshotPreview1, path_open};
                let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                    wasmtime::bail!("missing required memory export");
                };
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, guest) = memory.data_and_store_mut(&mut caller);
                let wasi = &mut guest.wasi;
                if !has_room(WasiView::ctx(wasi).table) {
                    return Ok(ERRNO_TOO_MANY_FILES);
                }
                wasi.set_hostcall_fuel(fuel);
                let mut memory = wiggle::GuestMemory::Unshared(memory);
                path_open(
                    wasi,
                    &mut memory,
                    folder,
                    lookup,
                    path,
                    path_len,
                    flags,
                    base,
                    inheriting,
                    file_flags,
                    opened,
                )
                .await
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces `proc_exit`, which traps for codes from 126 on: a process may end with any.
fn exit_with_any_code(linker: &mut Linker<ModuleGuest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> wasmtime::Result<()> {
        // The low eight bits are all that a process passes on. **Source:** exit(3).
        Err(wasmtime_wasi::I32Exit(code & 0xff).into())
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces `poll_oneoff`, which puts the thread to sleep when a guest only sleeps and file access is done on the thread.
fn sleep_without_a_thread(linker: &mut Linker<ModuleGuest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "poll_oneoff",
        |mut caller: Caller<'_, ModuleGuest>, (subscriptions, events, count, ready): (i32, i32, i32, i32)| {
            Box::new(async move {
                use wasmtime_wasi::p1::wasi_snapshot_preview1::{WasiSnapshotPreview1, poll_oneoff};
                let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                    wasmtime::bail!("missing required memory export");
                };
                let sleep = match count {
                    1 => only_sleep(memory.data(&caller), subscriptions.cast_unsigned()),
                    _ => None,
                };
                if let Some((timeout, user_data)) = sleep {
                    tokio::time::sleep(timeout).await;
                    let memory = memory.data_mut(&mut caller);
                    return Ok(answer_sleep(memory, events.cast_unsigned(), ready.cast_unsigned(), user_data));
                }
                let fuel = caller.as_context_mut().hostcall_fuel();
                let (memory, guest) = memory.data_and_store_mut(&mut caller);
                guest.wasi.set_hostcall_fuel(fuel);
                let mut memory = wiggle::GuestMemory::Unshared(memory);
                poll_oneoff(&mut guest.wasi, &mut memory, subscriptions, events, count, ready).await
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The time and the user's mark of a subscription to nothing but a time from now.
fn only_sleep(memory: &[u8], at: u32) -> Option<(Duration, [u8; 8])> {
    use poll_layout::*;
    let at = usize::try_from(at).ok()?;
    let subscription = memory.get(at..)?.get(..SUBSCRIPTION_BYTES)?;
    let flags = u16::from_le_bytes([subscription[FLAGS], subscription[FLAGS + 1]]);
    if subscription[TAG] != TAG_CLOCK || flags & FLAG_ABSTIME != 0 || !at.is_multiple_of(8) {
        return None;
    }
    let timeout = u64::from_le_bytes(subscription[TIMEOUT..TIMEOUT + 8].try_into().ok()?);
    Some((Duration::from_nanos(timeout), subscription[..8].try_into().ok()?))
}

/// Writes the one event and the count of events, and returns the error number.
fn answer_sleep(memory: &mut [u8], events: u32, ready: u32, user_data: [u8; 8]) -> i32 {
    const SUCCESS: i32 = 0;
    const FAULT: i32 = 21;
    let mut event = [0; poll_layout::EVENT_BYTES];
    event[..8].copy_from_slice(&user_data);
    let mut write = |at: u32, bytes: &[u8]| {
        let at = usize::try_from(at).ok()?;
        memory.get_mut(at..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(())
    };
    match write(events, &event).and_then(|()| write(ready, &1u32.to_le_bytes())) {
        Some(()) => SUCCESS,
        None => FAULT,
    }
}
