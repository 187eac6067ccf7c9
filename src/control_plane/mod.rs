//! The control plane: events in, actions out, and nothing else.

pub mod action;
pub mod event;
pub mod request_error;
