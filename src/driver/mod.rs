//! The loops that join the pure control plane with its effects and its clock.
//!
//! [`real_time`] runs a cluster for real; a simulated driver is a second loop over the same control plane. [`load`] makes the jobs
//! of services, [`snapshot`] is what readers get to see, [`report`] is what is left at the end.

pub mod load;
pub mod real_time;
pub mod report;
pub mod snapshot;
