//! An Auto Scaling group at work: as many instances as desired, over its zones, with the old replaced and the surplus given up.
//!
//! Every look at a group does the same things in the same order: its refresh goes as far as it can, what is to be replaced leaves as
//! fast as the bounds allow, what is missing is launched (from the warm pool first), what is too much goes by the termination
//! policies, and the warm pool is filled. **Source:** ecs-semantics §6.4, §9.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, Response};
use super::cluster_autoscaling::asg_wants;
use super::event::UpdateAutoScalingGroup;
use super::request_error::RequestError;
use super::rolling_replacement::{
    self, Candidate, HealthyBounds, Readiness, ReplacementInputs, ReplacementPlan, Standing,
};
use super::scaling::instance_states;
use super::state::{ProviderState, ZoneBalance};
use super::termination_policy::{TerminationCandidate, choose_instances_to_terminate};
use super::timers::Wakeup;
use crate::model::auto_scaling_group::{
    InstanceHealth, LifecycleState, ManagedDraining, ManagedTerminationProtection, ReuseOnScaleIn, ScaleInProtection,
};
use crate::model::capacity::InstanceLaunch;
use crate::model::ids::ContainerInstanceId;
use crate::model::units::Timestamp;

/// The bounds of whatever replaces instances without a policy. **Source:** ecs-semantics §9.4.
const DEFAULT_BOUNDS: HealthyBounds = HealthyBounds { minimum_percent: 90, maximum_percent: None };
/// Zones are balanced by launching before terminating. **Source:** ecs-semantics §9.1.
const BALANCING_BOUNDS: HealthyBounds = HealthyBounds { minimum_percent: 100, maximum_percent: Some(110) };

/// Why a group replaces instances, and which.
struct Replacement {
    old: BTreeSet<ContainerInstanceId>,
    bounds: HealthyBounds,
    allowance: Option<u32>,
    reason: &'static str,
}

impl ControlPlane {
    /// Brings a group closer to what it should be. **Source:** ecs-semantics §6.4, §9.1.
    pub(super) fn keep_group(&mut self, name: &Arc<str>) {
        if self.state.draining || !self.state.capacity_providers.contains_key(name) {
            return;
        }
        self.advance_refresh(name);
        self.replace_unhealthy(name);
        let (plan, reason) = self.plan_replacement(name);
        self.state.capacity_providers.get_mut(name).expect("it was found above").surge = plan.surge;
        for id in plan.retire {
            self.retire_instance(id, reason);
        }
        self.fill_group(name);
        self.trim_group(name);
        self.keep_warm_pool(name);
        self.wake_for_group(name);
    }

    /// Unless a policy has replacements launched first, what is unhealthy goes at once. **Source:** ecs-semantics §9.1.
    fn replace_unhealthy(&mut self, name: &Arc<str>) {
        let group = &self.state.capacity_providers[name];
        if launches_first(group) {
            return;
        }
        let unhealthy: Vec<ContainerInstanceId> =
            group.instances.iter().filter(|id| self.is_unhealthy(group, **id)).copied().collect();
        for id in unhealthy {
            self.retire_instance(id, "it is unhealthy");
        }
    }

    /// Its health does not matter during its grace period. **Source:** ecs-semantics §9.1.
    fn is_unhealthy(&self, group: &ProviderState, id: ContainerInstanceId) -> bool {
        let instance = &self.state.container_instances[&id];
        let grace = group.provider.auto_scaling_group.health_check_grace_period;
        instance.health == InstanceHealth::Impaired
            && instance.registered_at.is_some_and(|at| self.now.since(at) >= grace)
    }

