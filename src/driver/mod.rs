//! The loops that join the pure control plane with its effects and its clock.
//!
//! [`running_cluster`] is the handle on a cluster that runs for real, `real_time` its loop, [`apply`] how it becomes what an edited
//! specification says, [`durable`] how it
//! outlives its process, [`hooks`] how it asks the hooks of deployments, [`event_bridge`] how its news look on EventBridge; a simulated driver is a second loop over the
//! same control plane, and [`compare`] runs that on several kinds of capacity. [`load`] makes the jobs
//! of services, [`journal`] keeps what happened and leads a control plane through it again, [`snapshot`] is what readers get to see, [`reads`] how they look without a copy,
//! [`report`] is what is left at the end, and [`series`] what was over time, as [`recorder`] saw it.

pub mod apply;
pub mod capacity_report;
pub mod compare;
pub mod csv;
pub mod durable;
pub mod event_bridge;
pub mod event_detail;
mod hook_tasks;
pub mod hooks;
pub mod journal;
mod kept_journal;
pub mod ledger;
pub mod load;
mod plans;
pub mod reads;
mod real_time;
pub mod recorder;
pub mod report;
pub mod running_cluster;
pub mod scaling_report;
pub mod series;
pub mod service_deployment_report;
pub mod simulated;
pub mod snapshot;
