//! A meter as it is written down, for a snapshot of its cluster: with it, the facts that follow lead to the same bill and the same records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ledger::{FargateKind, FargateSum, Group, Instance, ReservedSum, Run, Slot, Used};
use super::meter::{Meter, RunningTask, UsageRecord};
use super::price::PriceBook;
use super::record_keeping::RecordKeeping;
use super::stretch::Host;
use super::task_id_set::TaskIdSet;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::{Timestamp, VcpuNanos};
use crate::model::usage::{TaskIdentity, TaskUsage};

/// What a meter knows, but for its rates.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenMeter {
    running: Vec<(TaskId, RunningTask)>,
    early_stops: Vec<(TaskId, (Timestamp, TaskUsage))>,
    finished: TaskIdSet,
    groups: Vec<WrittenGroup>,
    instances: Vec<WrittenInstance>,
    /// Those of single tasks that have finished; a meter that was written down without them has none.
    #[serde(default)]
    records: WrittenRecords,
    records_dropped: u64,
    keeping: Option<Box<RecordKeeping>>,
}

/// Records of single tasks, with what many of them have in common written once.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenRecords {
    identities: Vec<Arc<TaskIdentity>>,
    /// The task, which of the identities, from when until when, and what was used.
    tasks: Vec<(TaskId, usize, Timestamp, Timestamp, TaskUsage)>,
}

impl WrittenRecords {
    fn of<'a>(records: impl Iterator<Item = &'a UsageRecord>) -> WrittenRecords {
        let mut written = WrittenRecords::default();
        let mut places = BTreeMap::new();
        for UsageRecord { task, identity, started_at, stopped_at: _, until, usage } in records {
            let place = *places.entry(Arc::as_ptr(identity)).or_insert_with(|| {
                written.identities.push(Arc::clone(identity));
                written.identities.len() - 1
            });
            written.tasks.push((*task, place, *started_at, *until, *usage));
        }
        written
    }

    fn records(self) -> impl Iterator<Item = UsageRecord> {
        let WrittenRecords { identities, tasks } = self;
        tasks.into_iter().filter_map(move |(task, place, started_at, until, usage)| {
            let identity = Arc::clone(identities.get(place)?);
            Some(UsageRecord { task, identity, started_at, stopped_at: Some(until), until, usage })
        })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    identity: Arc<TaskIdentity>,
    used_on_fargate: Used,
    used_on_ec2: Used,
    fargate: Vec<(FargateKind, FargateSum)>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenInstance {
    id: ContainerInstanceId,
    host: Option<Arc<Host>>,
    runs: Vec<(u32, Run)>,
    reserved: Vec<(usize, ReservedSum)>,
    surplus: Vec<(u32, VcpuNanos)>,
}

impl Meter {
    /// What it knows.
    pub fn written(&self) -> WrittenMeter {
        let group = |group: &Group| WrittenGroup {
            identity: Arc::clone(&group.identity),
            used_on_fargate: group.used_on_fargate,
            used_on_ec2: group.used_on_ec2,
            fargate: group.fargate.clone(),
        };
        let instance = |(id, instance): (ContainerInstanceId, &Instance)| WrittenInstance {
            id,
            host: instance.host.clone(),
            runs: instance.runs.iter().map(|(start, run)| (*start, *run)).collect(),
            reserved: instance.reserved.iter().map(|(index, sum)| (*index, *sum)).collect(),
            surplus: instance.surplus.iter().map(|(charge, surplus)| (*charge, *surplus)).collect(),
        };
        WrittenMeter {
            running: self.running.iter().map(|(task, running)| (task, running.clone())).collect(),
            early_stops: self.early_stops.iter().map(|(task, stop)| (*task, *stop)).collect(),
            finished: self.finished.clone(),
            groups: self.ledger.groups_as_seen().iter().map(group).collect(),
            instances: self.ledger.instances_by_id().map(instance).collect(),
            records: WrittenRecords::of(self.records.iter()),
            records_dropped: self.records_dropped,
            keeping: self.keeping.clone(),
        }
    }

    /// A meter that goes on with what another knew.
    pub fn of_written(book: PriceBook, written: WrittenMeter) -> Meter {
        let mut meter = Meter::new(book);
        written.running.into_iter().for_each(|(task, running)| drop(meter.running.insert(task, running)));
        meter.early_stops = written.early_stops.into_iter().collect();
        meter.finished = written.finished;
        for WrittenGroup { identity, used_on_fargate, used_on_ec2, fargate } in written.groups {
            meter.ledger.put_back(Group { identity, slot: Slot::default(), used_on_fargate, used_on_ec2, fargate });
        }
        for WrittenInstance { id, host, runs, reserved, surplus } in written.instances {
            *meter.ledger.instance_mut((id, Slot::default())) = Instance {
                host,
                runs: runs.into_iter().collect(),
                stretch_seconds: None,
                reserved: reserved.into_iter().collect(),
                surplus: surplus.into_iter().collect(),
            };
        }
        meter.records = written.records.records().collect();
        meter.records_dropped = written.records_dropped;
        meter.keeping = written.keeping;
        meter
    }
}

/// A map whose keys are no text, as a list of its entries.
pub(super) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::metering) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(in crate::metering) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
