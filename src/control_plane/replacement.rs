//! Replacement of tasks that are there and must give way: unhealthy ones, those on an instance that drains, those of a crowded zone, those
//! whose ground is being maintained.
//!
//! The intuition: where the upper bound has room the other task comes first, and the one that gives way goes when the other is
//! healthy. Where it has none, one goes first: an unhealthy task one at a time, since it protects nobody, and so one whose ground is taken
//! away, since it can't stay; a healthy one otherwise only above the lower bound. The other is of the same revision, whatever the service
//! is moving to.
//!
//! **Source:** ecs-semantics §3.3, §5.4, §5.10, §8.5.

use serde::{Deserialize, Serialize};

use super::deployment::{Blocked, Bounds};
use super::state::ReplaceCause;
use crate::model::ids::TaskId;
use crate::model::rng::RandomStream;

/// A task that is to give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivingWay {
    pub task: TaskId,
    /// Its deployment's place: 0 is the primary.
    pub deployment_index: usize,
    pub cause: ReplaceCause,
    pub standing: Standing,
    /// How the task that replaces it stands, if there is one.
    pub replacement: Option<Replacement>,
    pub owed: Owed,
}

/// What a task is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Standing {
    Starting,
    NotHealthy,
    Healthy,
}

/// A task that takes another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub task: TaskId,
    pub state: ReplacementState,
}

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplacementState {
    Coming,
    Healthy,
    Unhealthy,
}

/// Whether the service wants a task in the place of one that gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// It does.
    Replacement,
    /// It has enough, or its deployment launches nothing.
    Nothing,
}

/// What the replacements are planned from.
#[derive(Clone, Debug)]
pub(super) struct ReplacementInputs<'a> {
    pub giving_way: &'a [GivingWay],
    pub bounds: Bounds,
    /// Tasks of the service that run or are to run.
    pub placed: u32,
    pub healthy: u32,
    /// Tasks that are not healthy yet and may become so.
    pub in_flight: u32,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplacementStep {
    /// Stop a task.
    Stop(TaskId),
    /// Start a task of a deployment that will take another's place.
    Start { deployment_index: usize, instead_of: TaskId },
    /// Stop a task and start another of its deployment at once.
    Exchange { deployment_index: usize, task: TaskId },
}

