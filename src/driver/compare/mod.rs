//! Which capacity is cheapest for a load: the same cluster on Fargate, on Fargate Spot and on EC2, each simulated for the same time
//! with the same seed, side by side.
//!
//! First everything as it is written: Fargate, Fargate Spot, and a few instance types that suit what the tasks reserve. What the tasks
//! used on Fargate then says which size they need, and the cluster with those sizes is simulated again. Whatever is cheapest among those
//! that place everything and are fast enough is recommended.
//!
//! Read `variants` for what a cluster looks like elsewhere, `candidates` for which instance types are tried, `sizing` for sizes,
//! `measure` for what is measured, `recommendation` for the choice. Nothing here knows how long it takes: whoever waits is told after
//! each step and may end it.

mod candidates;
pub mod measure;
mod notes;
pub mod recommendation;
pub mod report;
pub mod sizing;
pub mod variants;

use std::ops::ControlFlow;

use thiserror::Error;

use self::measure::{Measured, TaskUse};
use self::recommendation::{Objection, Recommendation};
use self::sizing::SizeAdvice;
use self::variants::{Capacity, Sizing, Variant};
use super::simulated::{DEFAULT_TIME, SimulationError};
use crate::catalog::Catalog;
use crate::data_plane::DataPlaneOptions;
use crate::model::cluster::ClusterSpec;
use crate::model::units::Duration;

/// The rows with other sizes: Fargate, Fargate Spot and an instance type.
const RIGHT_SIZED: usize = 3;

/// How much slower than the fastest the recommended capacity may be at the 99th percentile, in percent, when nobody says. *Ours.*
pub const P99_TOLERANCE_PERCENT: u32 = 25;

/// Settings of a comparison.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Settings of the engine that runs real guests, in each simulation.
    pub data_plane: DataPlaneOptions,
    /// How much slower than the fastest the recommended capacity may be at the 99th percentile, in percent.
    pub p99_tolerance_percent: u32,
}

impl Default for CompareOptions {
    fn default() -> CompareOptions {
        CompareOptions { data_plane: DataPlaneOptions::default(), p99_tolerance_percent: P99_TOLERANCE_PERCENT }
    }
}

/// How far a comparison has come.
#[derive(Clone, Copy, Debug)]
pub struct CompareStep<'a> {
    /// The variant that is being simulated.
    pub variant: &'a Variant,
    /// Its number, from 1.
    pub number: usize,
    /// How many variants there are, as far as is known.
    pub count: usize,
    /// Time that has been simulated of it.
    pub simulated: Duration,
    /// Time that is simulated of each.
    pub of: Duration,
}

/// Why a cluster cannot be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// Nothing in it could run elsewhere.
    #[error("there is nothing to compare: {0}")]
    NothingToCompare(String),
    /// No capacity can hold it; each with its reason.
    #[error("no capacity can hold this cluster's tasks: {}", reasons(.0))]
    NowhereToRun(Vec<LeftOut>),
    /// A variant cannot be simulated.
    #[error("{variant}: {error}")]
    Simulation {
        /// The variant.
        variant: String,
        /// Why not.
        error: SimulationError,
    },
    /// Whoever watched has ended it.
    #[error("the comparison was ended")]
    Ended,
}

fn reasons(left_out: &[LeftOut]) -> String {
    left_out.iter().map(|left_out| format!("{}: {}", left_out.capacity, left_out.reason)).collect::<Vec<_>>().join("; ")
}

/// A kind of capacity that was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub capacity: String,
    /// Why.
    pub reason: String,
}

/// A variant and what became of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The cluster elsewhere.
    pub variant: Variant,
    /// What was measured.
    pub measured: Measured,
    /// Why it is not recommended whatever it costs; `None` when its cost decides.
    pub objection: Option<Objection>,
}

/// A cluster on several kinds of capacity, side by side.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The cluster's name.
    pub cluster: String,
    /// The region whose prices apply.
    pub region: String,
    /// Its seed.
    pub seed: u64,
    /// The time that was simulated of each.
    pub time: Duration,
    /// How much slower than the fastest the recommended row may be at the 99th percentile, in percent.
    pub p99_tolerance_percent: u32,
    /// The variants: as written first, then with the sizes that the tasks need. Never empty.
    pub rows: Vec<Row>,
    /// What was not tried.
    pub left_out: Vec<LeftOut>,
    /// What is not as the file says, for people.
    pub notes: Vec<String>,
    /// Which size each task definition needs, by what its tasks used.
    pub sizes: Vec<SizeAdvice>,
    /// What to take; `None` when no variant places everything.
    pub recommendation: Option<Recommendation>,
}

