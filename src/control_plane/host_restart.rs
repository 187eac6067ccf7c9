//! What becomes of a cluster whose host was gone: everything that ran is lost, and everything else goes on.
//!
//! *Ours:* ECS has no such moment. Tasks that were handed to the data plane are over, with the reason that is given; instances that were up
//! or coming up are gone and replaced by their groups; what waits in a warm pool without running and what waits in PROVISIONING stays. A
//! lifecycle hook that was asked is asked again. An instance that is run elsewhere, and what runs on it, is no affair of this host's: its
//! agent goes on with whoever answers. Everything is billed up to the moment of this event and not beyond, so whoever drives the
//! control plane puts it at the last moment that is known of.

use std::sync::Arc;

use super::ControlPlane;
use super::traffic_shift::{Awaited, HookRun, ShiftPhase};
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{DesiredStatus, StopCode, TaskStatus};

impl ControlPlane {
    pub(super) fn host_restarted(&mut self, reason: &str) {
        let told: Arc<str> = reason.into();
        let is_lost = |status: TaskStatus| status > TaskStatus::Provisioning && status < TaskStatus::Stopped;
        let tasks = self.state.tasks.iter().map(|(id, record)| (id, &record.task));
        let lost = tasks.filter(|(_, task)| is_lost(task.last_status) && !self.is_run_elsewhere(task));
        let lost: Vec<TaskId> = lost.map(|(id, _)| id).collect();
        for task in lost {
            self.change_task(task, |record| {
                let task = &mut record.task;
                // One that was asked to stop keeps its own reason.
                if task.desired_status == DesiredStatus::Running {
                    task.stop_code = Some(StopCode::TerminationNotice);
                    task.stopped_reason = Some(told.clone());
                }
            });
            self.task_over(task);
        }
        let is_up = |lifecycle: LifecycleState| {
            !matches!(
                lifecycle,
                LifecycleState::WarmedStopped | LifecycleState::WarmedHibernated | LifecycleState::Terminated
            )
        };
        let instances = self.state.container_instances.values().filter(|instance| !instance.is_external());
        let instances = instances.filter(|instance| is_up(instance.lifecycle));
        let lost: Vec<ContainerInstanceId> = instances.map(|instance| instance.id).collect();
        for instance in lost {
            self.instance_lost_with_host(instance, reason);
        }
        self.ask_hooks_again();
    }

    /// Nobody is left to answer the calls of hooks that were made.
    fn ask_hooks_again(&mut self) {
        let asked = self.state.services.iter().filter_map(|(name, service)| match service.traffic_shift()?.phase {
            ShiftPhase::Hook(run) if matches!(run.awaited, Awaited::Answer { .. }) => Some((name.clone(), run)),
            _ => None,
        });
        let asked: Vec<(Arc<str>, HookRun)> = asked.collect();
        for (name, run) in asked {
            let awaited = Awaited::NextCall { at: self.now };
            self.put_shift_phase(&name, ShiftPhase::Hook(HookRun { awaited, ..run }));
            self.dirty.insert(name);
        }
    }

    /// What shows whether a control plane that is led through the same events again does the same: numbers that nearly everything which
    /// can differ changes, read at no cost.
    pub fn fingerprint(&self) -> u32 {
        let state = &self.state;
        let numbers = [
            self.next_task,
            self.next_instance,
            self.next_deployment,
            self.next_service_deployment,
            self.next_revision,
            self.next_hook,
            state.stopped_count,
            state.ignored_events,
            state.live_count as u64,
            state.stopped_tasks.len() as u64,
            self.timers.next().map_or(0, |(at, _)| at.0),
        ];
        let mixed = numbers.into_iter().fold(0xcbf2_9ce4_8422_2325u64, |mixed, number| {
            (mixed.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        u32::try_from(mixed >> 32).expect("half of it is left")
    }

    /// How many jobs of a service are known to be done.
    pub fn jobs_done(&self, service: &str) -> u64 {
        self.measures.jobs_done(service)
    }
}
