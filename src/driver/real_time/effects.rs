//! What follows from events, as the world gets to see it: done by the data plane and by hooks, answered, and told to those who watch.
//!
//! In a cluster with a data directory all of it waits until the events that led to it are on the disk.

use std::sync::Arc;

use super::ControlLoop;
use crate::control_plane::action::{Action, Notification};
use crate::driver::durable::Durable;
use crate::driver::durable::held::Held;
use crate::driver::running_cluster::Notice;
use crate::model::ids::TaskId;
use crate::model::task::TaskStatus;
use crate::model::units::Timestamp;

impl ControlLoop {
    /// Lets the world see something: once all that led to it is on the disk, where there is one.
    pub(in crate::driver) fn hold(&mut self, held: Held) {
        if self.durable.is_on() {
            self.durable.hold(held);
        } else {
            self.show(held);
        }
    }

    /// Lets the world see what is on the disk.
    pub(super) fn let_go(&mut self) {
        loop {
            while let Some(held) = self.durable.pop() {
                self.show(held);
            }
            // What was carried out may have said something at once.
            let Some(event) = self.outbox.pop_front() else { break };
            self.apply(event);
            self.durable.append(|| self.meter.take_records());
        }
        while let Some(trouble) = self.durable.trouble() {
            let (taken, events) = self.durable.take_despite_trouble();
            if taken.is_empty() && events.is_empty() {
                break;
            }
            for held in taken {
                self.show(held.despite(&trouble));
            }
            for event in events {
                self.apply(event);
            }
        }
        let mut durable = std::mem::replace(&mut self.durable, Durable::nothing());
        durable.write_ledger(&self.meter, self.read_at());
        durable.snapshot_when_due(self.control_plane.state().tasks.len(), || self.saved());
        self.durable = durable;
    }

    /// Does or tells what was held. Whoever has gone needs no answer.
    pub(super) fn show(&mut self, held: Held) {
        match held {
            Held::CarryOut(action) => self.do_now(action),
            Held::Notice(notice) => self.watchers.retain(|watcher| watcher.send(notice.clone()).is_ok()),
            Held::Event(event) => self.event_watchers.retain(|watcher| watcher.send(event.clone()).is_ok()),
            Held::Response(answer, response) => {
                let _ = answer.send(response);
            }
            Held::Applied(answer, applied) => {
                let _ = answer.send(applied);
            }
            Held::Stopped(answers, task) => {
                for answer in answers {
                    let _ = answer.send((*task).clone());
                }
            }
            Held::NoStandaloneTask(answer) => {
                let _ = answer.send(());
            }
            Held::DeploymentEnd(answer, end) => {
                let _ = answer.send(end);
            }
            Held::Explanation(answer, explained) => {
                let _ = answer.send(*explained);
            }
            Held::Snapshot(answer, snapshot) => {
                let _ = answer.send(*snapshot);
            }
            Held::Read(told) => told.tell(),
            Held::Task(answer, task) => {
                let _ = answer.send(task.map(Arc::unwrap_or_clone));
            }
        }
    }

    /// Gives an action to the data plane or to a hook.
    fn do_now(&mut self, action: Action) {
        match action {
            Action::LaunchInstance { instance, launch } => self.data_plane.launch_instance(instance, launch),
            Action::TerminateInstance { instance } => self.data_plane.terminate_instance(instance),
            Action::SetInstanceCpuRate { instance, work_per_second } => {
                self.data_plane.set_instance_cpu_rate(instance, work_per_second);
            }
            Action::StartTask(start) => self.data_plane.start_task(&start),
            Action::StopTask { task } => self.data_plane.stop_task(task),
            Action::DeregisterTargets { task } => self.data_plane.deregister_targets(task),
            Action::DirectTraffic { service, weights } => self.data_plane.direct_traffic(&service, weights),
            Action::CallHook(call) => self.call_hook(&call),
            Action::EndHook { hook } => self.end_hook(hook),
            Action::Respond { .. } | Action::Meter(_) | Action::Notify(_) => {
                unreachable!("these are not held as actions")
            }
        }
    }

    pub(in crate::driver) fn tell(&mut self, at: Timestamp, notification: Notification) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(at, self.control_plane.state(), &notification);
        }
        if !self.event_watchers.is_empty()
            && let Some(event) = self.event_bridge.event(self.control_plane.state(), at, &notification)
        {
            self.hold(Held::Event(event));
        }
        if !self.watchers.is_empty() {
            let stopped_task = match notification {
                Notification::Task { task, last_status: TaskStatus::Stopped, .. } => {
                    self.control_plane.state().tasks.get(&task).map(|record| Arc::new(record.task.clone()))
                }
                _ => None,
            };
            let changed_task = match notification {
                Notification::Task { task, .. } => self.control_plane.state().tasks.get(&task),
                _ => None,
            };
            let changed_task = changed_task.filter(|record| record.task.task_definition.has_container_lifecycles());
            let changed_task = changed_task.map(|record| Arc::new(record.task.clone()));
            let notice = Notice { at, notification, stopped_task, changed_task };
            self.hold(Held::Notice(notice));
        }
    }

    pub(super) fn tell_waiting(&mut self, task: TaskId) {
        if let Some(waiting) = self.waiting.remove(&task)
            && let Some(record) = self.control_plane.state().tasks.get(&task)
        {
            let task = Box::new(record.task.clone());
            self.hold(Held::Stopped(waiting, task));
        }
    }
}
