//! Amazon resource names: how a cluster's things are called outside it.
//!
//! The long form, which is mandatory for everything created since April 2021. **Source:** ecs-semantics §1.2.

use std::sync::Arc;

use super::ids::{ContainerInstanceId, DeploymentId, IdForm, TaskId};
use super::task_definition::TaskDefinition;

/// The account that everything belongs to. *Ours:* one process has one owner.
pub const ACCOUNT: &str = "123456789012";

/// How a cluster names what is in it. **Source:** ecs-semantics §1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnForm {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The cluster's region.
    pub region: Arc<str>,
    /// How the cluster shows ids.
    pub ids: IdForm,
}

impl ArnForm {
    /// `arn:aws:ecs:REGION:ACCOUNT:cluster/CLUSTER`.
    pub fn cluster(&self) -> String {
        self.of(&format!("cluster/{}", self.cluster))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION`.
    pub fn task_definition(&self, definition: &TaskDefinition) -> String {
        self.of(&format!("task-definition/{definition}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
    pub fn task(&self, task: TaskId) -> String {
        self.within("task", &self.ids.task(task))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:container/CLUSTER/TASK/UUID`: the `index`-th container of a task. *Ours:* of the two forms that
    /// are in use, the one that names the task.
    pub fn container(&self, task: TaskId, index: u64) -> String {
        let (task_id, container) = (self.ids.task(task), self.ids.container(task, index));
        self.of(&format!("container/{}/{task_id}/{container}", self.cluster))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/SERVICE`.
    pub fn service(&self, service: &str) -> String {
        self.within("service", service)
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:task-set/CLUSTER/SERVICE/ID`, where ID begins with `ecs-svc/`.
    pub fn task_set(&self, service: &str, task_set: DeploymentId) -> String {
        self.of(&format!("task-set/{}/{service}/{}", self.cluster, self.ids.deployment(task_set)))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:container-instance/CLUSTER/ID`.
    pub fn container_instance(&self, instance: ContainerInstanceId) -> String {
        self.within("container-instance", &self.ids.container_instance(instance))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:capacity-provider/NAME`.
    pub fn capacity_provider(&self, name: &str) -> String {
        self.of(&format!("capacity-provider/{name}"))
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:KIND/CLUSTER/ID`.
    pub fn within(&self, kind: &str, id: &str) -> String {
        self.of(&format!("{kind}/{}/{id}", self.cluster))
    }

    fn of(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{ACCOUNT}:{resource}", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms of the rule book, §1.2.
    #[test]
    fn arns_have_the_long_form() {
        let arns = ArnForm { cluster: "shop".into(), region: "eu-west-1".into(), ids: IdForm { seed: 1 } };
        let definition = TaskDefinition { family: "web".into(), revision: 3, ..TaskDefinition::default() };
        assert_eq!(arns.cluster(), "arn:aws:ecs:eu-west-1:123456789012:cluster/shop");
        assert_eq!(arns.task_definition(&definition), "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:3");
        assert_eq!(arns.service("web"), "arn:aws:ecs:eu-west-1:123456789012:service/shop/web");
        assert_eq!(arns.capacity_provider("asg"), "arn:aws:ecs:eu-west-1:123456789012:capacity-provider/asg");
        let task = arns.task(TaskId(1));
        let (front, id) = task.rsplit_once('/').expect("a path");
        assert_eq!((front, id.len()), ("arn:aws:ecs:eu-west-1:123456789012:task/shop", 32));
        let container = arns.container(TaskId(1), 0);
        assert!(container.starts_with(&format!("arn:aws:ecs:eu-west-1:123456789012:container/shop/{id}/")));
        let task_set = arns.task_set("web", DeploymentId(1));
        assert!(task_set.starts_with("arn:aws:ecs:eu-west-1:123456789012:task-set/shop/web/ecs-svc/"));
        let instance = arns.container_instance(ContainerInstanceId(1));
        assert!(instance.starts_with("arn:aws:ecs:eu-west-1:123456789012:container-instance/shop/"));
    }
}