    fn plan_replacement(&mut self, name: &Arc<str>) -> (ReplacementPlan, &'static str) {
        let Some(replacement) = self.what_to_replace(name) else { return (ReplacementPlan::default(), "") };
        let group = &self.state.capacity_providers[name];
        let refresh = group.refresh();
        let mut candidates: Vec<(u32, Candidate)> = Vec::new();
        for id in &group.instances {
            let instance = &self.state.container_instances[id];
            let is_old = replacement.old.contains(id);
            let warmup = match refresh {
                Some(refresh) if !refresh.replaces(instance) => refresh.warmup(group),
                _ => Default::default(),
            };
            let is_ready = instance.lifecycle == LifecycleState::InService
                && instance.registered_at.is_some_and(|at| self.now.since(at) >= warmup);
            let candidate = Candidate {
                id: *id,
                standing: if is_old { Standing::Old } else { Standing::Staying },
                readiness: if is_ready { Readiness::Ready } else { Readiness::NotReady },
            };
            // Those without tasks first: nothing has to move.
            candidates.push((u32::from(instance.empty_since.is_none()), candidate));
        }
        candidates.sort_by_key(|(has_tasks, candidate)| (*has_tasks, candidate.id));
        let instances: Vec<Candidate> = candidates.into_iter().map(|(_, candidate)| candidate).collect();
        let plan = rolling_replacement::plan(&ReplacementInputs {
            desired: group.desired_capacity,
            bounds: replacement.bounds,
            instances: &instances,
            allowance: replacement.allowance,
        });
        (plan, replacement.reason)
    }

    /// A refresh comes first, then age and health, then zones. **Source:** ecs-semantics §9.1, §9.4.
    fn what_to_replace(&mut self, name: &Arc<str>) -> Option<Replacement> {
        let group = &self.state.capacity_providers[name];
        if let Some(refresh) = group.refresh() {
            if !matches!(
                refresh.status,
                crate::model::auto_scaling_group::RefreshStatus::InProgress
                    | crate::model::auto_scaling_group::RefreshStatus::RollbackInProgress
            ) {
                return None;
            }
            let is_old = |id: &&ContainerInstanceId| {
                let instance = &self.state.container_instances[id];
                refresh.replaces(instance) && !refresh.waits_for(instance)
            };
            return Some(Replacement {
                old: group.instances.iter().filter(is_old).copied().collect(),
                bounds: refresh.bounds(group),
                allowance: refresh.allowance(self.state.stale_count(group, refresh)),
                reason: "an instance refresh replaces it",
            });
        }
        let spec = &group.provider.auto_scaling_group;
        let policy = spec.instance_maintenance_policy.map(|policy| HealthyBounds {
            minimum_percent: policy.min_healthy_percentage,
            maximum_percent: Some(policy.max_healthy_percentage),
        });
        let is_old = |id: &&ContainerInstanceId| {
            let instance = &self.state.container_instances[id];
            let age = instance.registered_at.map(|at| self.now.since(at));
            let expired = spec.max_instance_lifetime.is_some_and(|limit| age.is_some_and(|age| age >= limit));
            expired || self.is_unhealthy(group, **id)
        };
        let old: BTreeSet<ContainerInstanceId> = group.instances.iter().filter(is_old).copied().collect();
        if !old.is_empty() {
            let reason = "it is unhealthy or has reached its maximum lifetime";
            return Some(Replacement { old, bounds: policy.unwrap_or(DEFAULT_BOUNDS), allowance: None, reason });
        }
        if group.balance == ZoneBalance::Kept {
            return None;
        }
        let moved = self.instance_to_move(group);
        if moved.is_none() {
            // All that is coming up must be there before the zones count as balanced.
            let is_settled = group.instances.len() >= group.desired_capacity as usize;
            if is_settled {
                self.state.capacity_providers.get_mut(name)?.balance = ZoneBalance::Kept;
            }
            return None;
        }
        Some(Replacement {
            old: moved.into_iter().collect(),
            bounds: policy.unwrap_or(BALANCING_BOUNDS),
            allowance: None,
            reason: "the zones are balanced",
        })
    }

    /// One of the fullest zone, when that has two more than another that is up. **Source:** ecs-semantics §9.1.
    fn instance_to_move(&self, group: &ProviderState) -> Option<ContainerInstanceId> {
        let spec = &group.provider.auto_scaling_group;
        let count_in = |zone: &Arc<str>| {
            let there = group.instances.iter().map(|id| &self.state.container_instances[id]);
            there.filter(|instance| instance.launch.availability_zone == *zone).count()
        };
        let zones = spec.availability_zones.iter().filter(|zone| !self.state.zones_out.contains(*zone));
        let counts: Vec<(usize, &Arc<str>)> = zones.map(|zone| (count_in(zone), zone)).collect();
        let (fewest, _) = counts.iter().min()?;
        let (most, fullest) = counts.iter().max()?;
        // One that is launched for another makes the emptiest zone one fuller before the fullest has one less.
        let is_surging = group.instances.len() > group.desired_capacity as usize;
        if *most < fewest + 2 - usize::from(is_surging) {
            return None;
        }
        group
            .instances
            .iter()
            .map(|id| &self.state.container_instances[id])
            .find(|instance| {
                instance.launch.availability_zone == **fullest
                    && instance.lifecycle == LifecycleState::InService
                    && self.protection_of(group, instance.id) == ScaleInProtection::Unprotected
            })
            .map(|instance| instance.id)
    }

