//! Starts of a service's tasks: where each goes, and what is said when there is no room.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{ServiceActionEvent, ServiceActionSubjects};
use super::service_events::{Complaint, Said};
use super::state::{Registered, Service};
use super::task_sets::Limits;
use super::tasks::{NewTask, Unplaced};
use super::timers::Wakeup;
use crate::model::capacity::{LaunchTarget, launch_type_of};
use crate::model::ids::TaskId;
use crate::model::service::{EcsManagedTags, PropagateTags};
use crate::model::subnet::Subnets;
use crate::model::task_definition::{LaunchType, TaskDefinition};

/// Why a task is not even accepted. *Ours:* ECS' reason on EventBridge is in no document.
const PROVISIONING_LIMIT: &str = "PROVISIONING_LIMIT";

impl Service {
    /// The next task of a deployment.
    pub(super) fn next_task(&self, (cluster, subnets): (&str, &Subnets), deployment_index: usize) -> NewTask {
        self.next_task_after((cluster, subnets), None, deployment_index)
    }

    /// The same, which shares with an earlier one what is alike: for a task that lives a second it takes long to put together.
    fn next_task_after(
        &self,
        (cluster, subnets): (&str, &Subnets),
        earlier: Option<&NewTask>,
        deployment_index: usize,
    ) -> NewTask {
        let launching = &self.deployments[deployment_index];
        let definition = launching.task_definition.clone();
        let said = self.said_of(deployment_index);
        let same_placement = earlier.filter(|earlier| {
            Arc::ptr_eq(&earlier.registered.definition, &definition)
                && earlier.document.is_copy_of(said)
                && self.spec.has_placement_rules(&earlier.placement, &definition)
        });
        let (launch_type, capacity_provider) = self.next_host(deployment_index, &FullProviders::default());
        let tags = self.tags_of_tasks(cluster, &definition);
        let same_tags = earlier.map(|earlier| &earlier.tags).filter(|known| ***known == *tags);
        let tags = same_tags.cloned().unwrap_or_else(|| Arc::new(tags.into_owned()));
        NewTask {
            // None of a service's tasks has any.
            overrides: earlier.map_or_else(Default::default, |earlier| earlier.overrides.clone()),
            group: self.group.clone(),
            started_by: Some(launching.shown_id.clone()),
            launch_type,
            capacity_provider,
            service: Some(self.spec.name.clone()),
            deployment: Some(launching.id),
            tags,
            document: said.clone(),
            placement: same_placement.map_or_else(
                || Arc::new(self.rules_of(subnets, deployment_index)),
                |earlier| earlier.placement.clone(),
            ),
            replaces: None,
            registered: Registered { definition, reservation: launching.reservation.clone() },
        }
    }

    /// The tags that its tasks get. **Source:** ecs-semantics §1.3.
    fn tags_of_tasks<'a>(&'a self, cluster: &str, definition: &'a TaskDefinition) -> Cow<'a, BTreeMap<String, String>> {
        let mut tags = match self.spec.propagate_tags {
            PropagateTags::None => Cow::default(),
            PropagateTags::TaskDefinition => Cow::Borrowed(&definition.tags),
            PropagateTags::Service => Cow::Borrowed(&self.spec.tags),
        };
        if self.spec.ecs_managed_tags == EcsManagedTags::Enabled {
            self.spec.ecs_managed_tags.add_to(tags.to_mut(), cluster, Some(&self.spec.name));
        }
        tags
    }

    /// Where the next task of a deployment goes: the launch type, and the capacity provider if a strategy chooses one.
    fn next_host(&self, deployment_index: usize, full: &FullProviders) -> (LaunchType, Option<Arc<str>>) {
        let deployment = &self.deployments[deployment_index];
        let counts = &deployment.tasks_by_provider;
        let target = self.launch_target_of(deployment);
        host_of(target, |provider| counts.get(provider).copied().unwrap_or(0) + full.share_of(provider))
    }
}

/// Providers that a call has found without room, and how many tasks of each one's share are left pending for that: the others get what is
/// theirs, and no more. **Source:** ecs-semantics §6.1.
#[derive(Debug, Default)]
pub(super) struct FullProviders(Vec<(Arc<str>, u32)>);

impl FullProviders {
    /// One has no room for a task of its share.
    pub(super) fn found(&mut self, provider: Arc<str>) {
        self.0.push((provider, 1));
    }

    /// Whether the provider of the next task is one of them; the task stays pending then.
    pub(super) fn leaves_pending(&mut self, provider: Option<&Arc<str>>) -> bool {
        let full = self.0.iter_mut().find(|(full, _)| Some(full) == provider);
        full.map(|(_, pending)| *pending += 1).is_some()
    }

    /// How many tasks of a provider's share are pending.
    pub(super) fn share_of(&self, provider: &str) -> u32 {
        self.0.iter().find(|(full, _)| **full == *provider).map_or(0, |(_, pending)| *pending)
    }
}

