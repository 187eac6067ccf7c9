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
    /// Of those that are not healthy: unhealthy ones that wait to be replaced, and replacements on their way.
    pub kept: u32,
    /// Of those: unhealthy ones whose replacement is on its way too, so that the two are worth one task.
    pub paired: u32,
    /// Healthy tasks that give way and that only their protection holds.
    pub protected_leaving: u32,
    /// Healthy tasks that give way and are not protected.
    pub free_leaving: u32,
    /// Tasks that run beside the ones that they replace: the desired count is without them.
    pub beside: u32,
    /// Of those that are not healthy: protected from scale-in.
    pub protected_not_healthy: u32,
    /// Of those that are healthy: protected from scale-in.
    pub protected_healthy: u32,
}

impl Tally {
    /// All of them.
    pub fn placed(self) -> u32 {
        self.starting + self.unproven + self.healthy
    }

    /// All but those that only stand in for another that is there still.
    pub fn counted(self) -> u32 {
        self.placed().saturating_sub(self.beside)
    }

    fn not_healthy(self) -> u32 {
        self.starting + self.unproven
    }

    pub(super) fn free_not_healthy(self) -> u32 {
        self.not_healthy().saturating_sub(self.protected_not_healthy)
    }

    pub(super) fn free_healthy(self) -> u32 {
        self.healthy.saturating_sub(self.protected_healthy)
    }
}

/// Which deployment's tasks are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launching {
    /// The primary deployment's.
    Primary,
    /// The primary deployment failed and its tasks are launched no more: those of an older one, by its place among the older ones.
    Older(usize),
    /// The primary deployment failed and there is no other.
    Nobody,
}

impl Launching {
    /// The place of the deployment among all of the service's, the primary one's being 0.
    pub fn deployment_index(self) -> Option<usize> {
        match self {
            Launching::Primary => Some(0),
            Launching::Older(index) => Some(index + 1),
            Launching::Nobody => None,
        }
    }
}

/// What the plan for a service is made from.
#[derive(Clone, Debug)]
pub struct PlanInputs<'a> {
    /// The desired count.
    pub desired_count: u32,
    /// The service's bounds.
    pub bounds: Bounds,
    /// Which deployment's tasks are started.
    pub launching: Launching,
    /// The primary deployment's tasks.
    pub primary: Tally,
    /// Older deployments' tasks, newest first.
    pub older: &'a [Tally],
}

/// What to do for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tasks to start of the deployment that launches.
    pub start: u32,
    /// Tasks of the primary deployment to stop: a scale-in.
    pub stop_primary: u32,
    /// Tasks to stop of each older deployment, in the order of the inputs.
    pub stop_older: Vec<StopOlder>,
    /// Why the service can't come where it should, if it can't.
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

/// Whether a service is stuck. **Source:** ecs-semantics §2.6, §5.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocked {
    /// It is not.
    #[default]
    No,
    /// The bounds allow neither a start nor a stop though a deployment is under way and nothing is in flight.
    ByConfiguration,
    /// What would have to stop is protected.
    ByProtection,
}

/// Plans the next step of a service: to be asked again after every change. **Source:** ecs-semantics §5.2, §5.3.
pub fn plan(inputs: &PlanInputs<'_>) -> Plan {
    match inputs.launching {
        Launching::Primary => plan_rolling(inputs),
        Launching::Older(_) | Launching::Nobody => plan_stalled(inputs),
    }
}

fn plan_rolling(inputs: &PlanInputs<'_>) -> Plan {
    let Bounds { lower, upper } = inputs.bounds;
    let primary = inputs.primary;
    let older_placed: u32 = inputs.older.iter().map(|tally| tally.placed()).sum();
    let placed = primary.placed() + older_placed;
    let missing = inputs.desired_count.saturating_sub(primary.counted());
    let start = missing.min(upper.saturating_sub(placed));

    let healthy = primary.healthy + inputs.older.iter().map(|tally| tally.healthy).sum::<u32>();
    let mut may_stop = healthy.saturating_sub(lower);
    let surplus = primary.counted().saturating_sub(inputs.desired_count);
    // Stops of the primary's surplus prefer tasks that are not healthy.
    let stop_not_healthy = surplus.min(primary.free_not_healthy());
    let stop_healthy = (surplus - stop_not_healthy).min(primary.free_healthy()).min(may_stop);
    may_stop -= stop_healthy;
    let stop_primary = stop_not_healthy + stop_healthy;
    let mut held_back = surplus - stop_primary > 0 && primary.protected_healthy + primary.protected_not_healthy > 0;

    let mut stop_older = vec![StopOlder::default(); inputs.older.len()];
    // Unhealthy older tasks are worth replacing only as long as the service needs them for its lower bound. Ours: ECS states no end
    // of it, but a deployment must not wait for what it is to remove.
    let mut needed = lower.saturating_sub(primary.healthy - stop_healthy);
    for (stop, tally) in stop_older.iter_mut().zip(inputs.older).rev() {
        // Oldest deployments are emptied first.
        stop.not_healthy = tally.free_not_healthy().saturating_sub(tally.kept);
        stop.healthy = tally.free_healthy().min(may_stop);
        may_stop -= stop.healthy;
        held_back |= tally.protected_healthy + tally.protected_not_healthy > 0;
    }
    for (stop, tally) in stop_older.iter_mut().zip(inputs.older) {
        // What leaves once another is there does not stand for that other.
        let leaving = tally.protected_leaving + tally.free_leaving.saturating_sub(stop.healthy);
        needed = needed.saturating_sub((tally.healthy - stop.healthy).saturating_sub(leaving));
        let kept = tally.kept.min(tally.free_not_healthy() - stop.not_healthy);
        let paired = tally.paired.min(kept);
        let worth = (kept - paired).min(needed);
        needed -= worth;
        stop.not_healthy += kept - (worth + worth.min(paired));
    }
    let stops: u32 = stop_older.iter().map(|stop| stop.not_healthy + stop.healthy).sum();
    let nothing_in_flight = primary.not_healthy() == 0;
    let stands_still = start == 0 && stops == 0 && stop_primary == 0 && nothing_in_flight;
    let blocked = match (surplus > stop_primary, older_placed > 0 && missing > 0) {
        (true, _) if stands_still && held_back => Blocked::ByProtection,
        (_, true) if stands_still && held_back => Blocked::ByProtection,
        (_, true) if stands_still => Blocked::ByConfiguration,
        _ => Blocked::No,
    };
    Plan { start, stop_primary, stop_older, blocked }
}