/// What to do for tasks that give way, in order. **Source:** ecs-semantics §3.3, §5.4, §5.10.
pub(super) fn plan_replacements(
    inputs: &ReplacementInputs<'_>,
    rng: &mut RandomStream,
) -> (Vec<ReplacementStep>, Blocked) {
    let mut steps = Vec::new();
    let Bounds { lower, upper } = inputs.bounds;
    let mut healthy = inputs.healthy;
    let mut room = upper.saturating_sub(inputs.placed);
    let mut in_flight = inputs.in_flight;
    let mut stop_first: Vec<&GivingWay> = Vec::new();
    let mut is_blocked = false;
    for giving in inputs.giving_way {
        match (giving.standing, giving.replacement) {
            // What does not run yet on an instance that drains is stopped at once.
            (Standing::Starting, _) if giving.cause == ReplaceCause::InstanceDraining => {
                steps.push(ReplacementStep::Stop(giving.task));
            }
            (standing, Some(Replacement { task, state })) => match (state, standing) {
                (ReplacementState::Coming, _) => {}
                (ReplacementState::Healthy, Standing::Healthy) if healthy > lower => {
                    healthy -= 1;
                    steps.push(ReplacementStep::Stop(giving.task));
                }
                // The two are all that the bounds allow, and the lower one needs both.
                (ReplacementState::Healthy, Standing::Healthy) => is_blocked |= inputs.placed >= upper,
                (ReplacementState::Healthy, Standing::Starting | Standing::NotHealthy) => {
                    steps.push(ReplacementStep::Stop(giving.task));
                }
                // Either may go; the one that is healthy is the better one.
                (ReplacementState::Unhealthy, Standing::Healthy) => steps.push(ReplacementStep::Stop(task)),
                (ReplacementState::Unhealthy, _) => steps.push(ReplacementStep::Stop(giving.task)),
            },
            // It goes whether or not another comes.
            (_, None) if giving.owed == Owed::Nothing && giving.cause == ReplaceCause::Retirement => {
                healthy -= u32::from(giving.standing == Standing::Healthy);
                steps.push(ReplacementStep::Stop(giving.task));
            }
            (_, None) if giving.owed == Owed::Nothing => {}
            (_, None) if room > 0 => {
                room -= 1;
                in_flight += 1;
                let (deployment_index, instead_of) = (giving.deployment_index, giving.task);
                steps.push(ReplacementStep::Start { deployment_index, instead_of });
            }
            // Rebalancing is worth no gap.
            (_, None) if giving.cause == ReplaceCause::Rebalancing => {}
            // Its end is not up to the lower bound.
            (_, None) if giving.cause == ReplaceCause::Retirement => stop_first.push(giving),
            (Standing::Healthy, None) if healthy > lower => {
                healthy -= 1;
                steps.push(ReplacementStep::Stop(giving.task));
            }
            (Standing::Healthy, None) => is_blocked = true,
            (Standing::Starting | Standing::NotHealthy, None) => stop_first.push(giving),
        }
    }
    if !stop_first.is_empty() && in_flight == 0 && steps.is_empty() {
        let bound = u64::try_from(stop_first.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(rng.below(bound)).unwrap_or_default();
        let giving = stop_first[index];
        let (deployment_index, task) = (giving.deployment_index, giving.task);
        // Bounds that were narrowed may leave no room even for the other in its place.
        steps.push(match inputs.placed > upper {
            true => ReplacementStep::Stop(task),
            false => ReplacementStep::Exchange { deployment_index, task },
        });
    }
    let blocked = if is_blocked && steps.is_empty() && in_flight == 0 { Blocked::ByConfiguration } else { Blocked::No };
    (steps, blocked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::Stream;

    fn giving(task: u64, standing: Standing, replacement: Option<ReplacementState>) -> GivingWay {
        let cause =
            if standing == Standing::NotHealthy { ReplaceCause::Unhealthy } else { ReplaceCause::InstanceDraining };
        let replacement = replacement.map(|state| Replacement { task: TaskId(100 + task), state });
        GivingWay { task: TaskId(task), deployment_index: 0, cause, standing, replacement, owed: Owed::Replacement }
    }

    fn planned(giving_way: &[GivingWay], bounds: (u32, u32), placed: u32, healthy: u32) -> Vec<ReplacementStep> {
        let bounds = Bounds { lower: bounds.0, upper: bounds.1 };
        let inputs = ReplacementInputs { giving_way, bounds, placed, healthy, in_flight: 0 };
        plan_replacements(&inputs, &mut RandomStream::new(1, Stream::Placement)).0
    }

    fn start(task: u64) -> ReplacementStep {
        ReplacementStep::Start { deployment_index: 0, instead_of: TaskId(task) }
    }

    /// ecs-semantics §5.4: start first where there is room, then stop what gave way.
    #[test]
    fn room_lets_the_other_come_first() {
        let unhealthy = giving(1, Standing::NotHealthy, None);
        assert_eq!(planned(&[unhealthy], (2, 4), 2, 1), [start(1)]);
        let coming = giving(1, Standing::NotHealthy, Some(ReplacementState::Coming));
        assert_eq!(planned(&[coming], (2, 4), 3, 1), []);
        for state in [ReplacementState::Healthy, ReplacementState::Unhealthy] {
            let there = giving(1, Standing::NotHealthy, Some(state));
            assert_eq!(planned(&[there], (2, 4), 3, 2), [ReplacementStep::Stop(TaskId(1))]);
        }
    }

    /// ecs-semantics §5.4: without room unhealthy tasks go one at a time.
    #[test]
    fn without_room_one_goes_at_a_time() {
        let both = [giving(1, Standing::NotHealthy, None), giving(2, Standing::NotHealthy, None)];
        assert_eq!(planned(&both, (2, 2), 2, 0).len(), 1);
    }

    /// ecs-semantics §5.2: a task and its replacement that the bounds, narrowed meanwhile, let neither go nor grow are reported.
    #[test]
    fn bounds_that_are_narrowed_meanwhile_are_reported() {
        let there = giving(1, Standing::Healthy, Some(ReplacementState::Healthy));
        let blocked = |bounds: Bounds| {
            let inputs = ReplacementInputs { giving_way: &[there], bounds, placed: 2, healthy: 2, in_flight: 0 };
            plan_replacements(&inputs, &mut RandomStream::new(1, Stream::Placement)).1
        };
        assert_eq!(blocked(Bounds { lower: 2, upper: 2 }), Blocked::ByConfiguration);
        assert_eq!(blocked(Bounds { lower: 2, upper: 3 }), Blocked::No);
        assert_eq!(blocked(Bounds { lower: 1, upper: 2 }), Blocked::No);
    }

    /// ecs-semantics §5.2, §5.4: above an upper bound that was narrowed, one goes and none comes.
    #[test]
    fn above_the_bounds_nothing_comes() {
        let unhealthy = giving(1, Standing::NotHealthy, None);
        assert_eq!(planned(&[unhealthy], (2, 2), 3, 2), [ReplacementStep::Stop(TaskId(1))]);
        let in_its_place = ReplacementStep::Exchange { deployment_index: 0, task: TaskId(1) };
        assert_eq!(planned(&[unhealthy], (2, 2), 2, 1), [in_its_place]);
    }

    /// ecs-semantics §3.3: at minimum 100 % a healthy task stays until its replacement is healthy; at maximum 100 % it goes first as
    /// far as the lower bound lets it; at both it is stuck.
    #[test]
    fn drains_within_the_bounds() {
        let running = giving(1, Standing::Healthy, None);
        assert_eq!(planned(&[running], (2, 4), 2, 2), [start(1)]);
        assert_eq!(planned(&[running], (1, 2), 2, 2), [ReplacementStep::Stop(TaskId(1))]);
        assert_eq!(planned(&[running], (2, 2), 2, 2), []);
        assert_eq!(planned(&[giving(1, Standing::Starting, None)], (2, 2), 2, 1), [ReplacementStep::Stop(TaskId(1))]);
    }
}