/// The launch type, and the provider that a strategy chooses when each has so many tasks. **Source:** ecs-semantics §4.5, §6.1.
pub(super) fn host_of(target: &LaunchTarget, count_of: impl Fn(&str) -> u32) -> (LaunchType, Option<Arc<str>>) {
    match target {
        LaunchTarget::Strategy(items) => {
            let provider = super::capacity_strategy::next_provider(items, count_of).clone();
            (launch_type_of(&provider), Some(provider))
        }
        LaunchTarget::LaunchType(launch_type) => (*launch_type, None),
        LaunchTarget::ClusterDefault => (LaunchType::Ec2, None),
    }
}

impl ControlPlane {
    /// Starts tasks of a deployment until one can't be placed, starts are throttled or a minute has seen enough of them; they may take
    /// the place of one that gives way. Where a strategy's provider has no room, its share alone is left out. Returns those that were
    /// started. **Source:** ecs-semantics §1.7, §5.3, §5.6, §6.1.
    pub(super) fn start_some(
        &mut self,
        name: &Arc<str>,
        deployment_index: usize,
        wanted: u32,
        replaces: Option<TaskId>,
    ) -> Vec<TaskId> {
        let service = &self.state.services[name];
        let draft = self.controllers.get_mut(name).and_then(|controller| controller.draft.take());
        let mut new = NewTask {
            replaces,
            ..service.next_task_after((&self.name, &self.state.subnets), draft.as_ref(), deployment_index)
        };
        if let Some(until) = self.controllers[name].throttle.may_start_at().filter(|until| *until > self.now) {
            self.timers.set(until, Wakeup::Restart(name.clone()));
            return Vec::new();
        }
        let Limits { bounds, placed, .. } = service.limits_of(deployment_index);
        assert!(placed + wanted <= bounds.upper, "service {name} is about to start more tasks than its bounds allow");
        let allowed = self.allowed_starts(name, wanted);
        let mut started: Vec<TaskId> = Vec::new();
        let mut full = FullProviders::default();
        let mut no_room = None;
        for _ in 0..allowed {
            let host = self.state.services[name].next_host(deployment_index, &full);
            if full.leaves_pending(host.1.as_ref()) {
                continue;
            }
            (new.launch_type, new.capacity_provider) = host.clone();
            match self.create_task(&new) {
                Ok(task) => started.push(task),
                Err(unplaced) => {
                    let provider = host.1.clone().filter(|_| matches!(unplaced, Unplaced::NoRoom));
                    no_room.get_or_insert((unplaced, host));
                    match provider {
                        Some(provider) => full.found(provider),
                        // Nobody has room then.
                        None => break,
                    }
                }
            }
        }
        self.note_starts(name, started.len(), allowed < wanted);
        if !started.is_empty() {
            self.disturb(name);
            let list = self.task_list(&started);
            self.service_event_of(name, format_args!("has started {} tasks: {list}.", started.len()));
        }
        match no_room {
            None => {
                self.waiting.remove(name);
                self.resolve_complaints(name);
            }
            Some((unplaced, host)) => {
                self.waiting.insert(name.clone());
                (new.launch_type, new.capacity_provider) = host;
                match unplaced {
                    Unplaced::NoRoom => self.explain_no_room(name, &new),
                    Unplaced::ProvisioningLimit => {
                        let text = "was unable to place tasks in your cluster because the tasks provisioning capacity \
                                    limit was exceeded.";
                        if self.complain(name, Complaint::ProvisioningLimit, text) == Said::Aloud {
                            let subjects = ServiceActionSubjects::provider(new.capacity_provider.as_ref());
                            let event = ServiceActionEvent::TaskPlacementFailure;
                            self.service_action(name, event, Some(PROVISIONING_LIMIT.into()), subjects);
                        }
                    }
                }
            }
        }
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.draft = Some(new);
        }
        started
    }

    /// How many of the tasks that a service wants to start it may start now. **Source:** ecs-semantics §1.7, §5.3.
    pub(super) fn allowed_starts(&mut self, name: &Arc<str>, wanted: u32) -> u32 {
        let controller = self.controllers.get_mut(name);
        controller.map_or(wanted, |controller| controller.rate.allowance(self.now).min(wanted))
    }

    /// Notes tasks that a service has started, and comes back when it wants more than it might start.
    pub(super) fn note_starts(&mut self, name: &Arc<str>, started: usize, wants_more: bool) {
        let Some(controller) = self.controllers.get_mut(name) else { return };
        controller.rate.launched(self.now, super::state::count(started));
        if wants_more && let Some(next) = controller.rate.next_at() {
            self.timers.set(next, Wakeup::LaunchRate(name.clone()));
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
                let failure = self.why_not_placed(new);
                self.complain_of_no_room(name, &failure, new.capacity_provider.as_ref());
            }
        }
    }
}
