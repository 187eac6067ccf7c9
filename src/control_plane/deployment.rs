//! Rolling deployments: how many tasks of which deployment to start and to stop.
//!
//! The intuition: the service may have at most `upper` tasks and must keep at least `lower` healthy ones. Whatever room
//! is below `upper` goes to the primary deployment; whatever is healthy above `lower` may be taken from older ones. Tasks of
//! older deployments that are not healthy protect nobody and go first.

use crate::model::service::DeploymentConfiguration;

/// The bounds of a rolling deployment in tasks. **Source:** ecs-semantics §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Healthy tasks that must remain.
    pub lower: u32,
    /// Cap on running and pending tasks over all deployments.
    pub upper: u32,
}

impl Bounds {
    /// `lower = ceil(desired × minimum / 100)`, `upper = floor(desired × maximum / 100)`. **Source:** ecs-semantics §5.2.
    pub fn of(desired_count: u32, configuration: &DeploymentConfiguration) -> Bounds {
        let desired = u64::from(desired_count);
        let lower = (desired * u64::from(configuration.minimum_healthy_percent)).div_ceil(100);
        let upper = desired * u64::from(configuration.maximum_percent) / 100;
        Bounds { lower: saturating_u32(lower), upper: saturating_u32(upper) }
    }
}

fn saturating_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Tasks of a deployment by what they are, those asked to stop left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// To run and not running yet.
    pub starting: u32,
    /// Running, not counted as healthy.
    pub unproven: u32,
    /// Running and healthy.
    pub healthy: u32,
}

impl Tally {
    /// All of them.
    pub fn placed(self) -> u32 {
        self.starting + self.unproven + self.healthy
    }
}

/// What the plan for a service is made from.
#[derive(Clone, Debug)]
pub struct PlanInputs<'a> {
    /// The desired count.
    pub desired_count: u32,
    /// The service's bounds.
    pub bounds: Bounds,
    /// The primary deployment's tasks.
    pub primary: Tally,
    /// Older deployments' tasks, newest first.
    pub older: &'a [Tally],
}

/// What to do for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks of the primary deployment to start.
    pub start: u32,
    /// Tasks of the primary deployment to stop: a scale-in.
    pub stop_primary: u32,
    /// Tasks to stop of each older deployment, in the order of the inputs.
    pub stop_older: Vec<StopOlder>,
    /// Whether the bounds allow neither a start nor a stop though a deployment is under way and nothing is in flight.
    pub blocked: Blocked,
}

/// Tasks of an older deployment to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopOlder {
    /// Tasks that are not healthy.
    pub not_healthy: u32,
    /// Healthy tasks.
    pub healthy: u32,
}

/// Whether a deployment is stuck for its own bounds. **Source:** ecs-semantics §5.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocked {
    /// It is not.
    #[default]
    No,
    /// It can neither start nor stop a task.
    ByConfiguration,
}

