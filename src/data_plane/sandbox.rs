//! One container's life as one future: instantiate, run, take down.
//!
//! The future is polled by a pool's worker and gives way whenever its guest has burnt a quantum of fuel or waits for
//! something. Dropping it ends the guest wherever it is. The guest has what its definition names, and nothing else: no
//! file, no address, no variable of the host.
//!
//! A hook at every crossing between guest and host keeps the meter exact: wasmtime calls it also when a quantum is used
//! up, since that is a call of its own into the host. A guest that makes one host call after the other burns hardly any
//! fuel and would keep its worker; when its turn has lasted too long, the hook makes its next quantum end at once.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{
    CallHook, Extern, ModuleExport, PoolConcurrencyLimitError, Store, StoreContextMut, Trap, TypedFunc, WasmBacktrace,
};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use super::container::Container;
use super::engine::{ComponentWasi, Guest};
use super::executed::{GuestClock, GuestSeed};
use super::image::{Image, Linked};
use super::inherited::{InheritedInput, InheritedOutput};
use super::kit::Kit;
use super::memory::Limiter;
use super::options::Stdio;
use super::payload::TaskImages;
use super::stdio::{GuestInput, GuestOutput, LogStream};
use super::variables::Variables;
use super::volumes::Mount;
use crate::control_plane::action::TaskStart;
use crate::model::health_command::HealthCommand;
use crate::model::task::ContainerExit;
use crate::model::task_definition::VolumeAccess;

/// SIGKILL's: an interruption, or the memory limit. **Source:** ecs-semantics §2.4.
pub(super) const EXIT_KILLED: i32 = 137;
/// SIGABRT's: a trap. **Source:** ecs-semantics §12.3.
pub(super) const EXIT_TRAPPED: i32 = 134;
/// **Source:** ecs-semantics §2.4.
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// The longest turn of a guest that makes host calls, in nanoseconds.
const HOST_CALL_TURN_NANOS: u64 = 2_000_000;
/// What the host holds open for one container: twice its descriptors, for what single calls make beside them. A module
/// is told before that it has too many files open, see `engine`.
const RESOURCES_MAX: usize = 2048;
/// The most random bytes that a guest gets at once, which the host has to hold for it.
const RANDOM_BYTES_MAX: u64 = 4 << 20;
/// All the fuel there is: quotas are kept by time, not by amount.
const FUEL: u64 = u64::MAX;

/// All that a container needs to run.
pub(super) struct Launch {
    pub(super) kit: Arc<Kit>,
    pub(super) images: TaskImages,
    /// The task, and which of its containers this is.
    pub(super) start: Arc<TaskStart>,
    pub(super) index: usize,
    pub(super) container: Arc<Container>,
    pub(super) mounts: Vec<Mount>,
    /// What most containers do not have.
    pub(super) special: Option<Box<Special>>,
}

/// What few containers need: variables from files, and what runs in the place of the container's own command.
pub(super) struct Special {
    /// All variables, when some of them come from files.
    variables: Option<Variables>,
    /// Set for a health check.
    check: Option<HealthCommand>,
    /// Set in simulated time: what its random numbers depend on.
    seed: Option<GuestSeed>,
}

impl Special {
    /// Nothing, when there is nothing.
    pub(super) fn of(variables: Option<Variables>, check: Option<HealthCommand>) -> Option<Box<Special>> {
        (variables.is_some() || check.is_some()).then(|| Box::new(Special { variables, check, seed: None }))
    }

    /// That of a guest in simulated time.
    pub(super) fn simulated(
        variables: Option<Variables>,
        check: Option<HealthCommand>,
        seed: GuestSeed,
    ) -> Option<Box<Special>> {
        Some(Box::new(Special { variables, check, seed: Some(seed) }))
    }
}

impl Launch {
    fn image(&self) -> &Image {
        &self.images[self.index]
    }

    fn check(&self) -> Option<&HealthCommand> {
        self.special.as_ref()?.check.as_ref()
    }

    /// The function to call in the place of the module's start.
    fn export(&self) -> Option<&str> {
        match self.check()? {
            HealthCommand::Export(name) => Some(name),
            HealthCommand::Arguments(_) => None,
        }
    }

    fn variables(&self) -> Option<&Variables> {
        self.special.as_ref()?.variables.as_ref()
    }
}

/// Runs a container to its end.
pub(super) async fn run(launch: Launch) -> ContainerExit {
    if let Some(linked) = launch.image().code.primary() {
        match run_linked(&launch, &launch.kit.engines.primary().engine, linked).await {
            Ok(exit) => return exit,
            Err(PoolIsFull) => launch.container.memory.release(),
        }
    }
    // In a box of its own: a future is as large as the largest of its parts, and this one is rarely needed.
    Box::pin(run_on_demand(&launch)).await
}

