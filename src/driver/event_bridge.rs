//! EventBridge's view of a cluster: notifications of the control plane as the events that ECS would put on the bus.
//!
//! An event is an envelope with a detail that speaks ECS' member names. It is made from a notification and from the state right after
//! the event that the notification follows from; where several changes of one task follow from one event, each shows what its
//! notification says and not what came after it. Absent members are left out: no nulls, no empty strings.
//!
//! **Source:** ecs-semantics §10.3, §11.6; §1.2 for ARNs, §2.1 for timestamps.

use serde::{Serialize, Serializer};

use super::event_detail::{ContainerInstanceDetail, DeploymentDetail, Facts, ServiceActionDetail, TaskDetail};
use crate::control_plane::action::Notification;
use crate::control_plane::state::ClusterState;
use crate::model::arn::{ACCOUNT, ArnForm};
use crate::model::units::Timestamp;

/// An event as EventBridge delivers it. [`ClusterEvent::to_json`] is its line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterEvent {
    /// Always `0`.
    pub version: &'static str,
    /// A UUID: the same for the n-th event of a run with the same seed.
    pub id: String,
    /// As in `ECS Task State Change`.
    #[serde(rename = "detail-type")]
    pub detail_type: &'static str,
    /// Always `aws.ecs`.
    pub source: &'static str,
    /// The owner of everything.
    pub account: &'static str,
    /// When, to the second, as EventBridge has it; the detail has milliseconds.
    pub time: String,
    /// The cluster's region.
    pub region: String,
    /// The ARN of what the event is about.
    pub resources: Vec<String>,
    /// What happened.
    pub detail: Detail,
}

/// The detail of an event, by its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// `ECS Task State Change`.
    Task(Box<TaskDetail>),
    /// `ECS Container Instance State Change`.
    ContainerInstance(Box<ContainerInstanceDetail>),
    /// `ECS Service Action`.
    ServiceAction(Box<ServiceActionDetail>),
    /// `ECS Deployment State Change`.
    Deployment(Box<DeploymentDetail>),
}

impl Detail {
    /// EventBridge's `detail-type`.
    pub fn detail_type(&self) -> &'static str {
        match self {
            Detail::Task(_) => "ECS Task State Change",
            Detail::ContainerInstance(_) => "ECS Container Instance State Change",
            Detail::ServiceAction(_) => "ECS Service Action",
            Detail::Deployment(_) => "ECS Deployment State Change",
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Detail::Task(detail) => detail.serialize(serializer),
            Detail::ContainerInstance(detail) => detail.serialize(serializer),
            Detail::ServiceAction(detail) => detail.serialize(serializer),
            Detail::Deployment(detail) => detail.serialize(serializer),
        }
    }
}

impl ClusterEvent {
    /// The event as one line of JSON, without its end.
    ///
    /// # Panics
    /// Never: an event is plain data.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event is plain data")
    }
}

/// Turns the notifications of one cluster into events, numbered from 0.
#[derive(Clone, Debug)]
pub struct EventBridge {
    arns: ArnForm,
    /// Calendar time of the cluster's start.
    started_at: jiff::Timestamp,
    next_event: u64,
}

impl EventBridge {
    /// The events of a cluster that started at a moment of calendar time.
    pub fn new(arns: ArnForm, started_at: jiff::Timestamp) -> EventBridge {
        EventBridge { arns, started_at, next_event: 0 }
    }

    /// The event of a notification; `None` for news that ECS puts on no bus: lines of service events, activities of Auto Scaling
    /// groups, instances that have not registered.
    pub fn event(&mut self, state: &ClusterState, at: Timestamp, notification: &Notification) -> Option<ClusterEvent> {
        let facts = Facts { arns: &self.arns, started_at: self.started_at, state, at };
        let (resource, detail) = match notification {
            Notification::Task { task, last_status, desired_status, stop_code, version } => {
                let mut task = state.tasks.get(task)?.task.clone();
                task.last_status = *last_status;
                task.desired_status = *desired_status;
                task.stop_code = *stop_code;
                task.version = *version;
                (self.arns.task(task.id), Detail::Task(Box::new(facts.task(&task))))
            }
            Notification::ContainerInstance { instance, version, .. }
            | Notification::InstanceTasks { instance, version } => {
                let mut instance = state.container_instances.get(instance)?.clone();
                // What has not registered is an EC2 instance and no container instance yet.
                instance.registered_at?;
                instance.version = *version;
                if let Notification::ContainerInstance { status, .. } = notification {
                    instance.status = *status;
                }
                let detail = Detail::ContainerInstance(Box::new(facts.container_instance(&instance)));
                (self.arns.container_instance(instance.id), detail)
            }
            Notification::ServiceAction { service, event, reason, subjects } => {
                let detail = facts.service_action(*event, reason.as_deref(), subjects);
                (self.arns.service(service), Detail::ServiceAction(Box::new(detail)))
            }
            Notification::DeploymentStateChange { service, deployment, event, reason } => {
                let detail = facts.deployment(*deployment, *event, reason);
                (self.arns.service(service), Detail::Deployment(Box::new(detail)))
            }
            Notification::Service { .. }
            | Notification::RunTask { .. }
            | Notification::Alarm { .. }
            | Notification::AutoScalingGroup { .. } => {
                return None;
            }
        };
        let time = format!("{:.0}", facts.calendar(at));
        let id = self.arns.ids.event(self.next_event);
        self.next_event += 1;
        Some(ClusterEvent {
            version: "0",
            id,
            detail_type: detail.detail_type(),
            source: "aws.ecs",
            account: ACCOUNT,
            time,
            region: self.arns.region.to_string(),
            resources: vec![resource],
            detail,
        })
    }
}
