//! The control plane: events in, actions out, and nothing else.

pub mod action;
pub mod backoff;
pub mod cluster_autoscaling;
pub mod event;
pub mod metrics;
pub mod request_error;
pub mod service_autoscaling;
pub mod timers;
