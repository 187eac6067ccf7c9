//! Takes a deployment that moves traffic from stage to stage: waits for tasks, moves the traffic, bakes, and cleans up.
//!
//! *Ours:* a stage does its work first and asks its hooks then, so that they can look at what came of it. Hooks of one stage are asked one
//! after the other. Each move of traffic, and the end of the bake time, waits until the target is whole.
//!
//! **Source:** ecs-semantics §5.8.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{Action, DeploymentEvent};
use super::service_stops::Victims;
use super::state::{Deployment, Service, ServiceStatus, count};
use super::traffic_shift::{ShiftPhase, TaskSet, TrafficMoved, TrafficShift, plan_sets, stage_after};
use crate::model::deployment::{DeploymentStrategy, LifecycleStage};
use crate::model::ids::DeploymentId;
use crate::model::traffic::{TrafficWeight, TrafficWeights};
use crate::model::units::Duration;

/// Whether a step could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It was.
    Made,
    /// There is something to wait for.
    Waits,
}

impl Service {
    /// The way of the primary deployment, if it moves traffic.
    pub fn traffic_shift(&self) -> Option<&TrafficShift> {
        self.deployments.first()?.shift.as_ref()
    }

    fn traffic_shift_mut(&mut self) -> Option<&mut TrafficShift> {
        self.deployments.first_mut()?.shift.as_mut()
    }

    /// How the deployment in flight is to go: as it was asked for at its start. *Ours:* a configuration that changes on the way is the
    /// next deployment's.
    pub(super) fn strategy_in_flight(&self) -> DeploymentStrategy {
        let record = self.current_service_deployment();
        record.map_or(self.spec.deployment_configuration.strategy, |record| record.configuration.strategy)
    }

    /// Where the traffic of a deployment that begins comes from: of the older ones that which serves best, and of those the last that
    /// completed. *Ours:* ECS does not say which revision stays when there are several.
    fn source_of_traffic(&self) -> Option<DeploymentId> {
        let with_tasks = self.deployments[1..].iter().filter(|older| older.placed_count() > 0);
        let completed = self.rollback_target.as_ref().map(|target| target.id);
        let worth = |found: &&Deployment| (found.healthy_count(), completed == Some(found.id), found.id);
        with_tasks.max_by_key(worth).map(|found| found.id)
    }
}

impl ControlPlane {
    /// The primary deployment begins: by stages, if its strategy moves traffic. **Source:** ecs-semantics §5.8.
    pub(super) fn begin_shift(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        if !service.spec.deployment_configuration.strategy.moves_traffic() {
            self.direct_traffic(name, TrafficWeights::default());
            return;
        }
        let source = service.source_of_traffic();
        let with_tasks = service.deployments[1..].iter().filter(|older| older.placed_count() > 0).count();
        let stage = if with_tasks > 1 { LifecycleStage::ReconcileService } else { LifecycleStage::PreScaleUp };
        service.deployments[0].shift =
            Some(TrafficShift { stage, since: now, source, steps: 0, told: None, phase: ShiftPhase::Working });
        if let Some(record) = service.current_service_deployment_mut() {
            record.lifecycle_stage = Some(stage.shown());
        }
        let production = source.into_iter().map(|source| (source, TrafficWeight::ALL)).collect();
        self.direct_traffic(name, TrafficWeights { production, test: None });
    }

    /// The primary deployment is over, whichever way: it moves nothing any more.
    pub(super) fn end_shift(&mut self, name: &Arc<str>, weights: TrafficWeights) {
        self.abandon_hook(name);
        if let Some(service) = self.state.services.get_mut(name) {
            if let Some(primary) = service.deployments.first_mut() {
                primary.shift = None;
            }
            self.direct_traffic(name, weights);
        }
    }

