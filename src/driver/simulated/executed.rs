//! Real guests in a simulation: the engine that they share, and their images.
//!
//! Images are built and compiled before the first event, in real time and for as long as that takes. *Ours:* a task whose work is executed
//! has its images at once: nobody has said how long a pull takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::SimulationError;
use crate::data_plane::DataPlaneOptions;
use crate::data_plane::executed::ExecutedWork;
use crate::model::cluster::ClusterSpec;
use crate::model::ids::IdForm;
use crate::model::work::Work;

/// The engine for the tasks of a cluster whose work is executed, with their images; nothing when there are none.
pub(super) fn start(
    spec: &ClusterSpec,
    options: DataPlaneOptions,
    calendar_start: jiff::Timestamp,
) -> Result<Option<Arc<ExecutedWork>>, SimulationError> {
    let executed = spec.task_definitions.iter().filter(|definition| definition.work == Work::Executed);
    let images: BTreeSet<&str> =
        executed.flat_map(|definition| &definition.containers).map(|container| container.image.as_str()).collect();
    if images.is_empty() {
        return Ok(None);
    }
    let seed = spec.settings.seed;
    let options = DataPlaneOptions {
        fuel_rate: spec.settings.fuel_rate,
        cpu_period: spec.settings.cpu_period,
        id_form: IdForm { seed },
        images: spec.images.clone().before(options.images),
        ..options
    };
    let work = ExecutedWork::start(&options, seed, calendar_start)
        .map_err(|error| SimulationError::Engine(error.to_string()))?;
    let answers: Vec<_> = images.into_iter().map(|image| work.prepare(image)).collect();
    for answer in answers {
        // A failure is told again to each task of the image.
        let _ = answer.recv();
    }
    Ok(Some(Arc::new(work)))
}