    /// Launches what is missing over the emptiest zones that are up, from the warm pool first.
    /// **Source:** ecs-semantics §9.1, §9.5.
    fn fill_group(&mut self, name: &Arc<str>) {
        if self.launches_are_blocked(name) {
            return;
        }
        let target = |group: &ProviderState| group.desired_capacity.saturating_add(group.surge);
        loop {
            let group = &self.state.capacity_providers[name];
            // What the pool has may be in the zone that is too full already.
            let is_balancing = group.balance == ZoneBalance::Restoring && group.surge > 0;
            let is_full = group.instances.len() >= target(group) as usize;
            if is_full || is_balancing || self.take_from_pool(name).is_none() {
                break;
            }
        }
        let group = &self.state.capacity_providers[name];
        let zones: Vec<Arc<str>> = group
            .provider
            .auto_scaling_group
            .availability_zones
            .iter()
            .filter(|zone| !self.state.zones_out.contains(*zone))
            .cloned()
            .collect();
        let instances = instance_states(&self.state, group);
        for zone in asg_wants(target(group), &instances, &zones) {
            let launch = self.launch_of(name, zone);
            let id = self.launch_instance(Arc::new(launch));
            let group = self.state.capacity_providers.get_mut(name).expect("it was found above");
            group.instances.insert(id);
            let protection = group.provider.auto_scaling_group.new_instances_protected;
            let instance = self.state.container_instances.get_mut(&id).expect("it was launched above");
            instance.protection = protection;
        }
    }

    pub(super) fn launches_are_blocked(&self, name: &Arc<str>) -> bool {
        self.state.capacity_providers[name].launches_blocked_until.is_some_and(|until| until > self.now)
    }

    /// What the group launches in a zone at this moment.
    pub(super) fn launch_of(&self, name: &Arc<str>, zone: Arc<str>) -> InstanceLaunch {
        let group = &self.state.capacity_providers[name];
        let (spec, template) = (&group.provider.auto_scaling_group, group.current_template());
        InstanceLaunch {
            instance_type: template.instance_type.clone(),
            launch_template_version: template.version,
            image_id: template.image_id.clone(),
            ..spec.launch_in(&zone, name)
        }
    }

    /// Gives up what is beyond the desired capacity, by the termination policies. Protected instances stay: then the group keeps
    /// more than it desires until one is unprotected. **Source:** ecs-semantics §6.4, §9.3.
    fn trim_group(&mut self, name: &Arc<str>) {
        let group = &self.state.capacity_providers[name];
        let target = group.desired_capacity.saturating_add(group.surge);
        let surplus = super::state::count(group.instances.len()).saturating_sub(target);
        if surplus == 0 {
            return;
        }
        let protections: Vec<ScaleInProtection> =
            group.instances.iter().map(|id| self.protection_of(group, *id)).collect();
        let instances = &self.state.container_instances;
        let candidates: Vec<TerminationCandidate<'_>> = group
            .instances
            .iter()
            .zip(protections)
            .map(|(id, protection)| {
                let instance = &instances[id];
                TerminationCandidate {
                    id: *id,
                    availability_zone: &instance.launch.availability_zone,
                    protection,
                    launched_at: instance.launched_at,
                    launch_template_version: instance.launch.launch_template_version,
                }
            })
            .collect();
        let policies = &group.provider.auto_scaling_group.termination_policies;
        let pool = group.provider.auto_scaling_group.warm_pool;
        for id in choose_instances_to_terminate(&candidates, surplus, policies, self.now, &mut self.rng) {
            let in_service = self.state.container_instances[&id].lifecycle == LifecycleState::InService;
            if in_service && pool.is_some_and(|pool| pool.reuse == ReuseOnScaleIn::Yes) {
                self.returning.insert(id);
            }
            self.retire_instance(id, "the group has more instances than it desires");
        }
    }