/// Runs it on the engine that has no slots to run out of.
async fn run_on_demand(launch: &Launch) -> ContainerExit {
    let engines = &launch.kit.engines;
    match launch.image().code.overflow(engines) {
        Ok(linked) => match run_linked(launch, &engines.overflow().engine, linked).await {
            Ok(exit) => exit,
            Err(PoolIsFull) => cannot_start("no room for another instance"),
        },
        Err(reason) => cannot_start(&reason),
    }
}

fn cannot_start(reason: &str) -> ContainerExit {
    ContainerExit { exit_code: None, reason: Some(format!("CannotStartContainerError: {reason}")) }
}

/// The engine has no slot left; another one can be tried.
struct PoolIsFull;

async fn run_linked(launch: &Launch, engine: &wasmtime::Engine, linked: &Linked) -> Result<ContainerExit, PoolIsFull> {
    let mut builder = match context(launch) {
        Ok(builder) => builder,
        Err(error) => return Ok(cannot_start(&format!("{error:#}"))),
    };
    let limiter = Limiter::new(launch.container.clone());
    let ended = match linked {
        Linked::Module { pre, start } => {
            let mut wasi = builder.build_p1();
            wasmtime_wasi::WasiView::ctx(&mut wasi).table.set_max_capacity(RESOURCES_MAX);
            let mut store = store(launch, engine, Guest { wasi, limiter });
            let instance = match pre.instantiate_async(&mut store).await {
                Ok(instance) => instance,
                Err(error) => return not_instantiated(launch, &error),
            };
            let result = match launch.export() {
                // In a box of its own, as above.
                Some(name) => Box::pin(call_export(&mut store, &instance, name)).await,
                None => match function(&mut store, &instance, start) {
                    Ok(start) => start.call_async(&mut store, ()).await.map(|()| 0),
                    Err(error) => Err(error),
                },
            };
            note_fuel(launch, &store);
            result
        }
        Linked::Component { .. } if launch.export().is_some() => {
            return Ok(cannot_start("a component has no plain functions: its health check must be a CMD"));
        }
        Linked::Component { pre, .. } => {
            let mut table = ResourceTable::new();
            table.set_max_capacity(RESOURCES_MAX);
            let wasi = ComponentWasi { context: builder.build(), table };
            let mut store = store(launch, engine, Guest { wasi, limiter });
            let command = match pre.instantiate_async(&mut store).await {
                Ok(command) => command,
                Err(error) => return not_instantiated(launch, &error),
            };
            let result = command.wasi_cli_run().call_run(&mut store).await;
            note_fuel(launch, &store);
            result.map(|outcome| if outcome.is_ok() { 0 } else { 1 })
        }
    };
    Ok(exit(launch, ended))
}

/// Notes what the guest has burnt, at its end.
fn note_fuel<W>(launch: &Launch, store: &Store<Guest<W>>) {
    let fuel = FUEL - store.get_fuel().unwrap_or(FUEL);
    launch.container.meter.set_fuel(fuel);
    if let Some(time) = &launch.container.time {
        time.ended(fuel);
    }
}

/// A function that was found by name before there was an instance.
fn function<W>(
    store: &mut Store<Guest<W>>,
    instance: &wasmtime::Instance,
    export: &ModuleExport,
) -> wasmtime::Result<TypedFunc<(), ()>> {
    let found = instance.get_module_export(&mut *store, export).and_then(Extern::into_func);
    found.ok_or_else(|| wasmtime::Error::msg("the module has no such function"))?.typed(store)
}

/// Calls a function that takes nothing and returns nothing or an integer, which is the exit code. A library's own
/// initialisation comes first.
async fn call_export<W: Send>(
    store: &mut Store<Guest<W>>,
    instance: &wasmtime::Instance,
    name: &str,
) -> wasmtime::Result<i32> {
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        initialize.call_async(&mut *store, ()).await?;
    }
    if let Ok(function) = instance.get_typed_func::<(), i32>(&mut *store, name) {
        return function.call_async(store, ()).await;
    }
    let function = instance.get_typed_func::<(), ()>(&mut *store, name)?;
    function.call_async(store, ()).await.map(|()| 0)
}

fn not_instantiated(launch: &Launch, error: &wasmtime::Error) -> Result<ContainerExit, PoolIsFull> {
    if error.is::<PoolConcurrencyLimitError>() {
        return Err(PoolIsFull);
    }
    Ok(failure(launch, error))
}

fn exit(launch: &Launch, ended: wasmtime::Result<i32>) -> ContainerExit {
    let code = match &ended {
        Ok(code) => *code,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => *code,
            None => return failure(launch, error),
        },
    };
    if code != 0 && launch.container.memory.was_refused() {
        return out_of_memory();
    }
    ContainerExit { exit_code: Some(code), reason: None }
}

