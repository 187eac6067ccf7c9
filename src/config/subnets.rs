//! `[[subnet]]` and `network_configuration`: subnets that are in a zone, and the tasks that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::capacity::{read_id, read_zone};
use super::document::{Context, Draft, Read};
use super::keys::{AUTO_SCALING_GROUP, AWSVPC_CONFIGURATION, NETWORK_CONFIGURATION, SUBNET};
use super::reader::{Table, Value, did_you_mean, quoted};
use super::suggest::nearest;
use crate::model::document::Document;
use crate::model::subnet::{SUBNETS_MAX, Subnet, document_of};
use crate::model::task_definition::{NetworkMode, TaskDefinition};

/// Reads the subnets that are by themselves.
pub(super) fn read_subnets<'a>(root: &Table<'a>, context: &Context<'_>) -> Vec<Read<'a, Option<Subnet>>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| {
            let id = at.need("id").and_then(|_| read_id(&at, "id", "subnet-"));
            let zone = at.need("availability_zone").and_then(|value| read_zone(&value, context));
            Some(Subnet { id: id?, availability_zone: zone? })
        });
        Read { item, at, soundness }
    };
    root.tables("subnet", &SUBNET).into_iter().map(read).collect()
}

/// What a service or standalone tasks say of their network: 1 to 16 subnets. Kept as a client's, in ECS' own form.
/// **Source:** ecs-semantics §1.7.
pub(super) fn read_network_configuration(at: &Table<'_>) -> Document {
    let Some(value) = subnets_value(at) else { return Document::default() };
    let subnets: Vec<Arc<str>> = value.strings().unwrap_or_default().into_iter().map(Arc::from).collect();
    if value.is_empty_list() || subnets.len() > SUBNETS_MAX {
        value.reject(format!("{} subnets are named: 1 to {SUBNETS_MAX}", subnets.len()));
    }
    for (index, id) in subnets.iter().enumerate() {
        if subnets[..index].contains(id) {
            value.reject(format!("subnet {} is named twice", quoted(id)));
        }
    }
    document_of(&subnets)
}

fn subnets_value<'a>(at: &Table<'a>) -> Option<Value<'a>> {
    let configuration = at.table("network_configuration", &NETWORK_CONFIGURATION)?;
    configuration.need("awsvpc_configuration")?.table(&AWSVPC_CONFIGURATION)?.need("subnets")
}

/// Subnets are each in one zone.
pub(super) fn check_subnets(draft: &Draft<'_>) {
    let mut known: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    // Where it is, if that is somewhere else.
    let mut elsewhere = |id: &Arc<str>, zone: &Arc<str>| {
        let before = known.entry(id.clone()).or_insert_with(|| zone.clone());
        (*before != *zone).then(|| format!("subnet {} is in {before}, not in {zone}", quoted(id)))
    };
    for (index, read) in draft.subnets.iter().enumerate() {
        let Some(subnet) = &read.item else { continue };
        let earlier = draft.subnets[..index].iter().filter_map(|earlier| earlier.item.as_ref());
        if { earlier }.any(|earlier| earlier.id == subnet.id) {
            read.at.reject("id", format!("subnet {} is defined twice", quoted(&subnet.id)));
        } else {
            elsewhere(&subnet.id, &subnet.availability_zone);
        }
    }
    for provider in &draft.capacity_providers {
        let group = provider.at.table("auto_scaling_group", &AUTO_SCALING_GROUP);
        let value = group.and_then(|group| group.get("subnets"));
        for entry in value.filter(|_| provider.is_sound()).map(|value| value.entries()).unwrap_or_default() {
            if let Some(id) = entry.value.string()
                && let Some(problem) = elsewhere(&id.into(), &entry.key.into())
            {
                entry.value.reject(problem);
            }
        }
    }
    for instances in draft.container_instances.iter().filter(|read| read.is_sound()) {
        let Some(launch) = instances.item.first() else { continue };
        if let Some(id) = &launch.subnet_id
            && let Some(problem) = elsewhere(id, &launch.availability_zone)
        {
            instances.at.reject("subnet_id", problem);
        }
    }
}

/// A network configuration is of tasks in `awsvpc` mode, and its subnets are of this file. *Ours:* a client may name any.
/// **Source:** ecs-semantics §1.4.
pub(super) fn check_network_configuration(draft: &Draft<'_>, at: &Table<'_>, definition: Option<&TaskDefinition>) {
    let Some(value) = subnets_value(at) else { return };
    if definition.is_some_and(|definition| definition.network_mode != NetworkMode::Awsvpc) {
        let message = "network_configuration is for tasks of network_mode \"awsvpc\"";
        at.reject_with_help(
            "network_configuration",
            message,
            Some("add network_mode = \"awsvpc\" to the task definition".to_owned()),
        );
    }
    let of_groups = draft.capacity_providers.iter().flat_map(|read| read.item.auto_scaling_group.subnets.values());
    let launches = draft.container_instances.iter().flat_map(|read| read.item.first());
    let by_themselves = draft.subnets.iter().filter_map(|read| read.item.as_ref()).map(|subnet| &subnet.id);
    let known: Vec<&str> = by_themselves
        .chain(of_groups)
        .chain(launches.filter_map(|launch| launch.subnet_id.as_ref()))
        .map(|id| &**id)
        .collect();
    let is_sound = draft.subnets.iter().all(|read| read.item.is_some())
        && draft.capacity_providers.iter().all(Read::is_sound)
        && draft.container_instances.iter().all(Read::is_sound);
    for item in value.list("a list of strings").filter(|_| is_sound).unwrap_or_default() {
        let Some(id) = item.string() else { continue };
        if !known.contains(&id) {
            let help = nearest(id, known.iter().copied()).map(did_you_mean);
            let help = help.or_else(|| Some("say where it is: [[subnet]] with id and availability_zone".to_owned()));
            item.reject_with_help(format!("subnet {} is not known in this file", quoted(id)), help);
        }
    }
}