    /// Says who takes which share of a service's traffic.
    pub(super) fn direct_traffic(&mut self, name: &Arc<str>, weights: TrafficWeights) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        if service.traffic != weights {
            service.traffic = weights.clone();
            self.actions.push(Action::DirectTraffic { service: name.clone(), weights });
        }
    }

    /// Goes as far as it can, and says so where it comes to wait in another stage.
    pub(super) fn advance_shift(&mut self, name: &Arc<str>) {
        while self.step_shift(name) == Progress::Made {}
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let primary = &mut service.deployments[0];
        let Some(shift) = &mut primary.shift else { return };
        let stage = shift.stage.shown();
        if shift.told != Some(stage) {
            shift.told = Some(stage);
            let (stage, shown_id) = (stage.as_str(), primary.shown_id.clone());
            primary.rollout_state_reason =
                format!("ECS deployment {shown_id} in progress: lifecycle stage {stage}.").into();
            self.deployment_changed(name, DeploymentEvent::InProgress);
            self.service_event(name, &format!("(deployment {shown_id}) is in lifecycle stage {stage}."));
        }
        self.watch_deployment(name);
    }

    fn step_shift(&mut self, name: &Arc<str>) -> Progress {
        let now = self.now;
        let service = &self.state.services[name];
        let Some(shift) = service.traffic_shift().copied().filter(|_| service.status == ServiceStatus::Active) else {
            return Progress::Waits;
        };
        match shift.phase {
            ShiftPhase::Working if !service.is_ready_for(&shift) => Progress::Waits,
            ShiftPhase::Working => {
                match shift.stage {
                    LifecycleStage::CleanUp => return Progress::Waits,
                    LifecycleStage::BakeTime => {
                        let time = self.bake_time_of(name, &shift);
                        self.bake(name, time);
                        return Progress::Made;
                    }
                    LifecycleStage::TestTrafficShift => self.move_test_traffic(name, &shift),
                    LifecycleStage::ProductionTrafficShift => self.move_production_traffic(name, &shift),
                    _ => {}
                }
                self.ask_hooks_from(name, 0);
                Progress::Made
            }
            ShiftPhase::Hook(run) => self.look_at_hook(name, run),
            ShiftPhase::Baking { until } if now < until || !service.holds_desired_count() => Progress::Waits,
            ShiftPhase::Baking { .. } => {
                self.leave_stage(name);
                Progress::Made
            }
        }
    }

    /// All hooks of a stage have been asked: the target bakes between two moves of traffic, and else the next stage begins.
    pub(super) fn hooks_asked(&mut self, name: &Arc<str>) {
        let service = &self.state.services[name];
        let Some(shift) = service.traffic_shift().copied() else { return };
        let is_move = shift.stage == LifecycleStage::ProductionTrafficShift;
        if is_move && service.traffic_moved() == TrafficMoved::InPart {
            self.bake(name, service.strategy_in_flight().step_bake_time());
        } else {
            self.leave_stage(name);
        }
    }

    fn bake(&mut self, name: &Arc<str>, time: Duration) {
        let until = self.now + time;
        if let Some(shift) = self.state.services.get_mut(name).and_then(Service::traffic_shift_mut) {
            shift.phase = ShiftPhase::Baking { until };
        }
    }

    pub(super) fn put_shift_phase(&mut self, name: &Arc<str>, phase: ShiftPhase) {
        if let Some(shift) = self.state.services.get_mut(name).and_then(Service::traffic_shift_mut) {
            shift.phase = phase;
        }
    }

    fn leave_stage(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let moved = service.traffic_moved();
        let Some(shift) = service.traffic_shift_mut() else { return };
        let stage = stage_after(shift.stage, moved);
        shift.stage = stage;
        shift.since = now;
        shift.phase = ShiftPhase::Working;
        if let Some(record) = service.current_service_deployment_mut() {
            record.lifecycle_stage = Some(stage.shown());
            record.updated_at = now;
        }
    }

    fn move_test_traffic(&mut self, name: &Arc<str>, shift: &TrafficShift) {
        if shift.source.is_some() {
            let service = &self.state.services[name];
            let weights = TrafficWeights { test: Some(service.primary().id), ..service.traffic.clone() };
            self.direct_traffic(name, weights);
        }
    }

    fn move_production_traffic(&mut self, name: &Arc<str>, shift: &TrafficShift) {
        let step = shift.steps + 1;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        if let Some(shift) = service.traffic_shift_mut() {
            shift.steps = step;
        }
        let Some(source) = shift.source else { return };
        let weight = service.strategy_in_flight().weight_after(step);
        let primary = service.primary();
        let (target, shown_id) = (primary.id, primary.shown_id.clone());
        let mut production = BTreeMap::from([(target, weight)]);
        if weight < TrafficWeight::ALL {
            production.insert(source, weight.rest());
        }
        self.direct_traffic(name, TrafficWeights { production, test: Some(target) });
        self.service_event(name, &format!("(deployment {shown_id}) takes {weight} of the traffic."));
    }

    /// *Ours:* nothing bakes where no source has tasks to go back to. **Source:** ecs-semantics §5.7, §5.8.
    fn bake_time_of(&self, name: &Arc<str>, shift: &TrafficShift) -> Duration {
        let record = self.state.services[name].current_service_deployment();
        let configuration = record.map(|record| &record.configuration).filter(|_| shift.source.is_some());
        configuration.map_or(Duration::ZERO, |configuration| configuration.bake_time_or(self.settings.bake_time))
    }

    /// Starts and stops what the stage asks for, revision by revision. Says whether something was stopped.
    pub(super) fn reconcile_sets(&mut self, name: &Arc<str>, shift: &TrafficShift) -> bool {
        let service = &self.state.services[name];
        let desired = service.spec.desired_count;
        let set_of = |(index, deployment): (usize, &Deployment)| {
            let is_wanted = if index == 0 { shift.target_is_wanted() } else { shift.source == Some(deployment.id) };
            let wanted = if is_wanted { desired } else { 0 };
            TaskSet { tally: self.state.tally(service, index, self.now), wanted }
        };
        let sets: Vec<TaskSet> = service.deployments.iter().enumerate().map(set_of).collect();
        let (plans, blocked) = plan_sets(service.bounds(), &sets);
        for (index, (plan, set)) in plans.iter().zip(&sets).enumerate() {
            let stops = plan.stop_not_healthy + plan.stop_healthy;
            if set.wanted > 0 && stops > 0 {
                self.stop_some(name, index, stops, Victims::LeastUsefulFirst);
                continue;
            }
            for (stops, victims) in
                [(plan.stop_not_healthy, Victims::NotHealthyOnly), (plan.stop_healthy, Victims::HealthyOnly)]
            {
                if stops > 0 {
                    self.stop_some(name, index, stops, victims);
                }
            }
        }
        for (index, plan) in plans.iter().enumerate().rev() {
            if plan.start > 0 {
                self.start_some(name, index, plan.start, None);
            }
        }
        self.say_what_blocks(name, 0, blocked);
        plans.iter().any(|plan| plan.stop_not_healthy + plan.stop_healthy > 0)
    }
}

