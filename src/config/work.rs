//! `[task_definition.simulation]`: what tasks do in simulated time.

use std::sync::Arc;

use super::distributions::{Amounts, read_distribution};
use super::document::Context;
use super::keys::{CRASH, TASK_SIMULATION};
use super::reader::{Table, Words};
use crate::model::distribution::Distribution;
use crate::model::work::{Crash, ModelledWork, Work};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Modelled,
    Executed,
}

const KINDS: Words<Kind> =
    Words { available: &[("modelled", Kind::Modelled), ("executed", Kind::Executed)], planned: &[] };

/// Reads what a task definition's tasks do. Without a table it is what their guests do.
pub(super) fn read_work(definition: &Table<'_>, context: &Context<'_>) -> Work {
    let Some(at) = definition.table("simulation", &TASK_SIMULATION) else { return Work::Executed };
    let kind = at.word("work", &KINDS);
    if kind == Some(Kind::Executed) {
        for key in TASK_SIMULATION.keys.iter().copied().filter(|key| *key != "work" && at.has(key)) {
            at.reject(key, format!("{key} describes modelled work, and work = \"executed\" is what the guest does"));
        }
        return Work::Executed;
    }
    let durations = |key| read_distribution(&at, key, Amounts::Durations, context);
    let numbers = |key| read_distribution(&at, key, Amounts::Numbers, context);
    let cpu = numbers("cpu").unwrap_or_default();
    if let Distribution::Constant(cpu @ 1025..) = cpu {
        at.reject("cpu", format!("cpu {cpu} is more than one container can use: 0 to 1024"));
    }
    let work = ModelledWork {
        pull: durations("pull").unwrap_or_default(),
        cold_start: durations("cold_start").unwrap_or_default(),
        duration: durations("duration"),
        cpu,
        job_cpu: durations("job_cpu").unwrap_or_default(),
        job_wait: durations("job_wait").unwrap_or_default(),
        stop: durations("stop").unwrap_or_default(),
        memory_mib: numbers("memory").unwrap_or_default(),
        exit_code: at.get("exit_code").and_then(|value| value.i32()).unwrap_or_default(),
        crash: at.table("crash", &CRASH).map(|at| read_crash(&at, context)),
    };
    let own = ["duration", "cpu"].into_iter().find(|key| at.has(key));
    if let Some(own) = own
        && work.serves_jobs()
    {
        at.reject(own, format!("{own} is for tasks without jobs, and job_cpu and job_wait for those that have some"));
    }
    Work::Modelled(Arc::new(work))
}

fn read_crash(at: &Table<'_>, context: &Context<'_>) -> Crash {
    let thousandths = at.need("probability").and_then(|value| value.thousandths()).unwrap_or_default();
    if thousandths > 1000 {
        at.reject("probability", "a probability is from 0 to 1");
    }
    let after = read_distribution(at, "after", Amounts::Durations, context).unwrap_or_default();
    let exit_code = at.get("exit_code").and_then(|value| value.i32()).unwrap_or(1);
    let probability_ppm = u32::try_from(thousandths.min(1000) * 1000).unwrap_or(1_000_000);
    Crash { probability_ppm, after, exit_code }
}
