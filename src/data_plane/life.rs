//! One turn of a container's future, and its end, safe from whatever a host call does.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::sandbox::EXIT_TRAPPED;
use crate::model::task::ContainerExit;

/// A container's future.
pub(super) type Life = Pin<Box<dyn Future<Output = ContainerExit> + Send>>;

/// How a turn ended.
pub(super) enum Polled {
    /// The guest waits, or has used up its quantum.
    Pending(Life),
    /// It has ended.
    Over(ContainerExit),
}

/// Gives a guest one turn. A panic of a host call ends the guest, and nobody else.
pub(super) fn poll_life(mut life: Life, waker: &Waker) -> Polled {
    let polled = catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(&mut Context::from_waker(waker))));
    match polled {
        Ok(Poll::Pending) => Polled::Pending(life),
        Ok(Poll::Ready(exit)) => {
            drop_life(life);
            Polled::Over(exit)
        }
        Err(panic) => {
            drop_life(life);
            let what = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            let reason = Some(format!("ContainerRuntimeError: a host call panicked: {what}"));
            Polled::Over(ContainerExit { exit_code: Some(EXIT_TRAPPED), reason })
        }
    }
}

/// Ends a guest wherever it is. A panic on its way out is nobody else's matter.
pub(super) fn drop_life(life: Life) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(life)));
}