fn out_of_memory() -> ContainerExit {
    ContainerExit { exit_code: Some(EXIT_KILLED), reason: Some(OUT_OF_MEMORY.to_owned()) }
}

fn failure(launch: &Launch, error: &wasmtime::Error) -> ContainerExit {
    if launch.container.memory.was_refused() {
        return out_of_memory();
    }
    let what = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let what = what.lines().next().unwrap_or_default().to_owned();
    let place = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().first()?.func_name().map(|name| format!(" in `{name}`")))
        .unwrap_or_default();
    ContainerExit { exit_code: Some(EXIT_TRAPPED), reason: Some(what + &place) }
}

/// What the guest may see of the world.
fn context(launch: &Launch) -> wasmtime::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder
        // File access happens on the worker, where it is charged to the task. Sleeping does not: see `engine`.
        .allow_blocking_current_thread(true)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES_MAX);
    let definition = &launch.start.task_definition.containers[launch.index];
    let overrides = launch.start.overrides.containers.get(&definition.name);
    if let Some(HealthCommand::Arguments(arguments)) = launch.check() {
        builder.args(arguments);
    } else {
        let named = overrides.and_then(|overrides| overrides.command.as_ref());
        let command = match (named, &definition.entry_point) {
            (Some(command), _) => command,
            // An entry point of the container's own takes the image's command away, as in Docker.
            (None, None) if definition.command.is_empty() => &launch.image().command,
            (None, _) => &definition.command,
        };
        builder.args(definition.entry_point.as_ref().unwrap_or(&launch.image().entry_point)).args(command);
    }
    let added = overrides.map(|overrides| &overrides.environment);
    let is_replaced = |name: &String| added.is_some_and(|added| added.contains_key(name));
    match launch.variables() {
        Some(variables) => {
            builder.envs(&variables.iter().collect::<Vec<_>>());
        }
        None => {
            let kept = definition.environment.iter().filter(|(name, _)| !is_replaced(name));
            for (name, value) in kept.chain(added.into_iter().flatten()) {
                builder.env(name, value);
            }
        }
    }
    let container = &launch.container;
    // The terminal is the container's, not its checks'.
    let stdio = if launch.check().is_some() { Stdio::Captured } else { launch.kit.stdio };
    match stdio {
        Stdio::Captured => builder
            .stdin(GuestInput::new(container.clone()))
            .stdout(GuestOutput::new(container.clone(), LogStream::Stdout))
            .stderr(GuestOutput::new(container.clone(), LogStream::Stderr)),
        Stdio::Inherited => builder
            .stdin(InheritedInput::new(GuestInput::new(container.clone())))
            .stdout(InheritedOutput::new(LogStream::Stdout))
            .stderr(InheritedOutput::new(LogStream::Stderr)),
    };
    if container.time.is_some() {
        builder.monotonic_clock(GuestClock::new(container.clone())).wall_clock(GuestClock::new(container.clone()));
    }
    if let Some(seed) = launch.special.as_ref().and_then(|special| special.seed) {
        seed.apply(container, &mut builder);
    }
    for mount in &launch.mounts {
        let perms = match mount.access {
            VolumeAccess::ReadOnly => FsPerms::ReadOnly,
            VolumeAccess::ReadWrite => FsPerms::ReadWrite,
        };
        builder.preopened_dir(&mount.host, &mount.guest, perms)?;
    }
    Ok(builder)
}

fn store<W: Send + 'static>(launch: &Launch, engine: &wasmtime::Engine, guest: Guest<W>) -> Store<Guest<W>> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_fuel(FUEL).expect("the engine is set to count fuel");
    let quantum = launch.kit.quantum;
    store.fuel_async_yield_interval(Some(quantum)).expect("a quantum is more than nothing");
    let (container, clock) = (launch.container.clone(), launch.kit.clock.clone());
    let mut shortened = false;
    store.call_hook(move |mut store: StoreContextMut<'_, Guest<W>>, crossing| {
        match crossing {
            CallHook::CallingHost => {
                let fuel = FUEL - store.get_fuel()?;
                match &container.time {
                    None => container.meter.enter_host(fuel, clock.now().0),
                    Some(time) => {
                        container.meter.set_fuel(fuel);
                        time.host_called(fuel);
                    }
                }
                if shortened {
                    shortened = false;
                    store.fuel_async_yield_interval(Some(quantum))?;
                }
            }
            CallHook::ReturningFromHost => {
                let is_turn_over = match &container.time {
                    None => container.meter.leave_host(clock.now().0) > HOST_CALL_TURN_NANOS,
                    Some(time) => time.is_turn_over(),
                };
                if is_turn_over && !shortened {
                    shortened = true;
                    store.fuel_async_yield_interval(Some(1))?;
                }
            }
            CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
        Ok(())
    });
    store
}
