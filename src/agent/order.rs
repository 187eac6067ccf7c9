//! Whether a container may start, by what has become of those that it depends on.

use crate::model::container_order::DependencyCondition;
use crate::model::task::{ContainerStatus, HealthStatus};
use crate::model::units::Duration;

/// A dependency whose name was looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dependency {
    /// The other container, by index. `None`: there is none of this name.
    pub(super) container: Option<usize>,
    /// What must have become of it.
    pub(super) condition: DependencyCondition,
}

/// What is known of a container that others depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct DependencyView<'a> {
    pub(super) name: &'a str,
    pub(super) status: ContainerStatus,
    /// Whether it has ever run.
    pub(super) has_started: bool,
    pub(super) exit_code: Option<i32>,
    pub(super) health: HealthStatus,
    pub(super) start_timeout: Duration,
    pub(super) is_timed_out: bool,
}

/// Whether a container may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not yet.
    Closed,
    /// It never may, for this reason.
    Never(String),
}

/// Looks at all dependencies of a container: one that can never be met decides, then one that is not met yet.
pub(super) fn gate<'a>(dependencies: &[Dependency], view: impl Fn(usize) -> DependencyView<'a>) -> Gate {
    let mut gate = Gate::Open;
    for dependency in dependencies {
        let found = match dependency.container {
            Some(index) => gate_of(dependency.condition, &view(index)),
            None => Gate::Never("a container that it depends on is missing".to_owned()),
        };
        match found {
            Gate::Never(why) => return Gate::Never(why),
            Gate::Closed => gate = Gate::Closed,
            Gate::Open => {}
        }
    }
    gate
}

/// **Source:** ecs-semantics §2.3. *Ours:* a container that is over can not become healthy any more, so that whoever waits for
/// that never starts.
fn gate_of(condition: DependencyCondition, target: &DependencyView<'_>) -> Gate {
    let DependencyView { name, .. } = target;
    let is_over = target.status == ContainerStatus::Stopped;
    if is_over && !target.has_started {
        return Gate::Never(format!("container \"{name}\", which it depends on, did not start and never will"));
    }
    let is_met = match condition {
        DependencyCondition::Start => target.has_started,
        DependencyCondition::Complete => is_over && target.exit_code.is_some(),
        DependencyCondition::Success => is_over && target.exit_code == Some(0),
        DependencyCondition::Healthy => !is_over && target.health == HealthStatus::Healthy,
    };
    if is_met {
        return Gate::Open;
    }
    if condition == DependencyCondition::Success && is_over {
        let code = target.exit_code.map_or("none".to_owned(), |code| code.to_string());
        return Gate::Never(format!("container \"{name}\", which must succeed before it, ended with exit code {code}"));
    }
    if is_over {
        return Gate::Never(format!("container \"{name}\" ended before it was {}", condition.as_str()));
    }
    if target.is_timed_out && condition != DependencyCondition::Start {
        let waited = target.start_timeout.as_secs_f64();
        return Gate::Never(format!(
            "container \"{name}\" was not {} within its start timeout of {waited} s",
            condition.as_str()
        ));
    }
    Gate::Closed
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyCondition::{Complete, Healthy, Start, Success};

    const PENDING: DependencyView<'_> = DependencyView {
        name: "db",
        status: ContainerStatus::Pending,
        has_started: false,
        exit_code: None,
        health: HealthStatus::Unknown,
        start_timeout: Duration::from_secs(30),
        is_timed_out: false,
    };
    const RUNNING: DependencyView<'_> =
        DependencyView { status: ContainerStatus::Running, has_started: true, ..PENDING };
    const LATE: DependencyView<'_> = DependencyView { is_timed_out: true, ..RUNNING };

    fn over(code: i32) -> DependencyView<'static> {
        DependencyView { status: ContainerStatus::Stopped, exit_code: Some(code), ..RUNNING }
    }

    fn with_health(health: HealthStatus) -> DependencyView<'static> {
        DependencyView { health, ..RUNNING }
    }

    #[track_caller]
    fn check(condition: DependencyCondition, view: &DependencyView<'_>, expected: &str) {
        let shown = match gate_of(condition, view) {
            Gate::Open => "open".to_owned(),
            Gate::Closed => "closed".to_owned(),
            Gate::Never(why) => why,
        };
        assert_eq!(shown, expected);
    }

    /// Claim: each condition is met by what §2.3 says, and by nothing else. Method: every condition against every state.
    #[test]
    fn conditions_against_states() {
        for (condition, pending, running, ended_well, ended_badly, healthy, unhealthy) in [
            (Start, "closed", "open", "open", "open", "open", "open"),
            (Complete, "closed", "closed", "open", "open", "closed", "closed"),
            (
                Success,
                "closed",
                "closed",
                "open",
                "container \"db\", which must succeed before it, ended with exit code 1",
                "closed",
                "closed",
            ),
            (
                Healthy,
                "closed",
                "closed",
                "container \"db\" ended before it was HEALTHY",
                "container \"db\" ended before it was HEALTHY",
                "open",
                "closed",
            ),
        ] {
            check(condition, &PENDING, pending);
            check(condition, &RUNNING, running);
            check(condition, &over(0), ended_well);
            check(condition, &over(1), ended_badly);
            check(condition, &with_health(HealthStatus::Healthy), healthy);
            check(condition, &with_health(HealthStatus::Unhealthy), unhealthy);
        }
    }

    /// Claim: the start timeout counts for all conditions but START, and only until they are met. Method: each condition, late.
    #[test]
    fn start_timeouts() {
        check(Start, &LATE, "open");
        for condition in [Complete, Success, Healthy] {
            let expected = format!("container \"db\" was not {} within its start timeout of 30 s", condition.as_str());
            check(condition, &LATE, &expected);
        }
        check(Healthy, &DependencyView { is_timed_out: true, ..with_health(HealthStatus::Healthy) }, "open");
        check(Success, &DependencyView { is_timed_out: true, ..over(0) }, "open");
    }

    /// Claim: whoever depends on what never starts never starts. Method: every condition.
    #[test]
    fn what_never_starts_is_waited_for_in_vain() {
        let never = DependencyView { has_started: false, ..over(143) };
        for condition in [Start, Complete, Success, Healthy] {
            check(condition, &never, "container \"db\", which it depends on, did not start and never will");
        }
    }
}
