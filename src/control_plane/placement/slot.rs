//! One instance as the index knows it, with the tasks that it holds by group.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Calendar;
use super::chain::Order;
use super::conditions::GroupNames;
use super::forest::Key;
use crate::model::capacity::{
    AgentConnection, ContainerInstance, ContainerInstanceStatus, InstanceLaunch, InstanceResources, PORTS_MAX,
};
use crate::model::cluster_query::{ClusterQuery, InstanceView, Moment};
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::Reservation;

/// A group's number, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) struct GroupIndex(pub(super) u64);

/// Whether an instance takes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Standing {
    /// It does.
    Active,
    /// It takes no new ones and is known for those that it holds.
    SetAside,
    /// The slot is free for another instance.
    Vacant,
}

/// An instance.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Slot {
    /// Its identity.
    pub(super) id: ContainerInstanceId,
    /// What it was launched from.
    pub(super) launch: Arc<InstanceLaunch>,
    /// How EC2 shows it.
    pub(super) ec2_instance_id: Arc<str>,
    /// When it registered, by the calendar.
    pub(super) registered_at: Option<Moment>,
    /// What it has left.
    pub(super) remaining: InstanceResources,
    /// Whether it takes tasks.
    pub(super) standing: Standing,
    /// Its status; of one that is set aside, the one that it had before.
    pub(super) status: ContainerInstanceStatus,
    /// Whether its agent has contact; of one that is set aside, whether it had before.
    pub(super) agent: AgentConnection,
    /// How many tasks of each group it holds, by group. No count is zero.
    pub(super) tasks: Vec<(GroupIndex, u32)>,
}

impl Slot {
    /// An instance without tasks, as it is at the moment.
    pub(super) fn of(instance: &ContainerInstance, calendar: &Calendar) -> Slot {
        Slot {
            id: instance.id,
            launch: Arc::clone(&instance.launch),
            ec2_instance_id: instance.ec2_instance_id(calendar.ids).into(),
            registered_at: instance.registered_at.and_then(|at| calendar.moment(at)),
            remaining: instance.remaining.clone(),
            standing: Standing::SetAside,
            status: instance.status,
            agent: instance.agent,
            tasks: Vec::new(),
        }
    }

    /// An instance that is not there yet, as it would be when it registers.
    pub(super) fn fresh(launch: &Arc<InstanceLaunch>, remaining: InstanceResources) -> Slot {
        Slot {
            id: ContainerInstanceId(0),
            launch: Arc::clone(launch),
            ec2_instance_id: "".into(),
            registered_at: None,
            remaining,
            standing: Standing::SetAside,
            status: ContainerInstanceStatus::Active,
            agent: AgentConnection::Connected,
            tasks: Vec::new(),
        }
    }

    /// Whether it takes tasks.
    pub(super) fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }

    /// Where it stands among others by what it has left.
    pub(super) fn key(&self, order: Order) -> Key {
        let (cpu, memory) = (self.remaining.cpu.0, self.remaining.memory.0);
        match order {
            Order::Cpu => Key { first: cpu, second: memory, id: self.id },
            Order::Memory => Key { first: memory, second: cpu, id: self.id },
        }
    }

    /// How many tasks of a group it holds.
    pub(super) fn task_count(&self, group: GroupIndex) -> u32 {
        self.position(group).map_or(0, |position| self.tasks[position].1)
    }

    /// Counts a task of a group in.
    pub(super) fn count_task_in(&mut self, group: GroupIndex) {
        match self.position(group) {
            Ok(position) => self.tasks[position].1 += 1,
            Err(position) => self.tasks.insert(position, (group, 1)),
        }
    }

    /// Counts a task of a group out.
    ///
    /// # Panics
    /// When it holds none.
    pub(super) fn count_task_out(&mut self, group: GroupIndex) {
        let position = self.position(group).expect("only a task that an instance holds is released");
        self.tasks[position].1 -= 1;
        if self.tasks[position].1 == 0 {
            self.tasks.remove(position);
        }
    }

    /// Whether none of the wanted host ports is in use and the instance has that many more. **Source:** ecs-semantics §1.7, §3.1.
    pub(super) fn has_ports(&self, reservation: &Reservation) -> bool {
        reservation.ports.is_empty()
            || reservation.ports.is_disjoint(&self.remaining.ports)
                && self.remaining.ports.len() + reservation.ports.len() <= PORTS_MAX
    }

    /// Whether a query is true of it.
    pub(super) fn is_member(&self, query: &ClusterQuery, names: &GroupNames) -> bool {
        self.ask(names, |view| query.is_true_of(view))
    }

    /// Asks it something as queries see it. *Ours:* its tasks are those that hold resources, as `spread` counts them.
    pub(super) fn ask<T>(&self, names: &GroupNames, question: impl FnOnce(&InstanceView<'_>) -> T) -> T {
        let groups: Vec<&str> = self.tasks.iter().filter_map(|(group, _)| Some(&**names.get(group)?)).collect();
        question(&InstanceView {
            launch: &self.launch,
            ec2_instance_id: &self.ec2_instance_id,
            agent_connected: self.agent == AgentConnection::Connected,
            registered_at: self.registered_at,
            running_tasks_count: self.tasks.iter().map(|(_, count)| count).sum(),
            task_groups: &groups,
        })
    }

    /// The value of an attribute. A built-in one cannot be overridden. **Source:** ecs-semantics §3.5.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.launch.attribute(name)
    }

    fn position(&self, group: GroupIndex) -> Result<usize, usize> {
        self.tasks.binary_search_by_key(&group, |(group, _)| *group)
    }
}
