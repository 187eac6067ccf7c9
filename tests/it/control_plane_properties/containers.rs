//! Task definitions of several containers for random runs: order, checks, restarts.

use longshore::model::container_order::{ContainerDependency, DependencyCondition};
use longshore::model::task_definition::{
    ContainerDefinition, HealthCheck, PortMapping, Protocol, RestartPolicy, TaskDefinition,
};

use crate::harness::secs;

/// How many shapes there are.
pub const SHAPES: usize = 6;

/// The definition with other containers, by the number of a shape: as it is; with a check; after an init container and a sidecar;
/// started again, beside another that is; a chain of all that can be waited for, with start timeouts.
pub fn shaped(definition: TaskDefinition, shape: usize) -> TaskDefinition {
    // Services with load balancers name it.
    let ports = vec![PortMapping { container_port: 80, host_port: 0, protocol: Protocol::Tcp }];
    let main = ContainerDefinition { port_mappings: ports, ..definition.containers[0].clone() };
    let other = |name: &str| ContainerDefinition {
        name: name.to_owned(),
        essential: false,
        port_mappings: Vec::new(),
        ..main.clone()
    };
    use DependencyCondition::{Complete, Healthy, Start, Success};
    let containers = match shape % SHAPES {
        0 | 1 => vec![main],
        2 => vec![checked(main)],
        3 => vec![after(&[("init", Success), ("side", Healthy)], main.clone()), other("init"), checked(other("side"))],
        4 => vec![restarted(checked(main.clone())), restarted(other("side"))],
        _ => vec![
            after(&[("third", Complete)], checked(main.clone())),
            timed(other("first")),
            timed(after(&[("first", Start)], checked(other("second")))),
            timed(after(&[("second", Healthy)], other("third"))),
        ],
    };
    TaskDefinition { containers, ..definition }
}

fn after(dependencies: &[(&str, DependencyCondition)], container: ContainerDefinition) -> ContainerDefinition {
    let depends_on = dependencies
        .iter()
        .map(|(name, condition)| ContainerDependency { container_name: (*name).to_owned(), condition: *condition });
    ContainerDefinition { depends_on: depends_on.collect(), ..container }
}

fn checked(container: ContainerDefinition) -> ContainerDefinition {
    let command = vec!["CMD".to_owned(), "check".to_owned()];
    let check = HealthCheck { command, timeout: secs(5), retries: 2, start_period: secs(20), ..HealthCheck::default() };
    ContainerDefinition { health_check: Some(check), ..container }
}

fn restarted(container: ContainerDefinition) -> ContainerDefinition {
    let policy = RestartPolicy { restart_attempt_period: secs(60), ..RestartPolicy::default() };
    ContainerDefinition { restart_policy: Some(policy), ..container }
}

fn timed(container: ContainerDefinition) -> ContainerDefinition {
    ContainerDefinition { start_timeout: Some(secs(100)), stop_timeout: Some(secs(10)), ..container }
}
