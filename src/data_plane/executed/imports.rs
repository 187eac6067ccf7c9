//! What guests import in simulated time in the place of functions that would wait for the operating system's timers.
//!
//! In each of them the guest catches up before it does anything, so that a time from now counts from the right moment, and input is
//! asked for when the work before it is done.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use wasmtime::component::Resource;
use wasmtime::{AsContextMut, Caller, Extern, Linker, StoreContextMut};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{WasiSnapshotPreview1, poll_oneoff};
use wasmtime_wasi::p2::bindings::io::streams::{self, HostInputStream};
use wasmtime_wasi::p2::{DynInputStream, DynPollable, Pollable, subscribe};

use super::files;
use super::guest_time::GuestTime;
use crate::data_plane::container::Container;
use crate::data_plane::engine::{ComponentGuest, Guest, ModuleGuest, poll_layout};
use crate::model::units::{Duration, Timestamp};

/// The interfaces in the version that wasmtime has: a component that names an earlier one gets this one.
const MONOTONIC_CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.12";
const STREAMS: &str = "wasi:io/streams@0.2.12";

pub(super) const NO_TIME: &str = "guests with these imports have a simulated time";

/// Replaces them in the linkers of an engine.
pub(in crate::data_plane) fn replace(
    modules: &mut Linker<ModuleGuest>,
    components: &mut wasmtime::component::Linker<ComponentGuest>,
) -> wasmtime::Result<()> {
    modules.allow_shadowing(true);
    modules.func_wrap_async(
        "wasi_snapshot_preview1",
        "poll_oneoff",
        |caller: Caller<'_, ModuleGuest>, (subscriptions, events, count, ready): (i32, i32, i32, i32)| {
            Box::new(async move {
                let [subscriptions, events, count, ready] =
                    [subscriptions, events, count, ready].map(i32::cast_unsigned);
                poll(caller, PollCall { subscriptions, events, count, ready }).await
            })
        },
    )?;
    files::replace_in_modules(modules)?;
    modules.allow_shadowing(false);

    components.allow_shadowing(true);
    let mut clock = components.instance(MONOTONIC_CLOCK)?;
    clock.func_wrap_async("subscribe-duration", |store, (duration,): (u64,)| {
        Box::new(async move {
            let moment = |now| now + Duration::from_nanos(duration);
            subscribe_moment(store, moment).await
        })
    })?;
    clock.func_wrap_async("subscribe-instant", |store, (instant,): (u64,)| {
        Box::new(async move { subscribe_moment(store, |_| Timestamp(instant)).await })
    })?;
    let mut io = components.instance(STREAMS)?;
    io.func_wrap_async(
        "[method]input-stream.read",
        |mut store: StoreContextMut<'_, ComponentGuest>, (stream, length): (Resource<DynInputStream>, u64)| {
            Box::new(async move {
                container(store.data()).time.as_ref().expect(NO_TIME).catch_up().await;
                let table = &mut store.data_mut().wasi.table;
                let read = match HostInputStream::read(table, stream, length) {
                    Ok(bytes) => Ok(bytes),
                    Err(error) => Err(streams::Host::convert_stream_error(table, error)?),
                };
                Ok((read,))
            })
        },
    )?;
    files::replace_in_components(components)?;
    components.allow_shadowing(false);
    Ok(())
}

pub(super) fn container<W>(guest: &Guest<W>) -> Arc<Container> {
    guest.limiter.container().clone()
}