/// Plans the next step of a service: to be asked again after every change. **Source:** ecs-semantics §5.2, §5.3.
pub fn plan(inputs: &PlanInputs<'_>) -> Plan {
    let bounds = inputs.bounds;
    let older_placed: u32 = inputs.older.iter().map(|tally| tally.placed()).sum();
    let placed = inputs.primary.placed() + older_placed;
    let missing = inputs.desired_count.saturating_sub(inputs.primary.placed());
    let start = missing.min(bounds.upper.saturating_sub(placed));
    let stop_primary = inputs.primary.placed().saturating_sub(inputs.desired_count);

    // Stops of the primary's surplus prefer tasks that are not healthy, so the healthy ones left are these.
    let primary_healthy_left = inputs.primary.healthy.min(inputs.desired_count);
    let healthy = primary_healthy_left + inputs.older.iter().map(|tally| tally.healthy).sum::<u32>();
    let mut may_stop = healthy.saturating_sub(bounds.lower);
    let mut stop_older = vec![StopOlder::default(); inputs.older.len()];
    // Oldest deployments are emptied first.
    for (stop, tally) in stop_older.iter_mut().zip(inputs.older).rev() {
        stop.not_healthy = tally.starting + tally.unproven;
        stop.healthy = tally.healthy.min(may_stop);
        may_stop -= stop.healthy;
    }
    let stops: u32 = stop_older.iter().map(|stop| stop.not_healthy + stop.healthy).sum();
    let nothing_in_flight = inputs.primary.starting == 0 && inputs.primary.unproven == 0;
    let stuck = older_placed > 0 && start == 0 && stops == 0 && stop_primary == 0 && missing > 0 && nothing_in_flight;
    let blocked = if stuck { Blocked::ByConfiguration } else { Blocked::No };
    Plan { start, stop_primary, stop_older, blocked }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(desired: u32, minimum: u32, maximum: u32) -> (u32, u32) {
        let configuration = DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            ..DeploymentConfiguration::default()
        };
        let bounds = Bounds::of(desired, &configuration);
        (bounds.lower, bounds.upper)
    }

    /// The examples of the rule book, §5.2.
    #[test]
    fn lower_rounds_up_and_upper_rounds_down() {
        assert_eq!(bounds(4, 50, 200), (2, 8));
        assert_eq!(bounds(2, 75, 200), (2, 4));
        assert_eq!(bounds(3, 100, 125), (3, 3));
        assert_eq!(bounds(1, 50, 100), (1, 1));
        assert_eq!(bounds(0, 100, 200), (0, 0));
    }

    fn healthy(count: u32) -> Tally {
        Tally { healthy: count, ..Tally::default() }
    }

    fn planned(desired: u32, percents: (u32, u32), primary: Tally, older: &[Tally]) -> Plan {
        let (lower, upper) = bounds(desired, percents.0, percents.1);
        plan(&PlanInputs { desired_count: desired, bounds: Bounds { lower, upper }, primary, older })
    }

    /// With ECS' defaults the new tasks start beside the old ones, and the old ones go as the new ones prove healthy.
    #[test]
    fn defaults_start_before_they_stop() {
        let first = planned(4, (100, 200), Tally::default(), &[healthy(4)]);
        assert_eq!((first.start, first.stop_older[0].healthy), (4, 0));
        let half = Tally { unproven: 2, healthy: 2, ..Tally::default() };
        let second = planned(4, (100, 200), half, &[healthy(4)]);
        assert_eq!((second.start, second.stop_older[0].healthy), (0, 2));
    }

    /// At 50/100 half the old tasks stop before anything starts.
    #[test]
    fn no_room_above_stops_before_it_starts() {
        let first = planned(4, (50, 100), Tally::default(), &[healthy(4)]);
        assert_eq!((first.start, first.stop_older[0].healthy, first.blocked), (0, 2, Blocked::No));
        let second = planned(4, (50, 100), Tally::default(), &[healthy(2)]);
        assert_eq!((second.start, second.stop_older[0].healthy), (2, 0));
    }

    /// 100/100 allows neither, and says so.
    #[test]
    fn bounds_that_allow_nothing_are_reported() {
        let stuck = planned(3, (100, 100), Tally::default(), &[healthy(3)]);
        assert_eq!((stuck.start, stuck.blocked), (0, Blocked::ByConfiguration));
        assert_eq!(planned(3, (100, 125), Tally::default(), &[healthy(3)]).blocked, Blocked::ByConfiguration);
    }

    /// Older tasks that are not healthy protect nobody.
    #[test]
    fn tasks_that_are_not_healthy_go_first() {
        let broken = Tally { starting: 1, unproven: 2, healthy: 0 };
        let step = planned(3, (100, 200), Tally::default(), &[broken]);
        assert_eq!(step.stop_older[0], StopOlder { not_healthy: 3, healthy: 0 });
    }

    /// The oldest of several older deployments is emptied first.
    #[test]
    fn the_oldest_deployment_is_emptied_first() {
        let step = planned(4, (50, 200), Tally::default(), &[healthy(2), healthy(2)]);
        let stopped: Vec<u32> = step.stop_older.iter().map(|stop| stop.healthy).collect();
        assert_eq!(stopped, [0, 2]);
    }

    /// A smaller desired count stops the surplus of the primary.
    #[test]
    fn surplus_is_stopped() {
        assert_eq!(planned(2, (100, 200), healthy(5), &[]).stop_primary, 3);
        assert_eq!(planned(0, (100, 200), healthy(5), &[]).stop_primary, 5);
    }
}