impl Service {
    /// Whether the tasks that a stage waits for are there. **Source:** ecs-semantics §5.8.
    fn is_ready_for(&self, shift: &TrafficShift) -> bool {
        match shift.stage {
            LifecycleStage::ReconcileService => {
                let others = self.deployments[1..].iter().filter(|older| shift.source != Some(older.id));
                others.map(Deployment::placed_count).sum::<u32>() == 0
            }
            LifecycleStage::ScaleUp | LifecycleStage::ProductionTrafficShift => self.holds_desired_count(),
            _ => true,
        }
    }

    /// All traffic at once to what a deployment goes back to; to whatever runs, if that is nothing or has no task that could take it.
    pub(super) fn traffic_back_to(&self, target: Option<DeploymentId>) -> TrafficWeights {
        let found = self.deployments.iter().find(|found| target == Some(found.id) && found.running_count() > 0);
        TrafficWeights {
            production: found.map(|found| (found.id, TrafficWeight::ALL)).into_iter().collect(),
            test: None,
        }
    }

    fn traffic_moved(&self) -> TrafficMoved {
        match self.traffic.production_of(self.primary().id) {
            None => TrafficMoved::Whole,
            Some(weight) if weight == TrafficWeight::ALL => TrafficMoved::Whole,
            Some(_) => TrafficMoved::InPart,
        }
    }

    /// Checks what must hold of its traffic.
    ///
    /// # Panics
    /// When something does not.
    pub(super) fn check_traffic(&self) {
        let name = &self.spec.name;
        let weights: u32 = self.traffic.production.values().map(|weight| weight.0).sum();
        let is_whole = self.traffic.production.is_empty() || weights == TrafficWeight::ALL.0;
        assert!(is_whole, "service {name} directs {weights} of its traffic");
        let is_known = |id: &DeploymentId| self.deployments.iter().any(|found| found.id == *id);
        let known = self.traffic.production.keys().chain(&self.traffic.test).all(is_known);
        assert!(known, "service {name} directs traffic to nobody");
        let shifting = self.deployments.iter().filter(|deployment| deployment.shift.is_some());
        let shifting = count(shifting.count());
        assert_eq!(shifting, u32::from(self.traffic_shift().is_some()), "service {name} moves traffic of the past");
        if let Some(shift) = self.traffic_shift() {
            assert_eq!(self.status, ServiceStatus::Active, "service {name} ends and moves traffic");
            let in_flight = self.current_service_deployment().map(|record| record.lifecycle_stage);
            assert_eq!(in_flight, Some(Some(shift.stage.shown())), "service {name} shows another stage");
        }
    }
}