/// A deployment that failed and did not go back: the service keeps what it has at its desired count. What is too many goes, the failed
/// deployment's first; what is missing comes of an older deployment, if there is one. *Ours:* ECS says only that the failed one is
/// launched no more.
fn plan_stalled(inputs: &PlanInputs<'_>) -> Plan {
    let Bounds { lower, upper } = inputs.bounds;
    let all = || std::iter::once(&inputs.primary).chain(inputs.older);
    let counted: u32 = all().map(|tally| tally.counted()).sum();
    let placed: u32 = all().map(|tally| tally.placed()).sum();
    let missing = inputs.desired_count.saturating_sub(counted);
    let start = match inputs.launching {
        Launching::Older(_) => missing.min(upper.saturating_sub(placed)),
        Launching::Primary | Launching::Nobody => 0,
    };
    let mut surplus = counted.saturating_sub(inputs.desired_count);
    let mut may_stop = all().map(|tally| tally.healthy).sum::<u32>().saturating_sub(lower);
    let stops: Vec<StopOlder> = {
        let mut stops = vec![StopOlder::default(); inputs.older.len() + 1];
        for (stop, tally) in stops.iter_mut().zip(all()) {
            stop.not_healthy = tally.free_not_healthy().min(surplus);
            surplus -= stop.not_healthy;
        }
        for (stop, tally) in stops.iter_mut().zip(all()) {
            stop.healthy = tally.free_healthy().min(surplus).min(may_stop);
            surplus -= stop.healthy;
            may_stop -= stop.healthy;
        }
        stops
    };
    let held = all().any(|tally| tally.protected_healthy + tally.protected_not_healthy > 0);
    let blocked = if surplus > 0 && held { Blocked::ByProtection } else { Blocked::No };
    let stop_primary = stops[0].not_healthy + stops[0].healthy;
    Plan { start, stop_primary, stop_older: stops[1..].to_vec(), blocked }
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
        plan(&PlanInputs {
            desired_count: desired,
            bounds: Bounds { lower, upper },
            launching: Launching::Primary,
            primary,
            older,
        })
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
        let broken = Tally { starting: 1, unproven: 2, ..Tally::default() };
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

    /// ecs-semantics §2.6: protected tasks are left alone, and the bounds hold for the others still.
    #[test]
    fn protected_tasks_stay() {
        let guarded = Tally { protected_healthy: 3, ..healthy(4) };
        let step = planned(2, (100, 200), guarded, &[]);
        assert_eq!((step.stop_primary, step.blocked), (1, Blocked::No));
        let left = planned(2, (100, 200), Tally { protected_healthy: 3, ..healthy(3) }, &[]);
        assert_eq!((left.stop_primary, left.blocked), (0, Blocked::ByProtection));
        let older = planned(2, (100, 200), healthy(2), &[Tally { protected_healthy: 1, ..healthy(2) }]);
        assert_eq!(older.stop_older[0].healthy, 1);
        // Two that are protected and not healthy: the healthy two are all that holds the lower bound.
        let mixed = Tally { unproven: 2, healthy: 2, protected_not_healthy: 2, ..Tally::default() };
        assert_eq!(planned(2, (100, 200), mixed, &[]).stop_primary, 0);
    }

    /// ecs-semantics §5.4: an unhealthy older task stays for its replacement as long as the lower bound needs it.
    #[test]
    fn unhealthy_older_tasks_stay_while_they_are_needed() {
        let older = Tally { unproven: 1, healthy: 3, kept: 1, ..Tally::default() };
        let start = planned(4, (100, 200), Tally { starting: 4, ..Tally::default() }, &[older]);
        assert_eq!(start.stop_older[0], StopOlder::default());
        let one_healthy = Tally { unproven: 3, healthy: 1, ..Tally::default() };
        let step = planned(4, (100, 200), one_healthy, &[older]);
        assert_eq!(step.stop_older[0], StopOlder { not_healthy: 1, healthy: 0 });
    }

    /// ecs-semantics §5.7: a failed deployment launches nothing; what runs stays, up to the desired count.
    #[test]
    fn a_failed_deployment_keeps_what_runs() {
        let stalled = |launching, primary, older: &[Tally]| {
            plan(&PlanInputs { desired_count: 4, bounds: Bounds { lower: 4, upper: 8 }, launching, primary, older })
        };
        let broken = Tally { starting: 1, unproven: 1, healthy: 1, ..Tally::default() };
        let step = stalled(Launching::Older(0), broken, &[healthy(3)]);
        assert_eq!((step.start, step.stop_primary, step.stop_older[0].healthy), (0, 2, 0));
        let step = stalled(Launching::Older(0), healthy(1), &[healthy(1)]);
        assert_eq!((step.start, step.stop_primary), (2, 0));
        let step = stalled(Launching::Nobody, Tally::default(), &[]);
        assert_eq!((step.start, step.stop_primary), (0, 0));
    }
}
