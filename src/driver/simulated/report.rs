//! What is left of a simulation beside what a run leaves: how much happened, and how long jobs took.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Simulation;
use super::histogram::DurationHistogram;
use crate::model::units::Duration;

/// A simulation's part of a report. Everything in it follows from the cluster file and the seed.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationReport {
    /// Time that was simulated.
    pub simulated_seconds: f64,
    /// Events that the control plane took in.
    pub events: u64,
    /// What happened in the data plane: boots, starts, ends of computing and sleeping, arrivals.
    pub data_plane_events: u64,
    /// How long the jobs of each service took, and waited, where it has load.
    pub jobs: BTreeMap<String, JobTimes>,
}

/// How long jobs took.
#[derive(Clone, Debug, Serialize)]
pub struct JobTimes {
    /// From arrival to done.
    pub latency_seconds: TimesReport,
    /// From arrival until somebody worked on it.
    pub wait_seconds: TimesReport,
}

/// Percentiles of durations, in seconds.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TimesReport {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl SimulationReport {
    /// The report on what has been simulated so far.
    pub fn of(simulation: &Simulation) -> SimulationReport {
        let names = simulation.state().services.keys();
        let jobs = names.filter_map(|name| {
            let (latencies, waits) = simulation.job_times(name)?;
            let times = JobTimes { latency_seconds: times(latencies), wait_seconds: times(waits) };
            Some((name.to_string(), times))
        });
        SimulationReport {
            simulated_seconds: simulation.now().elapsed().as_secs_f64(),
            events: simulation.event_count(),
            data_plane_events: simulation.happening_count(),
            jobs: jobs.collect(),
        }
    }
}

fn times(histogram: &DurationHistogram) -> TimesReport {
    let permille = |permille: u64| histogram.permille(permille).as_secs_f64();
    let seconds = |time: Duration| time.as_secs_f64();
    TimesReport {
        count: histogram.count(),
        mean: seconds(histogram.mean()),
        p50: permille(500),
        p90: permille(900),
        p99: permille(990),
        p999: permille(999),
        max: seconds(histogram.max()),
    }
}