/// A moment of a guest's time, to wait for.
struct Moment {
    container: Arc<Container>,
    at: Timestamp,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Moment {
    async fn ready(&mut self) {
        self.container.time.as_ref().expect(NO_TIME).wait_until(self.at).await;
    }
}

async fn subscribe_moment(
    mut store: StoreContextMut<'_, ComponentGuest>,
    moment: impl FnOnce(Timestamp) -> Timestamp + Send,
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let container = container(store.data());
    let time = container.time.as_ref().expect(NO_TIME);
    time.catch_up().await;
    let at = moment(time.now());
    let table = &mut store.data_mut().wasi.table;
    let moment = table.push(Moment { container: container.clone(), at })?;
    Ok((subscribe(table, moment)?,))
}

/// What a guest gives `poll_oneoff`: addresses in its memory, and the number of subscriptions.
#[derive(Clone, Copy)]
struct PollCall {
    subscriptions: u32,
    events: u32,
    count: u32,
    ready: u32,
}

/// Error numbers. **Source:** WASI preview 1, `errno`.
pub(super) const SUCCESS: i32 = 0;
const FAULT: i32 = 21;
const INVALID: i32 = 28;

/// One subscription, as it stands in memory.
type Subscription = [u8; poll_layout::SUBSCRIPTION_BYTES];

/// A subscription to a moment.
struct Alarm {
    at: Timestamp,
    user_data: [u8; 8],
}

/// Waits for any of several things. **Source:** WASI preview 1, `poll_oneoff`.
async fn poll(mut caller: Caller<'_, ModuleGuest>, call: PollCall) -> wasmtime::Result<i32> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("missing required memory export");
    };
    let container = container(caller.data());
    let time = container.time.as_ref().expect(NO_TIME);
    time.catch_up().await;
    let Some(given) = subscriptions(memory.data(&caller), call) else { return Ok(FAULT) };
    let (alarms, others) = match told_apart(&given, &container) {
        Ok(parts) => parts,
        Err(error) => return Ok(error),
    };
    let first = alarms.iter().map(|alarm| alarm.at).min();
    if others.is_empty() {
        let Some(first) = first else { return Ok(INVALID) };
        time.wait_until(first).await;
        return Ok(answer(memory.data_mut(&mut caller), call, 0, &alarms, time));
    }
    // Wasmtime's own waits for the others. It finds them alone where the guest has put them beside the moments, and what the guest has
    // put there is there again when it goes on.
    if write(memory.data_mut(&mut caller), address(call.subscriptions), others.as_flattened()).is_none() {
        return Ok(FAULT);
    }
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (bytes, guest) = memory.data_and_store_mut(&mut caller);
    guest.wasi.set_hostcall_fuel(fuel);
    let others_count = i32::try_from(others.len()).unwrap_or(i32::MAX);
    let error = {
        let mut memory = wiggle::GuestMemory::Unshared(&mut *bytes);
        let [subscriptions, events, ready] = [call.subscriptions, call.events, call.ready].map(u32::cast_signed);
        let mut others = pin!(poll_oneoff(&mut guest.wasi, &mut memory, subscriptions, events, others_count, ready));
        let mut alarm = pin!(time.wait_until(first.unwrap_or(Timestamp(u64::MAX))));
        poll_fn(|context| match (others.as_mut().poll(context), alarm.as_mut().poll(context)) {
            (Poll::Ready(error), _) => Poll::Ready(Some(error)),
            (Poll::Pending, Poll::Ready(())) => Poll::Ready(None),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        })
        .await
        .transpose()?
    };
    if write(bytes, address(call.subscriptions), given.as_flattened()).is_none() {
        return Ok(FAULT);
    }
    match error {
        Some(SUCCESS) => {
            let ready = read(bytes, address(call.ready)).map_or(0, u32::from_le_bytes);
            Ok(answer(bytes, call, ready, &alarms, time))
        }
        Some(error) => Ok(error),
        None => Ok(answer(bytes, call, 0, &alarms, time)),
    }
}

fn subscriptions(memory: &[u8], call: PollCall) -> Option<Vec<Subscription>> {
    let length = address(call.count).checked_mul(poll_layout::SUBSCRIPTION_BYTES)?;
    let bytes = memory.get(address(call.subscriptions)..)?.get(..length)?;
    let (subscriptions, _) = bytes.as_chunks::<{ poll_layout::SUBSCRIPTION_BYTES }>();
    Some(subscriptions.to_vec())
}

/// Moments to wait for, and all other subscriptions.
fn told_apart(given: &[Subscription], container: &Arc<Container>) -> Result<(Vec<Alarm>, Vec<Subscription>), i32> {
    use poll_layout::*;
    let time = container.time.as_ref().expect(NO_TIME);
    let now = time.now();
    let (mut alarms, mut others) = (Vec::new(), Vec::new());
    for subscription in given {
        if subscription[TAG] != TAG_CLOCK {
            others.push(*subscription);
            continue;
        }
        let timeout = u64::from_le_bytes(read(subscription, TIMEOUT).unwrap_or_default());
        let clock = u32::from_le_bytes(read(subscription, CLOCK).unwrap_or_default());
        let flags = u16::from_le_bytes([subscription[FLAGS], subscription[FLAGS + 1]]);
        let is_absolute = flags & FLAG_ABSTIME != 0;
        let at = match (clock, is_absolute) {
            (CLOCK_REALTIME | CLOCK_MONOTONIC, false) => now + Duration::from_nanos(timeout),
            (CLOCK_MONOTONIC, true) => Timestamp(timeout),
            (CLOCK_REALTIME, true) => now + Duration::from_nanos(timeout).saturating_sub(time.calendar_now()),
            _ => return Err(INVALID),
        };
        alarms.push(Alarm { at, user_data: read(subscription, 0).unwrap_or_default() });
    }
    Ok((alarms, others))
}

/// Writes an event for each moment that has come behind those that are there, and how many there are.
fn answer(memory: &mut [u8], call: PollCall, mut ready: u32, alarms: &[Alarm], time: &GuestTime) -> i32 {
    let now = time.now();
    for alarm in alarms.iter().filter(|alarm| alarm.at <= now) {
        let mut event = [0; poll_layout::EVENT_BYTES];
        event[..8].copy_from_slice(&alarm.user_data);
        if write(memory, address(call.events).saturating_add(address(ready) * poll_layout::EVENT_BYTES), &event)
            .is_none()
        {
            return FAULT;
        }
        ready += 1;
    }
    match write(memory, address(call.ready), &ready.to_le_bytes()) {
        Some(()) => SUCCESS,
        None => FAULT,
    }
}

pub(super) fn address(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

pub(super) fn write(memory: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    memory.get_mut(at..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(())
}

pub(super) fn read<const LENGTH: usize>(memory: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    memory.get(at..)?.first_chunk().copied()
}