    /// Under managed termination protection an instance without tasks is unprotected. **Source:** ecs-semantics §6.4.
    fn protection_of(&self, group: &ProviderState, id: ContainerInstanceId) -> ScaleInProtection {
        let instance = &self.state.container_instances[&id];
        match group.provider.managed_termination_protection {
            ManagedTerminationProtection::Disabled => instance.protection,
            ManagedTerminationProtection::Enabled => {
                if self.state.is_busy(id) {
                    ScaleInProtection::Protected
                } else {
                    ScaleInProtection::Unprotected
                }
            }
        }
    }

    /// A task that is no daemon has been placed on an instance. **Source:** ecs-semantics §6.4.
    pub(super) fn protect_occupied(&mut self, id: ContainerInstanceId) {
        self.set_managed_protection(id, ScaleInProtection::Protected);
    }

    fn set_managed_protection(&mut self, id: ContainerInstanceId, protection: ScaleInProtection) {
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return };
        let provider = instance.launch.capacity_provider.as_ref();
        let is_managed = provider.and_then(|name| self.state.capacity_providers.get(name)).is_some_and(|group| {
            group.provider.managed_termination_protection == ManagedTerminationProtection::Enabled
        });
        if is_managed {
            instance.protection = protection;
        }
    }

    /// The last task of an instance that is no daemon is over: its protection is dropped. When the daemons have gone too, what waits
    /// for that goes on. **Source:** ecs-semantics §3.3, §6.4.
    pub(super) fn instance_emptied(&mut self, id: ContainerInstanceId) {
        if self.state.is_busy(id) {
            return;
        }
        self.set_managed_protection(id, ScaleInProtection::Unprotected);
        if self.state.tasks_by_instance.get(&id).is_some_and(|tasks| !tasks.is_empty()) {
            let instance = self.state.container_instances.get(&id);
            self.groups_to_keep.extend(instance.and_then(|instance| instance.launch.capacity_provider.clone()));
            return;
        }
        if let Some(waits) = self.state.waits.get_mut(&id) {
            waits.drained_until = None;
            self.wake_for_instance(id);
        }
        let Some(instance) = self.state.container_instances.get(&id) else { return };
        self.groups_to_keep.extend(instance.launch.capacity_provider.clone());
        if instance.lifecycle == LifecycleState::TerminatingWait {
            self.go_on(id);
        }
    }

    /// The group gives an instance up: it goes at once, or waits for its hooks and, under managed draining, for its tasks.
    /// **Source:** ecs-semantics §3.3, §6.4 (the table), §9.2.
    pub(super) fn retire_instance(&mut self, id: ContainerInstanceId, reason: &str) {
        let Some(instance) = self.state.container_instances.get(&id) else { return };
        let Some(name) = instance.launch.capacity_provider.clone() else { return };
        if !instance.lifecycle.is_in_group() {
            return;
        }
        let shown = self.ids.ec2_instance(id);
        let in_service = instance.lifecycle == LifecycleState::InService;
        let Some(group) = self.state.capacity_providers.get(&name) else { return };
        let holds_tasks = self.state.tasks_by_instance.get(&id).is_some_and(|tasks| !tasks.is_empty());
        let is_managed = in_service && group.provider.managed_draining == ManagedDraining::Enabled;
        let drains = is_managed && holds_tasks;
        let mut waits = in_service && self.begin_termination_hooks(id);
        if drains {
            let until = self.now + self.settings.managed_draining_timeout;
            let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
            instance.lifecycle = LifecycleState::TerminatingWait;
            self.state.waits.entry(id).or_default().drained_until = Some(until);
            waits = true;
        }
        if is_managed && waits {
            // Also one that is empty and waits for its hooks: it would not stay so.
            self.drain_instance(id);
        }
        if waits {
            let group = self.state.capacity_providers.get_mut(&name).expect("it was found above");
            group.instances.remove(&id);
            let how = if drains { "drains" } else { "waits for its hooks" };
            self.group_activity(&name, &format!("instance {shown} {how} before it goes: {reason}"));
            self.wake_for_instance(id);
        } else {
            self.group_activity(&name, &format!("instance {shown} goes: {reason}"));
            self.terminate_instance(id);
        }
        self.groups_to_keep.insert(name);
    }

    /// When a group has something to do though nothing happens.
    fn wake_for_group(&mut self, name: &Arc<str>) {
        let now = self.now;
        let group = &self.state.capacity_providers[name];
        let spec = &group.provider.auto_scaling_group;
        let mut moments: Vec<Timestamp> = group.launches_blocked_until.into_iter().collect();
        let refresh = group.refresh();
        moments.extend(refresh.map(super::instance_refresh::InstanceRefresh::next_look));
        for id in &group.instances {
            let instance = &self.state.container_instances[id];
            let Some(registered_at) = instance.registered_at else { continue };
            moments.extend(spec.max_instance_lifetime.map(|limit| registered_at + limit));
            if instance.health == InstanceHealth::Impaired {
                moments.push(registered_at + spec.health_check_grace_period);
            }
            moments.extend(refresh.map(|refresh| registered_at + refresh.warmup(group)));
        }
        match moments.into_iter().filter(|at| *at > now).min() {
            Some(at) => self.timers.set(at, Wakeup::Group(name.clone())),
            None => self.timers.cancel(Wakeup::Group(name.clone())),
        }
    }

    /// Raising the least or lowering the greatest size moves the desired capacity when it is outside.
    /// **Source:** ecs-semantics §9.1.
    pub(super) fn update_auto_scaling_group(
        &mut self,
        update: &UpdateAutoScalingGroup,
    ) -> Result<Response, RequestError> {
        let name = &update.capacity_provider;
        let Some(group) = self.state.capacity_providers.get_mut(name) else {
            return Err(RequestError::InvalidParameter("AutoScalingGroup name not found".into()));
        };
        let spec = &group.provider.auto_scaling_group;
        let (min, max) = (update.min_size.unwrap_or(spec.min_size), update.max_size.unwrap_or(spec.max_size));
        if min > max {
            return Err(RequestError::InvalidParameter("Max bound must be greater than or equal to min bound".into()));
        }
        if update.desired_capacity.is_some_and(|desired| !(min..=max).contains(&desired)) {
            return Err(RequestError::InvalidParameter(
                "Desired capacity must be between the min and max sizes".into(),
            ));
        }
        let mut provider = group.provider.as_ref().clone();
        (provider.auto_scaling_group.min_size, provider.auto_scaling_group.max_size) = (min, max);
        group.provider = Arc::new(provider);
        let from = group.desired_capacity;
        let to = update.desired_capacity.unwrap_or(from).clamp(min, max);
        group.desired_capacity = to;
        if let Some(scaler) = self.scalers.get_mut(name) {
            scaler.set_bounds(min, max);
        }
        if from != to {
            let reason = "the desired capacity was set".into();
            self.notify(Notification::AutoScalingGroup { capacity_provider: name.clone(), from, to, reason });
        }
        self.groups_to_keep.insert(name.clone());
        Ok(Response::Done)
    }

    /// **Source:** ecs-semantics §9.1.
    pub(super) fn set_instance_protection(
        &mut self,
        instances: &[ContainerInstanceId],
        protection: ScaleInProtection,
    ) -> Result<Response, RequestError> {
        let in_group = |id: &ContainerInstanceId| {
            let found = self.state.container_instances.get(id);
            found
                .is_some_and(|instance| instance.launch.capacity_provider.is_some() && instance.lifecycle.is_in_group())
        };
        if !instances.iter().all(in_group) {
            return Err(RequestError::InvalidParameter("an instance is not part of an Auto Scaling group".into()));
        }
        for id in instances {
            let instance = self.state.container_instances.get_mut(id).expect("it was found above");
            instance.protection = protection;
            self.groups_to_keep.extend(instance.launch.capacity_provider.clone());
        }
        Ok(Response::Done)
    }
}

/// Whether a policy has a replacement launched before an instance is terminated. **Source:** ecs-semantics §9.1.
fn launches_first(group: &ProviderState) -> bool {
    let policy = group.provider.auto_scaling_group.instance_maintenance_policy;
    policy.is_some_and(|policy| policy.max_healthy_percentage > 100)
}
