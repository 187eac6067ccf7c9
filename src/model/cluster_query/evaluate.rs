//! A query asked of one instance.

use super::{ClusterQuery, Comparison, Moment, Relation, TextTest, Version};
use crate::model::capacity::InstanceLaunch;

/// What a query can ask of an instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceView<'a> {
    /// Its attributes, built in and custom.
    pub launch: &'a InstanceLaunch,
    /// `ec2InstanceId`.
    pub ec2_instance_id: &'a str,
    /// `agentConnected`.
    pub agent_connected: bool,
    /// `registeredAt`; `None` when it has not registered.
    pub registered_at: Option<Moment>,
    /// `runningTasksCount`.
    pub running_tasks_count: u32,
    /// `task:group`: the groups of its tasks, in any order.
    pub task_groups: &'a [&'a str],
}

impl ClusterQuery {
    /// Whether an instance is what the query asks for.
    ///
    /// An attribute that is not there makes `==`, `in` and `=~` false and their opposites true. **Source:** ecs-semantics §4.4.
    pub fn is_true_of(&self, view: &InstanceView<'_>) -> bool {
        match self {
            ClusterQuery::Or(parts) => parts.iter().any(|part| part.is_true_of(view)),
            ClusterQuery::And(parts) => parts.iter().all(|part| part.is_true_of(view)),
            ClusterQuery::Not(part) => !part.is_true_of(view),
            ClusterQuery::Comparison(comparison) => comparison.is_true_of(view),
        }
    }
}

impl Comparison {
    pub(super) fn is_true_of(&self, view: &InstanceView<'_>) -> bool {
        match self {
            Comparison::AgentConnected(test) => test.is_true_of(&[if view.agent_connected { "true" } else { "false" }]),
            Comparison::AgentVersion(relation, version) => {
                let own = view.launch.agent_version().and_then(Version::parse);
                own.is_some_and(|own| relation.holds(&own, version))
            }
            Comparison::Attribute { name, test } => match view.launch.attribute(name) {
                Some(value) => test.is_true_of(&[value]),
                None => test.is_true_of(&[]),
            },
            Comparison::Ec2InstanceId(test) => test.is_true_of(&[view.ec2_instance_id]),
            Comparison::RegisteredAt(relation, moment) => {
                view.registered_at.is_some_and(|registered_at| relation.holds(&registered_at, moment))
            }
            Comparison::RunningTasksCount(relation, count) => relation.holds(&view.running_tasks_count, count),
            Comparison::TaskGroup(test) => test.is_true_of(view.task_groups),
        }
    }
}

impl TextTest {
    /// Whether it is true of any of the values; a negative one is true when its opposite is true of none.
    fn is_true_of(&self, values: &[&str]) -> bool {
        let listed = |list: &[String]| values.iter().any(|value| list.iter().any(|item| item == value));
        match self {
            TextTest::Equals(wanted) => values.contains(&wanted.as_str()),
            TextTest::NotEquals(wanted) => !values.contains(&wanted.as_str()),
            TextTest::In(list) => listed(list),
            TextTest::NotIn(list) => !listed(list),
            TextTest::Matches(pattern) => values.iter().any(|value| pattern.matches(value)),
            TextTest::NotMatches(pattern) => !values.iter().any(|value| pattern.matches(value)),
            TextTest::Exists => !values.is_empty(),
            TextTest::NotExists => values.is_empty(),
        }
    }
}

impl Relation {
    fn holds<T: Ord>(self, own: &T, asked: &T) -> bool {
        match self {
            Relation::Equal => own == asked,
            Relation::NotEqual => own != asked,
            Relation::Greater => own > asked,
            Relation::GreaterOrEqual => own >= asked,
            Relation::Less => own < asked,
            Relation::LessOrEqual => own <= asked,
        }
    }
}