/// Simulates a cluster on Fargate, Fargate Spot and EC2.
///
/// `watch` is called after every simulated minute, and ends the comparison by breaking.
///
/// # Errors
/// When nothing can be compared, a variant cannot be simulated, or `watch` breaks.
pub fn compare(
    spec: &ClusterSpec,
    options: &CompareOptions,
    watch: impl FnMut(&CompareStep<'_>) -> ControlFlow<()>,
) -> Result<Comparison, CompareError> {
    let mut spec = spec.clone();
    let time = *spec.settings.run_for.get_or_insert(DEFAULT_TIME);
    let movable = variants::movable(&spec).map_err(CompareError::NothingToCompare)?;
    let mut course = Course {
        options,
        watch,
        time,
        count: 2 + candidates::MOST + RIGHT_SIZED,
        rows: Vec::new(),
        left_out: Vec::new(),
    };

    for capacity in [Capacity::Fargate, Capacity::FargateSpot] {
        course.try_variant(&spec, &capacity, Sizing::AsWritten)?;
    }
    let as_written = course.try_instance_types(&spec, Sizing::AsWritten)?;
    if course.rows.is_empty() {
        return Err(CompareError::NowhereToRun(course.left_out));
    }

    let used: &TaskUse = &course.rows[0].measured.tasks;
    let sizes = sizing::advise(&spec, used, &Catalog::embedded());
    if sizes.iter().any(SizeAdvice::changes_anything) {
        let fitted = sizing::resize(&spec, &sizes);
        let on_fargate = course.rows.iter().any(|row| row.variant.capacity == Capacity::Fargate);
        course.count = course.rows.len() + 2 * usize::from(on_fargate) + usize::from(as_written > 0);
        if on_fargate {
            for capacity in [Capacity::Fargate, Capacity::FargateSpot] {
                course.try_variant(&fitted, &capacity, Sizing::RightSized)?;
            }
        }
        if as_written > 0 {
            course.try_instance_types(&fitted, Sizing::RightSized)?;
        }
    }

    let Course { mut rows, left_out, .. } = course;
    let recommendation = recommendation::recommend(&mut rows, options.p99_tolerance_percent);
    Ok(Comparison {
        cluster: spec.name.clone(),
        region: spec.region.clone(),
        seed: spec.settings.seed,
        time,
        p99_tolerance_percent: options.p99_tolerance_percent,
        notes: notes::notes(&spec, &movable, &rows),
        rows,
        left_out,
        sizes,
        recommendation,
    })
}

/// A comparison under way.
struct Course<'a, W> {
    options: &'a CompareOptions,
    watch: W,
    time: Duration,
    /// How many variants there are, as far as is known.
    count: usize,
    rows: Vec<Row>,
    left_out: Vec<LeftOut>,
}

impl<W: FnMut(&CompareStep<'_>) -> ControlFlow<()>> Course<'_, W> {
    /// Simulates a cluster on a kind of capacity, or notes why it can't be there.
    fn try_variant(&mut self, spec: &ClusterSpec, capacity: &Capacity, sizing: Sizing) -> Result<(), CompareError> {
        let on_fargate = self.seen_on_fargate(sizing);
        let variant = match variants::variant(spec, capacity, sizing, on_fargate) {
            Ok(variant) => variant,
            Err(reason) => {
                self.leave_out(capacity.name(), reason);
                return Ok(());
            }
        };
        let number = self.rows.len() + 1;
        let (count, of) = (self.count.max(number), self.time);
        let step = |simulated| (self.watch)(&CompareStep { variant: &variant, number, count, simulated, of });
        let measured = measure::measure(&variant, &self.options.data_plane, self.time, step)?;
        self.rows.push(Row { variant, measured, objection: None });
        Ok(())
    }

    /// The instance types that suit the tasks: a handful as written, the best one with other sizes. Returns how many there were.
    fn try_instance_types(&mut self, spec: &ClusterSpec, sizing: Sizing) -> Result<usize, CompareError> {
        let mut chosen = match candidates::choose(spec, self.seen_on_fargate(sizing), &Catalog::embedded()) {
            Ok(chosen) => chosen,
            Err(reason) => {
                self.leave_out("EC2".to_owned(), reason);
                return Ok(0);
            }
        };
        if sizing == Sizing::RightSized {
            chosen.truncate(1);
        } else {
            self.count = self.rows.len() + chosen.len() + RIGHT_SIZED;
        }
        let count = chosen.len();
        for instance_type in chosen {
            self.try_variant(spec, &Capacity::Ec2(instance_type), sizing)?;
        }
        Ok(count)
    }

    /// What the tasks of such sizes did on Fargate, where that was tried: how many there are elsewhere is worked out from it.
    fn seen_on_fargate(&self, sizing: Sizing) -> Option<&TaskUse> {
        let is_meant = |row: &&Row| row.variant.capacity == Capacity::Fargate && row.variant.sizing == sizing;
        self.rows.iter().find(is_meant).map(|row| &row.measured.tasks)
    }

    fn leave_out(&mut self, capacity: String, reason: String) {
        let left_out = LeftOut { capacity, reason };
        if !self.left_out.contains(&left_out) {
            self.left_out.push(left_out);
        }
    }
}
