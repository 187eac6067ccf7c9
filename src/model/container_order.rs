//! In which order the containers of a task start: `dependsOn`, and what is wrong with it.

use serde::{Deserialize, Serialize};

use super::task_definition::ContainerDefinition;

/// What one container waits for. **Source:** ecs-semantics §1.5, §2.3.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerDependency {
    /// The container that it waits for.
    pub container_name: String,
    /// What must have become of that one.
    pub condition: DependencyCondition,
}

/// What must have become of a container before another one starts. **Source:** ecs-semantics §2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DependencyCondition {
    /// It has started; it may be over again.
    Start,
    /// It is over, with whatever exit code.
    Complete,
    /// It is over with exit code 0.
    Success,
    /// Its health check says that it is healthy. Looked at before the start only.
    Healthy,
}

impl DependencyCondition {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            DependencyCondition::Start => "START",
            DependencyCondition::Complete => "COMPLETE",
            DependencyCondition::Success => "SUCCESS",
            DependencyCondition::Healthy => "HEALTHY",
        }
    }
}

/// A dependency that cannot be, and which rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyProblem {
    /// The container that waits, by index.
    pub container_index: usize,
    /// Its dependency, by index.
    pub dependency_index: usize,
    /// The rule.
    pub message: String,
}

/// All that is wrong with the dependencies between containers: names that nobody has, conditions that the other container can
/// never meet or that ECS forbids, and circles. **Source:** ecs-semantics §1.5, §2.3.
pub fn dependency_problems(containers: &[ContainerDefinition]) -> Vec<DependencyProblem> {
    let mut problems = Vec::new();
    for (container_index, container) in containers.iter().enumerate() {
        for (dependency_index, dependency) in container.depends_on.iter().enumerate() {
            let problem = dependency_problem(containers, container_index, dependency_index, dependency);
            if let Some(message) = problem {
                problems.push(DependencyProblem { container_index, dependency_index, message });
            }
        }
    }
    if problems.is_empty() {
        problems.extend(circle(containers));
    }
    problems
}

fn dependency_problem(
    containers: &[ContainerDefinition],
    container_index: usize,
    dependency_index: usize,
    dependency: &ContainerDependency,
) -> Option<String> {
    let ContainerDependency { container_name: name, condition } = dependency;
    let container = &containers[container_index];
    if *name == container.name {
        return Some(format!("container \"{name}\" depends on itself"));
    }
    let Some(target) = containers.iter().find(|other| other.name == *name) else {
        return Some(format!("container \"{name}\" is not defined in this task definition"));
    };
    if container.depends_on[..dependency_index].iter().any(|earlier| earlier.container_name == *name) {
        return Some(format!("container \"{name}\" is depended on twice"));
    }
    match condition {
        DependencyCondition::Complete | DependencyCondition::Success if target.essential => Some(format!(
            "condition {} is not allowed on container \"{name}\", which is essential: its end ends the task",
            condition.as_str()
        )),
        DependencyCondition::Healthy if target.health_check.is_none() => {
            Some(format!("condition HEALTHY needs a health_check, and container \"{name}\" has none"))
        }
        _ => None,
    }
}

/// The first circle there is, at the dependency that closes it.
fn circle(containers: &[ContainerDefinition]) -> Option<DependencyProblem> {
    let mut is_done = vec![false; containers.len()];
    (0..containers.len()).find_map(|start| visit(containers, start, &mut Vec::new(), &mut is_done))
}

fn visit(
    containers: &[ContainerDefinition],
    container_index: usize,
    path: &mut Vec<usize>,
    is_done: &mut [bool],
) -> Option<DependencyProblem> {
    if is_done[container_index] {
        return None;
    }
    path.push(container_index);
    for (dependency_index, dependency) in containers[container_index].depends_on.iter().enumerate() {
        let Some(target) = containers.iter().position(|other| other.name == dependency.container_name) else {
            continue;
        };
        if let Some(from) = path.iter().position(|visited| *visited == target) {
            let names = path[from..].iter().chain([&target]).map(|index| containers[*index].name.as_str());
            let message = format!("the dependencies go in a circle: {}", names.collect::<Vec<_>>().join(" -> "));
            return Some(DependencyProblem { container_index, dependency_index, message });
        }
        let found = visit(containers, target, path, is_done);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    is_done[container_index] = true;
    None
}

#[cfg(test)]
mod tests {
    use super::super::task_definition::HealthCheck;
    use super::*;

    fn container(name: &str, depends_on: &[(&str, DependencyCondition)]) -> ContainerDefinition {
        let depends_on = depends_on
            .iter()
            .map(|(name, condition)| ContainerDependency { container_name: (*name).to_owned(), condition: *condition });
        ContainerDefinition {
            name: name.to_owned(),
            depends_on: depends_on.collect(),
            ..ContainerDefinition::default()
        }
    }

    #[track_caller]
    fn check(containers: &[ContainerDefinition], expected: &[&str]) {
        let problems = dependency_problems(containers);
        let shown: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}.{}: {}", problem.container_index, problem.dependency_index, problem.message))
            .collect();
        assert_eq!(shown, expected);
    }

    /// Claim: each rule is held. Method: one task definition a rule, and one that breaks none.
    #[test]
    fn rules() {
        use DependencyCondition::{Complete, Healthy, Start, Success};
        let optional = ContainerDefinition { essential: false, ..container("init", &[]) };
        let checked = ContainerDefinition { health_check: Some(HealthCheck::default()), ..container("db", &[]) };
        let app = container("app", &[("init", Success), ("db", Healthy)]);
        check(&[optional.clone(), checked, app], &[]);
        check(
            &[container("a", &[("a", Start), ("x", Start)])],
            &["0.0: container \"a\" depends on itself", "0.1: container \"x\" is not defined in this task definition"],
        );
        check(
            &[optional, container("a", &[("init", Complete), ("init", Start), ("b", Healthy)]), container("b", &[])],
            &[
                "1.1: container \"init\" is depended on twice",
                "1.2: condition HEALTHY needs a health_check, and container \"b\" has none",
            ],
        );
        check(
            &[container("a", &[("b", Success)]), container("b", &[])],
            &["0.0: condition SUCCESS is not allowed on container \"b\", which is essential: its end ends the task"],
        );
        check(
            &[container("a", &[("b", Start)]), container("b", &[("c", Start)]), container("c", &[("b", Start)])],
            &["2.0: the dependencies go in a circle: b -> c -> b"],
        );
    }
}
