//! Which comparisons of a query decide what it comes to for an instance, and what the instance has there.

use super::evaluate::InstanceView;
use super::{ClusterQuery, Comparison};

/// A comparison that decides a query for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingComparison {
    /// As it can be written.
    pub expression: String,
    /// What it comes to. A true one makes a query false below a `not`.
    pub is_true: bool,
    /// What the instance has of its subject.
    pub has: String,
}

impl ClusterQuery {
    /// The comparisons without which the query could come to something else for an instance: of an `and` that is false and of an `or`
    /// that is true the parts that make it so, of any other all parts. Never empty.
    pub fn deciding_comparisons(&self, view: &InstanceView<'_>) -> Vec<DecidingComparison> {
        let mut deciding = Vec::new();
        self.collect_deciding(view, &mut deciding);
        deciding
    }

    fn collect_deciding(&self, view: &InstanceView<'_>, deciding: &mut Vec<DecidingComparison>) {
        match self {
            ClusterQuery::Or(parts) | ClusterQuery::And(parts) => {
                let whole = self.is_true_of(view);
                for part in parts.iter().filter(|part| part.is_true_of(view) == whole) {
                    part.collect_deciding(view, deciding);
                }
            }
            ClusterQuery::Not(part) => part.collect_deciding(view, deciding),
            ClusterQuery::Comparison(comparison) => deciding.push(DecidingComparison {
                expression: comparison.to_string(),
                is_true: comparison.is_true_of(view),
                has: comparison.subject_of(view),
            }),
        }
    }
}

impl Comparison {
    /// What an instance has of the subject, for people.
    fn subject_of(&self, view: &InstanceView<'_>) -> String {
        match self {
            Comparison::AgentConnected(_) => view.agent_connected.to_string(),
            Comparison::AgentVersion(..) => view.launch.agent_version().unwrap_or("not known").to_owned(),
            Comparison::Attribute { name, .. } => match view.launch.attribute(name) {
                None => "not there".to_owned(),
                Some("") => "there, without a value".to_owned(),
                Some(value) => value.to_owned(),
            },
            Comparison::Ec2InstanceId(_) => view.ec2_instance_id.to_owned(),
            Comparison::RegisteredAt(..) => {
                view.registered_at.map_or_else(|| "not registered".to_owned(), |moment| moment.to_string())
            }
            Comparison::RunningTasksCount(..) => view.running_tasks_count.to_string(),
            Comparison::TaskGroup(_) if view.task_groups.is_empty() => "no tasks".to_owned(),
            Comparison::TaskGroup(_) => view.task_groups.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::capacity::InstanceLaunch;

    fn deciding(query: &str) -> String {
        let launch = InstanceLaunch {
            attributes: [("disk".to_owned(), "hdd".to_owned()), ("gpu".to_owned(), String::new())].into(),
            ..InstanceLaunch::default()
        };
        let view = InstanceView {
            launch: &launch,
            ec2_instance_id: "i-1",
            agent_connected: false,
            registered_at: None,
            running_tasks_count: 2,
            task_groups: &["service:db", "service:web"],
        };
        let query = ClusterQuery::parse(query).unwrap();
        let shown = |part: &DecidingComparison| format!("{} is {}: {}", part.expression, part.is_true, part.has);
        query.deciding_comparisons(&view).iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    /// ecs-semantics §4.4: every subject, and what of `and`, `or` and `not` is to blame.
    #[test]
    fn parts_that_decide_are_named() {
        for (query, expected) in [
            ("attribute:disk == ssd", "attribute:disk == ssd is false: hdd"),
            ("attribute:disk == ssd and runningTasksCount < 9", "attribute:disk == ssd is false: hdd"),
            (
                "attribute:disk == ssd or attribute:rack exists",
                "attribute:disk == ssd is false: hdd; attribute:rack exists is false: not there",
            ),
            ("not(task:group == service:db)", "task:group == service:db is true: service:db, service:web"),
            (
                "not(attribute:gpu exists or attribute:disk == ssd) and agentConnected == true",
                "attribute:gpu exists is true: there, without a value; agentConnected == true is false: false",
            ),
            ("runningTasksCount > 2", "runningTasksCount > 2 is false: 2"),
            ("ec2InstanceId == i-2", "ec2InstanceId == i-2 is false: i-1"),
            ("registeredAt >= 2020-01-01", "registeredAt >= 2020-01-01T00:00:00Z is false: not registered"),
            ("agentVersion < 1.2", "agentVersion < 1.2 is false: 1.100.0"),
        ] {
            assert_eq!(deciding(query), expected, "{query}");
        }
    }
}
