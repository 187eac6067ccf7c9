//! Starts of a service's tasks: where each goes, and what is said when there is no room.

use std::sync::Arc;

use super::ControlPlane;
use super::deployment::Bounds;
use super::requests::launch_type_of;
use super::service_events::Complaint;
use super::state::{PlacementRules, Registered};
use super::tasks::{NewTask, Unplaced};
use super::timers::Wakeup;
use crate::model::capacity::LaunchTarget;
use crate::model::ids::TaskId;
use crate::model::service::PropagateTags;
use crate::model::task_definition::LaunchType;

impl ControlPlane {
    /// Starts tasks of the primary deployment until one can't be placed or starts are throttled.
    pub(super) fn start_some(&mut self, name: &Arc<str>, wanted: u32) {
        let service = &self.state.services[name];
        let primary = service.primary();
        let (deployment, shown_id) = (primary.id, primary.shown_id.clone());
        let registered =
            Registered { definition: primary.task_definition.clone(), reservation: primary.reservation.clone() };
        let spec = &service.spec;
        let tags = Arc::new(match spec.propagate_tags {
            PropagateTags::None => Default::default(),
            PropagateTags::TaskDefinition => registered.definition.tags.clone(),
            PropagateTags::Service => spec.tags.clone(),
        });
        let (group, target) = (service.group.clone(), spec.launch_target.clone());
        let placement = Arc::new(PlacementRules {
            strategies: spec.placement_strategy.clone(),
            constraints: spec.placement_constraints.clone(),
        });
        if let Some(until) = self.controllers[name].throttle.may_start_at().filter(|until| *until > self.now) {
            self.timers.set(until, Wakeup::Restart(name.clone()));
            return;
        }
        let mut started: Vec<TaskId> = Vec::new();
        let mut no_room = None;
        let bounds = Bounds::of(service.spec.desired_count, &service.spec.deployment_configuration);
        let placed = service.running_count() + service.pending_count();
        assert!(placed + wanted <= bounds.upper, "service {name} is about to start more tasks than its bounds allow");
        for _ in 0..wanted {
            let (launch_type, capacity_provider) = match &target {
                LaunchTarget::Strategy(items) => {
                    let counts = &self.state.services[name].primary().tasks_by_provider;
                    let count_of = |provider: &str| counts.get(provider).copied().unwrap_or(0);
                    let provider = super::capacity_strategy::next_provider(items, count_of).clone();
                    (launch_type_of(&provider), Some(provider))
                }
                LaunchTarget::LaunchType(launch_type) => (*launch_type, None),
                LaunchTarget::ClusterDefault => (LaunchType::Ec2, None),
            };
            let new = NewTask {
                registered: registered.clone(),
                overrides: Default::default(),
                group: group.clone(),
                started_by: Some(shown_id.clone()),
                launch_type,
                capacity_provider,
                service: Some(name.clone()),
                deployment: Some(deployment),
                tags: tags.clone(),
                placement: placement.clone(),
            };
            match self.create_task(&new) {
                Ok(task) => started.push(task),
                Err(unplaced) => {
                    no_room = Some((unplaced, new));
                    break;
                }
            }
        }
        if !started.is_empty() {
            self.disturb(name);
            self.service_event(name, &format!("has started {} tasks: {}.", started.len(), self.task_list(&started)));
        }
        match no_room {
            None => {
                self.waiting.remove(name);
                if let Some(controller) = self.controllers.get_mut(name) {
                    controller.complaint = None;
                    controller.explained_at = None;
                }
            }
            Some((unplaced, new)) => {
                self.waiting.insert(name.clone());
                match unplaced {
                    Unplaced::NoRoom => self.explain_no_room(name, &new),
                    Unplaced::ProvisioningLimit => self.complain(
                        name,
                        Complaint::ProvisioningLimit,
                        "was unable to place tasks in your cluster because the tasks provisioning capacity limit was \
                         exceeded.",
                    ),
                }
            }
        }
    }

    /// Says why no instance takes a task. *Ours:* asks the instances once a metric period at most, because a service that waits
    /// tries again whenever a task ends somewhere, and the answer costs a look at every instance.
    fn explain_no_room(&mut self, name: &Arc<str>, new: &NewTask) {
        let (now, pause) = (self.now, self.settings.metric_period);
        let Some(controller) = self.controllers.get_mut(name) else { return };
        match controller.explained_at.map(|at| at + pause).filter(|next| *next > now) {
            // The reason may be another by then.
            Some(next) => self.timers.set(next, Wakeup::Restart(name.clone())),
            None => {
                controller.explained_at = Some(now);
                let failure = self.placement.explain(&new.placement_request());
                self.complain(name, Complaint::NoRoom(failure.reason()), &failure.service_event_reason(self.ids));
            }
        }
    }
}
