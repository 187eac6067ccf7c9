//! The vocabulary: plain data with ECS' names, and nothing that does anything.
//!
//! Read [`task`] first, then [`service`] and [`capacity`]. Every other layer names these types; this layer names no other.
//! It never sees a clock, a thread, I/O, the engine or a hash map.

pub mod alarm;
pub mod arn;
pub mod auto_scaling_group;
pub mod calendar;
pub mod capacity;
pub mod cluster;
pub mod cluster_query;
pub mod container_order;
pub mod cpu_credits;
pub mod deployment;
pub mod deployment_hook;
pub mod distribution;
pub mod document;
pub mod external_instance;
pub mod fargate_size;
pub mod fault;
pub(crate) mod fnv;
pub mod health_command;
pub mod id_table;
pub mod ids;
pub mod image_map;
pub mod image_reference;
pub mod job;
pub(crate) mod lanes;
pub mod metric;
pub mod metric_math;
pub mod recent;
pub mod rng;
pub(crate) mod routing;
pub mod scaling;
pub mod schedule;
pub mod service;
pub mod settings;
pub mod subnet;
pub mod suggest;
pub mod target_group;
pub mod task;
pub mod task_definition;
pub mod task_ids;
pub mod task_list;
pub mod task_overrides;
pub mod task_set;
pub mod traffic;
pub mod units;
pub mod usage;
pub mod work;
pub(crate) mod written_form;
